//! Reads back what was decided, newest first.

use std::path::Path;

use base_types::{ModelName, Version};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::entry::{Action, Row};
use super::schema::{COLUMNS, StoredRow, open_read_only, read_row};
use super::{JournalError, blocks, codec, journal_path};

/// Most rows one query gives.
pub const HISTORY_ROWS_MAX: usize = 1_000;

/// Which rows to give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryQuery {
    /// Only those of this model.
    pub model: Option<ModelName>,
    /// Only those of this version; of every model, where none is given.
    pub version: Option<Version>,
    /// Only this action. Without one everything but [`Action::Published`], which repeats in numbers what the other rows
    /// say in words.
    pub action: Option<Action>,
    /// Only those written at this time or later, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// Only those written at this time or earlier, in milliseconds since 1970.
    pub until_unix_ms: Option<u64>,
    /// Only those before this row, to page on.
    pub before_seq: Option<u64>,
    /// At most so many; [`HISTORY_ROWS_MAX`] at most, and when not given.
    pub limit: Option<usize>,
}

/// A reader beside the gateway that writes: for the command line, and for what would keep the writer waiting.
#[derive(Debug)]
pub struct History {
    pub(super) connection: Connection,
}

impl History {
    /// Opens the journal of a state directory for reading. Does not verify the chain: that is what [`Self::audit`] does.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        Ok(Self { connection: open_read_only(&journal_path(state_dir))? })
    }

    /// Rows that match, newest first.
    pub fn query(&self, wanted: &HistoryQuery) -> Result<Vec<Row>, JournalError> {
        query(&self.connection, wanted)
    }
}

/// Conditions of a statement, and what stands for their question marks.
#[derive(Default)]
struct Conditions {
    texts: Vec<&'static str>,
    values: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, text: &'static str, value: impl Into<Value>) {
        self.texts.push(text);
        self.values.push(value.into());
    }

    /// A condition only where there is something to ask for: what is not asked must not hide an index.
    fn add_some<T: Into<Value>>(&mut self, text: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.add(text, value);
        }
    }
}

pub(super) fn query(connection: &Connection, wanted: &HistoryQuery) -> Result<Vec<Row>, JournalError> {
    let limit = wanted.limit.unwrap_or(HISTORY_ROWS_MAX).min(HISTORY_ROWS_MAX);
    let (since, until) = (wanted.since_unix_ms.map(signed), wanted.until_unix_ms.map(signed));
    let mut conditions = Conditions::default();
    conditions.add_some("model = ?", wanted.model.as_ref().map(|model| model.as_str().to_owned()));
    conditions.add_some("version = ?", wanted.version.map(|version| signed(version.get())));
    match wanted.action {
        Some(action) => conditions.add("action = ?", action.as_str().to_owned()),
        None => conditions.add("action <> ?", Action::Published.as_str().to_owned()),
    }
    conditions.add_some("seq < ?", wanted.before_seq.map(signed));
    if since.is_some() || until.is_some() {
        let Some(span) = blocks::span(connection, (since, until))? else { return Ok(Vec::new()) };
        conditions.add("seq >= ?", span.first);
        conditions.add("seq <= ?", span.last);
        conditions.add_some("at_unix_ms >= ?", since);
        conditions.add_some("at_unix_ms <= ?", until);
    }
    conditions.values.push(Value::from(limit as i64));
    let sql =
        format!("SELECT {COLUMNS} FROM journal WHERE {} ORDER BY seq DESC LIMIT ?", conditions.texts.join(" AND "));
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params_from_iter(conditions.values), read_row)?;
    rows.map(|row| decode(connection, row?)).collect()
}

/// A row as it was recorded.
pub(super) fn decode(connection: &Connection, row: StoredRow) -> Result<Row, JournalError> {
    let seq = u64::try_from(row.seq).unwrap_or(0);
    let broken = |what: String| {
        let path = connection.path().unwrap_or_default().into();
        JournalError::Broken { path, what: format!("row {seq} {what}") }
    };
    Ok(Row { seq, entry: codec::decode(row.columns).map_err(broken)? })
}

/// A number as SQLite has them.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
