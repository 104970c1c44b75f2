//! What a version can do after its promotion, to the process, or together with stable: it is left, barred, or nobody is
//! blamed. And what a restart makes of a rollout.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;
use switchrail_tests::{Gateway, Infer, wait_until};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, failing_when, looping, slow};

use crate::durability::one_in_flight_on_2;

fn equal() -> Vec<u8> {
    annotated(&affine4(1.0, 0.0), "the same").unwrap()
}

/// Version 1 is stable, and half of the traffic is the candidate's until it is promoted, which is watched for `bake`.
fn in_traffic(stable: &[u8], candidate: &[u8], bake: &str) -> Gateway {
    let routing = format!(
        r#"
[models.m]
stable = 1
policy = "half"
[models.m.guardrail]
limit = 0.05
[policies.half]
progress_deadline = "1h"
steps = [{{ weight = 0.5 }}, {{ promote = true, bake = "{bake}" }}]
"#
    );
    let gateway = Gateway::builder().model("m", 1, stable).model("m", 2, candidate).routing(&routing).start();
    gateway.wait_state("m", 2, "ready");
    gateway.start_rollout("m", 2);
    gateway.wait_step("m", "weight", || {});
    gateway
}

/// Sends what a version cannot do; callers may see its failure.
fn ask_in_vain(gateway: &Gateway, first: f32, n: usize) {
    let mut client = gateway.client();
    (0..n).for_each(|_| drop(Infer::first("m", first).send(&mut client)));
}

#[test]
fn a_stable_version_that_goes_bad_later_is_left_once_and_then_a_person_is_called() {
    let routing = r#"
[models.m.guardrail]
limit = 0.05
[models.m.guardrail.steady_state]
mean_requests_between_false_alarms = 100000
"#;
    let gateway = Gateway::builder().model("m", 1, &failing_when(300.0, 1.0, 0.0)).routing(routing).start();
    gateway.wait_state("m", 1, "ready");
    gateway.repository().publish("m", 2, &failing_when(100.0, 2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    let order = json!({ "version": "2", "force": true, "confirm": true, "reason": "a test", "actor": "ann" });
    gateway.order("m", "promote", order);
    assert!(gateway.ask_all("m", [1.0; 50]).iter().all(|answer| answer.version() == 2));
    ask_in_vain(&gateway, 200.0, 40);
    gateway.wait_state("m", 2, "quarantined");
    assert!(gateway.ask_all("m", [200.0; 20]).iter().all(|answer| answer.version() == 1));
    let entry = gateway.wait_history("m", "rolled_back");
    let evidence = &entry["evidence"];
    assert_eq!(evidence["rule"], "steady_state", "{entry:#}");
    assert!((3..=20).contains(&evidence["faults"].as_u64().unwrap()), "{entry:#}");
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[("cause", "steady_state")]), 1.0);
    // The one before is ill now too: there is nothing left to go back to.
    ask_in_vain(&gateway, 400.0, 60);
    gateway.wait_log("stable_ill");
    assert_eq!(gateway.model("m")["stable"], 1);
    assert_eq!(gateway.state("m", 1), "ready");
    assert!(gateway.ask_all("m", [1.0; 10]).iter().all(|answer| answer.version() == 1));
    let n_rollbacks = gateway.history("m").iter().filter(|entry| entry["action"] == "rolled_back").count();
    assert_eq!(n_rollbacks, 1);
}

#[test]
fn what_both_versions_fail_at_blames_nobody_and_the_rollout_waits() {
    let stable = failing_when(100.0, 1.0, 0.0);
    let candidate = annotated(&stable, "the same").unwrap();
    let gateway = in_traffic(&stable, &candidate, "1h");
    let held = gateway.wait_rollout("m", "held", || {
        ask_in_vain(&gateway, 200.0, 10);
        gateway.ask_all("m", [1.0; 10]);
    });
    assert_eq!((&held["standstill"], &held["share"]), (&json!("shared_incident"), &json!(0.5)), "{held:#}");
    assert_eq!((gateway.state("m", 1), gateway.state("m", 2)), ("ready".to_owned(), "ready".to_owned()));
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[("model", "m")]), 0.0);
    let (status, answer) = gateway.try_order("m", "rollout/promote", json!({ "actor": "ann" }));
    assert_eq!((status, &answer["code"]), (409, &json!("shared_incident")), "{answer}");
    let (status, answer) = gateway.try_order("m", "rollout/resume", json!({ "actor": "ann" }));
    assert_eq!((status, &answer["code"]), (409, &json!("shared_incident")), "{answer}");
    // When the callers are well again, so is the rollout.
    gateway.wait_rollout("m", "baking", || drop(gateway.ask_all("m", [1.0; 100])));
}

