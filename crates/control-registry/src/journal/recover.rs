//! Reads the journal at start: verifies the chain row by row, from what was folded and kept on, and folds the changes into
//! the decisions.

use std::collections::BTreeMap;
use std::path::Path;

use base_types::Generation;
use rusqlite::{Connection, ErrorCode};

use super::chain::hex;
use super::fold::Fold;
use super::schema::{COLUMNS, Texts, read_row};
use super::{JournalError, Recovered};

/// Verifies and folds; the trials are filled in by the caller.
pub(super) fn recover(connection: &Connection, path: &Path) -> Result<(Fold, Recovered), JournalError> {
    let fold = fold_rows(connection, path)?;
    let state = State::read(connection, path)?;
    // The head is written in the same transaction as the rows, so it shows rows cut off the end.
    let (seq, hash) = (state.number("head_seq"), state.text("head_hash").unwrap_or_default());
    if seq != fold.head.seq || (seq > 0 && hash != hex(&fold.head.hash)) {
        let what = format!("rows after {} are missing", fold.head.seq);
        return Err(JournalError::Broken { path: path.to_owned(), what });
    }
    let recovered = Recovered {
        decisions: fold.decisions.clone(),
        generation_floor: Generation(state.number("generation_floor").max(fold.generation_max)),
        boots: state.number("boots") + 1,
        last_seen_unix_ms: state.text("last_seen_unix_ms").and_then(|text| text.parse().ok()),
        clean_shutdown: state.text("clean_shutdown").is_none_or(|value| value == "1"),
        accepted_routing: state.text("accepted_routing").map(str::to_owned),
        checkpoints: read_checkpoints(connection)?,
        open_trials: Vec::new(),
        pending_quarantines: Vec::new(),
        interrupted_loads: Vec::new(),
    };
    Ok((fold, recovered))
}

/// Says which journal it is when SQLite finds the file damaged.
pub(super) fn name_damage(path: &Path, error: JournalError) -> JournalError {
    match error {
        JournalError::Database(rusqlite::Error::SqliteFailure(failure, text))
            if matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
        {
            let what = text.unwrap_or_else(|| "the file is no database".to_owned());
            JournalError::Broken { path: path.to_owned(), what }
        }
        error => error,
    }
}

/// Begins with what is kept, where that is whole and stands on the row it names: rows before it were read by an earlier
/// start, and are read again by an audit.
fn fold_rows(connection: &Connection, path: &Path) -> Result<Fold, JournalError> {
    let mut fold = Fold::kept(connection)?.unwrap_or_default();
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM journal WHERE seq > ?1 ORDER BY seq"))?;
    let mut rows = statement.query([fold.head.seq as i64])?;
    while let Some(row) = rows.next()? {
        let seq = fold.head.seq + 1;
        // A column of another type than was written is an altered row too.
        let folded = read_row(row).map_err(|error| error.to_string()).and_then(|row| fold.row(row));
        folded.map_err(|what| JournalError::Broken { path: path.to_owned(), what: format!("row {seq} {what}") })?;
    }
    Ok(fold)
}

/// Damaged evidence is dropped: a rollout then starts its statistics anew, which is what it does without any.
fn read_checkpoints(connection: &Connection) -> Result<Vec<(String, String)>, JournalError> {
    let checkpoints = Texts::Checkpoints.read(connection)?.into_iter();
    let intact = checkpoints.filter_map(|(key, json)| {
        if json.is_none() {
            tracing::warn!(key, "a checkpoint is damaged and was dropped");
        }
        json.map(|json| (key, json))
    });
    Ok(intact.collect())
}

/// The state table as it stands.
struct State(BTreeMap<String, String>);

impl State {
    fn read(connection: &Connection, path: &Path) -> Result<Self, JournalError> {
        let texts = Texts::State.read(connection)?.into_iter().map(|(key, value)| {
            let what = format!("the entry {key:?} does not have the sum it was written with");
            value.map(|value| (key, value)).ok_or_else(|| JournalError::Broken { path: path.to_owned(), what })
        });
        texts.collect::<Result<_, _>>().map(Self)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> u64 {
        self.text(key).and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}
