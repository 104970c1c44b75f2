#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;

use base_types::{Candidate, Change, ModelName, Phase, Quarantine, Residence, Stance, Version, VersionId};
use tempfile::TempDir;

use super::*;

mod faults;

fn open(dir: &TempDir) -> (Journal, Recovered) {
    Journal::open(dir.path()).unwrap()
}

fn id(model: &str, version: u64) -> VersionId {
    VersionId { model: ModelName::new(model).unwrap(), version: Version::new(version).unwrap() }
}

fn digest(byte: u8) -> Digest {
    Digest::new([byte; 32])
}

fn entry(action: Action, changes: Vec<Change>) -> Entry {
    Entry { changes, ..Entry::new(1_000, "test", action) }
}

fn residence(model: &str, version: Option<u64>, residence: Residence) -> Change {
    let model = ModelName::new(model).unwrap();
    Change::Residence { model, version: version.and_then(Version::new), residence }
}

/// A life with every kind of change in it; the entries in order.
fn story() -> Vec<Entry> {
    let stance = |candidate, phase, meaning| Change::Stance {
        model: id("iris", 1).model,
        stance: Stance { stable: id("iris", 1).version, candidate, phase, meaning, since_unix_ms: 7 },
    };
    let candidate = Some(Candidate { version: id("iris", 2).version, share: 0.1 + 0.2 });
    let quarantine = Quarantine { id: id("iris", 2), cause: "error \"rate\"\n".to_owned(), since_unix_ms: 9 };
    let rolled_back = Entry {
        at_unix_ms: 5_000,
        actor: "judge".to_owned(),
        model: Some(id("iris", 2).model),
        version: Some(id("iris", 2).version),
        digest: Some(digest(2)),
        generation: Some(Generation(41)),
        before: Some("1: 70 %, 2: 30 %".to_owned()),
        after: Some("1: 100 %".to_owned()),
        reason: Some("T1".to_owned()),
        evidence_json: Some("{\"n\":3}".to_owned()),
        ..entry(
            Action::RolledBack,
            vec![
                Change::Quarantined { digest: digest(2), quarantine: quarantine.clone() },
                stance(None, Phase::Settled, Some(u64::MAX)),
            ],
        )
    };
    vec![
        entry(Action::Registered, vec![Change::Registered { id: id("iris", 1), digest: digest(1) }]),
        entry(Action::Registered, vec![Change::Registered { id: id("iris", 2), digest: digest(2) }]),
        entry(Action::StableChosen, vec![stance(None, Phase::Settled, None), Change::Confirmed { id: id("iris", 1) }]),
        entry(Action::CanaryStarted, vec![stance(candidate, Phase::Canary, Some(3))]),
        rolled_back,
        entry(Action::RolledBack, vec![Change::Quarantined { digest: digest(3), quarantine }]),
        entry(Action::Released, vec![Change::Released { digest: digest(3) }]),
        entry(Action::StanceSuperseded, vec![Change::StanceCleared { model: id("rose", 1).model }]),
        entry(Action::UnloadOrdered, vec![residence("iris", Some(1), Residence::Unloaded)]),
        entry(Action::UnloadOrdered, vec![residence("rose", None, Residence::Unloaded)]),
        entry(Action::LoadOrdered, vec![residence("rose", Some(2), Residence::Loaded)]),
    ]
}

fn fold(entries: &[Entry]) -> Decisions {
    let mut decisions = Decisions::default();
    entries.iter().flat_map(|entry| &entry.changes).for_each(|change| decisions.apply(change));
    decisions
}

#[test]
fn a_fresh_state_directory_is_empty_and_clean() {
    let dir = TempDir::new().unwrap();
    let nested = dir.path().join("a/b");
    let (journal, recovered) = Journal::open(&nested).unwrap();
    let expected = Recovered {
        decisions: Decisions::default(),
        generation_floor: Generation(0),
        boots: 1,
        last_seen_unix_ms: None,
        clean_shutdown: true,
        accepted_routing: None,
        checkpoints: Vec::new(),
        open_trials: Vec::new(),
        pending_quarantines: Vec::new(),
        interrupted_loads: Vec::new(),
    };
    assert_eq!(recovered, expected);
    assert_eq!(journal.head, Head::default());
}

#[test]
fn every_entry_comes_back_as_it_was() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    let story = story();
    for (index, entry) in story.iter().enumerate() {
        assert_eq!(journal.append(entry).unwrap(), index as u64 + 1);
    }
    let rows = journal.history(&HistoryQuery::default()).unwrap();
    let entries: Vec<Entry> = rows.iter().rev().map(|row| row.entry.clone()).collect();
    assert_eq!(entries, story);
    assert_eq!(rows[0].seq, story.len() as u64);
}

#[test]
fn reopening_folds_the_same_decisions() {
    let dir = TempDir::new().unwrap();
    let story = story();
    let (mut journal, _) = open(&dir);
    journal.append_all(&story[..3], None).unwrap();
    journal.append_all(&[entry(Action::ConfigAccepted, Vec::new())], Some("[models]")).unwrap();
    // Dropping without closing is what kill -9 leaves.
    drop(journal);
    let (mut journal, recovered) = open(&dir);
    assert_eq!(recovered.decisions, fold(&story[..3]));
    assert_eq!((recovered.boots, recovered.clean_shutdown), (2, false));
    assert_eq!(recovered.accepted_routing.as_deref(), Some("[models]"));
    journal.append_all(&story[3..], None).unwrap();
    let head = journal.head;
    journal.close().unwrap();
    let (journal, recovered) = open(&dir);
    assert_eq!(recovered.decisions, fold(&story));
    assert_eq!((recovered.boots, recovered.clean_shutdown), (3, true));
    assert_eq!(journal.head, head);
    assert!(recovered.decisions.is_quarantined(&id("iris", 2)));
    drop(journal);
    assert!(!open(&dir).1.clean_shutdown, "the mark of an orderly end holds for one start");
}

