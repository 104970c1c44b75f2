#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use base_types::{Candidate, Digest, Gate, GateOverride, Phase, Quarantine, Rollout, Stance, Version};
use tempfile::TempDir;

use super::super::{Action, Journal, JournalError, ROWS_PER_FOLD};
use super::*;

fn id(model: &str, version: u64) -> VersionId {
    VersionId { model: ModelName::new(model).unwrap(), version: Version::new(version).unwrap() }
}

/// Changes of every kind, different for each `n`.
fn changes_of(n: u64) -> Vec<Change> {
    let byte = (n % 250) as u8;
    let (id, digest) = (id(["iris", "rose"][(n % 2) as usize], n % 7 + 1), Digest::new([byte; 32]));
    let model = id.model.clone();
    let candidate =
        (n.is_multiple_of(3)).then_some(Candidate { version: id.version, share: 0.1 + byte as f64 / 1_000.0 });
    let stance = Stance { stable: id.version, candidate, phase: Phase::Canary, meaning: Some(n), since_unix_ms: n };
    let cause = if n.is_multiple_of(4) { "operator" } else { "error_rate" }.to_owned();
    match n % 11 {
        0 => vec![Change::Registered { id, digest }],
        1 => vec![Change::Stance { model, stance }],
        2 => vec![Change::Confirmed { id }],
        3 => vec![Change::Quarantined { digest, quarantine: Quarantine { id, cause, since_unix_ms: n } }],
        4 => vec![Change::Residence { model, version: Some(id.version), residence: Residence::Loaded }],
        5 => vec![Change::Residence { model, version: None, residence: Residence::Unloaded }],
        6 => vec![Change::Released { digest }, Change::Unconfirmed { id }],
        7 => vec![Change::Rollout { model, rollout: Box::new(rollout(n)) }],
        8 => {
            let by = GateOverride { gate: Gate::ALL[0], actor: "me".into(), reason: n.to_string(), since_unix_ms: n };
            vec![Change::GateOverridden { model, digest, by }]
        }
        9 if n.is_multiple_of(5) => vec![Change::Thawed { model }],
        _ => vec![Change::StanceCleared { model }],
    }
}

fn rollout(n: u64) -> Rollout {
    Rollout {
        number: n as u32,
        candidate: Version::new(2).unwrap(),
        digest: Digest::new([2; 32]),
        stable: Version::new(1).unwrap(),
        policy: "p".into(),
        policy_text: "text".into(),
        status: base_types::RolloutStatus::parse("running").unwrap_or(base_types::RolloutStatus::Aborted),
        step: 1,
        share: 0.25,
        shadow_share: 0.0,
        started_unix_ms: 1,
        step_since_unix_ms: 2,
        limit_since_unix_ms: 3,
        status_since_unix_ms: 4,
        retries: 0,
        standstill: None,
        noted: Vec::new(),
        has_told_silence: false,
        next: None,
        actor: "me".into(),
        note: "n".into(),
    }
}

fn entry_of(n: u64) -> Entry {
    Entry { changes: changes_of(n), ..Entry::new(n, "test", Action::Verdict) }
}

#[test]
fn a_fold_comes_back_as_it_was() {
    let mut fold = Fold::default();
    for n in 1..2_000 {
        fold.entry(&entry_of(n));
        fold.head.seq = n;
        if n.is_multiple_of(97) {
            let json = fold.json().unwrap();
            let (_, decisions) = Fold::parse(&json).unwrap();
            // A model whose every confirmation was taken back is one without any.
            let mut expected = fold.decisions.clone();
            expected.confirmed.retain(|_, versions| !versions.is_empty());
            assert_eq!(decisions, expected, "after {n}");
            assert!(fold.agrees(&json));
        }
    }
    let other = Fold { generation_max: 1, ..fold.clone() };
    assert!(!fold.agrees(&other.json().unwrap()));
}

#[test]
fn a_start_reads_the_rows_after_the_fold_alone_and_an_audit_reads_all() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    let entries: Vec<Entry> = (1..=ROWS_PER_FOLD + 50).map(entry_of).collect();
    for part in entries.chunks(500) {
        journal.append_all(part, None).unwrap();
    }
    let mut expected = Fold::default();
    entries.iter().for_each(|entry| expected.entry(entry));
    drop(journal);
    let tamper = |sql: &str| {
        let connection = rusqlite::Connection::open(super::super::journal_path(dir.path())).unwrap();
        connection.execute_batch("DROP TRIGGER IF EXISTS journal_no_update;").unwrap();
        connection.execute_batch(sql).unwrap();
    };
    let start = || Journal::open(dir.path()).map(|(_, recovered)| recovered.decisions);
    let audit = || super::super::History::open(dir.path()).unwrap().audit(None).unwrap();
    let whole = |decisions: Decisions| {
        let mut expected = expected.decisions.clone();
        expected.confirmed.retain(|_, versions| !versions.is_empty());
        assert_eq!(decisions, expected);
    };
    whole(start().unwrap());
    assert!(audit().is_sound());

    // A row before the fold: a start relies on the one that verified it, an audit on nothing.
    tamper("UPDATE journal SET actor = 'him' WHERE seq = 40");
    whole(start().unwrap());
    let found = audit();
    assert_eq!(found.damages[0].seq, Some(40), "{found:?}");
    assert!(!found.is_sound() && found.n_intact_after > ROWS_PER_FOLD);
    tamper("UPDATE journal SET actor = 'test' WHERE seq = 40");
    assert!(audit().is_sound());

    // A fold that is damaged is not used; one that was forged with its sum is found by an audit.
    tamper("CREATE TABLE aside AS SELECT * FROM fold; UPDATE fold SET value = replace(value, 'iris', 'orchid')");
    assert!(audit().damages[0].text.contains("the copy of what the rows fold to"), "{:?}", audit().damages);
    whole(start().unwrap());
    assert!(audit().is_sound(), "the start has read all rows and kept it anew");
    tamper("DELETE FROM fold; INSERT INTO fold SELECT * FROM aside; DROP TABLE aside");
    assert!(audit().is_sound());
    let connection = rusqlite::Connection::open(super::super::journal_path(dir.path())).unwrap();
    let json = Texts::Folds.one(&connection, KEY).unwrap().unwrap().replace("iris", "orchid");
    Texts::Folds.set(&connection, KEY, &json).unwrap();
    assert!(audit().damages[0].text.contains("is not what they fold to"), "{:?}", audit().damages);
    drop(connection);

    // A row after the fold is found at once.
    tamper(&format!("UPDATE journal SET actor = 'him' WHERE seq = {}", ROWS_PER_FOLD + 50));
    assert!(matches!(start(), Err(JournalError::Broken { .. })));
}
