//! Memory: versions with equal weights hold them once, a budget is kept, and what nobody needs is loaded on demand.

use switchrail_tests::{Builder, Gateway, Infer, wait_until};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, large};

const MIB: usize = 1 << 20;

/// Code and text of a version that is not ready.
fn refusal(gateway: &Gateway, model: &str, version: u64) -> (String, String) {
    let found = gateway.version(model, version).unwrap();
    let text = |key: &str| found["reason"][key].as_str().unwrap_or_default().to_owned();
    (text("code"), text("text"))
}

fn pinned(gateway: &Gateway, model: &str, version: u64) -> u16 {
    gateway.infer(&Infer::first(model, 1.0).pin(version)).status()
}

/// What the gateway itself says of a version: what it has to itself, and its share in what it has in common.
fn memory(gateway: &Gateway, version: u64) -> (f64, f64) {
    let version = version.to_string();
    let part = |part| [("model", "m"), ("version", version.as_str()), ("part", part)];
    let metric = |name| gateway.metric("switchrail_version_memory_bytes", &part(name)) / MIB as f64;
    (metric("arena"), metric("mapped"))
}

#[test]
fn versions_with_equal_weights_share_them_and_answer_as_they_would_alone() {
    let model = large(8 * MIB, 1);
    let other = annotated(&model, "exported again").unwrap();
    let start = |share: &str| {
        let builder = Gateway::builder().set("memory.share_weights", share);
        builder.model("m", 1, &model).model("m", 2, &other).start()
    };
    let ask = |gateway: &Gateway, version| gateway.infer(&Infer::first("m", 0.5).pin(version)).ok().floats("y");
    let (sharing, alone) = (start("true"), start("false"));
    wait_until("both hold half of the weights", || [1, 2].iter().all(|v| (3.0..5.0).contains(&memory(&sharing, *v).1)));
    wait_until("both hold all of the weights", || [1, 2].iter().all(|v| memory(&alone, *v).0 > 7.0));
    assert!([1, 2].iter().all(|v| memory(&sharing, *v).0 < 1.0 && memory(&alone, *v).1 == 0.0));
    for version in [1, 2] {
        assert_eq!(ask(&sharing, version), ask(&alone, version), "version {version}");
    }
    // The one that shared its weights goes; the other one has them to itself.
    let before = ask(&sharing, 2);
    sharing.repository().remove("m", 1).unwrap();
    wait_until("version 2 holds all of them", || memory(&sharing, 2).1 > 7.0);
    assert_eq!(ask(&sharing, 2), before);
}

/// Models of 20 MiB each, so that a load takes up to 72 MiB.
fn budgeted(budget_mib: &str, n_versions: u64) -> Builder {
    let builder = Gateway::builder().set("memory.budget_mib", budget_mib).set("memory.share_weights", "false");
    (1..=n_versions).fold(builder, |builder, version| builder.model("m", version, &large(20 * MIB, version)))
}

#[test]
fn a_version_there_is_no_memory_for_is_refused_until_there_is_some() {
    let builder = Gateway::builder().set("memory.budget_mib", "80").set("model_control", "true");
    let builder = builder.model("a", 1, &large(20 * MIB, 1)).model("b", 1, &large(20 * MIB, 2));
    let gateway = builder.start();
    let is_ready = |model: &&str| gateway.state(model, 1) == "ready";
    let (holder, other) = if is_ready(&"a") { ("a", "b") } else { ("b", "a") };
    assert_eq!((gateway.state(holder, 1).as_str(), gateway.state(other, 1).as_str()), ("ready", "failed"));
    let (code, text) = refusal(&gateway, other, 1);
    let named = format!("held: {holder}@1 ");
    assert!(code == "memory_budget" && text.contains("80 MiB") && text.contains(&named), "{code}: {text}");
    assert_eq!((pinned(&gateway, holder, 1), pinned(&gateway, other, 1)), (200, 503));
    // Nobody has to ask for it again.
    let unloaded = gateway.client().send("POST", &format!("/v2/repository/models/{holder}/unload"), &[], b"{}");
    assert_eq!(unloaded.status, 200, "{}", unloaded.text());
    gateway.wait_state(other, 1, "ready");
    assert_eq!(pinned(&gateway, other, 1), 200);
}

#[test]
fn what_nobody_needs_makes_room_for_what_is_new_and_what_takes_traffic_stays() {
    // Room for two that are loaded, or for one beside one that is being loaded.
    let gateway = budgeted("100", 2).start();
    gateway.wait_state("m", 1, "ready");
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 2);
    gateway.repository().publish("m", 3, &large(20 * MIB, 3)).unwrap();
    gateway.wait_state("m", 3, "ready");
    assert_eq!(gateway.state("m", 2), "ready", "it takes the traffic");
    assert_ne!(gateway.state("m", 1), "ready", "it was in nobody's way, but in the way");
    let (code, text) = refusal(&gateway, "m", 1);
    assert!(code == "not_loaded" && text.contains("made room"), "{code}: {text}");
    assert!(gateway.history("m").iter().any(|row| row["action"] == "unloaded" && row["version"] == 1));
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 2);
}

#[test]
fn versions_are_loaded_on_demand_by_the_request_that_asks_for_them() {
    let builder = Gateway::builder().set("memory.on_demand", "true");
    let builder = (1..=3).fold(builder, |builder, version| builder.model("m", version, &affine4(version as f32, 0.0)));
    let gateway = builder.model("idle", 1, &affine4(7.0, 0.0)).start();
    for version in 1..=3 {
        assert_eq!(
            (gateway.state("m", version).as_str(), refusal(&gateway, "m", version).0.as_str()),
            ("registered", "not_loaded")
        );
    }
    // A pin loads that version alone, and its caller gets his answer.
    assert_eq!(gateway.infer(&Infer::first("m", 2.0).pin(1)).ok().floats("y")[0], 2.0);
    assert_eq!(gateway.state("m", 2), "registered");
    // Somebody without a wish gets the version that takes the traffic.
    let answer = gateway.ask("idle", 3.0).ok();
    assert_eq!((answer.version(), answer.floats("y")[0]), (1, 21.0));
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(9)).status(), 404, "there is no such version to load");
    assert_eq!(gateway.infer(&Infer::first("nobody", 1.0)).status(), 404);
}

#[test]
fn many_callers_of_a_version_that_is_not_there_are_all_answered_by_one_load() {
    let builder = Gateway::builder().set("memory.on_demand", "true");
    let gateway = builder.model("m", 1, &large(4 * MIB, 1)).start();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..16).map(|_| scope.spawn(|| pinned(&gateway, "m", 1))).collect();
        let statuses: Vec<u16> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        assert_eq!(statuses, [200; 16]);
    });
    assert_eq!(gateway.history("m").iter().filter(|row| row["action"] == "loaded").count(), 1);
}

#[test]
fn a_version_that_cannot_be_loaded_on_demand_is_refused_at_once_and_to_be_tried_again() {
    let builder = budgeted("30", 1).set("memory.on_demand", "true");
    let gateway = builder.start();
    let answer = gateway.infer(&Infer::first("m", 1.0).pin(1));
    assert_eq!(answer.status(), 503);
    let text = format!("{answer:?}");
    assert!(answer.code() == "version_not_ready" && text.contains("memory.budget_mib"), "{text}");
    assert!(text.to_lowercase().contains("retry-after"), "{text}");
}
