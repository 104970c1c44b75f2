use proptest::prelude::*;

use super::*;

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs(), "got {got}, want {want}");
}

#[test]
fn vectors_of_the_least_number_of_clean_requests() {
    for (limit, want) in [(0.05, 59), (0.01, 299), (0.005, 598), (0.001, 2995)] {
        assert_eq!(clean_requests_needed(limit, 0.05), want);
    }
    assert_eq!(clean_requests_needed(0.001, 0.01), 4603);
}

#[test]
fn vectors_of_the_proof() {
    let vectors = [
        (0, 347, 0.01, 2.992_531_626_572),
        (0, 348, 0.01, 3.001_518_418_587),
        (1, 600, 0.01, 2.718_955_165_879),
        (5, 2000, 0.01, 7.045_668_878_889),
        (2, 100, 0.001, -2.654_859_525_735),
    ];
    for (n_faults, n_successes, limit, want) in vectors {
        assert_close(promotion_log_e(n_faults, n_successes, limit), want);
    }
}

#[test]
fn a_clean_candidate_is_proven_after_the_documented_number_of_requests() {
    for (limit, needed) in [(0.01, 348), (0.001, 3491)] {
        assert_eq!(Proof::read(0, 0, limit, 0.05).clean_requests_needed, needed);
        assert!(!Proof::read(0, needed - 1, limit, 0.05).is_proven);
        let proof = Proof::read(0, needed, limit, 0.05);
        assert!(proof.is_proven);
        assert_eq!(proof.clean_requests_needed, 0);
    }
}

#[test]
fn no_data_proves_nothing() {
    let proof = Proof::read(0, 0, 0.01, 0.05);
    assert_eq!((proof.log_e, proof.is_proven), (0.0, false));
}

#[test]
fn a_hopeless_candidate_gets_a_number_all_the_same() {
    let proof = Proof::read(1_000_000, 0, 0.01, 0.05);
    assert!(proof.log_e.is_finite() && proof.clean_requests_needed > 100_000_000);
    assert!(Proof::read(u64::MAX, u64::MAX, 1e-6, 0.05).clean_requests_needed <= CLEAN_REQUESTS_MAX);
}

proptest! {
    #[test]
    fn the_number_still_needed_is_exact(s in 0_u64..30, f in 0_u64..5000, limit in 1e-4_f64..0.5, alpha in 1e-4_f64..0.5) {
        let n = Proof::read(s, f, limit, alpha).clean_requests_needed;
        prop_assert!(Proof::read(s, f + n, limit, alpha).is_proven);
        prop_assert!(n == 0 || !Proof::read(s, f + n - 1, limit, alpha).is_proven);
        prop_assert!(f + n >= clean_requests_needed(limit, alpha));
    }

    #[test]
    fn faults_weaken_the_proof_and_successes_strengthen_it(s in 0_u64..30, f in 0_u64..5000, limit in 1e-4_f64..0.5) {
        prop_assert!(promotion_log_e(s + 1, f, limit) < promotion_log_e(s, f, limit));
        prop_assert!(promotion_log_e(s, f + 1, limit) > promotion_log_e(s, f, limit));
    }
}
