//! The whole life of a candidate under a policy: from the gate to the confirmation, or out.

use serde_json::{Value, json};
use switchrail_tests::{Builder, Gateway, Infer, Webhook, under_load};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, failing_when};

/// A proof below five percent needs some seventy clean requests.
const ROUTING: &str = r#"
[models.m]
stable = 1
policy = "quick"
[models.m.guardrail]
limit = 0.05
promote_alpha = 0.05
[models.m.guardrail.disagreement]
limit = 0.05
on_failure = "rollback"
[policies.quick]
progress_deadline = "1h"
steps = [
    { gate = true },
    { warm_up = 5 },
    { shadow = 1.0, proofs = ["disagreement"] },
    { weight = 0.5 },
    { promote = true, bake = "1s" },
]
[policies.straight]
guardrail = { limit = 0.01 }
progress_deadline = "1h"
steps = [{ gate = true }, { weight = 0.1 }, { promote = true }]
"#;

fn equal() -> Vec<u8> {
    annotated(&affine4(1.0, 0.0), "the same by other hands").unwrap()
}

fn start(candidate: &[u8]) -> Gateway {
    started(Gateway::builder(), candidate)
}

fn started(builder: Builder, candidate: &[u8]) -> Gateway {
    let gateway = builder.model("m", 1, &affine4(1.0, 0.0)).model("m", 2, candidate).routing(ROUTING).start();
    gateway.wait_state("m", 2, "ready");
    gateway
}

/// The journal's words for what became of a model, oldest first.
fn actions(gateway: &Gateway) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let entries = gateway.history("m").into_iter().rev();
    entries.map(|entry| (text(&entry["action"]), text(&entry["after"]))).collect()
}

#[test]
fn an_equal_candidate_goes_all_the_way_and_nobody_notices() {
    let gateway = start(&equal());
    let ask = |client: &mut _, n: u64| Infer::first("m", (n % 50) as f32).send(client);
    let (seen, ()) = under_load(gateway.addresses().http, 3, ask, || {
        gateway.start_rollout("m", 2);
        gateway.wait_rollout("m", "promoted", || {});
    });
    let n = seen.iter().flatten().count();
    for answer in seen.iter().flatten() {
        assert!(answer.is_ok() && [1, 2].contains(&answer.version()), "{answer:?}");
    }
    assert!(n > 200, "{n}");
    assert!(seen.iter().all(|caller| caller.last().unwrap().version() == 2), "the promotion is in force");
    let found = actions(&gateway);
    let after: Vec<&str> = found.iter().map(|(_, after)| after.as_str()).collect();
    let told = ["1: 100 %, 100 % copied to 2", "1: 50 %, 2: 50 %", "2: 100 %, fallback 1"];
    let at: Vec<_> = told.iter().map(|told| after.iter().position(|after| after.starts_with(told))).collect();
    assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{found:#?}");
    let words: Vec<&str> = found.iter().map(|(action, _)| action.as_str()).collect();
    let position = |word| words.iter().position(|found| *found == word);
    assert!(position("rollout_started") < position("rollout_advanced"), "{words:?}");
    assert_eq!(words.last(), Some(&"rollout_ended"), "{words:?}");
    assert_eq!((&gateway.model("m")["stable"], &gateway.model("m")["phase"]), (&json!(2), &json!("settled")));
}

#[test]
fn the_report_has_the_counts_of_what_was_sent() {
    let gateway = start(&equal());
    gateway.start_rollout("m", 2);
    let mut answers = Vec::new();
    let shadowing = gateway.wait_step("m", "shadow", || {});
    assert_eq!((&shadowing["share"], &shadowing["shadow_share"]), (&json!(0.0), &json!(1.0)));
    gateway.wait_step("m", "weight", || answers.extend(gateway.ask_all("m", (0..10).map(|n| n as f32))));
    assert!(answers.iter().all(|answer| answer.version() == 1 || answer.reason() == "split"));
    gateway.wait_rollout("m", "baking", || answers.extend(gateway.ask_all("m", (0..10).map(|n| n as f32))));
    // Who asks for it by its number has not been drawn.
    (0..5).for_each(|_| assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(2)).ok().reason(), "pin"));
    answers.extend(gateway.ask_all("m", [1.0; 20]));
    assert!(answers[answers.len() - 20..].iter().all(|answer| answer.version() == 2));
    // No request is under way when the counts are read.
    gateway.wait_rollout("m", "promoted", || {});
    let report = gateway.report("m");
    let rollout = &report["rollout"];
    assert_eq!(
        (&rollout["status"], &rollout["candidate"], &rollout["stable"], &rollout["ordered_by"]),
        (&json!("promoted"), &json!(2), &json!(1), &json!("test"))
    );
    let by_share = report["evidence"]["counts"]["by_share"].as_array().unwrap().clone();
    let sum = |arm: &str, count: &str| by_share.iter().map(|share| share[arm][count].as_u64().unwrap()).sum::<u64>();
    let n_of = |version| answers.iter().filter(|answer| answer.version() == version).count() as u64;
    assert_eq!((sum("candidate", "ok"), sum("candidate", "faults")), (n_of(2), 0), "{by_share:#?}");
    // Of what stable answered, the candidate got a copy before, where the machine had room, and had a rival after.
    let copies = |result| gateway.metric("switchrail_shadow_requests_total", &[("result", result)]) as u64;
    assert_eq!(report["evidence"]["counts"]["shadow"]["compared"], copies("agreed"), "{report:#}");
    let n_stable = sum("stable", "ok") + copies("agreed") + copies("shed") + copies("timeout");
    assert_eq!((n_stable, sum("stable", "faults")), (n_of(1), 0), "{report:#}");
    let page = gateway.report_page("m");
    for part in ["# Rollout 1 of m: version 2 promoted", "| limit | 0 faults,", "shadow = 1, ", "1: 50 %, 2: 50 %"] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
}

