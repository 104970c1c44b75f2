//! The life of versions as the control plane leads it: chosen, tried, promoted, rolled back, remembered.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a failed step is a failed test"
)]

mod chance;
mod memory;
mod past;
mod rollout;
mod store;
mod world;

use std::time::Duration;

use base_types::OutcomeClass::{Ok as Good, VersionFault};
use base_types::Phase;
use control_loop::Operation;
use world::{World, model, until, version};

#[test]
fn the_highest_version_serves_and_a_later_one_waits() {
    let mut world = World::new();
    (1..=3).for_each(|n| world.publish(n));
    world.start();
    assert_eq!(world.stable(), Some(3));
    world.publish(4);
    world.wait_ready(4);
    assert_eq!(world.stable(), Some(3));
    assert!(world.actions().contains(&"stable_chosen"));
}

#[test]
fn a_faulty_candidate_is_out_when_the_fault_has_been_recorded() {
    let mut world = World::new();
    [1, 2].iter().for_each(|n| world.publish(*n));
    world.start();
    world.publish(3);
    world.wait_ready(3);
    world.canary(3, 0.5).unwrap();
    (0..20).for_each(|_| world.attempt(2, Good));
    let before = world.cell.load().generation;
    let n_faults = (1..100).find(|_| {
        world.attempt(3, VersionFault);
        !world.is_ready(3)
    });
    assert!((2..10).contains(&n_faults.unwrap()), "{n_faults:?}");
    assert!(world.cell.load().generation > before);
    assert_eq!(world.serving().unwrap().route.as_ref().unwrap().candidates().len(), 0);
    until("it is recorded", || world.actions().contains(&"rolled_back").then_some(()));
    let rows = world.history();
    let row = rows.iter().find(|r| r.entry.action.as_str() == "rolled_back").unwrap();
    assert!(row.entry.evidence_json.as_ref().unwrap().contains("log_e"));
    assert_eq!(world.canary(3, 0.1).unwrap_err().code, "quarantined");
    until("it is out of memory", || (world.state_of(3) == Some("quarantined")).then_some(()));

    // It stays out after a restart, and comes back only by a person's word.
    world.stop();
    world.start();
    assert!(!world.is_ready(3));
    assert_eq!(world.stable(), Some(2));
    world.order(Operation::Release { version: version(3) }).unwrap();
    world.wait_ready(3);
    assert_eq!(world.stable(), Some(2));
}

#[test]
fn a_healthy_candidate_proves_itself_and_is_promoted() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    assert_eq!(world.promote(2, false, false).unwrap_err().code, "not_proven");
    world.canary(2, 0.25).unwrap();
    (0..300).for_each(|_| world.attempt(2, Good));
    assert_eq!(world.promote(2, false, false).unwrap_err().code, "not_proven");
    (0..60).for_each(|_| world.attempt(2, Good));
    let done = world.promote(2, false, false).unwrap();
    assert!(done.is_provisional);
    assert_eq!(world.status().phase, Phase::Provisional.as_str());
    assert_eq!(world.stable(), Some(1), "the fallback until it is confirmed");
    assert_eq!(world.serving().unwrap().route.as_ref().unwrap().split.share(version(2), version(1)), 1.0);
    world.promote(2, true, false).unwrap();
    assert_eq!((world.stable(), world.status().phase), (Some(2), "settled"));

    // Back to the one confirmed before.
    world.rollback(None, false).unwrap();
    assert_eq!(world.stable(), Some(1));
    assert!(world.is_ready(2), "not quarantined, because that was not asked for");
}

#[test]
fn an_unconfirmed_promotion_is_not_taken_for_confirmed() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.promote(2, false, true).unwrap();
    world.stop();
    world.start();
    assert_eq!((world.stable(), world.status().phase), (Some(1), "interrupted"));
    assert_eq!(world.serving().unwrap().route.as_ref().unwrap().split.share(version(1), version(1)), 1.0);
    world.confirm_after = Duration::from_millis(200);
    world.stop();
    world.start();
    world.promote(2, false, true).unwrap();
    until("it is confirmed by itself", || (world.stable() == Some(2)).then_some(()));
    world.stop();
    world.start();
    assert_eq!((world.stable(), world.status().phase), (Some(2), "settled"));
}

#[test]
fn a_canary_goes_on_after_a_restart_with_its_evidence() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.canary(2, 0.25).unwrap();
    (0..200).for_each(|_| world.attempt(2, Good));
    let successes = |world: &World| {
        let rules = &world.status().trials[0].evidence["rules"];
        rules[0]["others"].as_u64().unwrap()
    };
    assert_eq!(successes(&world), 200);
    // Once a second the evidence is stored.
    std::thread::sleep(Duration::from_millis(1300));
    world.stop();
    world.start();
    until("the trial is open again", || world.status().trials.first().map(|_| ()));
    assert_eq!(successes(&world), 200);
    assert_eq!(world.status().phase, "canary");
}

