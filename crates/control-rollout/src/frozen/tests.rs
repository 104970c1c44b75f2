use super::*;

#[test]
fn quantiles_are_the_smallest_values_that_reach_them() {
    let sample: Vec<f64> = (1..=100).rev().map(f64::from).collect();
    assert_eq!(sample_quantiles(&sample, &[0.5, 0.9, 0.99]), Some(vec![50.0, 90.0, 99.0]));
    assert_eq!(sample_quantiles(&[3.0], &[0.01, 0.999]), Some(vec![3.0, 3.0]));
    assert_eq!(sample_quantiles(&[f64::NAN, 2.0, f64::INFINITY], &[0.5]), Some(vec![2.0]));
    assert_eq!(sample_quantiles(&[f64::NAN], &[0.5]), None);
    assert_eq!(sample_quantiles(&[], &[0.5]), None);
}

#[test]
fn a_histogram_gives_upper_ends() {
    let slots = [(0.01, 50), (0.02, 40), (0.04, 9), (0.08, 1)];
    assert_eq!(histogram_quantiles(&slots, &[0.5, 0.51, 0.9, 0.99, 0.999]), Some(vec![0.01, 0.02, 0.02, 0.04, 0.08]));
    assert_eq!(histogram_quantiles(&[(0.01, 0)], &[0.5]), None);
    assert_eq!(histogram_quantiles(&[], &[0.5]), None);
}

#[test]
fn deciles_part_a_sample_into_tenths() {
    let sample: Vec<f64> = (0..1000).map(f64::from).collect();
    let Some(edges) = decile_edges(&sample) else { return assert_eq!("edges", "none") };
    let mut counts = [0; 11];
    sample.iter().for_each(|x| counts[decile_bin(&edges, *x)] += 1);
    assert_eq!(counts, [100, 100, 100, 100, 100, 100, 100, 100, 100, 100, 0]);
    assert_eq!(decile_bin(&edges, f64::NAN), 10);
    assert_eq!((decile_bin(&edges, f64::NEG_INFINITY), decile_bin(&edges, f64::INFINITY)), (0, 9));
}

#[test]
fn a_constant_output_has_one_bin() {
    let Some(edges) = decile_edges(&[0.5; 20]) else { return assert_eq!("edges", "none") };
    assert_eq!((decile_bin(&edges, 0.5), decile_bin(&edges, 0.6)), (0, 9));
}
