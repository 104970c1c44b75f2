//! The store beside the model repository: what was pushed is served, and a number never comes to stand for two contents.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base_types::{Label, ModelName};
use control_loop::StoreSource;
use control_store::{Push, Store};
use serde_json::Value;
use testkit::onnx::affine4;

use crate::world::{MODEL, World, model, until, version};

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("store")).unwrap()
}

pub fn source(folder: &Path, versions: usize) -> StoreSource {
    StoreSource { store: Arc::new(open(folder)), poll: Duration::from_millis(10), versions }
}

/// Pushes a model whose content this scale decides; gives the number it got.
fn push(world: &World, scale: f32) -> u64 {
    push_with(world, scale, |_| {})
}

fn push_with(world: &World, scale: f32, say: impl FnOnce(&mut Push)) -> u64 {
    let file = world.folder().join("pushed.onnx");
    std::fs::write(&file, affine4(scale, 0.0)).unwrap();
    let mut push = Push::new(&file, Some(ModelName::new(MODEL).unwrap()), 1_000);
    push.by = "tester".to_owned();
    say(&mut push);
    open(world.folder()).push(&push).unwrap().record.version.get()
}

fn world(versions: usize) -> World {
    let mut world = World::new();
    world.store = Some(versions);
    world
}

fn reason(world: &World, n: u64) -> Option<String> {
    world.status().versions.into_iter().find(|v| v.version == n)?.reason.map(|reason| reason.code)
}

fn place(world: &World, n: u64) -> &'static str {
    world.status().versions.into_iter().find(|v| v.version == n).unwrap().source.place
}

#[test]
fn a_store_alone_is_served_and_what_is_pushed_is_loaded_and_waits() {
    let mut world = world(8);
    world.has_repository = false;
    assert_eq!(push(&world, 1.0), 1);
    world.start();
    assert_eq!(world.stable(), Some(1));
    assert_eq!(push_with(&world, 2.0, |push| push.tag = Some("2.0.0".to_owned())), 2);
    world.wait_ready(2);
    assert_eq!((world.stable(), place(&world, 2)), (Some(1), "store"));
    let row = until("its registration is told", || {
        world
            .history()
            .into_iter()
            .find(|row| row.entry.version == Some(version(2)) && row.entry.evidence_json.is_some())
    });
    let evidence: Value = serde_json::from_str(&row.entry.evidence_json.unwrap()).unwrap();
    assert_eq!((&evidence["source"], &evidence["pushed"]["by"]), (&"store".into(), &"tester".into()));
    assert_eq!(evidence["pushed"]["tag"], "2.0.0");
    world.promote(2, true, true).unwrap();
    world.stop();
    world.start();
    assert_eq!(world.stable(), Some(2));
}

#[test]
fn the_folder_serves_where_the_store_holds_other_content_under_the_same_number() {
    let mut world = world(8);
    world.publish(1);
    assert_eq!(push(&world, 77.0), 1);
    assert_eq!(push(&world, 78.0), 2);
    world.start();
    world.wait_ready(2);
    until("the conflict is told", || (reason(&world, 1).as_deref() == Some("content_conflict")).then_some(()));
    assert_eq!((place(&world, 1), place(&world, 2)), ("folder", "store"));
    let digest = |n: u64| world.serving().unwrap().versions[&version(n)].digest;
    let of_folder = digest(1);
    assert_ne!(of_folder, open(world.folder()).record(&model(), version(1)).unwrap().unwrap().digest);
    // The folder goes: the number still stands for what it held, now and after a restart.
    world.repository.remove(MODEL, 1).unwrap();
    world.stop();
    world.start();
    world.wait_ready(2);
    until("it is refused", || (reason(&world, 1).as_deref() == Some("content_conflict")).then_some(()));
    assert!(!world.is_ready(1));
}

