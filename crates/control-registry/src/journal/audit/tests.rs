#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use std::fs;
use std::path::Path;

use base_types::{Change, Digest, Generation, ModelName, Version, VersionId};
use tempfile::TempDir;

use super::super::{Action, Entry, HistoryQuery, Journal, Performance, PerformanceKey, Row, journal_path};
use super::*;

fn id(version: u64) -> VersionId {
    VersionId { model: ModelName::new("iris").unwrap(), version: Version::new(version).unwrap() }
}

fn entry(n: u64) -> Entry {
    let digest = Digest::new([n as u8; 32]);
    Entry {
        model: Some(id(n).model),
        version: Some(id(n).version),
        reason: Some(format!("reason {n}")),
        generation: Some(Generation(n)),
        changes: vec![Change::Registered { id: id(n), digest }],
        ..Entry::new(1_000 * n, "amy", Action::Registered)
    }
}

/// A journal of a few rows and everything that stands beside them; closed, so that its log is empty.
fn told() -> TempDir {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    for n in 1..=8 {
        journal.append(&entry(n)).unwrap();
    }
    journal.checkpoint("trial/iris", "{\"n\":3}").unwrap();
    let key = PerformanceKey { model: id(1).model, version: id(1).version, digest: Digest::new([1; 32]) };
    journal.add_performance(&[(key, Performance { requests: 5, ..Performance::default() })]).unwrap();
    journal.close().unwrap();
    dir
}

fn audit(dir: &TempDir, anchor: Option<&str>) -> Result<Audit, JournalError> {
    History::open(dir.path())?.audit(anchor)
}

fn tamper(dir: &TempDir, sql: &str) {
    let connection = Connection::open(journal_path(dir.path())).unwrap();
    connection.execute_batch("DROP TRIGGER journal_no_update; DROP TRIGGER journal_no_delete;").unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn an_audit_beside_a_writing_gateway_finds_nothing() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    assert!(audit(&dir, None).unwrap().is_sound(), "nothing is recorded yet");
    for n in 1..=20 {
        journal.append(&entry(n)).unwrap();
    }
    let found = audit(&dir, None).unwrap();
    assert!(found.is_sound(), "{found:?}");
    assert_eq!((found.n_rows, found.head), (20, journal.head()));
    assert_eq!(found.head.hex().len(), 64);
    assert!(found.head.hex().starts_with(&format!("{:012x}", found.head.number())));
}

#[test]
fn the_first_wrong_row_is_named_and_what_follows_is_judged_by_itself() {
    for (sql, seq, n_intact) in [
        ("UPDATE journal SET actor = 'me' WHERE seq = 3", Some(3), 5),
        ("UPDATE journal SET hash = zeroblob(32) WHERE seq = 3", Some(3), 4),
        ("DELETE FROM journal WHERE seq = 3", Some(3), 4),
        ("DELETE FROM journal WHERE seq > 6", Some(7), 0),
        ("UPDATE checkpoint SET value = '{}'", None, 0),
        ("UPDATE performance SET value = '{}'", None, 0),
        ("UPDATE state SET value = '9' WHERE key = 'boots'", None, 0),
        ("UPDATE block SET at_max = 1", None, 0),
        ("INSERT INTO block VALUES (77, 1, 1)", None, 0),
    ] {
        let dir = told();
        tamper(&dir, sql);
        let found = audit(&dir, None).unwrap();
        assert!(!found.is_sound(), "{sql}");
        assert_eq!((found.damages[0].seq, found.n_intact_after), (seq, n_intact), "{sql}: {found:?}");
    }
}

