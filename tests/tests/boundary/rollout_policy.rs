//! What a policy says beside its steps: newcomers, rollbacks in a row, ways back, time without proof, silence.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use switchrail_tests::{Gateway, Infer, wait_until};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, failing_when};

/// Versions 1 to `n`, of which 1 is stable and the others compute the same, under a policy with these lines.
fn gateway(n: u64, policy: &str) -> Gateway {
    let equal = |version: u64| annotated(&affine4(1.0, 0.0), &format!("version {version}")).unwrap();
    let builder = (1..=n).fold(Gateway::builder(), |builder, version| builder.model("m", version, &equal(version)));
    let routing =
        format!("[models.m]\nstable = 1\npolicy = \"p\"\n[models.m.guardrail]\nlimit = 0.05\n[policies.p]\n{policy}\n");
    let gateway = builder.routing(&routing).start();
    (1..=n).for_each(|version| gateway.wait_state("m", version, "ready"));
    gateway
}

fn try_start(gateway: &Gateway, version: u64, more: Value) -> (u16, Value) {
    let mut body = json!({ "version": version.to_string(), "actor": "test" });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    gateway.try_order("m", "rollout/start", body)
}

const STAY: &str = "steps = [{ weight = 0.5, min = \"1h\" }]";
const GO: &str = "steps = [{ weight = 0.5 }, { promote = true, bake = \"0s\" }]";

#[test]
fn a_newcomer_is_refused_while_a_rollout_is_under_way() {
    let gateway = gateway(3, STAY);
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    let (status, answer) = try_start(&gateway, 3, json!({}));
    assert_eq!((status, &answer["code"]), (409, &json!("rollout_under_way")), "{answer}");
    let (status, answer) = try_start(&gateway, 2, json!({}));
    assert_eq!((status, &answer["code"]), (409, &json!("same_candidate")), "{answer}");
    assert_eq!(gateway.rollout("m")["candidate"], 2);
}

#[test]
fn a_newcomer_waits_for_its_turn() {
    let gateway = gateway(3, &format!("on_new_candidate = \"queue\"\n{STAY}"));
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    gateway.start_rollout("m", 3);
    assert_eq!((&gateway.rollout("m")["candidate"], &gateway.rollout("m")["next"]), (&json!(2), &json!(3)));
    gateway.order("m", "rollout/abort", json!({ "actor": "ann" }));
    wait_until("the next one to begin", || gateway.rollout("m")["candidate"] == 3);
    gateway.wait_step("m", "weight", || {});
    assert_eq!(gateway.rollout("m")["number"], 2);
}

#[test]
fn a_newcomer_takes_the_place_of_the_one_before_it() {
    let gateway = gateway(3, &format!("on_new_candidate = \"replace\"\n{STAY}"));
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    gateway.start_rollout("m", 3);
    wait_until("the newcomer to be on", || gateway.rollout("m")["candidate"] == 3);
    gateway.wait_step("m", "weight", || {});
    let answers = gateway.ask_all("m", [1.0; 60]);
    assert!(answers.iter().all(|answer| [1, 3].contains(&answer.version())));
    assert!(answers.iter().any(|answer| answer.version() == 3));
    assert_eq!(gateway.state("m", 2), "ready", "nothing was shown against it");
}

