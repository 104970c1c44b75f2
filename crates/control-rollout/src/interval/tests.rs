use proptest::prelude::*;

use super::*;

#[test]
fn vectors() {
    let vectors = [
        (0, 300, 0.05, 0.0, 0.021_173_966_497_778_5),
        (5, 95, 0.05, 0.007_149_478_932_596_92, 0.155_794_443_540_606),
        (5, 95, 0.001, 0.003_021_656_670_914_2, 0.200_547_990_851_939),
        (10, 990, 0.05, 0.002_406_468_283_596_71, 0.026_164_430_376_456_3),
        (50, 50, 0.05, 0.338_257_552_645_791, 0.661_742_447_354_209),
        (1, 999_999, 0.001, 2.820_949_772_661_39e-13, 1.796_955_792_082_06e-5),
        (1000, 999_000, 0.05, 8.643_970_428_783_36e-4, 1.149_078_600_684_71e-3),
        (3, 0, 0.05, 0.25, 1.0),
    ];
    for (n_faults, n_successes, alpha, low, high) in vectors {
        let got = anytime_interval(n_faults, n_successes, alpha);
        for (got, want) in [(got.low, low), (got.high, high)] {
            assert!((got - want).abs() <= 1e-9 * want, "({n_faults}, {n_successes}): got {got}, want {want}");
        }
    }
}

#[test]
fn no_data_rules_nothing_out() {
    assert_eq!(anytime_interval(0, 0, 0.05), Interval { low: 0.0, high: 1.0, alpha: 0.05 });
}

proptest! {
    #[test]
    fn the_observed_rate_is_inside_and_faults_mirror_successes(s in 0_u64..10_000, f in 1_u64..1_000_000) {
        let Interval { low, high, .. } = anytime_interval(s, f, 0.05);
        let rate = s as f64 / (s + f) as f64;
        prop_assert!(low <= rate && rate < high);
        let mirrored = anytime_interval(f, s, 0.05);
        prop_assert!((mirrored.low - (1.0 - high)).abs() < 1e-9 && (mirrored.high - (1.0 - low)).abs() < 1e-9);
    }
}
