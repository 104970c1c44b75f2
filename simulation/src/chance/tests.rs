use super::{Chance, log_factorial, normal_above};

fn moments(draw: impl FnMut(&mut Chance) -> f64, n: u32) -> (f64, f64) {
    let mut chance = Chance::of_run(5, "moments", 0);
    let values: Vec<f64> = std::iter::repeat_with({
        let mut draw = draw;
        move || draw(&mut chance)
    })
    .take(n as usize)
    .collect();
    let mean = values.iter().sum::<f64>() / f64::from(n);
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n - 1);
    (mean, variance)
}

/// Mean and variance within five standard errors; the variance's is at most that of a Poisson or an exponential value.
fn check((mean, variance): (f64, f64), expected_mean: f64, expected_variance: f64, n: u32) {
    let of_mean = 5.0 * (expected_variance / f64::from(n)).sqrt();
    assert!((mean - expected_mean).abs() < of_mean, "mean {mean} for {expected_mean}");
    let of_variance = 5.0 * ((expected_variance + 8.0 * expected_variance.powi(2)) / f64::from(n)).sqrt();
    assert!((variance - expected_variance).abs() < of_variance, "variance {variance} for {expected_variance}");
}

#[test]
fn poisson_numbers_have_the_mean_and_variance_asked_for() {
    for mean in [0.01, 0.7, 9.9, 10.1, 35.0, 900.0, 120_000.0] {
        check(moments(|c| c.poisson(mean) as f64, 40_000), mean, mean, 40_000);
    }
    assert_eq!(Chance::of_run(1, "", 0).poisson(0.0), 0);
}

#[test]
fn waits_misses_and_beta_values_have_their_means() {
    check(moments(|c| c.wait(0.25), 40_000), 4.0, 16.0 * 1.0, 40_000);
    let (mean, _) = moments(|c| c.misses(0.05) as f64, 40_000);
    assert!((mean - 19.0).abs() < 0.5, "{mean}");
    check(moments(|c| c.beta(3.0, 7.0), 40_000), 0.3, 0.21 / 11.0, 40_000);
    assert_eq!(Chance::of_run(1, "", 0).misses(1.0), 0);
    assert!(Chance::of_run(1, "", 0).wait(0.0).is_infinite());
}

#[test]
fn a_run_is_the_same_again_and_differs_from_its_neighbours() {
    let first = |seed, cell, run| Chance::of_run(seed, cell, run).unit();
    assert_eq!(first(1, "a", 0), first(1, "a", 0));
    assert_ne!(first(1, "a", 0), first(1, "a", 1));
    assert_ne!(first(1, "a", 0), first(1, "b", 0));
    assert_ne!(first(1, "a", 0), first(2, "a", 0));
}

#[test]
fn factorials_and_normal_tails_are_right() {
    for (n, expected) in [(0.0, 0.0), (5.0, 120_f64.ln()), (20.0, 42.335_616_460_753_485)] {
        assert!((log_factorial(n) - expected).abs() < 1e-8, "{n}");
    }
    for (z, expected) in
        [(0.0, 0.5), (1.281_551_565_544_600_4, 0.1), (2.326_347_874_040_841, 0.01), (-1.0, 0.841_344_746)]
    {
        assert!((normal_above(z) - expected).abs() < 2e-7, "{z}: {}", normal_above(z));
    }
}