#[test]
fn actions_have_words_of_their_own() {
    let words: std::collections::BTreeSet<_> = Action::ALL.iter().map(|action| action.as_str()).collect();
    assert_eq!(words.len(), Action::ALL.len());
    for action in Action::ALL {
        assert_eq!(Action::parse(action.as_str()), Some(*action));
    }
}

#[test]
fn one_process_per_state_directory() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    let error = Journal::open(dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()));
    assert!(!error.is_storage());
    drop(journal);
    open(&dir);
}

#[test]
fn generations_never_repeat() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.reserve_generations(Generation(64)).unwrap();
    journal.reserve_generations(Generation(32)).unwrap();
    drop(journal);
    let (mut journal, recovered) = open(&dir);
    assert_eq!(recovered.generation_floor, Generation(64));
    // A row may carry a generation beyond the reservation: then the row counts.
    journal.append(&Entry { generation: Some(Generation(90)), ..entry(Action::Promoted, Vec::new()) }).unwrap();
    drop(journal);
    assert_eq!(open(&dir).1.generation_floor, Generation(90));
}

#[test]
fn checkpoints_are_overwritten_and_survive() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    for n in 0..600 {
        journal.checkpoint("iris", &n.to_string()).unwrap();
    }
    journal.checkpoint("rose", "{}").unwrap();
    journal.checkpoint("gone", "{}").unwrap();
    journal.remove_checkpoint("gone").unwrap();
    drop(journal);
    let expected = [("iris", "599"), ("rose", "{}")].map(|(key, json)| (key.to_owned(), json.to_owned()));
    assert_eq!(open(&dir).1.checkpoints, expected);
    let sizes = fs::metadata(dir.path().join("journal.sqlite3-wal")).map_or(0, |meta| meta.len());
    assert!(sizes < 8 << 20, "the log is copied from time to time, but has {sizes} bytes");
}

#[test]
fn after_lazy_checkpoints_rows_are_synced_again() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    journal.checkpoint("iris", "{}").unwrap();
    let level: i64 = journal.connection.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
    assert_eq!(level, 2, "FULL");
}

#[test]
fn trials_that_were_rolled_back_are_pending() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    let trials = journal.trials();
    for byte in 1..=4 {
        trials.begin(&digest(byte)).unwrap();
        trials.begin(&digest(byte)).unwrap();
    }
    trials.roll_back(&digest(2)).unwrap();
    trials.roll_back(&digest(2)).unwrap();
    // A late regression of a version that was no longer on trial.
    trials.roll_back(&digest(5)).unwrap();
    trials.roll_back(&digest(3)).unwrap();
    trials.finish(&digest(3)).unwrap();
    trials.finish(&digest(4)).unwrap();
    trials.finish(&digest(4)).unwrap();
    fs::write(dir.path().join("trials/stray"), "").unwrap();
    let size = fs::metadata(dir.path().join(format!("trials/{}.rolled_back", digest(2)))).unwrap().len();
    assert_eq!(size, 0);
    drop(journal);
    let (_journal, recovered) = open(&dir);
    assert_eq!(recovered.open_trials, [digest(1)]);
    assert_eq!(recovered.pending_quarantines, [digest(2), digest(5)]);
}

#[test]
fn history_is_filtered_and_bounded() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    let entries: Vec<Entry> = (0..1_200)
        .map(|n| Entry {
            at_unix_ms: n * 10,
            model: Some(id(if n % 2 == 0 { "even" } else { "odd" }, 1).model),
            ..entry(Action::Loaded, Vec::new())
        })
        .collect();
    journal.append_all(&entries, None).unwrap();
    let seqs = |query: HistoryQuery| {
        let rows = History::open(dir.path()).unwrap().query(&query).unwrap();
        assert_eq!(rows, journal.history(&query).unwrap());
        rows.iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(HistoryQuery::default()).len(), HISTORY_ROWS_MAX);
    assert_eq!(seqs(HistoryQuery { limit: Some(5_000), ..Default::default() }).len(), HISTORY_ROWS_MAX);
    assert_eq!(seqs(HistoryQuery { limit: Some(2), ..Default::default() }), [1_200, 1_199]);
    assert_eq!(seqs(HistoryQuery { since_unix_ms: Some(11_980), ..Default::default() }), [1_200, 1_199]);
    let odd = HistoryQuery { model: Some(id("odd", 1).model), before_seq: Some(6), ..Default::default() };
    assert_eq!(seqs(odd), [4, 2]);
}

#[test]
fn entries_are_bounded() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = open(&dir);
    let large = Entry { reason: Some("x".repeat(1 << 20)), ..entry(Action::Loaded, Vec::new()) };
    assert!(matches!(journal.append(&large), Err(JournalError::TooLarge { .. })));
    let far = Entry { generation: Some(Generation(u64::MAX)), ..entry(Action::Loaded, Vec::new()) };
    assert!(matches!(journal.append(&far), Err(JournalError::TooLarge { .. })));
    assert!(matches!(journal.checkpoint("k", &"x".repeat(CHECKPOINT_BYTES_MAX)), Err(JournalError::TooLarge { .. })));
    assert_eq!(journal.append(&entry(Action::Loaded, Vec::new())).unwrap(), 1);
}

#[test]
fn the_journal_moves_to_a_thread_of_its_own() {
    fn check<T: Send + 'static>() {}
    check::<Journal>();
    fn check_shared<T: Send + Sync + Clone + 'static>() {}
    check_shared::<Trials>();
}
