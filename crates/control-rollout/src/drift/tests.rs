use proptest::prelude::*;

use super::*;

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs(), "got {got}, want {want}");
}

#[test]
fn vectors_of_the_bins() {
    let vectors: [(&[u64], &[u64], f64); 5] = [
        (&[10], &[90], -1.273_276_152_148),
        (&[20], &[80], 2.555_281_569_599),
        (&[900], &[9100], 2.233_974_204_485),
        (&[30, 20, 50], &[300, 400, 200], 13.041_828_778_136),
        (&[10, 10, 10], &[90, 90, 90], -3.819_828_456_444),
    ];
    for (candidate, stable, want) in vectors {
        assert_close(bins_log_e(candidate, stable, 0.1, DRIFT_KAPPA), want);
    }
}

#[test]
fn what_compares_nothing_says_nothing() {
    for share in [0.0, 1.0, -0.1, f64::NAN] {
        assert_eq!(bins_log_e(&[5], &[6], share, DRIFT_KAPPA), 0.0);
    }
    assert_eq!(bins_log_e(&[], &[], 0.1, DRIFT_KAPPA), 0.0);
    assert_eq!(bins_log_e(&[0; 32], &[0; 32], 0.1, DRIFT_KAPPA), 0.0);
    assert!(bins_log_e(&[u64::MAX], &[0], 1e-9, SAMPLE_RATIO_KAPPA).is_finite());
}

#[test]
fn equal_distributions_have_no_effect_size_and_disjoint_ones_the_largest() {
    let none = drift_effect(&[10, 20, 30], &[100, 200, 300]).map(|e| (e.jensen_shannon, e.kolmogorov_smirnov));
    let (jensen_shannon, kolmogorov_smirnov) = none.unwrap_or((1.0, 1.0));
    assert!(jensen_shannon.abs() < 1e-12 && kolmogorov_smirnov.abs() < 1e-12);
    let Some(apart) = drift_effect(&[1000, 0], &[0, 1000]) else { return assert_eq!("an effect", "none") };
    assert!((apart.jensen_shannon - std::f64::consts::LN_2).abs() < 1e-12);
    assert!((apart.kolmogorov_smirnov - 1.0).abs() < 1e-12 && apart.psi > 10.0);
    assert_eq!(drift_effect(&[0, 0], &[1, 2]), None);
}

proptest! {
    /// The next event moves the value by a factor of mean 1 when it is the candidate's with probability `share`.
    #[test]
    fn the_next_event_is_a_fair_bet(c in 0_u64..500, s in 0_u64..500, share in 0.01_f64..0.99) {
        let log_e = |c, s| bins_log_e(&[c], &[s], share, DRIFT_KAPPA);
        let factor = |c_next, s_next| (log_e(c_next, s_next) - log_e(c, s)).exp();
        let mean = share * factor(c + 1, s) + (1.0 - share) * factor(c, s + 1);
        prop_assert!((mean - 1.0).abs() < 1e-7, "{}", mean);
    }

    #[test]
    fn bins_add_up_and_their_order_is_nothing(bins in prop::collection::vec((0_u64..200, 0_u64..200), 1..12)) {
        let (c, s): (Vec<_>, Vec<_>) = bins.iter().copied().unzip();
        let whole = bins_log_e(&c, &s, 0.2, DRIFT_KAPPA);
        let parts: f64 = bins.iter().map(|(c, s)| bins_log_e(&[*c], &[*s], 0.2, DRIFT_KAPPA)).sum();
        prop_assert!((whole - parts).abs() < 1e-9);
    }
}
