//! A process may be killed between any two steps. Each test makes the state that such an end leaves, starts again with
//! the bucket out of reach, and sees the old or the new state; then with the bucket, and sees the new one.

use std::os::unix::fs::symlink;

use super::*;
use crate::tree::id_of;

const OLD: &[u8] = b"old content";
const NEW: &[u8] = b"new content";

/// A world whose view shows the old content, and whose bucket has the new one.
fn world() -> (World, Folder) {
    let mut world = World::new();
    world.put("m/1/model.onnx", OLD);
    let mut folder = world.open();
    world.look(&mut folder);
    assert_eq!(world.seen("m/1/model.onnx").unwrap(), OLD);
    world.put("m/1/model.onnx", NEW);
    (world, folder)
}

fn manifest(content: &[u8]) -> Manifest {
    let content = Content { sha256: hash(content), bytes: content.len() as u64 };
    Manifest::from([("model.onnx".to_owned(), content)])
}

/// Starts without and with the bucket; how often it was fetched from.
fn starts(world: &mut World, shown_without_bucket: &[u8]) -> usize {
    world.source.is_down = true;
    let mut folder = world.open();
    assert_eq!(world.seen("m/1/model.onnx").as_deref(), Some(shown_without_bucket));
    assert!(folder.look(&mut world.source, NOW).is_err());
    assert_eq!(world.seen("m/1/model.onnx").as_deref(), Some(shown_without_bucket));
    drop(folder);
    world.source.is_down = false;
    let mut folder = world.open();
    let n_fetched = world.look(&mut folder).len();
    assert_eq!(world.seen("m/1/model.onnx").as_deref(), Some(NEW));
    for empty in ["incoming", "building", "fresh"] {
        assert_eq!(fs::read_dir(world.path(empty)).unwrap().count(), 0, "{empty} is tidy");
    }
    assert_eq!(fs::read_dir(world.path("trees")).unwrap().count(), 1);
    n_fetched
}

#[test]
fn killed_while_it_fetches() {
    let (mut world, folder) = world();
    drop(folder);
    fs::write(world.path("incoming/7"), &NEW[..4]).unwrap();
    assert_eq!(starts(&mut world, OLD), 1);
}

#[test]
fn killed_after_it_fetched() {
    let (mut world, folder) = world();
    drop(folder);
    // Whole, but nobody wrote down which key it belongs to.
    fs::write(world.path("objects").join(hash(NEW)), NEW).unwrap();
    assert_eq!(starts(&mut world, OLD), 1);
}

#[test]
fn killed_while_it_builds() {
    let (mut world, folder) = world();
    drop(folder);
    let place = world.path("building").join(id_of(&manifest(NEW)).unwrap());
    fs::create_dir_all(place.join("files")).unwrap();
    assert_eq!(starts(&mut world, OLD), 1);
    let (mut world, folder) = self::world();
    drop(folder);
    let place = world.path("building").join(id_of(&manifest(NEW)).unwrap());
    fs::create_dir_all(place.join("files")).unwrap();
    fs::write(place.join("manifest.json"), serde_json::to_vec(&manifest(NEW)).unwrap()).unwrap();
    fs::write(place.join("files/model.onnx"), NEW).unwrap();
    assert_eq!(starts(&mut world, OLD), 1);
}

#[test]
fn killed_after_it_built_and_before_it_showed() {
    let (mut world, mut folder) = world();
    world.look(&mut folder);
    drop(folder);
    // Back to the old link, with both trees there, as it was between the two steps.
    let old = id_of(&manifest(OLD)).unwrap();
    let place = world.path("trees").join(&old);
    fs::create_dir_all(place.join("files")).unwrap();
    fs::write(place.join("manifest.json"), serde_json::to_vec(&manifest(OLD)).unwrap()).unwrap();
    fs::rename(world.path("objects").join(hash(OLD)), place.join("files/model.onnx")).unwrap();
    let link = world.path("view/m/1");
    fs::remove_file(&link).unwrap();
    symlink(format!("../../trees/{old}/files"), &link).unwrap();
    symlink("../../trees/half/files", world.path("fresh/link")).unwrap();
    assert_eq!(starts(&mut world, OLD), 0);
}

#[test]
fn killed_after_it_showed() {
    let (mut world, mut folder) = world();
    world.look(&mut folder);
    drop(folder);
    // The index is lost as well: that costs a download.
    fs::remove_file(world.path("index.json")).unwrap();
    assert_eq!(starts(&mut world, NEW), 1);
}

