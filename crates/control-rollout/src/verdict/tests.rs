#![allow(clippy::expect_used, reason = "a test that cannot go on must stop")]

use super::*;
use crate::policy::ClassicWindow;
use crate::trial::{Arm, Count, FaultEvent, Successes, Trial};
use crate::window::WindowTotals;

fn grounds() -> Grounds {
    let mut trial = Trial::new(Guardrail::default()).expect("the default is allowed");
    let event =
        FaultEvent { arm: Arm::Stable, share: 0.1, successes: Successes::default(), count: Count::All, key: None };
    let mut ill = (0..5).filter_map(|_| match trial.on_fault(event) {
        Verdict::StableIll(grounds) => Some(grounds),
        _ => None,
    });
    ill.next().expect("every answer of stable is a fault")
}

fn decision(verdict: Verdict, mode: Mode, on_shared_incident: OnSharedIncident) -> &'static str {
    decide(verdict, &Guardrail { mode, on_shared_incident, ..Guardrail::default() }).as_str()
}

#[test]
fn the_table_row_by_row() {
    let table = [
        // limit, relative, stable's limit
        (false, false, false, Row::Nothing),
        (false, false, true, Row::StableIll),
        (true, false, false, Row::RollBack),
        (true, false, true, Row::SharedIncident),
        (false, true, false, Row::RollBack),
        (false, true, true, Row::RollBack),
        (true, true, false, Row::RollBack),
        (true, true, true, Row::RollBack),
    ];
    for (limit, relative, stable, row) in table {
        assert_eq!(classify(limit, relative, stable), row, "{limit} {relative} {stable}");
    }
}

#[test]
fn each_verdict_under_each_mode() {
    use Mode::{Enforce, Observe, Off};
    use OnSharedIncident::{Hold, RollBack};
    let crash_loop = || Verdict::RollBack(Cause::CrashLoop(CrashCounts { exits: 2, requests: 3 }));
    let shared = || Verdict::SharedIncident(grounds());
    let ill = || Verdict::StableIll(grounds());
    for on_shared in [Hold, RollBack] {
        assert_eq!(decision(Verdict::None, Enforce, on_shared), "none");
        assert_eq!(decision(crash_loop(), Enforce, on_shared), "roll_back");
        assert_eq!(decision(crash_loop(), Observe, on_shared), "would_roll_back");
        assert_eq!(decision(ill(), Enforce, on_shared), "hold");
        assert_eq!(decision(ill(), Observe, on_shared), "alert");
        for verdict in [crash_loop(), shared(), ill()] {
            assert_eq!(decision(verdict, Off, on_shared), "none");
        }
    }
    assert_eq!(decision(shared(), Enforce, Hold), "hold");
    assert_eq!(decision(shared(), Observe, Hold), "alert");
    assert_eq!(decision(shared(), Enforce, RollBack), "roll_back");
    assert_eq!(decision(shared(), Observe, RollBack), "would_roll_back");
}

#[test]
fn a_cause_reads_as_a_line_with_its_numbers() {
    let ill = grounds();
    assert_eq!(ill.deciding().rule, Rule::StableLimit);
    assert!(ill.to_string().starts_with("stable_limit: 3 faults and 0 successes, log_e 11.6"), "{ill}");
    let window = ClassicWindow { seconds: 60, min_requests: 10, max_error_rate: Some(0.05), latency: None };
    let breach = window.breach(&WindowTotals { requests: 50, faults: 4, latency_seconds: None });
    let cause = Cause::Window(breach.expect("8 % is above 5 %"));
    assert_eq!(cause.to_string(), "window_error_rate: 0.0800 over 0.05 (4 faults in 50 requests of 60 s)");
    assert_eq!(cause.as_str(), "window_error_rate");
    let crashes = Cause::CrashLoop(CrashCounts { exits: 2, requests: 7 });
    assert_eq!(crashes.to_string(), "crash_loop: 2 unclean exits lost 7 requests of this version");
    assert_eq!(Cause::SharedIncident(ill).as_str(), "shared_incident");
}
