use super::*;
use crate::policy::LatencyBound;

const WINDOW: ClassicWindow = ClassicWindow {
    seconds: 60,
    min_requests: 100,
    max_error_rate: Some(0.05),
    latency: Some(LatencyBound { quantile: 0.99, max_seconds: 0.08 }),
};

fn check(window: ClassicWindow, requests: u64, faults: u64, latency_seconds: Option<f64>) -> Option<(Rule, f64)> {
    window.breach(&WindowTotals { requests, faults, latency_seconds }).map(|b| (b.rule, b.value))
}

#[test]
fn too_few_requests_say_nothing() {
    assert_eq!(check(WINDOW, 99, 99, Some(9.0)), None);
    assert_eq!(check(ClassicWindow { min_requests: 0, ..WINDOW }, 0, 0, None), None);
}

#[test]
fn a_bound_is_passed_only_beyond_it() {
    assert_eq!(check(WINDOW, 100, 5, Some(0.08)), None);
    assert_eq!(check(WINDOW, 100, 6, Some(0.08)), Some((Rule::WindowErrorRate, 0.06)));
    assert_eq!(check(WINDOW, 100, 5, Some(0.081)), Some((Rule::WindowLatency, 0.081)));
}

#[test]
fn what_is_not_asked_for_or_not_measured_is_not_judged() {
    let errors_only = ClassicWindow { latency: None, ..WINDOW };
    assert_eq!(check(errors_only, 100, 0, Some(9.0)), None);
    let latency_only = ClassicWindow { max_error_rate: None, ..WINDOW };
    assert_eq!(check(latency_only, 100, 100, None), None);
}

#[test]
fn a_bound_of_zero_faults_is_passed_by_one() {
    let strict = ClassicWindow { max_error_rate: Some(0.0), ..WINDOW };
    assert_eq!(check(strict, 1000, 0, None), None);
    assert_eq!(check(strict, 1000, 1, None), Some((Rule::WindowErrorRate, 0.001)));
}
