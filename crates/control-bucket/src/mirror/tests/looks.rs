//! What looks bring, keep and take away.

use base_types::ModelName;
use control_registry::Limits;
use control_registry::repository::{ScanOptions, VersionEntry, read_version, scan};
use testkit::onnx::affine4;

use super::*;

fn three(world: &World) {
    world.put("m/1/model.onnx", b"one");
    world.put("m/1/weights.bin", b"weights");
    world.put("m/2/model.onnx", b"two");
    world.put("m/config.pbtxt", b"name: \"m\"");
}

#[test]
fn what_is_new_is_fetched_once() {
    let mut world = World::new();
    three(&world);
    let mut folder = world.open();
    assert_eq!(world.look(&mut folder).len(), 4);
    assert_eq!(world.seen("m/1/weights.bin").unwrap(), b"weights");
    assert_eq!(world.seen("m/config.pbtxt").unwrap(), b"name: \"m\"");
    assert!(world.look(&mut folder).is_empty(), "nothing changed");
    drop(folder);
    let mut folder = world.open();
    assert!(world.look(&mut folder).is_empty(), "nor across a restart");
    for days in 1..=3 {
        world.source.fetched.clear();
        folder.look(&mut world.source, NOW + days * GRACE_MS).unwrap();
        assert!(world.source.fetched.is_empty(), "nor after {days} days");
    }
    world.put("m/3/model.onnx", b"two");
    assert_eq!(world.look(&mut folder), ["m/3/model.onnx"]);
    assert_eq!(world.seen("m/3/model.onnx").unwrap(), b"two");
}

#[test]
fn the_view_is_a_repository_that_the_reader_takes() {
    let mut world = World::new();
    let (model, shared) = (affine4(2.0, 1.0), affine4(3.0, 1.0));
    world.put("m/1/model.onnx", &model);
    world.put("m/2/model.onnx/model.onnx", &shared);
    world.put("m/2/model.onnx/more.bin", b"more");
    // The same file in two versions: the reader refuses external data with a second hard link.
    world.put("n/1/model.onnx", &shared);
    world.put("n/1/more.bin", b"more");
    world.put("m/labels.txt", b"cat\ndog\n");
    world.put("m/warmup/data", b"1234");
    let mut folder = world.open();
    world.look(&mut folder);
    let root = folder.view().root();
    let options = ScanOptions { settle_ms: 0, limits: Limits::default() };
    let found = scan(root, &options, NOW).unwrap();
    assert!(found.refused.is_empty(), "{found:?}");
    let mut n_read = 0;
    for (model, entry) in &found.models {
        for (version, entry) in &entry.versions {
            let VersionEntry::Settled(stamp) = entry else { panic!("{model}/{version}: {entry:?}") };
            read_version(root, model, *version, stamp, &Limits::default()).unwrap();
            n_read += 1;
        }
    }
    assert_eq!(n_read, 3);
    for path in ["m/2/model.onnx/more.bin", "n/1/more.bin", "m/labels.txt", "m/warmup/data"] {
        let found = fs::metadata(root.join(path)).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&found), 1, "{path}");
    }
}

#[test]
fn a_version_is_replaced_as_a_whole() {
    let mut world = World::new();
    three(&world);
    let mut folder = world.open();
    world.look(&mut folder);
    world.put("m/1/model.onnx", b"ONE");
    world.put("m/1/weights.bin", b"WEIGHTS");
    world.source.broken = Some("weights".to_owned());
    let look = folder.look(&mut world.source, NOW).unwrap();
    assert_eq!(look.failed.keys().collect::<Vec<_>>(), ["m/1"]);
    let files = |world: &World| (world.seen("m/1/model.onnx").unwrap(), world.seen("m/1/weights.bin").unwrap());
    assert_eq!(files(&world), (b"one".to_vec(), b"weights".to_vec()), "nothing of the new one yet");
    world.source.broken = None;
    world.source.fetched.clear();
    folder.look(&mut world.source, NOW).unwrap();
    assert_eq!(world.source.fetched, ["m/1/weights.bin"], "what had come already is kept");
    assert_eq!(files(&world), (b"ONE".to_vec(), b"WEIGHTS".to_vec()));
}

