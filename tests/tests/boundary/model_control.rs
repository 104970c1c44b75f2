//! Triton's load and unload calls, for versions and whole models: done when they answer, refused with the reason.

use serde_json::{Value, json};
use switchrail_tests::{Builder, Gateway, Infer, wait_until};
use testkit::onnx::affine4;

fn builder() -> Builder {
    let builder = Gateway::builder().set("model_control", "true");
    (1..=3).fold(builder, |b, v| b.model("m", v, &affine4(v as f32, 0.0)))
}

/// Posts an order; `version` is a part of the path or empty. Gives the status and the error text.
fn order(gateway: &Gateway, model: &str, version: &str, verb: &str) -> (u16, String) {
    let path = format!("/v2/repository/models/{model}{version}/{verb}");
    let response = gateway.client().send("POST", &path, &[], b"{}");
    let body: Value = serde_json::from_str(&response.text()).unwrap_or_default();
    (response.status, body["error"].as_str().unwrap_or_default().to_owned())
}

fn unload(gateway: &Gateway, version: u64) -> (u16, String) {
    order(gateway, "m", &format!("/versions/{version}"), "unload")
}

fn load(gateway: &Gateway, version: u64) -> (u16, String) {
    order(gateway, "m", &format!("/versions/{version}"), "load")
}

fn pinned(gateway: &Gateway, version: u64) -> u16 {
    gateway.infer(&Infer::first("m", 1.0).pin(version)).status()
}

/// State and reason of a version in the repository index.
fn indexed(gateway: &Gateway, version: u64) -> (String, String) {
    let response = gateway.client().send("POST", "/v2/repository/index", &[], b"");
    let entries: Value = response.json();
    let entries = entries.as_array().unwrap();
    let entry = entries.iter().find(|e| e["name"] == "m" && e["version"] == json!(version.to_string())).unwrap();
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("reason"))
}

#[test]
fn a_version_goes_and_comes_by_order_and_the_order_outlives_the_process() {
    let mut gateway = builder().start();
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 3);
    assert_eq!(unload(&gateway, 1), (200, String::new()));
    assert_eq!((pinned(&gateway, 1), gateway.state("m", 1).as_str()), (503, "unloaded"));
    let (state, reason) = indexed(&gateway, 1);
    assert!(state == "UNAVAILABLE" && reason.contains("unloaded by order"), "{state} {reason}");
    assert_eq!(unload(&gateway, 1).0, 200, "asked twice, done once");
    // Looks and restarts leave it out.
    gateway.repository().publish("m", 4, &affine4(4.0, 0.0)).unwrap();
    gateway.wait_state("m", 4, "ready");
    assert_eq!(gateway.state("m", 1), "unloaded");
    gateway.kill();
    gateway.start_again();
    gateway.wait_state("m", 4, "ready");
    assert_eq!((pinned(&gateway, 1), gateway.state("m", 1).as_str()), (503, "unloaded"));
    assert_eq!(load(&gateway, 1), (200, String::new()));
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(1)).ok().floats("y")[0], 1.0, "at once, not soon");
    let rows = gateway.history("m");
    let ordered = |action: &str| rows.iter().filter(|r| r["action"] == action && r["version"] == 1).count();
    assert_eq!((ordered("unload_ordered"), ordered("load_ordered")), (1, 1), "{rows:?}");
    assert!(rows.iter().any(|r| r["action"] == "unload_ordered" && r["actor"] == "model control"), "{rows:?}");
}

#[test]
fn a_version_that_is_needed_is_not_unloaded() {
    let gateway = builder().start();
    let refused = |version, part: &str| {
        let (status, error) = unload(&gateway, version);
        assert!(status == 400 && error.contains(part), "{version}: {status} {error}");
        assert_eq!(pinned(&gateway, version), 200);
    };
    refused(3, "it is the stable version");
    gateway.canary("m", 2, 0.5);
    refused(2, "it takes traffic");
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "confirm": true, "reason": "test" }));
    refused(2, "it is the stable version");
    refused(3, "a rollback would go back to");
    gateway.write_routing("");
    assert_eq!(unload(&gateway, 1).0, 200);
    gateway.order("m", "rollback", json!({ "quarantine": false }));
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 3);
    let (status, error) = unload(&gateway, 9);
    assert!(status == 404 || status == 400, "{status}");
    assert!(error.contains("no version 9"), "{error}");
}