#[test]
fn a_power_cut_in_a_weight_step_leaves_the_share_and_the_evidence() {
    let mut gateway = in_traffic(&affine4(1.0, 0.0), &equal(), "1h");
    gateway.ask_all("m", [1.0; 20]);
    let number = gateway.rollout("m")["number"].clone();
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 2, "ready");
    let rollout = gateway.wait_step("m", "weight", || {});
    assert_eq!((&rollout["status"], &rollout["share"]), (&json!("running"), &json!(0.5)), "{rollout:#}");
    assert_eq!(rollout["number"], number);
    let answers = gateway.ask_all("m", [1.0; 60]);
    assert!([1, 2].iter().all(|version| answers.iter().any(|answer| answer.version() == *version)));
    gateway.wait_rollout("m", "baking", || drop(gateway.ask_all("m", [1.0; 20])));
}

#[test]
fn a_power_cut_before_a_promotion_is_confirmed_takes_it_back_until_a_person_resumes() {
    let mut gateway = in_traffic(&affine4(1.0, 0.0), &equal(), "1h");
    gateway.wait_rollout("m", "baking", || drop(gateway.ask_all("m", [1.0; 20])));
    assert!(gateway.ask_all("m", [1.0; 20]).iter().all(|answer| answer.version() == 2));
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 2, "ready");
    let rollout = gateway.wait_rollout("m", "held", || {});
    assert_eq!(rollout["standstill"], "interrupted", "{rollout:#}");
    assert!(gateway.ask_all("m", [1.0; 20]).iter().all(|answer| answer.version() == 1));
    gateway.order("m", "rollout/resume", json!({ "actor": "ann" }));
    gateway.wait_rollout("m", "baking", || drop(gateway.ask_all("m", [1.0; 20])));
    gateway.order("m", "rollout/confirm", json!({ "actor": "ann" }));
    assert_eq!(gateway.rollout_status("m"), "promoted");
    assert!(gateway.ask_all("m", [1.0; 20]).iter().all(|answer| answer.version() == 2));
}

#[test]
fn a_candidate_that_takes_the_process_with_it_twice_ends_its_rollout() {
    let routing = "[models.m]\nstable = 1\npolicy = \"p\"\nrun_timeout_ms = 600000\ndeadline_ms = 600000\n\
                   [policies.p]\nsteps = [{ weight = 0.5, min = \"1h\" }]\n";
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &looping(256, 1.0, 0.0));
    let mut gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    gateway.start_rollout("m", 2);
    for n_ends in 1..=2 {
        gateway.wait_step("m", "weight", || {});
        let open = one_in_flight_on_2(&gateway);
        gateway.kill();
        drop(open);
        gateway.start_again();
        if n_ends == 1 {
            gateway.wait_state("m", 2, "ready");
            assert_eq!(gateway.rollout_status("m"), "running", "one end may be the machine's");
        }
    }
    let rollout = gateway.wait_rollout("m", "rolled_back", || {});
    assert!(rollout["note"].as_str().unwrap().contains("crash_loop"), "{rollout:#}");
    assert_eq!(gateway.wait_history("m", "rolled_back")["evidence"]["cause"], "crash_loop");
    assert!(gateway.ask_all("m", [1.0; 40]).iter().all(|answer| answer.version() == 1));
    assert_eq!(gateway.report("m")["rollout"]["status"], "rolled_back");
}

#[test]
fn a_version_whose_load_takes_the_process_with_it_is_barred_and_the_others_serve() {
    let mut gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    gateway.wait_state("m", 1, "ready");
    // So many nodes that its load takes its time.
    gateway.repository().publish("m", 2, &slow(20_000, 4, 2.0, 0.0)).unwrap();
    let state_folder = gateway.builder_used().state_folder();
    let began = SystemTime::now();
    wait_until("version 2 to be loaded", || is_loading(&state_folder, began));
    gateway.kill();
    for _ in 0..2 {
        let began = SystemTime::now();
        gateway.builder_used().start_and_kill("version 2 to be loaded", || is_loading(&state_folder, began));
    }
    gateway.start_again();
    gateway.wait_state("m", 2, "quarantined");
    let quarantine = gateway.admin("/v1/quarantine").to_string();
    assert!(quarantine.contains("crash_loop"), "{quarantine}");
    assert!(gateway.ask_all("m", [1.0; 10]).iter().all(|answer| answer.version() == 1));
    gateway.order(
        "m",
        "release",
        json!({ "version": "2", "reason": "the machine was short of memory", "actor": "ann" }),
    );
    gateway.wait_state("m", 2, "ready");
    let answer = gateway.infer(&Infer::first("m", 1.0).pin(2)).ok();
    assert_eq!(answer.floats("y"), [2.0, 2.0, 4.0, 6.0]);
}

/// Whether a load of version 2 has begun since then and not ended.
fn is_loading(state_folder: &Path, since: SystemTime) -> bool {
    let is_meant = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text == "m/2");
    let markers = fs::read_dir(state_folder.join("trials")).into_iter().flatten().flatten();
    let of_loads = markers.map(|marker| marker.path()).filter(|path| path.extension().is_some_and(|e| e == "loading"));
    let written = of_loads.filter(|path| is_meant(path)).filter_map(|path| path.metadata().ok()?.modified().ok());
    written.into_iter().any(|written| written > since)
}