#[test]
fn a_store_out_of_reach_takes_nothing_away() {
    let mut world = World::new();
    three(&world);
    let mut folder = world.open();
    world.look(&mut folder);
    world.source.is_down = true;
    assert!(matches!(folder.look(&mut world.source, NOW), Err(SourceError::Store { .. })));
    assert!(world.seen("m/1/model.onnx").is_some());
    drop(folder);
    let folder = world.open();
    assert!(!folder.view().is_empty(), "what is cached serves after a restart");
    assert!(world.seen("m/2/model.onnx").is_some());
}

#[test]
fn several_failures_in_a_row_end_a_look_and_keep_what_came() {
    let mut world = World::new();
    for version in 1..=6 {
        world.put(&format!("m/{version}/model.onnx"), format!("{version}").as_bytes());
    }
    world.source.broken = Some("/model.onnx".to_owned());
    let mut folder = world.open();
    assert!(folder.look(&mut world.source, NOW).is_err());
    assert_eq!(world.source.fetched.len(), FAILURES_MAX);
    world.source.broken = Some("m/6/".to_owned());
    let look = folder.look(&mut world.source, NOW).unwrap();
    assert_eq!((look.failed.len(), folder.view().models().values().next().unwrap().versions.len()), (1, 5));
}

#[test]
fn a_download_that_ends_early_shows_nothing() {
    let mut world = World::new();
    three(&world);
    world.source.cut = Some("m/2".to_owned());
    let mut folder = world.open();
    let look = folder.look(&mut world.source, NOW).unwrap();
    assert_eq!(look.failed.keys().collect::<Vec<_>>(), ["m/2"]);
    assert!(world.seen("m/1/model.onnx").is_some() && world.seen("m/2/model.onnx").is_none());
    world.source.cut = None;
    assert_eq!(world.look(&mut folder), ["m/2/model.onnx"]);
}

#[test]
fn what_is_removed_goes_and_comes_back_without_a_download() {
    let mut world = World::new();
    three(&world);
    let mut folder = world.open();
    world.look(&mut folder);
    world.delete("m/2/model.onnx");
    world.delete("m/config.pbtxt");
    world.look(&mut folder);
    assert!(world.seen("m/2/model.onnx").is_none() && world.seen("m/config.pbtxt").is_none());
    assert!(world.seen("m/1/model.onnx").is_some());
    world.source.hidden = Some("m/1".to_owned());
    world.look(&mut folder);
    assert!(world.seen("m/1/model.onnx").is_none());
    world.source.hidden = None;
    assert!(world.look(&mut folder).is_empty(), "back without a download");
    assert_eq!(world.seen("m/1/weights.bin").unwrap(), b"weights");
    world.source.hidden = Some("m/1".to_owned());
    world.look(&mut folder);
    assert!(!world.path("view/m").exists(), "nothing of the model is left");
    assert_eq!(fs::read_dir(world.path("objects")).unwrap().count(), 4, "kept for a while");
    let day = NOW + GRACE_MS;
    folder.look(&mut world.source, day - 1).unwrap();
    assert_eq!(fs::read_dir(world.path("objects")).unwrap().count(), 4);
    folder.look(&mut world.source, day).unwrap();
    assert_eq!(fs::read_dir(world.path("objects")).unwrap().count(), 0);
}

#[test]
fn an_unchanged_version_that_was_settling_needs_no_second_download() {
    let mut world = World::new();
    three(&world);
    let mut folder = world.open();
    world.look(&mut folder);
    // Renamed in the bucket: other keys, the same content. The tree is known.
    let tree = folder.view().tree(&ModelName::new("m").unwrap(), "2".parse().unwrap()).unwrap().to_owned();
    world.put("other/9/model.onnx", b"two");
    world.look(&mut folder);
    assert_eq!(folder.view().tree(&ModelName::new("other").unwrap(), "9".parse().unwrap()), Some(tree.as_str()));
    assert_eq!(fs::read_dir(world.path("trees")).unwrap().count(), 2, "the same content is the same folder");
}

