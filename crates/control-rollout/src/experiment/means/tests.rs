use super::*;
use crate::chance::Draws;
use crate::interval::anytime_interval;

fn sums(values: impl IntoIterator<Item = f64>) -> ScoreSums {
    values.into_iter().fold(ScoreSums::default(), |sums, x| sums.plus(ScoreSums { n: 1, sum: x, sum_squares: x * x }))
}

#[test]
fn events_have_the_interval_of_t12() {
    for (events, others) in [(0, 300), (5, 95), (10, 990), (50, 50), (3, 0)] {
        let (got, want) = (MeanTest::of_events(events, others).interval(0.05), anytime_interval(events, others, 0.05));
        assert!((got.low - want.low).abs() < 1e-6 && (got.high - want.high).abs() < 1e-6, "{got:?} {want:?}");
    }
}

#[test]
fn vectors_of_scores() {
    let sums = |n, sum, sum_squares| ScoreSums { n, sum, sum_squares };
    let (few, many) = (sums(100, 30.0, 12.0), sums(2000, 1000.0, 505.0));
    for (scores, mean, want) in
        [(few, 0.25, -0.561_366_551_614), (few, 0.5, 8.256_233_076_132), (many, 0.49, 5.282_496_867_783)]
    {
        let got = MeanTest::of_scores(scores).log_e(mean);
        assert!((got - want).abs() < 1e-8, "{scores:?} {mean}: got {got}, want {want}");
    }
    for (scores, alpha, low, high) in
        [(few, 0.05, 0.171_452_515, 0.432_088_846), (many, 0.01, 0.490_431_545, 0.509_568_455)]
    {
        let got = score_interval(scores, alpha);
        assert!((got.low - low).abs() < 1e-8 && (got.high - high).abs() < 1e-8, "{got:?}");
    }
}

#[test]
fn vectors_of_differences() {
    let first = ScoreSums { n: 400, sum: 120.0, sum_squares: 50.0 };
    let second = ScoreSums { n: 900, sum: 200.0, sum_squares: 80.0 };
    let (one, other) = (MeanTest::of_scores(first), MeanTest::of_scores(second));
    for (difference, want) in [(0.0, 2.463_480_397), (0.05, -1.821_472_616), (0.2, 13.840_657_217)] {
        let got = difference_log_e(&one, &other, difference);
        assert!((got - want).abs() < 1e-5, "{difference}: got {got}, want {want}");
    }
    let got = difference_interval(first, second, 0.05);
    assert!((got.low + 0.003_129).abs() < 2e-6 && (got.high - 0.158_717).abs() < 2e-6, "{got:?}");
}

#[test]
fn no_values_rule_nothing_out() {
    let nothing = ScoreSums::default();
    assert_eq!(score_interval(nothing, 0.05), Interval { low: 0.0, high: 1.0, alpha: 0.05 });
    assert_eq!(difference_interval(nothing, nothing, 0.05), Interval { low: -1.0, high: 1.0, alpha: 0.05 });
}

#[test]
fn scores_that_vary_little_have_a_narrower_interval_than_events_of_the_same_mean() {
    let scores = ScoreSums { n: 2000, sum: 1000.0, sum_squares: 505.0 };
    let (narrow, wide) = (score_interval(scores, 0.05), anytime_interval(1000, 1000, 0.05));
    assert!(narrow.low > wide.low && narrow.high < wide.high, "{narrow:?} {wide:?}");
    assert!(narrow.high - narrow.low < 0.5 * (wide.high - wide.low), "{narrow:?} {wide:?}");
}

#[test]
fn a_difference_interval_is_narrower_than_the_two_intervals_apart() {
    let (first, second) = (MeanTest::of_events(120, 1880), MeanTest::of_events(80, 1920));
    let difference = interval_between(&first, &second, 0.05);
    let (a, b) = (first.interval(0.025), second.interval(0.025));
    assert!(difference.low > a.low - b.high && difference.high < a.high - b.low, "{difference:?}");
    assert!(difference.low < 0.02 && difference.high > 0.02);
}

#[test]
fn swapping_the_arms_turns_the_difference_round() {
    let (first, second) = (MeanTest::of_events(40, 60), MeanTest::of_events(5, 200));
    let (one, other) = (interval_between(&first, &second, 0.01), interval_between(&second, &first, 0.01));
    assert!((one.low + other.high).abs() < 1e-6 && (one.high + other.low).abs() < 1e-6, "{one:?} {other:?}");
}

/// Part of the runs in which the true value is ever outside, at looks after each of the values.
fn missed(n_runs: u32, mut is_missed: impl FnMut(&mut Draws) -> bool) -> f64 {
    let mut draws = Draws::seeded(17);
    let n = (0..n_runs).filter(|_| is_missed(&mut draws)).count();
    n as f64 / f64::from(n_runs)
}

#[test]
fn the_true_mean_is_missed_at_any_look_no_more_often_than_alpha() {
    // Values 0.2 and 0.6 with mean 0.3, and 0 or 1 with mean 0.1.
    for (low, high, p) in [(0.2, 0.6, 0.25), (0.0, 1.0, 0.1)] {
        let mean = low + p * (high - low);
        let rate = missed(300, |draws| {
            let mut seen = ScoreSums::default();
            (0..60).any(|_| {
                seen = seen.plus(sums((0..5).map(|_| if draws.unit() < p { high } else { low })));
                MeanTest::of_scores(seen).log_e(mean) >= 20.0_f64.ln()
            })
        });
        assert!(rate <= 0.05 + 3.0 * (0.05_f64 * 0.95 / 300.0).sqrt(), "{rate}");
    }
}

#[test]
fn equal_arms_whose_mean_wanders_together_are_not_told_apart() {
    let rate = missed(120, |draws| {
        let (mut first, mut second) = (ScoreSums::default(), ScoreSums::default());
        (1..=400_u32).any(|i| {
            let mean = if i < 200 { 0.1 } else { 0.6 };
            let x = if draws.unit() < mean { 1.0 } else { 0.0 };
            let arm = if draws.unit() < 0.3 { &mut first } else { &mut second };
            *arm = arm.plus(sums([x]));
            let is_look = i % 20 == 0;
            let log_e = || difference_log_e(&MeanTest::of_scores(first), &MeanTest::of_scores(second), 0.0);
            is_look && log_e() >= 20.0_f64.ln()
        })
    });
    assert!(rate <= 0.05, "{rate}");
}

#[test]
fn impossible_sums_are_told() {
    assert!(sums([0.0, 0.5, 1.0]).is_possible());
    for (sum, sum_squares) in [(-1.0, 0.0), (4.0, 3.0), (1.0, 1.5), (f64::NAN, 0.0)] {
        assert!(!ScoreSums { n: 3, sum, sum_squares }.is_possible(), "{sum} {sum_squares}");
    }
}
