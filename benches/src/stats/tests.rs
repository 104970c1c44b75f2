use super::*;

#[test]
fn quantiles_are_values_that_were_seen() {
    let hundred: Vec<u64> = (1..=100).collect();
    for (q, expected) in [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)] {
        assert_eq!(quantile(&hundred, q), expected, "{q}");
    }
    assert_eq!(quantile(&[7], 0.99), 7);
    assert_eq!(quantile(&[], 0.5), 0);
}

#[test]
fn medians_have_the_intervals_of_the_tables() {
    // Ranks of the 95 % interval of a median, as in tables of the sign test.
    for (n, low, high) in
        [(5, 1, 5), (6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (12, 3, 10), (20, 6, 15), (25, 8, 18)]
    {
        let found = median((1..=n).map(f64::from));
        assert_eq!((found.low, found.high), (f64::from(low), f64::from(high)), "{n} values");
    }
    assert_eq!(median([4.0, 1.0, 3.0, 2.0]).value, 2.5);
    assert_eq!(median([3.0, 1.0, 2.0]).value, 2.0);
    assert!(median([]).value.is_nan());
}