#[test]
fn killed_while_it_takes_a_tree_apart() {
    let (mut world, mut folder) = world();
    world.look(&mut folder);
    drop(folder);
    let old = id_of(&manifest(OLD)).unwrap();
    let place = world.path("building").join(&old);
    fs::create_dir_all(place.join("files")).unwrap();
    fs::write(place.join("manifest.json"), serde_json::to_vec(&manifest(OLD)).unwrap()).unwrap();
    fs::rename(world.path("objects").join(hash(OLD)), place.join("files/model.onnx")).unwrap();
    assert_eq!(starts(&mut world, NEW), 0);
    assert!(world.path("objects").join(hash(OLD)).exists(), "what was in it is kept");
}

#[test]
fn killed_while_it_writes_the_index() {
    let (mut world, mut folder) = world();
    world.look(&mut folder);
    drop(folder);
    fs::write(world.path("index.new"), b"{\"bucket\":").unwrap();
    assert_eq!(starts(&mut world, NEW), 0);
    fs::write(world.path("index.json"), b"{\"bucket\":").unwrap();
    assert_eq!(starts(&mut world, NEW), 1, "a damaged index costs a download and nothing else");
}

#[test]
fn a_file_of_another_size_is_hidden_and_fetched_again() {
    let (mut world, folder) = world();
    drop(folder);
    let file = fs::canonicalize(world.path("view/m/1/model.onnx")).unwrap();
    fs::write(&file, &OLD[..3]).unwrap();
    let mut folder = world.open();
    assert!(folder.view().is_empty() && !world.path("view/m/1").exists());
    assert_eq!(world.look(&mut folder).len(), 1);
    assert_eq!(world.seen("m/1/model.onnx").unwrap(), NEW);
}

#[test]
fn a_content_that_rotted_in_the_cache_is_fetched_again() {
    let (mut world, mut folder) = world();
    world.put("keep/1/model.onnx", b"keep");
    world.put("m/1/weights.bin", b"weights");
    world.look(&mut folder);
    // Out of the view and back again: what was fetched is used, if it is still what it was.
    world.source.hidden = Some("m/1".to_owned());
    world.look(&mut folder);
    drop(folder);
    let mut rotten = NEW.to_vec();
    rotten[0] ^= 1;
    fs::write(world.path("objects").join(hash(NEW)), &rotten).unwrap();
    let mut folder = world.open();
    world.source.hidden = None;
    assert_eq!(world.look(&mut folder), ["m/1/model.onnx"]);
    assert_eq!(world.seen("m/1/model.onnx").unwrap(), NEW);
}

#[test]
fn a_content_that_rotted_in_one_version_gets_into_no_other() {
    let (mut world, mut folder) = world();
    for version in ["1", "2"] {
        world.put(&format!("m/{version}/weights.bin"), b"weights");
    }
    world.put("m/2/model.onnx", b"two");
    world.look(&mut folder);
    // Version 2 goes, and after a day its contents with it; the weights are still in version 1.
    world.source.hidden = Some("m/2".to_owned());
    world.look(&mut folder);
    folder.look(&mut world.source, NOW + GRACE_MS).unwrap();
    world.source.hidden = None;
    let weights = fs::canonicalize(world.path("view/m/1/weights.bin")).unwrap();
    fs::write(&weights, b"WEIGHTS").unwrap();
    assert_eq!(world.look(&mut folder), ["m/2/model.onnx", "m/2/weights.bin"]);
    assert_eq!(world.seen("m/2/weights.bin").unwrap(), b"weights");
}

#[test]
fn another_bucket_shows_nothing_of_this_one() {
    let (world, folder) = world();
    drop(folder);
    let other = Folder::open(&world.path(""), "s3://test/elsewhere", BOUNDS).unwrap();
    assert!(other.view().is_empty() && world.seen("m/1/model.onnx").is_none());
}

#[test]
fn what_is_not_ours_in_the_view_is_removed() {
    let (mut world, folder) = world();
    drop(folder);
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("model.onnx"), b"outside").unwrap();
    symlink(outside.path(), world.path("view/m/7")).unwrap();
    symlink(outside.path(), world.path("view/elsewhere")).unwrap();
    fs::create_dir(world.path("view/m/8")).unwrap();
    let mut folder = world.open();
    world.look(&mut folder);
    assert!(!world.path("view/m/7").exists() && !world.path("view/elsewhere").exists());
    assert!(!world.path("view/m/8").exists());
    assert!(outside.path().join("model.onnx").exists());
}