#[test]
fn rollbacks_in_a_row_freeze_the_rollouts_until_a_person_thaws_them() {
    let gateway =
        gateway(1, &format!("freeze_after = {{ rollbacks = 2, within = \"1h\" }}\ncooldown = \"1h\"\n{STAY}"));
    for version in [2, 3] {
        gateway.repository().publish("m", version, &failing_when(100.0, version as f32, 0.0)).unwrap();
        gateway.wait_state("m", version, "ready");
        if version == 3 {
            let (status, answer) = try_start(&gateway, version, json!({}));
            assert_eq!((status, &answer["code"]), (409, &json!("cooldown")), "{answer}");
        }
        let (status, answer) = try_start(&gateway, version, json!({ "force": true, "reason": "a test" }));
        assert_eq!(status, 200, "{answer}");
        gateway.wait_step("m", "weight", || {});
        gateway.wait_rollout("m", "rolled_back", || drop(gateway.ask_all("m", [200.0; 5])));
    }
    gateway.repository().publish("m", 4, &affine4(1.0, 1.0)).unwrap();
    gateway.wait_state("m", 4, "ready");
    let (status, answer) = try_start(&gateway, 4, json!({ "force": true, "reason": "a test" }));
    assert_eq!((status, &answer["code"]), (409, &json!("rollouts_frozen")), "{answer}");
    let (status, answer) = gateway.try_order("m", "rollout/thaw", json!({ "actor": "ann" }));
    assert!(status >= 400 && answer["code"] == "reason_missing", "{status} {answer}");
    gateway.order("m", "rollout/thaw", json!({ "actor": "ann", "reason": "the feature store was empty" }));
    let (status, answer) = try_start(&gateway, 4, json!({ "force": true, "reason": "a test" }));
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn the_way_back_to_a_version_confirmed_before_needs_no_steps() {
    let routing = "[models.m]\npolicy = \"p\"\n[models.m.guardrail]\nlimit = 0.05\n[policies.p]\n";
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).routing(&format!("{routing}{GO}")).start();
    gateway.wait_state("m", 1, "ready");
    gateway.repository().publish("m", 2, &affine4(1.0, 1.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway.start_rollout("m", 2);
    gateway.wait_rollout("m", "promoted", || drop(gateway.ask_all("m", [1.0; 20])));
    // Version 1 was stable; nobody has to send a hundred requests to have it back.
    gateway.start_rollout("m", 1);
    gateway.wait_rollout("m", "promoted", || {});
    assert_eq!(gateway.model("m")["stable"], 1);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
}

#[test]
fn without_requests_nothing_advances_and_a_person_is_told() {
    let policy = "progress_deadline = \"500ms\"\nsteps = [{ weight = 0.5 }, { promote = true, bake = \"0s\" }]";
    let gateway = gateway(2, policy);
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    gateway.wait_log("no_traffic");
    let rollout = gateway.rollout("m");
    assert_eq!((&rollout["status"], &rollout["share"]), (&json!("running"), &json!(0.5)), "{rollout:#}");
    gateway.wait_rollout("m", "promoted", || drop(gateway.ask_all("m", [1.0; 20])));
}

#[test]
fn a_step_without_proof_in_time_is_held_and_a_person_gives_it_time_anew() {
    let gateway = gateway(2, "steps = [{ weight = 0.5, max = \"1s\", min_requests = 1000000 }]");
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    let held = gateway.wait_rollout("m", "held", || drop(gateway.ask_all("m", [1.0; 5])));
    assert_eq!((&held["standstill"], &held["share"]), (&json!("inconclusive"), &json!(0.5)), "{held:#}");
    gateway.order("m", "rollout/resume", json!({ "actor": "ann" }));
    assert_eq!(gateway.rollout_status("m"), "running");
    gateway.wait_rollout("m", "held", || {});
}

#[test]
fn a_step_without_proof_in_time_is_taken_back_where_the_policy_wants_that() {
    let policy = "on_inconclusive = \"rollback\"\nsteps = [{ weight = 0.5, max = \"1s\", min_requests = 1000000 }]";
    let gateway = gateway(2, policy);
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    gateway.wait_rollout("m", "rolled_back", || drop(gateway.ask_all("m", [1.0; 5])));
    assert_eq!(gateway.state("m", 2), "ready", "nothing was shown against it");
    assert!(gateway.ask_all("m", [1.0; 40]).iter().all(|answer| answer.version() == 1));
    assert_eq!(gateway.report("m")["rollout"]["status"], "rolled_back");
}

#[test]
fn a_pause_keeps_the_shares_and_its_time_does_not_count() {
    let gateway = gateway(2, "steps = [{ weight = 0.5, min = \"2s\" }, { promote = true, bake = \"0s\" }]");
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    gateway.order("m", "rollout/pause", json!({ "actor": "ann", "reason": "lunch" }));
    gateway.ask_all("m", [1.0; 300]);
    sleep(Duration::from_millis(2500));
    let rollout = gateway.rollout("m");
    assert_eq!((&rollout["status"], &rollout["share"]), (&json!("paused"), &json!(0.5)), "{rollout:#}");
    gateway.order("m", "rollout/resume", json!({ "actor": "ann" }));
    let rollout = gateway.rollout("m");
    assert!(rollout["waits_for"].as_str().unwrap().contains("to pass"), "{rollout:#}");
    gateway.wait_rollout("m", "promoted", || drop(gateway.ask_all("m", [1.0; 20])));
}

#[test]
fn an_edit_of_the_policy_is_for_the_next_rollout() {
    let gateway = gateway(2, STAY);
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    let path = gateway.builder_used().routing_file();
    let edited = std::fs::read_to_string(path).unwrap().replace("min = \"1h\"", "min = \"0s\"");
    gateway.write_routing(&edited);
    gateway.wait_log("policy \\\"p\\\"");
    wait_until("proof", || {
        gateway.ask_all("m", [1.0; 50]);
        gateway.rollout("m")["evidence"]["promotion"]["proven"] == true
    });
    gateway.ask_all("m", [1.0; 50]);
    let rollout = gateway.rollout("m");
    assert_eq!((&rollout["status"], &rollout["share"]), (&json!("running"), &json!(0.5)), "{rollout:#}");
    // Who asks for a version in the path is in no rollout.
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(1)).ok().reason(), "pin");
}