#[test]
fn the_cache_stays_within_its_bound() {
    let mut world = World::new();
    world.bounds.cache_bytes = 100;
    world.put("m/1/model.onnx", &[1; 40]);
    world.put("m/2/model.onnx", &[2; 40]);
    let mut folder = world.open();
    world.look(&mut folder);
    world.put("m/3/model.onnx", &[3; 40]);
    let look = folder.look(&mut world.source, NOW).unwrap();
    assert!(look.refused["m/3"].contains("bucket.cache_bytes"), "{look:?}");
    assert!(world.seen("m/3/model.onnx").is_none() && world.seen("m/1/model.onnx").is_some());
    world.delete("m/1/model.onnx");
    world.look(&mut folder);
    world.look(&mut folder);
    assert!(world.seen("m/3/model.onnx").is_some(), "there is room now, once what is unused is gone");
    assert!(folder.bytes() <= 100, "{}", folder.bytes());
}

#[test]
fn a_listing_beyond_its_bound_changes_nothing() {
    let mut world = World::new();
    three(&world);
    let mut folder = world.open();
    world.look(&mut folder);
    drop(folder);
    world.bounds.objects = 3;
    let mut folder = world.open();
    assert!(matches!(folder.look(&mut world.source, NOW), Err(SourceError::TooMany(3))));
    world.bounds = Bounds { models: 1, ..BOUNDS };
    world.put("n/1/model.onnx", b"n");
    drop(folder);
    let mut folder = world.open();
    assert!(matches!(folder.look(&mut world.source, NOW), Err(SourceError::TooManyModels(1))));
    assert!(world.seen("m/1/model.onnx").is_some());
}

#[test]
fn links_and_odd_names_of_a_folder_are_refused_by_name() {
    let bucket = TempDir::new().unwrap();
    let at = |path: &str| bucket.path().join(path);
    for folder in ["m/1", "m/2", "m/3/deep"] {
        fs::create_dir_all(at(folder)).unwrap();
    }
    fs::write(at("m/1/model.onnx"), b"one").unwrap();
    fs::write(at("secret"), b"secret").unwrap();
    fs::write(at("m/3/model.onnx"), b"three").unwrap();
    fs::write(at("m/3/deep/x"), b"x").unwrap();
    std::os::unix::fs::symlink(at("secret"), at("m/2/model.onnx")).unwrap();
    std::os::unix::fs::symlink(at("m/1"), at("m/4")).unwrap();
    let (_, stop) = tokio::sync::watch::channel(false);
    let address = crate::Address::Folder(bucket.path().to_owned());
    let mut source = StoreSource::new(address, stop).unwrap();
    let home = TempDir::new().unwrap();
    let mut folder = Folder::open(home.path(), "file", BOUNDS).unwrap();
    let look = folder.look(&mut source, NOW).unwrap();
    let refused: Vec<&str> = look.refused.keys().map(String::as_str).collect();
    assert_eq!(refused, ["m/2/model.onnx", "m/3/deep/x", "m/4/model.onnx"]);
    let shown = &folder.view().models()[&ModelName::new("m").unwrap()].versions;
    assert_eq!(shown.keys().map(|version| version.get()).collect::<Vec<_>>(), [1]);
    // Gone is not empty: nothing is taken away when the folder cannot be seen.
    fs::rename(bucket.path(), bucket.path().with_extension("away")).unwrap();
    assert!(folder.look(&mut source, NOW).is_err());
    assert!(!folder.view().is_empty());
    fs::rename(bucket.path().with_extension("away"), bucket.path()).unwrap();
}

#[test]
fn an_object_that_changes_between_listing_and_fetching_is_not_taken() {
    let bucket = TempDir::new().unwrap();
    let path = bucket.path().join("m/1/model.onnx");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"whole").unwrap();
    let (_, stop) = tokio::sync::watch::channel(false);
    let mut source = StoreSource::new(crate::Address::Folder(bucket.path().to_owned()), stop).unwrap();
    let listing = source.list(10).unwrap();
    fs::write(&path, b"WHOLE").unwrap();
    let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
    fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    let fetched = source.fetch(&listing.objects[0], &mut |_| Ok(()));
    assert!(matches!(fetched, Err(SourceError::Changed(_))), "of the same size: {fetched:?}");
    fs::write(&path, b"who").unwrap();
    let fetched = source.fetch(&listing.objects[0], &mut |_| Ok(()));
    assert!(matches!(fetched, Err(SourceError::Changed(_))), "{fetched:?}");
    fs::remove_file(&path).unwrap();
    let fetched = source.fetch(&listing.objects[0], &mut |_| Ok(()));
    assert!(matches!(fetched, Err(SourceError::Changed(_))), "{fetched:?}");
}
