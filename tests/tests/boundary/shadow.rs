//! Copies of requests for a candidate: callers notice nothing, and what it would have answered is counted.

use std::time::{Duration, Instant};

use serde_json::json;
use switchrail_tests::{Gateway, Infer, wait_until};
use testkit::onnx::{affine4, failing_when, looping};

const ROUTING: &str = r#"
[models.m]
stable = 1
policy = "look"
run_timeout_ms = 300
[models.m.guardrail.disagreement]
limit = 0.02
on_failure = "observe"
compare = { match = "tolerance", absolute = 0.1, relative = 0.0 }
[policies.look]
steps = [{ gate = true }, { shadow = 1.0, min = "1h" }, { weight = 0.5, min = "1h" }]
"#;

/// Version 1 is stable, the candidate gets a copy of every request.
fn shadowing(candidate: &[u8]) -> Gateway {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, candidate);
    let gateway = builder.routing(ROUTING).start();
    gateway.wait_state("m", 2, "ready");
    gateway.order("m", "rollout/start", json!({ "version": "2", "actor": "test" }));
    wait_until("the candidate to get copies", || {
        gateway.ask("m", 1.0).ok();
        gateway.metric("switchrail_shadow_requests_total", &[("version", "2")]) > 0.0
    });
    gateway
}

fn copies(gateway: &Gateway, result: &str) -> f64 {
    gateway.metric("switchrail_shadow_requests_total", &[("version", "2"), ("result", result)])
}

#[test]
fn a_candidate_that_answers_otherwise_is_found_out_and_nobody_sees_its_answers() {
    let gateway = shadowing(&affine4(2.0, 0.0));
    for n in 0..50 {
        let answer = gateway.ask("m", n as f32 + 1.0).ok();
        assert_eq!((answer.version(), answer.reason()), (1, "stable"));
    }
    wait_until("every copy to be compared", || copies(&gateway, "disagreed") >= 50.0);
    assert_eq!(copies(&gateway, "agreed"), 0.0);
    assert_eq!(gateway.metric("switchrail_attempts_total", &[("version", "2")]), 0.0, "no copy is an attempt");
}

#[test]
fn a_candidate_that_answers_the_same_agrees_and_one_that_fails_is_told_apart() {
    // It fails where the first number is above a hundred.
    let gateway = shadowing(&failing_when(100.0, 1.0, 0.0));
    (0..20).for_each(|_| drop(gateway.ask("m", 1.0).ok()));
    wait_until("the copies to agree", || copies(&gateway, "agreed") >= 20.0);
    (0..20).for_each(|_| drop(gateway.ask("m", 200.0).ok()));
    wait_until("the copies to fail", || copies(&gateway, "fault") >= 20.0);
    assert_eq!(copies(&gateway, "disagreed"), 0.0);
    assert_eq!(gateway.metric("switchrail_version_faults_total", &[("version", "2")]), 0.0, "nobody saw them");
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "version_fault")]), 0.0);
}

#[test]
fn a_candidate_that_does_not_end_delays_no_caller_and_what_has_no_room_is_shed() {
    let gateway = shadowing(&looping(64, 1.0, 0.0));
    let mut client = gateway.client();
    let began = Instant::now();
    for _ in 0..200 {
        // As many steps as the first number says: the candidate would take minutes.
        let answer = Infer::first("m", 1e7).send(&mut client).ok();
        assert_eq!(answer.version(), 1);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(10), "two hundred quick answers beside runs without end: {took:?}");
    wait_until("copies to be stopped", || copies(&gateway, "timeout") >= 2.0);
    assert!(copies(&gateway, "shed") >= 100.0, "{}", copies(&gateway, "shed"));
    assert_eq!(
        gateway.metric("switchrail_requests_total", &[("outcome", "ok")]),
        gateway.metric("switchrail_requests_total", &[])
    );
}
