use proptest::prelude::*;

use super::*;

fn of(candidate_faults: u64, stable_faults: u64, share: f64, ratio: f64) -> f64 {
    relative_log_e(&[ShareTally { share, candidate_faults, stable_faults }], ratio)
}

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs(), "got {got}, want {want}");
}

#[test]
fn vectors_of_the_plain_test() {
    let vectors = [
        (1, 0, 0.05, 1.0, 2.206_288_457_621),
        (2, 0, 0.05, 1.0, 4.785_962_751_890),
        (2, 0, 0.1, 2.0, 2.772_592_997_102),
        (5, 0, 0.1, 2.0, 7.450_473_452_725),
        (5, 5, 0.1, 2.0, 1.614_275_815_108),
        (15, 10, 0.1, 2.0, 9.358_313_369_764),
        (10, 90, 0.1, 2.0, -11.565_696_127_656),
        (10, 2, 0.5, 1.0, 2.113_771_589_369),
        (20, 10, 0.5, 1.0, 0.120_067_140_001),
    ];
    for (candidate, stable, share, ratio, want) in vectors {
        assert_close(of(candidate, stable, share, ratio), want);
    }
}

#[test]
fn factors_are_ratios_of_the_vectors_of_theta() {
    let theta = |w: f64, x: f64| w * x / (w * x + 1.0 - w);
    for (share, theta_0) in [(0.05, 0.095_238_095_238_095), (0.1, 0.181_818_181_818_182), (0.5, 0.666_666_666_666_667)]
    {
        assert_close(theta(share, 2.0), theta_0);
        for multiple in FAULT_ALTERNATIVES {
            let theta_k = theta(share, 2.0 * multiple);
            assert_close(log_factor(multiple, share, 2.0, Arm::Candidate), (theta_k / theta_0).ln());
            assert_close(log_factor(multiple, share, 2.0, Arm::Stable), ((1.0 - theta_k) / (1.0 - theta_0)).ln());
        }
    }
}

#[test]
fn a_share_that_compares_nothing_moves_nothing() {
    for share in [0.0, 1.0, 1.5, -0.1, f64::NAN, f64::INFINITY] {
        let mut test = RelativeTest::new(2.0, &FAULT_ALTERNATIVES);
        test.on_fault(Arm::Candidate, share);
        test.on_fault(Arm::Stable, share);
        assert_eq!(test, RelativeTest::new(2.0, &FAULT_ALTERNATIVES), "share {share}");
    }
}

#[test]
fn shares_are_tallied_up_to_their_bound_and_weighed_beyond_it() {
    let mut test = RelativeTest::new(2.0, &FAULT_ALTERNATIVES);
    let n_shares = SHARES_MAX as u64 + 5;
    for i in 1..=n_shares {
        test.on_fault(Arm::Candidate, i as f64 / 100.0);
        test.on_fault(Arm::Stable, i as f64 / 100.0);
    }
    assert_eq!(test.shares().len(), SHARES_MAX);
    assert_eq!((test.candidate_faults(), test.stable_faults()), (n_shares, n_shares));
    assert!(test.shares().iter().all(|t| (t.candidate_faults, t.stable_faults) == (1, 1)));
}

proptest! {
    #[test]
    fn tallies_recompute_the_plain_test(events in prop::collection::vec((any::<bool>(), 1_u8..8), 0..60)) {
        let mut test = RelativeTest::new(1.5, &FAULT_ALTERNATIVES);
        for (is_candidate, eighths) in events {
            let arm = if is_candidate { Arm::Candidate } else { Arm::Stable };
            test.on_fault(arm, f64::from(eighths) / 8.0);
        }
        let recomputed = relative_log_e(test.shares(), 1.5);
        prop_assert!((test.log_e() - recomputed).abs() <= 1e-9 * recomputed.abs().max(1.0));
    }

    #[test]
    fn a_fault_speaks_against_its_own_arm(c in 0_u64..50, s in 0_u64..50, share in 0.001_f64..0.999, r in 1.0_f64..10.0) {
        prop_assert!(of(c + 1, s, share, r) > of(c, s, share, r));
        prop_assert!(of(c, s + 1, share, r) < of(c, s, share, r));
    }

    #[test]
    fn each_factor_has_mean_one_at_the_border(share in 0.001_f64..0.999, r in 1.0_f64..10.0, k in 0_usize..6) {
        let theta_0 = share * r / (share * r + 1.0 - share);
        let candidate = log_factor(FAULT_ALTERNATIVES[k], share, r, Arm::Candidate).exp();
        let stable = log_factor(FAULT_ALTERNATIVES[k], share, r, Arm::Stable).exp();
        prop_assert!((theta_0 * candidate + (1.0 - theta_0) * stable - 1.0).abs() < 1e-12);
    }
}
