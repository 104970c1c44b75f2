#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

use super::*;
use crate::error::CheckpointFlaw;

fn guardrail() -> Guardrail {
    let rule = SteadyState { mean_requests_between_false_alarms: 1e8, on_failure: OnFailure::RollBack };
    Guardrail { steady_state: Some(rule), ..Guardrail::default() }
}

fn guard() -> SteadyGuard {
    SteadyGuard::new(&guardrail()).unwrap().unwrap()
}

#[test]
fn a_guardrail_without_the_rule_watches_nothing() {
    assert_eq!(SteadyGuard::new(&Guardrail::default()), Ok(None));
    assert!(SteadyGuard::new(&Guardrail { alpha: 0.0, ..guardrail() }).is_err());
}

#[test]
fn a_version_that_dies_is_found_within_a_few_requests_however_long_it_was_well() {
    let mut guard = guard();
    let mut successes = 0;
    for _ in 0..100 {
        successes += 999;
        assert_eq!(guard.on_fault(successes, None), None);
    }
    let n_requests = (1..20).find(|_| guard.on_fault(successes, None).is_some());
    assert!(n_requests.is_some_and(|n| n <= 6), "{n_requests:?}");
    let evidence = guard.evidence(successes);
    assert!(evidence.is_tripped && evidence.log_restart.unwrap() >= evidence.threshold);
    assert!((evidence.threshold - 1e8_f64.ln()).abs() < 1e-12);
}

#[test]
fn a_fault_in_a_thousand_is_no_alarm_under_a_limit_of_a_hundredth() {
    let mut guard = guard();
    assert!((1..2000).all(|i| guard.on_fault(i * 999, None).is_none()));
}

#[test]
fn one_caller_alone_convicts_nobody() {
    let mut guard = guard();
    assert!((0..100).all(|_| guard.on_fault(0, Some(7)).is_none()));
    assert_eq!(guard.evidence(0).faults, 1);
}

#[test]
fn the_watch_survives_a_restart() {
    let mut guard = guard();
    guard.on_fault(500, Some(1));
    guard.on_fault(700, None);
    let stored = guard.checkpoint(1000);
    assert_eq!((stored.arm.faults, stored.arm.successes, stored.pending), (2, 700, 300));
    let mut restored = SteadyGuard::restore(&guardrail(), &stored).unwrap().unwrap();
    assert_eq!(restored.checkpoint(0), stored);
    assert_eq!(restored.evidence(0), guard.evidence(1000));
    for i in 0..10 {
        assert_eq!(restored.on_fault(i, None), guard.on_fault(1000 + i, None));
    }
    assert_eq!(restored.on_fault(10, Some(1)), None);
    let stricter = Guardrail { limit: 0.005, ..guardrail() };
    let refused = Err(RolloutError::Checkpoint(CheckpointFlaw::OtherLimit { limit: 0.01 }));
    assert_eq!(SteadyGuard::restore(&stricter, &stored), refused);
}