#[test]
fn whoever_is_told_by_webhook_can_follow_a_rollout() {
    let hook = Webhook::start();
    let gateway = started(Gateway::builder().set("webhook.url", &format!("{:?}", hook.url())), &equal());
    gateway.start_rollout("m", 2);
    gateway.wait_rollout("m", "promoted", || drop(gateway.ask_all("m", [1.0; 20])));
    hook.wait_for("promotion_confirmed");
    let events = hook.events();
    let words: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let at = |word| words.iter().position(|found| *found == word).unwrap_or_else(|| panic!("no {word}: {words:?}"));
    assert!(at("rollout_started") < at("rollout_promoted") && at("rollout_promoted") < at("promotion_confirmed"));
    assert_eq!(words.iter().filter(|word| **word == "rollout_advanced").count(), 4, "{words:?}");
    let promoted = &events[at("rollout_promoted")];
    assert_eq!((&promoted["model"], &promoted["version"], &promoted["share"]), (&json!("m"), &json!(2), &json!(1.0)));
    assert!(promoted["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{promoted}");
}

#[test]
fn a_broken_candidate_is_out_after_a_handful_and_its_content_does_not_come_again() {
    let gateway = start(&failing_when(100.0, 1.0, 0.0));
    gateway.order("m", "rollout/start", json!({ "version": "2", "policy": "straight", "actor": "test" }));
    gateway.wait_step("m", "weight", || {});
    // What it cannot do is half of the requests.
    let mixed = || (0..20).map(|n| if n % 2 == 0 { 200.0 } else { 1.0 });
    let rollout = gateway.wait_rollout("m", "rolled_back", || {
        for answer in gateway.ask_all("m", mixed()) {
            assert_eq!(answer.floats("y")[1..], [1.0, 2.0, 3.0]);
        }
    });
    assert_eq!(rollout["share"], 0.0);
    let n_faults = gateway.metric("switchrail_attempts_total", &[("version", "2"), ("outcome", "version_fault")]);
    assert!((1.0..=8.0).contains(&n_faults), "{n_faults}");
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "version_fault")]), 0.0);
    let report = gateway.report("m");
    assert_eq!(report["rollout"]["status"], "rolled_back");
    let rules = report["evidence"]["rules"].as_array().unwrap().clone();
    let limit = rules.iter().find(|rule| rule["rule"] == "limit").unwrap();
    assert_eq!(limit["faults"].as_f64().unwrap(), n_faults, "{report:#}");
    assert!(gateway.ask_all("m", [200.0; 40]).iter().all(|answer| answer.version() == 1));
    // Not under its number, and not under another.
    gateway.repository().publish("m", 3, &failing_when(100.0, 1.0, 0.0)).unwrap();
    gateway.wait_state("m", 3, "quarantined");
    for version in ["2", "3"] {
        let (status, answer) = gateway.try_order("m", "rollout/start", json!({ "version": version, "force": true }));
        assert_eq!((status, &answer["code"]), (409, &json!("quarantined")), "{answer}");
    }
    // A person may try it again, within the policy's retries.
    gateway.order("m", "rollout/retry", json!({ "actor": "ann", "reason": "the input was wrong" }));
    assert_eq!(gateway.rollout("m")["retries"], 1);
    gateway.order("m", "rollout/abort", json!({ "actor": "ann" }));
    let (status, answer) = gateway.try_order("m", "rollout/retry", json!({ "actor": "ann" }));
    assert_eq!((status, &answer["code"]), (409, &json!("no_retries_left")), "{answer}");
}

#[test]
fn a_candidate_that_was_aborted_in_the_traffic_leaves_a_report_and_can_come_again() {
    let gateway = start(&equal());
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || drop(gateway.ask_all("m", [1.0; 20])));
    gateway.order("m", "rollout/abort", json!({ "actor": "ann", "reason": "the wrong day" }));
    assert!(gateway.ask_all("m", [1.0; 40]).iter().all(|answer| answer.version() == 1));
    assert_eq!(gateway.rollout_status("m"), "aborted");
    let report = gateway.report("m");
    assert_eq!((&report["rollout"]["status"], &report["rollout"]["number"]), (&json!("aborted"), &json!(1)));
    assert!(gateway.report_page("m").contains("the wrong day"));
    assert_eq!(gateway.state("m", 2), "ready");
    gateway.start_rollout("m", 2);
    assert_eq!(gateway.rollout("m")["number"], 2);
}
