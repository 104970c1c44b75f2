//! Questions to a journal of a million rows, and a start on it: the first are to take under 50 ms, the second under 2 s.

use std::path::Path;
use std::time::{Duration, Instant};

use base_types::{Change, Digest, Generation, ModelName, Version, VersionId};
use control_registry::journal::{Action, ArmTable, Entry, History, HistoryQuery, Journal, JournalError, Table};
use serde_json::json;

use crate::report::Report;
use crate::{BenchError, Settings};

/// Models in the journal, and versions of each.
const N_MODELS: u64 = 50;
const N_VERSIONS: u64 = 20;
/// Rows written at once: as many as fit would be no journal's life, one by one would take all day.
const ROWS_AT_ONCE: u64 = 1_000;
/// Milliseconds between two rows: a million of them are a month.
const ROW_EVERY_MS: u64 = 2_600;
const BEGAN_UNIX_MS: u64 = 1_700_000_000_000;
/// Questions of each kind.
const N_QUESTIONS: u64 = 40;

/// Measures questions to a long journal.
pub fn history(settings: &Settings) -> Result<(), BenchError> {
    let n_rows = settings.pick(1_000_000, 100_000);
    let mut report =
        Report::new(settings, "history", &format!("a journal of {n_rows} rows: questions to it and a start on it"))?;
    let folder = tempfile::tempdir().map_err(crate::error::io_at("make a folder"))?;
    measure(&mut report, folder.path(), n_rows)
        .map_err(|error| BenchError::InProcess(format!("the journal: {error}")))?
}

/// The outer error is the journal's, the inner one the report's.
fn measure(report: &mut Report, folder: &Path, n_rows: u64) -> Result<Result<(), BenchError>, JournalError> {
    let (mut journal, _) = Journal::open(folder)?;
    let mut at = 0;
    while at < n_rows {
        let rows: Vec<Entry> = (at..(at + ROWS_AT_ONCE).min(n_rows)).map(row).collect();
        journal.append_all(&rows, None)?;
        at += rows.len() as u64;
        if at % 100_000 == 0 {
            report.progress(&format!("{at} of {n_rows} rows written"));
        }
    }
    journal.close()?;
    let (began, opened) = (Instant::now(), Journal::open(folder)?);
    let start = began.elapsed();
    drop(opened);
    let mut rows = vec![vec!["a start".to_owned(), milliseconds(start), milliseconds(start)]];
    let mut found = vec![json!({ "what": "start", "worst_ms": start.as_secs_f64() * 1e3 })];
    for (what, question) in questions(n_rows) {
        let mut took = Vec::new();
        for n in 0..N_QUESTIONS {
            // A reader of its own each time, as the command line has.
            let began = Instant::now();
            question(&History::open(folder)?, n)?;
            took.push(began.elapsed());
        }
        took.sort();
        let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
        rows.push(vec![what.to_owned(), milliseconds(median), milliseconds(worst)]);
        found.push(
            json!({ "what": what, "median_ms": median.as_secs_f64() * 1e3, "worst_ms": worst.as_secs_f64() * 1e3 }),
        );
    }
    let (began, audit) = (Instant::now(), History::open(folder)?.audit(None)?);
    let took = began.elapsed();
    rows.push(vec!["audit verify".to_owned(), milliseconds(took), milliseconds(took)]);
    found.push(json!({ "what": "audit", "worst_ms": took.as_secs_f64() * 1e3 }));
    report.table(&["", "median ms", "worst ms"], &rows);
    if !audit.is_sound() {
        return Ok(Err(BenchError::Incorrect(format!("the journal does not verify: {:?}", audit.damages))));
    }
    Ok(report.line("history", json!({ "rows": n_rows, "took": found })))
}

type Question = Box<dyn Fn(&History, u64) -> Result<(), JournalError>>;

/// What operators ask, and the questions that are hardest to answer: few rows far back.
fn questions(n_rows: u64) -> Vec<(&'static str, Question)> {
    let asked = |make: fn(u64, u64) -> HistoryQuery| -> Question {
        Box::new(move |history, n| history.query(&HistoryQuery { limit: Some(100), ..make(n, n_rows) }).map(drop))
    };
    let anywhere = move |n: u64| moment(n_rows / N_QUESTIONS * n);
    vec![
        ("the newest", asked(|_, _| HistoryQuery::default())),
        ("of a model", asked(|n, _| HistoryQuery { model: name(n), ..HistoryQuery::default() })),
        (
            "of a version",
            asked(|n, _| HistoryQuery {
                model: name(n),
                version: Version::new(n % N_VERSIONS + 1),
                ..HistoryQuery::default()
            }),
        ),
        ("a rare action", asked(|_, _| HistoryQuery { action: Some(Action::Released), ..HistoryQuery::default() })),
        (
            "a rare action of a model",
            asked(|n, _| HistoryQuery { model: name(n), action: Some(Action::Released), ..HistoryQuery::default() }),
        ),
        (
            "ten minutes long ago",
            asked(|n, n_rows| {
                let since = moment(n_rows / N_QUESTIONS * n);
                HistoryQuery {
                    since_unix_ms: Some(since),
                    until_unix_ms: Some(since + 600_000),
                    ..HistoryQuery::default()
                }
            }),
        ),
        ("what served, all models", Box::new(move |history, n| history.at(anywhere(n), None).map(drop))),
        ("what served, one model", Box::new(move |history, n| history.at(anywhere(n), name(n).as_ref()).map(drop))),
    ]
}

fn moment(n: u64) -> u64 {
    BEGAN_UNIX_MS + n * ROW_EVERY_MS
}

fn name(n: u64) -> Option<ModelName> {
    ModelName::new(&format!("model-{}", n % N_MODELS)).ok()
}

/// Row `n` of a busy life: a start, then decisions and the tables they bring into force.
fn row(n: u64) -> Entry {
    let at = moment(n);
    if n == 0 {
        return Entry::new(at, "gateway", Action::Started);
    }
    let number = n / N_MODELS % N_VERSIONS + 1;
    let (model, version, generation) = (name(n), Version::new(number), Some(Generation(n)));
    let digest = Digest::new([number as u8; 32]);
    let action = match n / N_MODELS % 7 {
        0 => Action::Loaded,
        1 | 4 | 6 => Action::Published,
        2 => Action::CanaryStarted,
        3 => Action::Promoted,
        _ if n % 20_011 < N_MODELS => Action::Released,
        _ => Action::RolledBack,
    };
    let arm = ArmTable { name: number.to_string(), version: number, share: 1.0, is_redirected: false };
    let table = Table { stable: Some(number), arms: vec![arm], ..Table::default() };
    let id = model.clone().zip(version).map(|(model, version)| VersionId { model, version });
    let changes = id.filter(|_| action == Action::Loaded).map(|id| Change::Registered { id, digest });
    Entry {
        model,
        version,
        digest: Some(digest),
        generation,
        before: Some(format!("{}: 100 %", n % N_VERSIONS + 1)),
        after: Some(format!("{number}: 100 %")),
        reason: (action != Action::Published).then(|| format!("order {n} of a long life")),
        evidence_json: (action == Action::Published).then(|| Table::evidence(Some(table))),
        changes: changes.into_iter().collect(),
        ..Entry::new(at, "bench", action)
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.2}", took.as_secs_f64() * 1e3)
}
