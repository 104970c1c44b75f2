//! Rollouts by command: canary, promotion on proof, confirmation, rollback, release.

use serde_json::json;
use switchrail_tests::{Builder, Gateway, Infer, wait_until};
use testkit::onnx::{affine4, affine4_named, nan_when};

fn builder() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0))
}

/// Version 1 is stable by its being there first, version 2 comes later.
fn start(builder: Builder, second: &[u8]) -> Gateway {
    let gateway = builder.start();
    gateway.repository().publish("m", 2, second).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway
}

fn versions(gateway: &Gateway, n: usize) -> Vec<u64> {
    let mut client = gateway.client();
    (0..n).map(|_| Infer::first("m", 1.0).send(&mut client).ok().version()).collect()
}

fn stance(gateway: &Gateway) -> (String, String) {
    let model = gateway.model("m");
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (text(&model["stable"]), text(&model["phase"]))
}

fn settled(stable: &str) -> (String, String) {
    (stable.to_owned(), "settled".to_owned())
}

#[test]
fn a_canary_is_promoted_on_proof_and_confirmed() {
    let gateway = start(builder(), &affine4(2.0, 0.0));
    assert_eq!(stance(&gateway), settled("1"));
    gateway.canary("m", 2, 0.5);
    assert_eq!(stance(&gateway), ("1".into(), "canary".into()));
    let (status, answer) = gateway.try_order("m", "promote", json!({}));
    assert_eq!((status, &answer["code"]), (409, &json!("not_proven")), "{answer}");
    assert_eq!(gateway.model("m")["trials"][0]["evidence"]["promotion"]["proven"], false);
    let seen = versions(&gateway, 300);
    assert!(seen.contains(&1) && seen.contains(&2));
    wait_until("enough clean requests", || {
        versions(&gateway, 50);
        gateway.model("m")["trials"][0]["evidence"]["promotion"]["proven"] == true
    });
    let clean = gateway.metric("switchrail_attempts_total", &[("version", "2"), ("outcome", "ok")]);
    assert!((348.0..=348.0 + 60.0).contains(&clean), "a limit of 1 % needs 348 clean requests: {clean}");
    let answer = gateway.order("m", "promote", json!({ "actor": "alice" }));
    assert!(answer["generation"].as_u64().unwrap() <= gateway.generation());
    assert_eq!(stance(&gateway).1, "provisional");
    assert!(versions(&gateway, 40).iter().all(|version| *version == 2));
    gateway.order("m", "promote", json!({ "confirm": true }));
    assert_eq!(stance(&gateway), settled("2"));
    let promoted = gateway.wait_history("m", "promoted");
    assert_eq!(promoted["actor"], "alice");
    assert_eq!(promoted["evidence"]["promotion"]["proven"], true, "{promoted}");
    let actions: Vec<String> =
        gateway.history("m").iter().map(|entry| entry["action"].as_str().unwrap().to_owned()).collect();
    let mut order = ["confirmed", "promoted", "canary_started", "stable_chosen"]
        .iter()
        .map(|action| actions.iter().position(|a| a == action));
    assert!(order.clone().all(|at| at.is_some()) && order.by_ref().is_sorted(), "newest first: {actions:?}");
}

#[test]
fn confirming_asks_for_no_proof_again() {
    let gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "reason": "known good", "actor": "alice" }));
    gateway.order("m", "promote", json!({ "confirm": true, "actor": "bob" }));
    assert_eq!(stance(&gateway), settled("2"));
    let promoted: Vec<_> = gateway.history("m").into_iter().filter(|entry| entry["action"] == "promoted").collect();
    assert_eq!(promoted.len(), 1, "promoted once: {promoted:?}");
    assert_eq!(gateway.wait_history("m", "confirmed")["actor"], "bob");
    let (status, answer) = gateway.try_order("m", "promote", json!({ "confirm": true }));
    assert_eq!(status, 409, "there is nothing left to confirm: {answer}");
}

