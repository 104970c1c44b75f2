#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;

use base_types::ModelName;
use control_registry::repository::{ScanOptions, scan};
use serde_json::json;

use super::*;

const VERSION: u64 = 3;

fn digest(n: u8) -> Digest {
    Digest::new([n; 32])
}

/// The record of version 3 with this content.
fn pushed(content: u8) -> Arc<Pushed> {
    let record = json!({
        "format": 1, "model": "m", "version": VERSION, "digest": digest(content).to_string(), "files": [],
        "signature": { "inputs": [], "outputs": [] },
        "onnx": { "producer": "", "producer_version": "", "ir": 9, "opsets": [], "metadata": {} },
        "lineage": {}, "pushed_at_unix_ms": 1, "pushed_by": "test", "tool": "test",
    });
    Arc::new(Pushed { record: serde_json::from_value(record).unwrap(), config: None })
}

/// What a scan says of a version folder with a file of so many bytes.
fn folder(n_bytes: usize) -> VersionEntry {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("m/3")).unwrap();
    fs::write(root.path().join("m/3/model.onnx"), vec![0; n_bytes]).unwrap();
    let options = ScanOptions { settle_ms: 0, ..ScanOptions::default() };
    let mut found = scan(root.path(), &options, 0).unwrap();
    let model = found.models.get_mut(&ModelName::new("m").unwrap()).unwrap();
    model.versions.remove(&Version::new(VERSION).unwrap()).unwrap()
}

fn stamp(folder: &VersionEntry) -> Stamp {
    let VersionEntry::Settled(stamp) = folder else { unreachable!("{folder:?}") };
    stamp.clone()
}

fn see(folder: Option<&VersionEntry>, record: Option<&Arc<Pushed>>, known: Known) -> Sighting {
    let record = record.map(|pushed| Ok(pushed.clone()));
    sight(Version::new(VERSION).unwrap(), folder, record.as_ref(), &known)
}

fn of(content: u8) -> Known {
    Known { digest: Some(digest(content)), other_folder: None }
}

#[test]
fn what_one_place_holds_is_taken_from_there() {
    let (folder, record) = (folder(1), pushed(1));
    assert_eq!(see(Some(&folder), None, Known::default()).seen, Seen::At(Source::Folder(stamp(&folder))));
    assert_eq!(see(None, Some(&record), Known::default()).seen, Seen::At(Source::Store(record.clone())));
    assert_eq!(see(None, Some(&record), of(1)).seen, Seen::At(Source::Store(record)));
}

#[test]
fn the_folder_serves_where_both_hold_a_number_and_the_conflict_is_told() {
    let (folder, same, other) = (folder(1), pushed(1), pushed(2));
    let at_folder = Seen::At(Source::Folder(stamp(&folder)));
    let sighting = see(Some(&folder), Some(&same), of(1));
    assert_eq!((sighting.seen, sighting.conflict, sighting.pushed), (at_folder.clone(), None, Some(same)));
    let sighting = see(Some(&folder), Some(&other), of(1));
    assert_eq!((sighting.seen, sighting.pushed), (at_folder, None));
    let text = sighting.conflict.unwrap();
    assert!(text.contains(&digest(2).short().to_string()) && text.contains("free number"), "{text}");
    // Nobody knows yet what the folder holds: it is looked at first.
    assert!(matches!(see(Some(&VersionEntry::Settling), Some(&other), Known::default()).seen, Seen::Settling));
}

#[test]
fn a_number_never_gets_the_stores_content_after_the_folders() {
    let sighting = see(None, Some(&pushed(2)), of(1));
    let Seen::Refused(refusal) = sighting.seen else { unreachable!("{sighting:?}") };
    assert_eq!(refusal.code, RefusalCode::ContentConflict);
}

#[test]
fn the_store_stands_in_for_a_folder_that_came_to_hold_something_else() {
    let (folder, record) = (folder(1), pushed(1));
    let known = Known { other_folder: Some(stamp(&folder)), ..of(1) };
    assert_eq!(see(Some(&folder), Some(&record), known.clone()).seen, Seen::At(Source::Store(record.clone())));
    // It was touched again: it may be right now.
    let touched = self::folder(2);
    assert_eq!(see(Some(&touched), Some(&record), known).seen, Seen::At(Source::Folder(stamp(&touched))));
    let broken = VersionEntry::Refused(Refusal::new(RefusalCode::NoModelFile, "nothing in it"));
    assert_eq!(see(Some(&broken), Some(&record), of(1)).seen, Seen::At(Source::Store(record.clone())));
    assert!(matches!(see(Some(&broken), Some(&record), Known::default()).seen, Seen::Refused(_)));
}