#[test]
fn a_version_that_routing_toml_names_is_not_unloaded() {
    let gateway = builder().routing("[models.m]\nstable = 1\nlabels = { old = 2 }\n").start();
    let (status, error) = unload(&gateway, 2);
    assert!(status == 400 && error.contains("routing.toml names it"), "{status} {error}");
    assert_eq!(unload(&gateway, 3).0, 200);
    // An edit that sends traffic to what is out is told, and answered by stable.
    gateway.write_routing("[models.m]\nstable = 1\nsplit = { 1 = 1, 3 = 9 }\n");
    wait_until("the notice", || gateway.model("m")["notices"].to_string().contains("version 3 is not ready"));
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    assert_eq!(load(&gateway, 3).0, 200);
    wait_until("version 3 to take its share", || gateway.ask("m", 1.0).ok().version() == 3);
}

#[test]
fn a_whole_model_goes_and_comes() {
    let mut gateway = builder().start();
    assert_eq!(order(&gateway, "m", "", "unload"), (200, String::new()));
    assert_eq!(gateway.get("/v2/models/m/ready").status, 503);
    assert_eq!(gateway.ask("m", 1.0).status(), 503);
    assert_eq!(pinned(&gateway, 1), 503);
    assert_eq!(gateway.get("/v2/health/ready").status, 200, "the server is ready all the same");
    // What comes later stays out, too, and so it is after a restart.
    gateway.repository().publish("m", 4, &affine4(4.0, 0.0)).unwrap();
    gateway.wait_state("m", 4, "unloaded");
    gateway.stop();
    gateway.start_again();
    assert_eq!(gateway.ask("m", 1.0).status(), 503);
    // One version alone, then everything.
    assert_eq!(load(&gateway, 2), (200, String::new()));
    assert_eq!((pinned(&gateway, 2), pinned(&gateway, 1)), (200, 503));
    assert_eq!(order(&gateway, "m", "", "load"), (200, String::new()));
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 3, "the version that was stable is stable again");
    assert!((1..=4).all(|v| pinned(&gateway, v) == 200));
}

#[test]
fn a_model_under_trial_is_not_unloaded() {
    let gateway = builder().start();
    gateway.canary("m", 2, 0.5);
    let (status, error) = order(&gateway, "m", "", "unload");
    assert!(status == 400 && error.contains("under trial"), "{status} {error}");
    gateway.order("m", "rollback", json!({ "quarantine": false }));
    assert_eq!(order(&gateway, "m", "", "unload").0, 200);
}

#[test]
fn a_load_tells_why_there_is_nothing_loaded() {
    let gateway = builder().start();
    gateway.repository().publish("m", 4, b"no model").unwrap();
    let (status, error) = load(&gateway, 4);
    assert!(status == 400 && error.contains("m@4 is not loaded"), "{status} {error}");
    // Mended, it is taken up when it is asked for again.
    gateway.repository().publish("m", 4, &affine4(4.0, 0.0)).unwrap();
    assert_eq!(load(&gateway, 4), (200, String::new()));
    assert_eq!(pinned(&gateway, 4), 200);
    gateway.canary("m", 2, 0.5);
    gateway.order("m", "rollback", json!({}));
    let (status, error) = load(&gateway, 2);
    assert!(status == 400 && error.contains("quarantined"), "{status} {error}");
    let (status, error) = order(&gateway, "nobody", "", "load");
    assert!(matches!(status, 400 | 404) && error.contains("nobody"), "{status} {error}");
    // A whole model copied a moment ago is found.
    gateway.repository().publish("new", 7, &affine4(7.0, 0.0)).unwrap();
    assert_eq!(order(&gateway, "new", "", "load"), (200, String::new()));
    assert_eq!(gateway.ask("new", 1.0).ok().version(), 7);
}

#[test]
fn a_version_the_policy_does_not_want_is_loaded_by_order() {
    let gateway = builder().pbtxt("m", "version_policy { latest { num_versions: 1 } }").start();
    assert_eq!(pinned(&gateway, 1), 503);
    assert_eq!(load(&gateway, 1), (200, String::new()));
    assert_eq!(pinned(&gateway, 1), 200);
    assert_eq!(unload(&gateway, 1), (200, String::new()));
    assert_eq!(pinned(&gateway, 1), 503);
}

#[test]
fn without_permission_nothing_changes() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0)).start();
    for (version, verb) in [("", "load"), ("", "unload"), ("/versions/1", "load"), ("/versions/1", "unload")] {
        let (status, error) = order(&gateway, "m", version, verb);
        assert!(status == 400 && error.contains("model_control"), "{version} {verb}: {status} {error}");
    }
    assert_eq!(pinned(&gateway, 1), 200);
}
