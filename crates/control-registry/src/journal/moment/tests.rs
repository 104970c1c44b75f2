#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use base_types::Generation;
use tempfile::TempDir;

use super::super::{ArmTable, Entry, Journal};
use super::*;

fn name(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

fn table(version: u64) -> Table {
    let arms = vec![ArmTable { name: "a".to_owned(), version, share: 1.0, is_redirected: false }];
    Table { stable: Some(version), arms, ..Table::default() }
}

fn published(at: u64, model: &str, generation: u64, table: Option<Table>) -> Entry {
    Entry {
        model: Some(name(model)),
        generation: Some(Generation(generation)),
        evidence_json: Some(Table::evidence(table)),
        ..Entry::new(at, "gateway", Action::Published)
    }
}

fn decided(at: u64, model: Option<&str>, generation: u64, action: Action) -> Entry {
    let (model, generation) = (model.map(name), Some(Generation(generation)));
    Entry { model, generation, ..Entry::new(at, "amy", action) }
}

fn plain(at: u64, action: Action) -> Entry {
    Entry::new(at, "gateway", action)
}

/// A life that ends in order, one that is killed, and one that goes on.
fn story() -> Vec<Entry> {
    let seen = Some("{\"last_seen_unix_ms\":2500}".to_owned());
    vec![
        plain(1_000, Action::Started),
        published(1_010, "m", 5, Some(table(1))),
        decided(1_100, Some("m"), 7, Action::Promoted),
        // Threads publish at the same time: the later table was written first.
        published(1_101, "m", 8, Some(table(3))),
        published(1_100, "m", 7, Some(table(2))),
        published(1_200, "n", 9, Some(table(4))),
        published(1_300, "n", 10, None),
        plain(1_400, Action::Stopped),
        plain(2_000, Action::Started),
        published(2_010, "m", 20, Some(table(3))),
        Entry { evidence_json: seen, ..plain(3_000, Action::Started) },
        decided(3_010, None, 30, Action::ConfigAccepted),
        published(3_010, "m", 30, Some(table(1))),
        published(3_020, "n", 31, Some(table(4))),
        decided(3_030, Some("n"), 99, Action::Verdict),
    ]
}

fn told() -> (TempDir, History) {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    journal.append_all(&story(), None).unwrap();
    let history = History::open(dir.path()).unwrap();
    (dir, history)
}

fn stables(moment: &Moment) -> Vec<(&str, u64)> {
    moment.models.iter().map(|served| (served.model.as_str(), served.table.stable.unwrap())).collect()
}

#[test]
fn what_served_is_the_last_table_of_the_life_that_was_under_way() {
    let (_dir, history) = told();
    for (at, expected) in [
        (1_005, vec![]),
        (1_050, vec![("m", 1)]),
        (1_100, vec![("m", 2)]),
        (1_150, vec![("m", 3)]),
        (1_250, vec![("m", 3), ("n", 4)]),
        (1_350, vec![("m", 3)]),
        (1_500, vec![]),
        (2_005, vec![]),
        (2_100, vec![("m", 3)]),
        (3_005, vec![]),
        (3_015, vec![("m", 1)]),
        (9_999, vec![("m", 1), ("n", 4)]),
    ] {
        assert_eq!(stables(&history.at(at, None).unwrap()), expected, "at {at}");
    }
    assert_eq!(stables(&history.at(9_999, Some(&name("n"))).unwrap()), [("n", 4)]);
}

#[test]
fn the_times_the_gateway_did_not_run_are_known() {
    let (_dir, history) = told();
    let standing = |at| history.at(at, None).unwrap().standing;
    assert_eq!(standing(900), Standing::Unborn);
    assert_eq!(standing(1_399), Standing::Up { since_unix_ms: 1_000 });
    assert_eq!(standing(1_400), Standing::Down { since_unix_ms: 1_400 });
    assert_eq!(standing(1_999), Standing::Down { since_unix_ms: 1_400 });
    assert_eq!(standing(2_500), Standing::Up { since_unix_ms: 2_000 });
    assert_eq!(standing(2_501), Standing::Unknown { seen_unix_ms: 2_500, started_unix_ms: 3_000 });
    assert_eq!(standing(9_999), Standing::Up { since_unix_ms: 3_000 });
}

#[test]
fn who_decided_is_whoever_has_the_generation_or_came_last() {
    let (_dir, history) = told();
    let decided = |at, model: &str| {
        let moment = history.at(at, Some(&name(model))).unwrap();
        moment.models.first().and_then(|served| served.decided.clone()).map(|row| row.entry.action)
    };
    assert_eq!(decided(1_050, "m"), None);
    assert_eq!(decided(1_100, "m"), Some(Action::Promoted));
    assert_eq!(decided(1_150, "m"), Some(Action::Promoted), "the last one before");
    assert_eq!(decided(3_015, "m"), Some(Action::ConfigAccepted), "by its generation, although it names no model");
    assert_eq!(decided(9_999, "n"), None, "a verdict moves nothing");
}

/// The clock was set back by an hour: times of rows go down, and every row is found by its own time all the same.
#[test]
fn a_clock_that_was_set_back_hides_no_row() {
    let dir = TempDir::new().unwrap();
    let (mut journal, _) = Journal::open(dir.path()).unwrap();
    let at = |n: u64| if n < 1_500 { 5_000_000 + n } else { 1_400_000 + n };
    let entries: Vec<Entry> = (0..3_000).map(|n| plain(at(n), Action::Verdict)).collect();
    journal.append_all(&entries, None).unwrap();
    for since in [0, 1_401_000, 1_402_000, 5_000_000, 5_001_499, 5_001_500] {
        for until in [1_401_500, 1_402_999, 5_000_010, 9_000_000] {
            let (since_unix_ms, until_unix_ms) = (Some(since), Some(until));
            let query = super::super::HistoryQuery { since_unix_ms, until_unix_ms, ..Default::default() };
            let found: Vec<u64> = journal.history(&query).unwrap().iter().map(|row| row.seq).collect();
            let is_meant = |n: &u64| (since..=until).contains(&at(*n));
            let expected: Vec<u64> = (0..3_000).rev().filter(is_meant).map(|n| n + 1).take(1_000).collect();
            assert_eq!(found, expected, "{since}..={until}");
        }
    }
}

#[test]
fn queries_join_their_conditions_and_leave_tables_out() {
    let (_dir, history) = told();
    let seqs = |query: super::super::HistoryQuery| {
        history.query(&query).unwrap().iter().map(|row| row.seq).collect::<Vec<_>>()
    };
    let all = super::super::HistoryQuery::default();
    assert_eq!(seqs(all.clone()), [15, 12, 11, 9, 8, 3, 1]);
    let tables = super::super::HistoryQuery { action: Some(Action::Published), ..all.clone() };
    assert_eq!(seqs(super::super::HistoryQuery { model: Some(name("n")), ..tables.clone() }), [14, 7, 6]);
    assert_eq!(seqs(super::super::HistoryQuery { until_unix_ms: Some(1_101), ..tables.clone() }), [5, 4, 2]);
    assert_eq!(seqs(super::super::HistoryQuery { since_unix_ms: Some(3_011), ..tables }), [14]);
    assert_eq!(seqs(super::super::HistoryQuery { version: Version::new(9), ..all }), [] as [u64; 0]);
}