#[test]
fn two_crashes_with_its_requests_in_flight_take_a_candidate_out() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.canary(2, 0.5).unwrap();
    let digest = world.serving().unwrap().versions[&version(2)].digest;
    for n_crashes in 1..=2 {
        std::thread::sleep(Duration::from_millis(1300));
        world.crash();
        world.crashed.insert(digest, 3);
        world.start();
        let is_out = |world: &World| world.state_of(2) == Some("quarantined");
        if n_crashes == 1 {
            until("the crash is counted", || {
                let exits = world.status().trials.first()?.evidence["crashes"]["exits"].as_u64();
                (exits == Some(1)).then_some(())
            });
            assert!(!is_out(&world), "one crash is no verdict");
        } else {
            until("the second crash convicts", || is_out(&world).then_some(()));
        }
    }
}

#[test]
fn other_content_under_a_known_number_is_refused() {
    let mut world = World::new();
    [1, 2].iter().for_each(|n| world.publish(*n));
    world.start();
    let digest = world.serving().unwrap().versions[&version(2)].digest;
    world.repository.publish(world::MODEL, 2, &testkit::onnx::affine4(7.0, 7.0)).unwrap();
    until("it is noticed", || world.actions().contains(&"content_changed").then_some(()));
    assert_eq!(world.serving().unwrap().versions[&version(2)].digest, digest, "what is loaded serves on");
    // After a restart the number has no content any more; the last confirmed other version serves.
    world.promote(1, true, true).unwrap();
    world.promote(2, true, true).unwrap();
    world.stop();
    world.start();
    assert_eq!(world.state_of(2), Some("failed"));
    assert_eq!(world.stable(), Some(1));
}

#[test]
fn a_removed_folder_is_a_wish() {
    let mut world = World::new();
    [1, 2].iter().for_each(|n| world.publish(*n));
    world.start();
    world.repository.remove(world::MODEL, 2).unwrap();
    world.repository.remove(world::MODEL, 1).unwrap();
    until("the version nobody needs is gone", || world.state_of(1).is_none().then_some(()));
    assert_eq!(world.stable(), Some(2), "the routed one stays");
    until("its series are gone", || {
        let text = String::from_utf8(world.metrics.render().unwrap()).unwrap();
        (!text.contains(r#"version="1""#)).then_some(())
    });
}

#[test]
fn an_edit_supersedes_a_decision_and_an_invalid_one_changes_nothing() {
    let mut world = World::new();
    [1, 2].iter().for_each(|n| world.publish(*n));
    let write = |world: &World, text: &str| std::fs::write(world.routing_path(), text).unwrap();
    write(&world, "[models.m]\nstable = 1\n");
    world.start();
    assert_eq!(world.stable(), Some(1));
    world.promote(2, true, true).unwrap();
    assert_eq!(world.stable(), Some(2), "a decision holds over an older text");
    world.stop();
    world.start();
    assert_eq!(world.stable(), Some(2), "also after a restart");
    let generation = world.cell.load().generation;
    write(&world, "[models.m]\nstable = 1\nsplit = { 1 = -3 }\nnonsense = 4\n");
    until("the problems are told", || (world.control().problems().len() >= 2).then_some(()));
    assert_eq!(world.cell.load().generation, generation);
    write(&world, "# the same, in other words\n[models.m]\nstable = 1 # still\n");
    until("the problems are over", || world.control().problems().is_empty().then_some(()));
    assert_eq!(world.stable(), Some(2), "the text means what it meant when the decision was taken");
    write(&world, "[models.m]\nstable = 1\nsplit = { 1 = 90, 2 = 10 }\n");
    until("the edit is in force", || (world.stable() == Some(1)).then_some(()));
    assert!(world.actions().contains(&"stance_superseded"));
    assert_eq!(world.control().routing().models[&model()].stable, Some(version(1)));
}

#[test]
fn a_second_rollback_does_not_take_out_the_version_that_just_took_over() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.promote(2, true, true).unwrap();
    world.publish(3);
    world.wait_ready(3);
    world.canary(3, 0.5).unwrap();
    world.rollback(None, true).unwrap();
    assert_eq!(world.rollback(None, true).unwrap_err().code, "rolled_back_already");
    assert_eq!(world.stable(), Some(2));
    assert!(world.is_ready(2), "the healthy stable is not quarantined by an order given twice");
    world.rollback(Some(1), false).unwrap();
    assert_eq!(world.stable(), Some(1));
    world.stop();
    world.start();
    assert_eq!(world.stable(), Some(1), "what was acknowledged is back");
}

#[test]
fn content_that_is_stable_already_is_no_candidate() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    world.repository.publish(world::MODEL, 2, &testkit::onnx::affine4(1.0, 0.0)).unwrap();
    world.wait_ready(2);
    assert_eq!(world.canary(2, 0.5).unwrap_err().code, "same_content");
    std::fs::write(world.routing_path(), "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n").unwrap();
    world.stop();
    world.start();
    assert!(world.status().trials.is_empty());
    assert!(world.status().notices.iter().any(|n| n.contains("same content")), "{:?}", world.status().notices);
}

#[test]
fn the_version_to_go_back_to_stays_in_memory() {
    let mut world = World::new();
    world.publish(1);
    world.start();
    world.publish(2);
    world.wait_ready(2);
    world.promote(2, true, true).unwrap();
    world.repository.remove(world::MODEL, 1).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    world.rollback(None, true).unwrap();
    assert_eq!(world.stable(), Some(1));
}
