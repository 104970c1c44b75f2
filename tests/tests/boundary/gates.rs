//! Gates before traffic: what lies beside a model and what the operator asks keeps a version out that does not pass,
//! and nothing else does.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use switchrail_tests::{Exit, Gateway, Infer, run, wait_until};
use tempfile::TempDir;
use testkit::onnx::{affine4, slow};

const GOLDEN: &str = "[[golden]]\ninputs = \"in.json\"\noutputs = \"out.json\"\ntolerance = { absolute = 0.001 }\n";

/// `y = 2 x + 1` is what it should be.
fn good() -> Vec<u8> {
    affine4(2.0, 1.0)
}

fn inputs(row: [f32; 4]) -> String {
    json!({ "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 4], "data": row }] }).to_string()
}

fn outputs() -> String {
    json!({ "outputs": [{ "name": "y", "datatype": "FP32", "shape": [1, 4], "data": [3.0, 5.0, 7.0, 9.0] }] })
        .to_string()
}

/// Publishes a version with a manifest and golden files beside it.
fn publish(gateway: &Gateway, version: u64, model: &[u8], manifest: &str, more: &[(&str, &[u8])]) {
    let (inputs, outputs) = (inputs([1.0, 2.0, 3.0, 4.0]), outputs());
    let mut files: Vec<(&str, &[u8])> = vec![
        ("model.onnx", model),
        ("manifest.toml", manifest.as_bytes()),
        ("in.json", inputs.as_bytes()),
        ("out.json", outputs.as_bytes()),
    ];
    files.extend(more);
    gateway.repository().publish_files("m", version, &files).unwrap();
}

fn gates(gateway: &Gateway, version: u64) -> Vec<Value> {
    let answer = gateway.admin(&format!("/v1/models/m/versions/{version}/gates"));
    answer["gates"].as_array().unwrap().clone()
}

fn gate(gateway: &Gateway, version: u64, name: &str) -> Value {
    let found = gates(gateway, version).into_iter().find(|gate| gate["gate"] == name);
    found.unwrap_or_else(|| panic!("{name} of {version}: {:?}", gates(gateway, version)))
}

fn command(gateway: &Gateway, arguments: &[&str]) -> Exit {
    let address = gateway.addresses().admin.to_string();
    run(&[arguments, &["--admin", &address]].concat())
}

#[test]
fn a_subtly_wrong_version_never_takes_traffic_and_the_reason_is_told_everywhere() {
    let gateway = Gateway::builder().model("m", 1, &good()).start();
    publish(&gateway, 2, &affine4(2.0, 1.01), GOLDEN, &[]);
    let (code, text) = gateway.wait_refused("m", 2);
    assert_eq!(code, "gate_failed");
    for part in ["output \"y\" [0,0] is 3.01", "wanted is 3", "switchrail override m 2 --gate golden"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    // Neither unpinned nor pinned.
    assert_eq!(gateway.infer(&Infer::first("m", 1.0)).response.status, 200);
    assert_ne!(gateway.infer(&Infer::first("m", 1.0).pin(2)).response.status, 200);
    let (status, refused) = gateway.try_order("m", "canary", json!({ "version": "2", "share": 0.5 }));
    assert_eq!((status, refused["code"].as_str()), (409, Some("version_not_ready")), "{refused}");
    let golden = gate(&gateway, 2, "golden");
    assert_eq!((golden["verdict"].as_str(), golden["is_required"].as_bool()), (Some("failed"), Some(true)), "{golden}");
    assert_eq!((golden["measured"].as_f64(), golden["threshold"].as_f64()), (Some(0.0), Some(1.0)), "{golden}");
    let entry = gateway.wait_history("m", "gate_failed");
    assert!(entry["evidence"]["gates"].as_array().is_some_and(|gates| gates.len() >= 3), "{entry}");
    assert_eq!(gateway.metric("switchrail_gates_total", &[("gate", "golden"), ("verdict", "failed")]), 1.0);
    assert!(gateway.metrics().families().iter().any(|family| family == "switchrail_gate_seconds"));
    assert_eq!(gateway.metric("switchrail_versions_refused_total", &[("code", "gate_failed")]), 1.0);
    // The right one passes by the same manifest.
    publish(&gateway, 3, &affine4(2.0, 1.0001), GOLDEN, &[]);
    gateway.wait_state("m", 3, "ready");
    assert_eq!(gate(&gateway, 3, "golden")["verdict"], "passed");
    assert_eq!(gateway.wait_history("m", "gated")["version"].to_string().trim_matches('"'), "3");
}

#[test]
fn an_override_needs_a_reason_lasts_across_restarts_and_is_for_that_content_only() {
    let mut gateway = Gateway::builder().model("m", 1, &good()).start();
    publish(&gateway, 2, &affine4(2.0, 1.01), GOLDEN, &[]);
    gateway.wait_refused("m", 2);
    let without = gateway.try_order("m", "override", json!({ "version": 2, "gate": "golden" }));
    assert_eq!((without.0, without.1["code"].as_str()), (400, Some("reason_missing")), "{}", without.1);
    assert_eq!(command(&gateway, &["override", "m", "2", "--gate", "golden"]).code, Some(2));
    let other = command(&gateway, &["override", "m", "2", "--gate", "latency", "--reason", "x"]);
    assert!(other.code == Some(1) && other.stderr.contains("gate_not_failed"), "{other:?}");
    let done = command(&gateway, &["override", "m", "2", "--gate", "golden", "--reason", "rounding", "--actor", "ann"]);
    assert!(done.code == Some(0) && done.stdout.contains("overridden for this content"), "{done:?}");
    gateway.wait_state("m", 2, "ready");
    let is_overridden = |gateway: &Gateway| {
        let by = gate(gateway, 2, "golden")["overridden"].clone();
        assert_eq!((by["actor"].as_str(), by["reason"].as_str()), (Some("ann"), Some("rounding")), "{by}");
    };
    is_overridden(&gateway);
    let entry = gateway.wait_history("m", "gate_overridden");
    assert_eq!((entry["actor"].as_str(), entry["reason"].as_str()), (Some("ann"), Some("rounding")), "{entry}");
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 2, "ready");
    is_overridden(&gateway);
    let status = command(&gateway, &["status"]);
    assert!(status.stdout.contains("failed the gate golden (overridden by ann: rounding)"), "{status:?}");
    // Stable was not asked to be anything else.
    assert_eq!(gateway.infer(&Infer::first("m", 1.0)).response.status, 200);
    // Other content is not meant, though it fails by the same gate.
    publish(&gateway, 3, &affine4(2.0, 1.02), GOLDEN, &[]);
    assert_eq!(gateway.wait_refused("m", 3).0, "gate_failed");
}

#[test]
fn who_passed_is_not_asked_again_at_a_restart_and_who_failed_is() {
    let mut gateway = Gateway::builder().model("m", 1, &good()).start();
    publish(&gateway, 2, &affine4(2.0, 1.0001), GOLDEN, &[]);
    publish(&gateway, 3, &affine4(2.0, 1.5), GOLDEN, &[]);
    gateway.wait_state("m", 2, "ready");
    gateway.wait_refused("m", 3);
    gateway.wait_history("m", "gated");
    gateway.stop();
    gateway.start_again();
    gateway.wait_state("m", 2, "ready");
    gateway.wait_refused("m", 3);
    assert_eq!(gate(&gateway, 2, "golden")["verdict"], "passed");
    assert_eq!(gateway.metric("switchrail_gates_total", &[("gate", "golden"), ("verdict", "passed")]), 0.0);
    assert_eq!(gateway.metric("switchrail_gates_total", &[("gate", "golden"), ("verdict", "failed")]), 1.0);
}

#[test]
fn a_worse_version_and_a_slow_one_are_kept_out_by_what_stable_does() {
    let gateway = Gateway::builder().model("m", 1, &good()).start();
    let line = |label: &str| {
        json!({ "inputs": [{ "name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 2.0, 3.0, 4.0] }],
            "label": serde_json::from_str::<Value>(label).unwrap() })
        .to_string()
    };
    let labelled = format!("{}\n{}\n", line("[3, 5, 7, 9]"), line("[3, 5, 7, 9]"));
    let quality = "[quality]\nlabelled = \"labelled.jsonl\"\nmetric = \"mean_absolute_error\"\nworse_than_stable_by_at_most = 0.1\n";
    let beside: &[(&str, &[u8])] = &[("labelled.jsonl", labelled.as_bytes())];
    publish(&gateway, 2, &affine4(2.0, 1.5), quality, beside);
    let (code, text) = gateway.wait_refused("m", 2);
    assert_eq!(code, "gate_failed");
    assert!(text.contains("mean_absolute_error is 0.5") && text.contains("stable version 1 has 0"), "{text}");
    publish(&gateway, 3, &affine4(2.0, 1.05), quality, beside);
    gateway.wait_state("m", 3, "ready");
    // Hundreds of times as slow as stable, however busy the machine is.
    let budget = format!("{GOLDEN}[budgets]\nlatency_p95_times_stable = 20\n");
    publish(&gateway, 4, &slow(40, 160, 2.0, 1.0), &budget, &[]);
    let (code, text) = gateway.wait_refused("m", 4);
    assert_eq!(code, "gate_failed");
    assert!(text.contains("gate latency: 19 of 20 runs take at most") && text.contains("20 times that"), "{text}");
    assert_eq!(gate(&gateway, 4, "golden")["verdict"], "passed");
}

#[test]
fn where_keys_are_set_only_signed_versions_come_in() {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("key");
    let made = run(&["keygen", "--out", key.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let public = made.stdout.trim().to_owned();
    let routing = format!("[models.m]\n[models.m.gates]\nkeys = [\"{public}\"]\n");
    let gateway = Gateway::builder().routing("[models.m]\n").model("m", 1, &good()).start();
    gateway.write_routing(&routing);
    gateway.wait_log("gates.keys changes");
    gateway.repository().publish("m", 2, &affine4(2.0, 2.0)).unwrap();
    let (code, text) = gateway.wait_refused("m", 2);
    assert!(code == "gate_failed" && text.contains("gate signed: it is not signed"), "{text}");
    let signed = |version: &str, model: &[u8]| {
        let place = folder.path().join(version);
        fs::create_dir(&place).unwrap();
        fs::write(place.join("model.onnx"), model).unwrap();
        let exit = run(&["sign", place.to_str().unwrap(), "--model", "m", "--key", key.to_str().unwrap()]);
        assert_eq!(exit.code, Some(0), "{exit:?}");
        fs::read(place.join("model.sig")).unwrap()
    };
    let signature = signed("3", &affine4(2.0, 3.0));
    gateway
        .repository()
        .publish_files("m", 3, &[("model.onnx", &affine4(2.0, 3.0)), ("model.sig", &signature)])
        .unwrap();
    gateway.wait_state("m", 3, "ready");
    assert!(gate(&gateway, 3, "signed")["text"].as_str().unwrap().contains(&public));
    // A signature of other content is none.
    gateway
        .repository()
        .publish_files("m", 4, &[("model.onnx", &affine4(2.0, 4.0)), ("model.sig", &signature)])
        .unwrap();
    assert!(gateway.wait_refused("m", 4).1.contains("made for something else"));
    // Who may come in is the operator's to say, at once.
    gateway.write_routing("[models.m]\n");
    gateway.wait_state("m", 2, "ready");
}

#[test]
fn gates_that_are_not_enforced_keep_nothing_out_but_rollouts() {
    let routing = "[models.m]\nstable = 1\n[models.m.gates]\nis_enforced = false\n";
    let gateway = Gateway::builder().routing(routing).model("m", 1, &good()).start();
    publish(&gateway, 2, &affine4(2.0, 1.01), GOLDEN, &[]);
    gateway.wait_state("m", 2, "ready");
    assert_eq!(gate(&gateway, 2, "golden")["verdict"], "failed");
    gateway.order("m", "rollout/start", json!({ "version": "2", "actor": "test" }));
    let ended = gateway.wait_history("m", "rollout_ended");
    assert!(ended.to_string().contains("gate golden"), "{ended}");
    assert_eq!(gateway.infer(&Infer::first("m", 1.0)).response.status, 200);
}

#[test]
fn the_confirmed_version_serves_whatever_gates_are_asked_for_later() {
    let mut gateway = Gateway::builder().routing("[models.m]\n").model("m", 1, &good()).start();
    gateway.write_routing("[models.m.gates]\nrequired = [\"golden\"]\n");
    gateway.wait_log("gates.required changes");
    gateway.kill();
    gateway.start_again();
    assert_eq!(gateway.state("m", 1), "ready");
    assert_eq!(gateway.infer(&Infer::first("m", 1.0)).response.status, 200);
    // A new one has to pass.
    gateway.repository().publish("m", 2, &affine4(2.0, 2.0)).unwrap();
    assert!(gateway.wait_refused("m", 2).1.contains("nothing says what it should hold"));
}

#[test]
fn recorded_requests_are_answered_again_and_another_answer_keeps_a_version_out() {
    let routing = "[models.m]\nstable = 1\ncapture = { share = 1 }\n[models.m.gates]\nreplay = { captures = 20, agreement_at_least = 0.9 }\n";
    let builder = Gateway::builder().set("record.captures", "true").routing(routing);
    let gateway = builder.model("m", 1, &good()).start();
    for n in 0..10 {
        assert_eq!(gateway.infer(&Infer::first("m", n as f32)).response.status, 200);
    }
    wait_until("10 captures to be written", || {
        gateway.metric("switchrail_captures_total", &[("result", "written")]) >= 10.0
    });
    gateway.repository().publish("m", 2, &affine4(2.0, 1.5)).unwrap();
    let (code, text) = gateway.wait_refused("m", 2);
    assert!(code == "gate_failed" && text.contains("gate replay: 0 of 10 recorded requests"), "{text}");
    gateway.repository().publish("m", 3, &affine4(2.0, 1.0001)).unwrap();
    gateway.wait_state("m", 3, "ready");
    assert_eq!(gate(&gateway, 3, "replay")["measured"].as_f64(), Some(1.0));
}

#[test]
fn a_pushed_version_is_asked_by_the_manifest_it_was_pushed_with() {
    let builder = Gateway::builder().store().without_repository();
    let push = |version: &str, model: &[u8]| {
        let place = builder.folder().join(version);
        let (inputs, outputs) = (inputs([1.0, 2.0, 3.0, 4.0]), outputs());
        write(
            &place,
            &[
                ("model.onnx", model),
                ("manifest.toml", GOLDEN.as_bytes()),
                ("in.json", inputs.as_bytes()),
                ("out.json", outputs.as_bytes()),
            ],
        );
        let store = builder.store_folder();
        let exit = run(&["push", place.to_str().unwrap(), "--model", "m", "--store", store.to_str().unwrap()]);
        assert_eq!(exit.code, Some(0), "{exit:?}");
    };
    push("first", &good());
    let gateway = builder.clone().start();
    gateway.wait_state("m", 1, "ready");
    push("second", &affine4(2.0, 1.01));
    let (code, text) = gateway.wait_refused("m", 2);
    assert!(code == "gate_failed" && text.contains("[0,0] is 3.01"), "{text}");
    assert_eq!(gate(&gateway, 2, "digest")["verdict"], "passed");
    // What was found stays with the version.
    let kept = builder.store_folder().join("models/m/gates/2");
    wait_until("the results to be kept in the store", || fs::read_dir(&kept).is_ok_and(|found| found.count() == 1));
}

fn write(folder: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir_all(folder).unwrap();
    files.iter().for_each(|(name, content)| fs::write(folder.join(name), content).unwrap());
}

#[test]
fn validate_asks_the_same_gates_without_a_gateway() {
    let folder = TempDir::new().unwrap();
    let (inputs, outputs) = (inputs([1.0, 2.0, 3.0, 4.0]), outputs());
    let golden: [(&str, &[u8]); 3] =
        [("manifest.toml", GOLDEN.as_bytes()), ("in.json", inputs.as_bytes()), ("out.json", outputs.as_bytes())];
    let place = |name: &str, model: &[u8]| {
        let place = folder.path().join(name);
        write(&place, &golden);
        write(&place, &[("iris.onnx", model)]);
        place.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (place("right", &good()), place("wrong", &affine4(2.0, 1.01)));
    let exit = run(&["validate", &right, "--model", "m"]);
    assert!(exit.code == Some(0) && exit.stdout.contains("all 1 answers are as expected"), "{exit:?}");
    let junit = folder.path().join("out.xml");
    let exit = run(&["validate", &wrong, "--model", "m", "--against", &right, "--junit", junit.to_str().unwrap()]);
    assert!(exit.code == Some(1) && exit.stdout.contains("[0,0] is 3.01"), "{exit:?}");
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("failures=\"1\"") && xml.contains("classname=\"gates.m\""), "{xml}");
    let exit = run(&["validate", &wrong, "--model", "m", "--json"]);
    let told: Value = serde_json::from_str(&exit.stdout).unwrap();
    assert_eq!((told["passed"].as_bool(), told["digest"].as_str().map(str::len)), (Some(false), Some(64)), "{told}");
    // What is no model is a failed gate; what is not there is a mistake of whoever asks.
    let broken = folder.path().join("broken");
    write(&broken, &[("model.onnx", b"\xff\xff\xff")]);
    let exit = run(&["validate", broken.to_str().unwrap(), "--model", "m"]);
    assert!(exit.code == Some(1) && exit.stdout.contains("failed  preflight  malformed"), "{exit:?}");
    let exit = run(&["validate", "/nowhere", "--model", "m"]);
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert_eq!(run(&["validate", &right]).code, Some(2));
}
