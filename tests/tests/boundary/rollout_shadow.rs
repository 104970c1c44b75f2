//! A candidate in shadow: judged by what it would have answered, before any caller sees it.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use switchrail_tests::{Gateway, wait_until};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, failing_when, looping};

/// Copies of all requests, then half of the traffic. `more` goes into the rule.
fn routing(more: &str) -> String {
    format!(
        r#"
[models.m]
stable = 1
policy = "look"
[models.m.guardrail]
limit = 0.05
[models.m.guardrail.disagreement]
limit = 0.05
{more}
[policies.look]
progress_deadline = "1h"
steps = [{{ shadow = 1.0, proofs = ["disagreement"] }}, {{ weight = 0.5, min = "1h" }}]
"#
    )
}

fn shadowing(candidate: &[u8], rule: &str) -> Gateway {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, candidate);
    let gateway = builder.routing(&routing(rule)).start();
    gateway.wait_state("m", 2, "ready");
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "shadow", || {});
    gateway
}

/// Twenty requests that only stable may answer, with its own numbers.
fn ask_stable(gateway: &Gateway) {
    for answer in gateway.ask_all("m", [1.5; 20]) {
        assert_eq!((answer.version(), answer.floats("y")), (1, vec![1.5, 1.0, 2.0, 3.0]));
    }
}

fn examples(gateway: &Gateway) -> Vec<Value> {
    gateway.admin("/v1/models/m/disagreements")["examples"].as_array().unwrap().clone()
}

#[test]
fn a_subtly_wrong_candidate_is_out_before_any_caller_sees_it() {
    let gateway = shadowing(&affine4(1.05, 0.0), "on_failure = \"rollback\"");
    let rollout = gateway.wait_rollout("m", "rolled_back", || ask_stable(&gateway));
    assert!(rollout["note"].as_str().unwrap().contains("disagreement"), "{rollout:#}");
    assert_eq!(gateway.metric("switchrail_attempts_total", &[("version", "2")]), 0.0, "nobody saw it");
    assert_eq!(gateway.state("m", 2), "quarantined");
    let report = gateway.report("m");
    let counts = &report["evidence"]["counts"]["shadow"];
    assert!(counts["disagreed"].as_u64().unwrap() >= 3 && counts["disagreed"] == counts["compared"], "{report:#}");
    // What it answered otherwise can be looked at afterwards.
    let examples = examples(&gateway);
    assert!(!examples.is_empty());
    for example in &examples {
        assert_eq!(example["inputs"][0]["first"], json!([1.5, 1.0, 2.0, 3.0]), "{example}");
        assert_eq!(example["stable"][0]["first"], json!([1.5, 1.0, 2.0, 3.0]), "{example}");
        let candidate = example["candidate"][0]["first"][2].as_f64().unwrap();
        assert!((candidate - 2.1).abs() < 1e-6, "{example}");
        assert_eq!((&example["outputs"][0]["output"], &example["outputs"][0]["same"]), (&json!("y"), &json!(false)));
        assert!(example["prediction_id"].as_str().is_some_and(|id| id.len() > 10), "{example}");
    }
}

#[test]
fn values_of_examples_are_kept_from_view_where_that_is_wished() {
    let gateway = shadowing(&affine4(2.0, 0.0), "on_failure = \"alert\"\nredact = true");
    wait_until("an example", || {
        ask_stable(&gateway);
        !examples(&gateway).is_empty()
    });
    for example in examples(&gateway) {
        for tensor in ["inputs", "stable", "candidate"] {
            assert_eq!((&example[tensor][0]["first"], &example[tensor][0]["shape"]), (&json!([]), &json!([1, 4])));
        }
    }
}

#[test]
fn a_new_export_with_differences_within_the_tolerance_passes() {
    let gateway = shadowing(&affine4(1.0001, 0.0), "on_failure = \"rollback\"");
    gateway.wait_step("m", "weight", || drop(gateway.ask_all("m", [1.5; 20])));
    assert!(examples(&gateway).is_empty());
    assert_eq!(gateway.metric("switchrail_shadow_requests_total", &[("result", "disagreed")]), 0.0);
    // Where not a single bit may differ, the same one does not pass.
    let gateway = shadowing(&affine4(1.0001, 0.0), "compare = \"exact\"");
    let rollout = gateway.wait_rollout("m", "paused", || ask_stable(&gateway));
    assert_eq!(rollout["standstill"], "rule", "{rollout:#}");
    assert_eq!(gateway.rollout_rule("m", "disagreement")["tripped"], true);
}

#[test]
fn only_the_same_choice_counts_where_that_is_wished() {
    // Other numbers, the same largest one.
    let gateway = shadowing(&affine4(2.0, 0.0), "on_failure = \"rollback\"\ncompare = \"argmax\"");
    gateway.wait_step("m", "weight", || drop(gateway.ask_all("m", [1.5; 20])));
    let gateway = shadowing(&affine4(-1.0, 0.0), "on_failure = \"rollback\"\ncompare = \"argmax\"");
    gateway.wait_rollout("m", "rolled_back", || ask_stable(&gateway));
}

#[test]
fn a_candidate_that_cannot_do_what_stable_can_does_not_leave_the_shadow() {
    let gateway = shadowing(&failing_when(1.0, 1.0, 0.0), "on_failure = \"rollback\"");
    let mut n = 0;
    wait_until("copies that failed", || {
        ask_stable(&gateway);
        n += 20;
        n >= 200 && gateway.metric("switchrail_shadow_requests_total", &[("result", "fault")]) >= 10.0
    });
    let rollout = gateway.rollout("m");
    assert_ne!(rollout["status"], "promoted");
    assert_eq!(rollout["share"], 0.0, "{rollout:#}");
    assert_eq!(gateway.metric("switchrail_attempts_total", &[("version", "2")]), 0.0);
}

#[test]
fn a_restart_leaves_the_shadow_as_it_was() {
    let candidate = annotated(&affine4(1.0, 0.0), "the same").unwrap();
    let mut gateway = shadowing(&candidate, "on_failure = \"rollback\"");
    ask_stable(&gateway);
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 2, "ready");
    let rollout = gateway.wait_step("m", "shadow", || {});
    assert_eq!(
        (&rollout["status"], &rollout["shadow_share"], &rollout["share"]),
        (&json!("running"), &json!(1.0), &json!(0.0))
    );
    assert_eq!(rollout["number"], 1);
    ask_stable(&gateway);
    gateway.wait_step("m", "weight", || drop(gateway.ask_all("m", [1.5; 20])));
}

#[test]
fn a_candidate_whose_copies_take_the_process_with_them_twice_ends_its_rollout() {
    let mut gateway = shadowing(&looping(64, 1.0, 0.0), "on_failure = \"rollback\"");
    for n_ends in 1..=2 {
        gateway.wait_step("m", "shadow", || {});
        // As many steps as the first number says: the copy runs until its timeout, which is far.
        gateway.ask_all("m", [1e9]);
        sleep(Duration::from_millis(300));
        gateway.kill();
        gateway.start_again();
        if n_ends == 1 {
            gateway.wait_state("m", 2, "ready");
            assert_eq!(gateway.rollout_status("m"), "running", "one end may be the machine's");
        }
    }
    let rollout = gateway.wait_rollout("m", "rolled_back", || {});
    assert!(rollout["note"].as_str().unwrap().contains("crash_loop"), "{rollout:#}");
    assert_eq!(gateway.metric("switchrail_attempts_total", &[("version", "2")]), 0.0, "nobody saw it");
}
