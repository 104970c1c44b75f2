use super::*;

fn moments(n: u32, mut value: impl FnMut() -> f64) -> (f64, f64) {
    let values: Vec<f64> = (0..n).map(|_| value()).collect();
    let mean = values.iter().sum::<f64>() / f64::from(n);
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
    (mean, variance)
}

fn source(seed: u64) -> impl FnMut() -> f64 {
    let mut draws = Draws::seeded(seed);
    move || draws.unit()
}

#[test]
fn the_same_seed_gives_the_same_draws() {
    let (mut one, mut other) = (Draws::seeded(5), Draws::seeded(5));
    assert!((0..100).all(|_| one.unit() == other.unit()));
    assert_ne!(Draws::seeded(6).unit(), Draws::seeded(7).unit());
}

#[test]
fn samples_have_the_moments_of_their_distributions() {
    let mut draw = source(1);
    let (mean, variance) = moments(20_000, || normal(&mut draw));
    assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    for (a, b) in [(0.5, 0.5), (1.0, 9.0), (30.0, 70.0)] {
        let (mean, variance) = moments(20_000, || beta(a, b, &mut draw));
        let want = a / (a + b);
        let want_variance = want * (1.0 - want) / (a + b + 1.0);
        assert!((mean - want).abs() < 0.01, "{a} {b}: {mean}");
        assert!((variance / want_variance - 1.0).abs() < 0.06, "{a} {b}: {variance}");
    }
    for (n, p) in [(10_u64, 0.3), (1000, 0.001), (1000, 0.4), (5000, 0.98)] {
        let (mean, variance) = moments(20_000, || binomial(n, p, &mut draw) as f64);
        let want = n as f64 * p;
        assert!((mean - want).abs() < 0.03 * want.max(1.0), "{n} {p}: {mean}");
        assert!((variance / (want * (1.0 - p)) - 1.0).abs() < 0.06, "{n} {p}: {variance}");
    }
    let (mean, _) = moments(20_000, || gap(0.2, &mut draw) as f64);
    assert!((mean - 4.0).abs() < 0.15, "{mean}");
}

#[test]
fn what_never_or_always_happens_is_drawn_so() {
    let mut draw = source(2);
    assert_eq!(gap(0.0, &mut draw), u64::MAX);
    assert_eq!(gap(1.0, &mut draw), 0);
    assert_eq!(binomial(50, 0.0, &mut draw), 0);
    assert_eq!(binomial(50, 1.0, &mut draw), 50);
    assert_eq!(binomial(0, 0.5, &mut draw), 0);
}

#[test]
fn a_source_that_is_stuck_holds_nobody_up() {
    for stuck in [0.0, 0.5, 0.999_999] {
        let value = beta(3.0, 2.0, &mut || stuck);
        assert!((0.0..=1.0).contains(&value), "{stuck}: {value}");
    }
}

#[test]
fn the_normal_tail_and_its_inverse_agree_with_tables() {
    for (z, above) in [(0.0, 0.5), (1.0, 0.158_655_25), (2.326_348, 0.01), (-1.281_552, 0.9)] {
        assert!((normal_above(z) - above).abs() < 1e-6, "{z}");
        assert!((normal_quantile_above(above) - z).abs() < 1e-4, "{z}");
    }
}

#[test]
fn quantiles_are_values_that_were_seen() {
    let sorted = [1.0, 2.0, 3.0, 4.0, 5.0];
    assert_eq!(quantile(&sorted, 0.5), Some(3.0));
    assert_eq!(quantile(&sorted, 0.8), Some(4.0));
    assert_eq!(quantile(&sorted, 1.0), Some(5.0));
    assert_eq!(quantile(&sorted, 0.0), Some(1.0));
    assert_eq!(quantile(&[], 0.5), None);
}
