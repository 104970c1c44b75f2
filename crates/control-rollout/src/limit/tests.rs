use proptest::prelude::*;

use super::*;

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs().max(1e-3), "got {got}, want {want}");
}

#[test]
fn vectors_of_the_alternatives() {
    assert_eq!(limit_alternatives(0.01), [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.9]);
    let fine = limit_alternatives(0.001);
    assert_eq!(fine, [0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.5, 0.9]);
    assert_eq!(limit_alternatives(0.25), [0.5, 0.9]);
    assert_eq!(limit_alternatives(LIMIT_MAX), [0.9]);
    assert!(limit_alternatives(LIMIT_MIN).len() < 25);
}

#[test]
fn vectors_of_the_plain_test() {
    let vectors = [
        (0, 0, 0.01, 0.0),
        (1, 0, 0.01, 3.362_357_548_346),
        (2, 0, 0.01, 7.443_747_270_695),
        (3, 0, 0.01, 11.754_692_236_869),
        (1, 99, 0.01, -2.020_876_615_515),
        (5, 95, 0.01, 2.642_291_734_964),
        (10, 190, 0.01, 6.380_999_439_843),
        (10, 990, 0.01, -5.065_284_696_448),
        (0, 300, 0.01, -4.989_565_215_559),
        (3, 2997, 0.01, -30.293_125_885_037),
        (1, 0, 0.001, 5.252_273_428_047),
        (2, 8, 0.001, 7.392_817_511_638),
        (5, 995, 0.001, 2.235_046_277_127),
    ];
    for (n_faults, n_successes, limit, want) in vectors {
        assert_close(limit_log_e(n_faults, n_successes, limit), want);
    }
}

#[test]
fn counts_beyond_any_rollout_stay_finite() {
    for (n_faults, n_successes) in [(0, u64::MAX), (u64::MAX, 0), (u64::MAX, u64::MAX)] {
        assert!(limit_log_e(n_faults, n_successes, 0.01).is_finite());
    }
}

proptest! {
    #[test]
    fn evidence_never_rises_on_a_success(s in 0_u64..500, f in 0_u64..100_000, limit in 1e-4_f64..0.5) {
        prop_assert!(limit_log_e(s, f + 1, limit) < limit_log_e(s, f, limit));
        prop_assert!(limit_log_e(s + 1, f, limit) > limit_log_e(s, f, limit));
    }

    #[test]
    fn order_and_splitting_change_nothing(runs in prop::collection::vec(0_u64..300, 1..30), shards in 1_usize..5) {
        // The same requests as one stream, and dealt to shards whose counts are summed.
        let mut whole = LimitTest::new(0.01);
        let mut parts = vec![LimitTest::new(0.01); shards];
        for (i, run) in runs.iter().enumerate() {
            whole.on_successes(*run);
            whole.on_fault();
            parts[i % shards].on_successes(*run);
            parts[(i / 2) % shards].on_fault();
        }
        let n_faults = parts.iter().map(LimitTest::n_faults).sum();
        let n_successes = parts.iter().map(LimitTest::n_successes).sum();
        prop_assert_eq!(whole.log_e(), limit_log_e(n_faults, n_successes, 0.01));
    }

    #[test]
    fn cutting_the_successes_between_faults_changes_nothing(
        runs in prop::collection::vec((0_u64..300, 0_u64..300), 1..20),
    ) {
        let (mut cut, mut whole) = (LimitTest::new(0.01), LimitTest::new(0.01));
        for (a, b) in runs {
            cut.on_successes(a);
            cut.on_successes(b);
            whole.on_successes(a + b);
            cut.on_fault();
            whole.on_fault();
        }
        prop_assert_eq!(cut.log_e(), whole.log_e());
        for (a, b) in cut.restart().log1p().iter().zip(whole.restart().log1p()) {
            prop_assert!((a - b).abs() <= 1e-9 * b);
        }
    }
}
