//! Reads back what was decided, newest first.

use std::path::Path;

use base_types::ModelName;
use rusqlite::{Connection, params};

use super::entry::Row;
use super::schema::{COLUMNS, open_read_only, read_row};
use super::{JournalError, codec, journal_path};

/// Most rows one query gives.
pub const HISTORY_ROWS_MAX: usize = 1_000;

/// Which rows to give.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryQuery {
    /// Only those of this model.
    pub model: Option<ModelName>,
    /// Only those written at this time or later, in milliseconds since 1970.
    pub since_unix_ms: Option<u64>,
    /// Only those before this row, to page on.
    pub before_seq: Option<u64>,
    /// At most so many; [`HISTORY_ROWS_MAX`] at most, and when not given.
    pub limit: Option<usize>,
}

/// A reader beside the gateway that writes: for the command line.
#[derive(Debug)]
pub struct History {
    connection: Connection,
}

impl History {
    /// Opens the journal of a state directory for reading. Does not verify the chain: that happens at each start.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        Ok(Self { connection: open_read_only(&journal_path(state_dir))? })
    }

    /// Rows that match, newest first.
    pub fn query(&self, wanted: &HistoryQuery) -> Result<Vec<Row>, JournalError> {
        query(&self.connection, wanted)
    }
}

pub(super) fn query(connection: &Connection, wanted: &HistoryQuery) -> Result<Vec<Row>, JournalError> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let limit = wanted.limit.unwrap_or(HISTORY_ROWS_MAX).min(HISTORY_ROWS_MAX);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM journal
         WHERE (?1 IS NULL OR model = ?1) AND (?2 IS NULL OR at_unix_ms >= ?2) AND (?3 IS NULL OR seq < ?3)
         ORDER BY seq DESC LIMIT ?4"
    ))?;
    let model = wanted.model.as_ref().map(ModelName::as_str);
    let (since, before) = (wanted.since_unix_ms.map(signed), wanted.before_seq.map(signed));
    let rows = statement.query_map(params![model, since, before, limit as i64], read_row)?;
    rows.map(|row| {
        let row = row?;
        let seq = u64::try_from(row.seq).unwrap_or(0);
        let broken = |what: String| {
            let path = connection.path().unwrap_or_default().into();
            JournalError::Broken { path, what: format!("row {seq} {what}") }
        };
        Ok(Row { seq, entry: codec::decode(row.columns).map_err(broken)? })
    })
    .collect()
}