#[test]
fn the_same_content_in_both_places_is_one_version_and_outlives_its_folder() {
    let mut world = world(8);
    world.publish(1);
    assert_eq!(push(&world, 1.0), 1);
    world.start();
    assert_eq!((world.stable(), reason(&world, 1), place(&world, 1)), (Some(1), None, "folder"));
    world.repository.remove(MODEL, 1).unwrap();
    until("the store stands in", || (place(&world, 1) == "store").then_some(()));
    assert!(world.is_ready(1));
    world.stop();
    world.start();
    assert_eq!(world.stable(), Some(1));
    // What comes back under its name and is something else does not take its place.
    world.repository.publish(MODEL, 1, &affine4(5.0, 0.0)).unwrap();
    until("it is told", || world.actions().contains(&"content_changed").then_some(()));
    assert!(world.is_ready(1));
    world.stop();
    world.start();
    until("the store has the right content", || world.is_ready(1).then_some(()));
    assert_eq!((place(&world, 1), world.stable()), ("store", Some(1)));
}

#[test]
fn labels_of_the_store_are_pins_and_those_of_routing_come_first() {
    let mut world = world(8);
    (1..=3).for_each(|n| assert_eq!(push(&world, n as f32), n));
    let store = open(world.folder());
    let (canary, stable) = (Label::new("canary").unwrap(), Label::new("stable").unwrap());
    store.set_label(&model(), &canary, Some(version(1))).unwrap();
    store.set_label(&model(), &stable, Some(version(1))).unwrap();
    world.start();
    let labelled = |label: &Label| world.serving()?.route.as_ref()?.labels.get(label).copied();
    assert_eq!((labelled(&canary), labelled(&stable)), (Some(version(1)), Some(version(3))));
    assert!(
        world.status().notices.iter().any(|notice| notice.contains("label stable")),
        "{:?}",
        world.status().notices
    );
    store.set_label(&model(), &canary, Some(version(2))).unwrap();
    until("the label moved", || (labelled(&canary) == Some(version(2))).then_some(()));
    store.set_label(&model(), &canary, None).unwrap();
    until("the label is gone", || labelled(&canary).is_none().then_some(()));
}

#[test]
fn old_versions_of_the_store_are_loaded_when_something_asks_for_them() {
    let mut world = world(2);
    (1..=4).for_each(|n| assert_eq!(push(&world, n as f32), n));
    world.start();
    world.wait_ready(3);
    assert_eq!((world.stable(), world.is_ready(2)), (Some(4), false));
    assert_eq!((reason(&world, 1).as_deref(), world.state_of(1)), (Some("not_loaded"), Some("registered")));
    open(world.folder()).set_label(&model(), &Label::new("keep").unwrap(), Some(version(1))).unwrap();
    world.wait_ready(1);
    assert_eq!((reason(&world, 1), world.is_ready(2)), (None, false));
    // A newer one comes: what was loaded unasked and nobody needs goes.
    push(&world, 5.0);
    world.wait_ready(5);
    until("version 3 is out of memory", || (!world.is_ready(3)).then_some(()));
    assert!(world.is_ready(4) && world.is_ready(1));
}

#[test]
fn a_damaged_version_is_refused_alone_and_serves_once_it_is_mended() {
    let mut world = world(8);
    assert_eq!((push(&world, 1.0), push(&world, 2.0)), (1, 2));
    let record = open(world.folder()).record(&model(), version(2)).unwrap().unwrap();
    let name = record.files[0].parts[0].sha256.to_string();
    let part = world.folder().join("store/objects").join(&name[..2]).join(&name);
    let mut content = std::fs::read(&part).unwrap();
    content[10] ^= 1;
    std::fs::remove_file(&part).unwrap();
    std::fs::write(&part, content).unwrap();
    world.start();
    until("it is refused", || (reason(&world, 2).as_deref() == Some("store_damaged")).then_some(()));
    assert_eq!(world.stable(), Some(1));
    assert_eq!(push(&world, 2.0), 2, "the same content is the same version, and mends it");
    world.stop();
    world.start();
    world.wait_ready(2);
}