/// Someone cuts rows off the end and mends the note of the head: nothing but an anchor shows it.
#[test]
fn a_forged_end_shows_against_the_anchor_alone() {
    let dir = told();
    let whole = audit(&dir, None).unwrap();
    let hash = |seq: u64| {
        let connection = Connection::open(journal_path(dir.path())).unwrap();
        let sql = "SELECT hex(hash) FROM journal WHERE seq = ?1";
        connection.query_row(sql, [seq as i64], |row| row.get::<_, String>(0)).unwrap().to_lowercase()
    };
    assert_eq!(audit(&dir, Some(&whole.head.hex())).unwrap().anchor, AnchorFinding::Found(8));
    assert_eq!(audit(&dir, Some(&hash(5).to_uppercase()[..12])).unwrap().anchor, AnchorFinding::Found(5));
    let sixth = hash(6);
    tamper(&dir, "DELETE FROM journal WHERE seq > 6");
    let connection = Connection::open(journal_path(dir.path())).unwrap();
    Texts::State.set(&connection, "head_seq", "6").unwrap();
    Texts::State.set(&connection, "head_hash", &sixth).unwrap();
    assert!(!audit(&dir, None).unwrap().is_sound(), "the times of the rows are noted as well");
    connection.execute_batch("UPDATE block SET at_max = 6000").unwrap();
    drop(connection);
    assert!(audit(&dir, None).unwrap().is_sound());
    let found = audit(&dir, Some(&whole.head.hex())).unwrap();
    assert_eq!((found.anchor, found.is_sound()), (AnchorFinding::Missing, false));
}

/// What can be read out of a journal: rows as they stand, by number and by every index, and the sums of versions.
type Read = (Vec<Row>, Vec<Row>, Vec<Row>, Vec<(PerformanceKey, Performance)>, usize);

fn read(dir: &Path) -> Result<Read, JournalError> {
    let history = History::open(dir)?;
    let all = HistoryQuery::default();
    let version = HistoryQuery { model: Some(id(3).model), version: Some(id(3).version), ..all.clone() };
    let action = HistoryQuery { action: Some(Action::Registered), until_unix_ms: Some(5_000), ..all.clone() };
    let performance = history.performance(&id(1).model, None)?;
    let moment = history.at(4_000, None)?;
    Ok((history.query(&all)?, history.query(&version)?, history.query(&action)?, performance, moment.models.len()))
}

/// Every byte of a small journal, flipped in one bit: the audit finds it, or the file reads as before because nobody reads
/// that byte.
#[test]
fn a_flipped_bit_is_found_or_changes_nothing() {
    let dir = told();
    let path = journal_path(dir.path());
    let whole = fs::read(&path).unwrap();
    let expected = read(dir.path()).unwrap();
    let copy = TempDir::new().unwrap();
    let flipped_path = journal_path(copy.path());
    let (mut n_found, mut n_idle, mut n_refused) = (0, 0, 0);
    // All bytes take a minute; a prime stride touches every part of every page. SWITCHRAIL_LONG=1 takes them all.
    let stride = if std::env::var_os("SWITCHRAIL_LONG").is_some() { 1 } else { 61 };
    for at in (0..whole.len()).step_by(stride) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&flipped_path, &flipped).unwrap();
        match audit(&copy, None) {
            Err(_) => n_refused += 1,
            Ok(found) if !found.is_sound() => n_found += 1,
            Ok(_) => {
                n_idle += 1;
                assert_eq!(read(copy.path()).unwrap(), expected, "the flip at {at} went unnoticed");
            }
        }
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(format!("{}{suffix}", flipped_path.display())).unwrap_or_default();
        }
    }
    assert!(n_found > 50, "{n_found} found, {n_idle} idle, {n_refused} refused");
}

/// Cut anywhere, the file is found to be short, or nothing was in what is missing.
#[test]
fn a_cut_file_is_found() {
    let dir = told();
    let whole = fs::read(journal_path(dir.path())).unwrap();
    let copy = TempDir::new().unwrap();
    for length in (1..whole.len()).step_by(1_021).chain([whole.len() - 1, whole.len() - 4_096]) {
        fs::write(journal_path(copy.path()), &whole[..length]).unwrap();
        let found = audit(&copy, None);
        if found.is_ok_and(|found| found.is_sound()) {
            assert_eq!(read(copy.path()).unwrap(), read(dir.path()).unwrap(), "cut to {length}");
        }
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(format!("{}{suffix}", journal_path(copy.path()).display())).unwrap_or_default();
        }
    }
}
