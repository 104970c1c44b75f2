#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::atomic::Ordering;

use base_types::{Label, ModelName, Version};
use control_store::{Push, Store};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use testkit::onnx::{affine4, large};

use super::*;

fn model() -> ModelName {
    ModelName::new("m").unwrap()
}

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn objects(store: &Arc<dyn ObjectStore>, prefix: &str, kept: Option<Kept>) -> Arc<BucketObjects> {
    Arc::new(BucketObjects::over(store.clone(), (prefix, "bucket".to_owned()), kept).unwrap())
}

fn push(store: &Store, content: &[u8]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    std::fs::write(&file, content).unwrap();
    store.push(&Push::new(&file, Some(model()), 5)).unwrap().record.version.get()
}

/// What a store must do wherever it lies.
fn check(bucket: Arc<dyn ObjectStore>, prefix: &str) {
    let store = Store::over(objects(&bucket, prefix, None)).unwrap();
    let contents = [affine4(1.0, 0.0), large(1 << 20, 3)];
    assert_eq!([push(&store, &contents[0]), push(&store, &contents[1]), push(&store, &contents[0])], [1, 2, 1]);
    let again = Store::over(objects(&bucket, prefix, None)).unwrap();
    assert_eq!(again.list().unwrap().models[&model()], [1, 2].map(version).into());
    for (n, content) in [(1, &contents[0]), (2, &contents[1])] {
        let record = again.record(&model(), version(n)).unwrap().unwrap();
        assert_eq!(&again.read(&record).unwrap()[0].1, content);
    }
    let label = Label::new("canary").unwrap();
    again.set_label(&model(), &label, Some(version(2))).unwrap();
    again.set_label(&model(), &label, Some(version(1))).unwrap();
    assert_eq!(store.labels(&model()).unwrap()[&label], version(1));
    assert!(store.verify().unwrap().damage.is_empty());
    assert_eq!(store.record(&model(), version(9)).unwrap(), None);
}

#[test]
fn a_bucket_is_a_store_like_any_other() {
    check(Arc::new(InMemory::new()), "");
    check(Arc::new(InMemory::new()), "models/of/ours");
    let folder = tempfile::tempdir().unwrap();
    check(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()), "p");
}

#[test]
fn a_name_is_given_once() {
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let ours = objects(&bucket, "p", None);
    assert_eq!(ours.put_if_absent("objects/ab/x", b"first").unwrap(), Put::New);
    assert_eq!(objects(&bucket, "p", None).put_if_absent("objects/ab/x", b"second").unwrap(), Put::Existed);
    assert_eq!(ours.get("objects/ab/x", 5).unwrap().unwrap(), b"first");
    assert!(matches!(ours.get("objects/ab/x", 4), Err(StoreError::Damaged { .. })));
    ours.delete("objects/ab/x").unwrap();
    ours.delete("objects/ab/x").unwrap();
    assert_eq!(ours.get("objects/ab/x", 5).unwrap(), None);
}

#[test]
fn those_who_push_at_once_get_numbers_of_their_own() {
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let stores: Vec<Store> = (0..4).map(|_| Store::over(objects(&bucket, "", None)).unwrap()).collect();
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let pushed = stores.iter().zip(1..).map(|(store, n)| scope.spawn(move || push(store, &affine4(n as f32, 0.0))));
        let pushed: Vec<_> = pushed.collect();
        pushed.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4]);
}

#[test]
fn what_was_read_once_is_there_when_the_bucket_is_out_of_reach() {
    let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    push(&Store::over(objects(&bucket, "", None)).unwrap(), &affine4(1.0, 0.0));
    let folder = tempfile::tempdir().unwrap();
    let kept = || Kept::open(folder.path(), 1 << 20).unwrap();
    let near = Store::over(objects(&bucket, "", Some(kept()))).unwrap();
    let record = near.record(&model(), version(1)).unwrap().unwrap();
    let (files, listing) = (near.read(&record).unwrap(), near.list().unwrap());
    near.labels(&model()).unwrap();
    // Another process, and nobody answers.
    let away = objects(&bucket, "", Some(kept()));
    away.is_away.store(true, Ordering::Relaxed);
    let far = Store::over(away.clone()).unwrap();
    assert_eq!((far.list().unwrap(), far.record(&model(), version(1)).unwrap().unwrap()), (listing, record.clone()));
    assert_eq!(far.read(&record).unwrap(), files);
    assert!(far.labels(&model()).unwrap().is_empty());
    // What nobody has read is not made up, and without a cache nothing is.
    assert!(far.record(&model(), version(2)).is_err());
    let bare = objects(&bucket, "", None);
    bare.is_away.store(true, Ordering::Relaxed);
    assert!(bare.list("models/").is_err() && bare.get("format", 100).is_err());
    // It comes back, and what is new is seen.
    push(&Store::over(objects(&bucket, "", None)).unwrap(), &affine4(2.0, 0.0));
    away.is_away.store(false, Ordering::Relaxed);
    assert_eq!(far.list().unwrap().models[&model()], [1, 2].map(version).into());
}
