use super::*;

fn assert_close(got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-12 * want.abs().max(1.0), "got {got}, want {want}");
}

#[test]
fn log_gamma_meets_known_values_over_its_whole_range() {
    let known = [
        (0.5, 0.572_364_942_924_7),
        (1.0, 0.0),
        (3.7, 1.428_072_326_665_39),
        (12.0, 17.502_307_845_873_9),
        (300.5, 1_412.053_542_041_27),
        (1e6 + 0.5, 12_815_511.476_902_8),
    ];
    for (x, want) in known {
        assert_close(log_gamma(x), want);
    }
    assert_close(log_beta(0.5, 0.5), std::f64::consts::PI.ln());
}

#[test]
fn the_shifted_logs_undo_each_other_from_tiny_to_huge() {
    for x in [1e-12, 1e-3, 0.5, 1.0, 40.0, 800.0, 1e6] {
        assert_close(log_one_plus_exp(log_exp_minus_one(x)) / x, 1.0);
    }
    assert_eq!(log_exp_minus_one(0.0), f64::NEG_INFINITY);
}

#[test]
fn sums_of_logs_take_infinities_and_numbers_beyond_exp() {
    assert_close(log_add(1000.0, 1000.0), 1000.0 + std::f64::consts::LN_2);
    assert_eq!(log_add(f64::NEG_INFINITY, -3.0), -3.0);
    assert_eq!(log_add(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
    assert_close(log_mean_exp([-2000.0, -2000.0].into_iter()), -2000.0);
    assert_eq!(log_mean_exp([f64::NEG_INFINITY; 3].into_iter()), f64::NEG_INFINITY);
    assert_eq!(log_mean_exp(std::iter::empty()), f64::NEG_INFINITY);
}
