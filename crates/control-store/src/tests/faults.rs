//! Every single file operation of a push made to fail in turn: what is there is what was before or what was to be.

use super::*;
use crate::disk::faults::{Plan, run};

/// What a reader can see: each version with its digest, and the labels.
pub(super) type State = (Vec<(u64, Digest)>, Vec<(String, u64)>);

pub(super) fn state(store: &Store) -> State {
    let records = store.records(&model()).unwrap();
    for record in &records {
        // No version without all of its bytes.
        store.read(record).unwrap();
        store.read_beside(record).unwrap();
    }
    let labels = store.labels(&model()).unwrap();
    (
        records.iter().map(|record| (record.version.get(), record.digest)).collect(),
        labels.iter().map(|(label, version)| (label.to_string(), version.get())).collect(),
    )
}

/// A store with one version, and a second one to push with a label that moves.
pub(super) fn before() -> (Bench, Push) {
    let bench = Bench::new();
    let first = Push { labels: vec![label("latest")], ..push(&bench.file("1.onnx", &affine(1))) };
    bench.store.push(&first).unwrap();
    bench.file("two/model.onnx", &tensors(2, 0));
    bench.file("two/golden.json", b"{}");
    let second = Push { labels: vec![label("latest")], now_unix_ms: 2_000, ..push(&bench.path("two")) };
    (bench, second)
}

/// Runs a change under each fault; `is_acknowledged` says whether it claims to be done.
fn sweep(plan: fn(usize) -> Plan, change: impl Fn(&Store, &Push) -> bool) -> usize {
    let (bench, second) = before();
    let old = state(&bench.store);
    let (is_done, operations) = run(Plan::Never, || change(&bench.store, &second));
    assert!(is_done);
    let new = state(&bench.store);
    assert_ne!(old, new);
    for (number, operation) in operations.iter().enumerate() {
        let (bench, second) = before();
        let (is_acknowledged, _) = run(plan(number), || change(&bench.store, &second));
        // As after a restart.
        let store = Store::open(&bench.path("store")).unwrap();
        let found = state(&store);
        let what = format!("operation {number} ({operation}) of {}", operations.len());
        assert!(found == old || found == new, "{what}: neither before nor after: {found:?}");
        assert!(!is_acknowledged || found == new, "{what}: acknowledged and not there");
        let damage = store.verify().unwrap().damage;
        assert_eq!(damage, [], "{what}");
        // Nothing stands in the way of doing it again.
        assert!(change(&store, &second), "{what}");
        assert_eq!(state(&store), new, "{what}");
        assert_eq!(fs::read_dir(bench.path("store/tmp")).unwrap().count(), 0, "{what}");
    }
    operations.len()
}

#[test]
fn a_push_is_whole_or_not_at_all_whatever_single_operation_fails() {
    let n_operations = sweep(Plan::Once, |store, second| store.push(second).is_ok());
    assert!(n_operations > 40, "{n_operations}");
}

#[test]
fn a_push_is_whole_or_not_at_all_whenever_the_power_goes() {
    sweep(Plan::From, |store, second| store.push(second).is_ok());
}

#[test]
fn a_label_is_moved_or_not() {
    let change = |store: &Store, _: &Push| store.set_label(&model(), &label("champion"), Some(version(1))).is_ok();
    sweep(Plan::Once, change);
    sweep(Plan::From, change);
}

#[test]
fn a_store_that_could_not_be_made_can_be_made_later() {
    let make = |bench: &TempDir| Store::open(&bench.path().join("new")).is_ok();
    let (is_done, operations) = run(Plan::Never, || make(&TempDir::new().unwrap()));
    assert!(is_done && operations.len() > 5, "{operations:?}");
    for number in 0..operations.len() {
        for plan in [Plan::Once(number), Plan::From(number)] {
            let bench = TempDir::new().unwrap();
            run(plan, || make(&bench));
            assert!(make(&bench), "{plan:?}");
        }
    }
}
