//! A repository that changes while it is served: versions come, go, are half there, or become something else.

use std::fs;

use serde_json::json;
use switchrail_tests::{Gateway, Infer, wait_until};
use testkit::onnx::{affine4, nan_when};

fn pinned(version: u64) -> Infer {
    Infer::first("m", 1.0).pin(version)
}

#[test]
fn a_later_version_is_addressable_and_takes_no_traffic() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    assert_eq!(gateway.infer(&pinned(2)).ok().floats("y")[0], 2.0);
    for _ in 0..50 {
        assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    }
    // A whole new model serves at once.
    gateway.repository().publish("new", 5, &affine4(5.0, 0.0)).unwrap();
    wait_until("the new model to serve", || gateway.ask("new", 1.0).is_ok());
    assert_eq!(gateway.ask("new", 1.0).ok().version(), 5);
}

#[test]
fn a_half_copied_version_is_never_picked_up() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).set("repository.settle_ms", "300").start();
    let content = affine4(2.0, 0.0);
    let repository = gateway.repository();
    // Still growing: it is not even judged.
    for n_bytes in (8..content.len()).step_by(content.len() / 10) {
        repository.half_copy("m", 2, &content, n_bytes).unwrap();
        let state = gateway.state("m", 2);
        assert!(matches!(state.as_str(), "" | "registered"), "{state}");
        assert!(gateway.infer(&pinned(2)).status() >= 400);
        assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    }
    // Left lying half copied, it is refused; finished, it is taken up.
    repository.half_copy("m", 2, &content, content.len() / 2).unwrap();
    gateway.wait_refused("m", 2);
    repository.finish_copy("m", 2, &content).unwrap();
    gateway.wait_state("m", 2, "ready");
    assert_eq!(gateway.infer(&pinned(2)).ok().floats("y")[0], 2.0);
}

#[test]
fn a_removed_version_goes_unless_it_is_needed() {
    let builder = (1..=3).fold(Gateway::builder(), |b, v| b.model("m", v, &affine4(v as f32, 0.0)));
    let gateway = builder.routing("[models.m]\nstable = 1\n").start();
    gateway.wait_state("m", 3, "ready");
    gateway.infer(&pinned(3)).ok();
    let of_3 = [("model", "m"), ("version", "3")];
    assert!(gateway.metrics().n_series(&of_3) > 0);
    gateway.repository().remove("m", 3).unwrap();
    gateway.repository().remove("m", 1).unwrap();
    wait_until("version 3 to be gone", || gateway.infer(&pinned(3)).status() == 404);
    wait_until("the series of version 3 to be retired", || gateway.metrics().n_series(&of_3) == 0);
    // Stable stays, folder or not, until something else is stable.
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    gateway.write_routing("[models.m]\nstable = 2\n");
    wait_until("version 2 to serve", || gateway.ask("m", 1.0).ok().version() == 2);
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "version_fault")]), 0.0);
}

#[test]
fn other_content_under_a_known_number_is_refused_and_the_old_serves_on() {
    let mut gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway.order("m", "promote", json!({ "version": "2", "force": true, "confirm": true, "reason": "test" }));
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 2);
    let digest = gateway.ask("m", 1.0).said("digest").unwrap().to_owned();
    gateway.repository().publish("m", 2, &affine4(20.0, 0.0)).unwrap();
    gateway.wait_history("m", "content_changed");
    let answer = gateway.ask("m", 1.0).ok();
    assert_eq!((answer.floats("y")[0], answer.said("digest")), (2.0, Some(digest.as_str())));
    assert!(gateway.metric("switchrail_versions_refused_total", &[("code", "content_changed")]) >= 1.0);
    // After a restart the number stands for content that is gone: the last confirmed other version serves.
    gateway.stop();
    gateway.start_again();
    let (code, _) = gateway.wait_refused("m", 2);
    assert_eq!(code, "content_changed");
    let answer = gateway.ask("m", 1.0).ok();
    assert_eq!((answer.version(), answer.floats("y")[0]), (1, 1.0));
    assert_eq!(gateway.infer(&pinned(2)).status(), 503);
    // Putting the old content back heals it.
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
}

#[test]
fn the_same_content_again_changes_nothing() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let digest = gateway.ask("m", 1.0).said("digest").unwrap().to_owned();
    gateway.repository().publish("m", 1, &affine4(1.0, 0.0)).unwrap();
    // A version that comes later is seen after the one that was touched before it.
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    assert_eq!(gateway.state("m", 1), "ready");
    assert_eq!(gateway.ask("m", 1.0).ok().said("digest"), Some(digest.as_str()));
    assert!(gateway.history("m").iter().all(|entry| entry["action"] != "content_changed"));
}

#[test]
fn a_repository_out_of_reach_stops_nobody() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let root = gateway.repository().root().to_owned();
    let away = root.with_extension("away");
    fs::rename(&root, &away).unwrap();
    gateway.wait_log("cannot read the model repository");
    gateway.ask("m", 1.0).ok();
    fs::rename(&away, &root).unwrap();
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
}

#[test]
fn follow_latest_makes_the_newest_a_guarded_canary() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).arguments(&["--follow-latest"]);
    let gateway = builder.set("follow_share", "0.5").start();
    gateway.repository().publish("m", 2, &nan_when(100.0, 2.0, 0.0)).unwrap();
    wait_until("version 2 to be a canary", || gateway.model("m")["phase"] == "canary");
    let versions: Vec<u64> = (0..100).map(|_| gateway.ask("m", 1.0).ok().version()).collect();
    assert!(versions.contains(&1) && versions.contains(&2), "{versions:?}");
    for _ in 0..100 {
        gateway.ask("m", 200.0).ok();
    }
    gateway.wait_state("m", 2, "quarantined");
    // A better one is given its chance, and the bad one is not taken up again under another number.
    gateway.repository().publish("m", 3, &nan_when(100.0, 2.0, 0.0)).unwrap();
    gateway.wait_state("m", 3, "quarantined");
    gateway.repository().publish("m", 4, &affine4(4.0, 0.0)).unwrap();
    wait_until("version 4 to be a canary", || {
        gateway.metric("switchrail_traffic_share_wanted", &[("version", "4")]) == 0.5
    });
    wait_until("version 4 to answer", || gateway.ask("m", 200.0).ok().version() == 4);
}