#[test]
fn a_promotion_is_confirmed_by_time() {
    let gateway = start(builder().set("confirm_after_ms", "300"), &affine4(2.0, 0.0));
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "reason": "hurry" }));
    wait_until("the promotion to be confirmed", || stance(&gateway) == settled("2"));
    gateway.wait_history("m", "confirmed");
}

#[test]
fn a_promotion_that_goes_wrong_falls_back_and_is_rolled_back() {
    let gateway = start(builder(), &nan_when(100.0, 2.0, 0.0));
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "reason": "hurry" }));
    assert_eq!(versions(&gateway, 20), [2; 20]);
    for _ in 0..40 {
        assert_eq!(gateway.ask("m", 200.0).ok().version(), 1);
    }
    gateway.wait_state("m", 2, "quarantined");
    assert_eq!(stance(&gateway), settled("1"));
}

#[test]
fn a_rollback_by_command_takes_the_canary_out() {
    let gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    gateway.order("m", "rollback", json!({ "reason": "a feeling", "actor": "bob" }));
    assert_eq!(versions(&gateway, 50), [1; 50]);
    assert_eq!(gateway.state("m", 2), "quarantined");
    let entry = gateway.wait_history("m", "rolled_back");
    assert_eq!((&entry["actor"], &entry["reason"]), (&json!("bob"), &json!("a feeling")));
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[("model", "m"), ("cause", "operator")]), 1.0);
    // Without blame it stays addressable.
    let gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    gateway.order("m", "rollback", json!({ "quarantine": false }));
    assert_eq!(versions(&gateway, 50), [1; 50]);
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(2)).ok().version(), 2);
    gateway.canary("m", 2, 0.5);
}

#[test]
fn a_confirmed_version_can_be_left_for_the_one_before_it() {
    let gateway = start(builder(), &affine4(2.0, 0.0));
    let (status, answer) = gateway.try_order("m", "rollback", json!({}));
    assert_eq!((status, &answer["code"]), (409, &json!("no_target")), "{answer}");
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "confirm": true, "reason": "test" }));
    assert_eq!(stance(&gateway), settled("2"));
    gateway.order("m", "rollback", json!({}));
    assert_eq!(stance(&gateway), settled("1"));
    assert_eq!(versions(&gateway, 20), [1; 20]);
    assert_eq!(gateway.state("m", 2), "quarantined");
}

#[test]
fn a_quarantined_version_stays_out_until_a_person_says_why_not() {
    let gateway = start(builder(), &affine4(2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    gateway.order("m", "rollback", json!({}));
    for (operation, body) in [
        ("canary", json!({ "version": "2", "share": 0.5 })),
        ("promote", json!({ "version": "2", "force": true, "reason": "I want it" })),
    ] {
        let (status, answer) = gateway.try_order("m", operation, body);
        assert_eq!((status, &answer["code"]), (409, &json!("quarantined")), "{answer}");
    }
    // The same content under another number is the same version.
    gateway.repository().publish("m", 3, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 3, "quarantined");
    for body in [json!({ "version": "2" }), json!({ "version": "2", "reason": "  " })] {
        let (status, answer) = gateway.try_order("m", "release", body);
        assert!(matches!(status, 400 | 409) && answer.to_string().contains("reason"), "{status} {answer}");
    }
    gateway.order("m", "release", json!({ "version": "2", "reason": "the fault was upstream", "actor": "carol" }));
    gateway.wait_state("m", 2, "ready");
    gateway.wait_state("m", 3, "ready");
    assert_eq!(versions(&gateway, 30), [1; 30], "released is not routed");
    gateway.canary("m", 2, 0.5);
    assert!(versions(&gateway, 60).contains(&2));
    let entry = gateway.wait_history("m", "released");
    assert_eq!((&entry["actor"], &entry["reason"]), (&json!("carol"), &json!("the fault was upstream")));
    let (status, answer) = gateway.try_order("m", "release", json!({ "version": "2", "reason": "again" }));
    assert_eq!((status, &answer["code"]), (409, &json!("not_quarantined")), "{answer}");
}

#[test]
fn orders_that_make_no_sense_change_nothing() {
    let gateway = start(builder().model("other", 1, &affine4(1.0, 0.0)), &affine4(2.0, 0.0));
    gateway.repository().publish("m", 3, &affine4_named("x", "z", 1.0, 0.0)).unwrap();
    gateway.repository().publish("m", 4, b"no model").unwrap();
    gateway.wait_state("m", 3, "ready");
    gateway.wait_refused("m", 4);
    let generation = gateway.generation();
    let cases = [
        ("canary", json!({ "version": "2", "share": 0.0 }), 400, "share"),
        ("canary", json!({ "version": "2", "share": 1.5 }), 400, "share"),
        ("canary", json!({ "version": "1", "share": 0.5 }), 409, "already_stable"),
        ("canary", json!({ "version": "9", "share": 0.5 }), 404, "version_unknown"),
        ("canary", json!({ "version": "3", "share": 0.5 }), 409, "signature"),
        ("canary", json!({ "version": "4", "share": 0.5 }), 409, "version_not_ready"),
        ("promote", json!({}), 409, "no_candidate"),
        ("promote", json!({ "version": "2" }), 409, "not_proven"),
        ("promote", json!({ "version": "2", "force": true }), 400, "reason_missing"),
        ("rollback", json!({ "to": "4" }), 409, "target_not_ready"),
        ("rollback", json!({ "to": "9" }), 404, "version_unknown"),
        ("release", json!({ "version": "2", "reason": "why not" }), 409, "not_quarantined"),
    ];
    for (operation, body, status, code) in cases {
        let (found, answer) = gateway.try_order("m", operation, body.clone());
        assert_eq!((found, answer["code"].as_str().unwrap()), (status, code), "{operation} {body}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|text| text.len() > 10), "{answer}");
    }
    assert_eq!(gateway.try_order("nobody", "promote", json!({ "version": "1" })).0, 404);
    assert_eq!(gateway.try_order("m", "explode", json!({})).0, 404);
    assert_eq!(gateway.admin_post("/v1/models/m/canary", "{").0, 400);
    assert_eq!(gateway.admin_post("/v1/models/m/canary", "{\"version\": \"2\", \"share\": 0.5, \"colour\": 1}").0, 400);
    assert_eq!((gateway.generation(), stance(&gateway)), (generation, settled("1")));
}

#[test]
fn an_edit_supersedes_a_decision_only_if_it_means_something_else() {
    let routing = "[models.m]\nstable = 1\n";
    let gateway = start(builder().routing(routing), &affine4(2.0, 0.0));
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "confirm": true, "reason": "test" }));
    assert_eq!(versions(&gateway, 10), [2; 10]);
    gateway.write_routing("# only a remark\n[models.m]\nstable = 1\nqueue_requests = 77\n");
    gateway.wait_log("queue_requests");
    wait_until("the edit to be read", || {
        gateway.metric("switchrail_config_reads_total", &[("result", "applied")]) >= 2.0
    });
    assert_eq!(versions(&gateway, 10), [2; 10], "the decision holds");
    gateway.write_routing("[models.m]\nstable = 1\nsplit = { 1 = 1 }\nlabels = { old = 1 }\n");
    wait_until("the edit to be in force", || gateway.ask("m", 1.0).ok().version() == 1);
    gateway.wait_history("m", "stance_superseded");
}

#[test]
fn a_quarantine_beats_the_file() {
    let gateway = start(builder().routing("[models.m]\nstable = 1\n"), &affine4(2.0, 0.0));
    gateway.canary("m", 2, 0.5);
    gateway.order("m", "rollback", json!({}));
    gateway.write_routing("[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 9 }\n");
    wait_until("the edit to be in force", || gateway.model("m")["notices"].to_string().contains("quarantined"));
    assert_eq!(versions(&gateway, 60), [1; 60]);
}
