//! The tables, and the statements that touch them.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::chain::{row_hash, text_sum};
use super::codec::Encoded;
use super::{Head, JournalError};

/// Raised when the tables change; older releases then refuse the file.
const FORMAT: i64 = 1;
/// How long a write waits for a reader of the command line that is just copying the log.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

const TABLES: &str = "
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY,
    at_unix_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    model TEXT,
    version INTEGER,
    digest TEXT,
    generation INTEGER,
    before TEXT,
    after TEXT,
    reason TEXT,
    evidence_json TEXT,
    changes_json TEXT NOT NULL,
    previous_hash BLOB NOT NULL,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX journal_model ON journal (model, seq);
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum BLOB NOT NULL) STRICT;
CREATE TABLE checkpoint (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum BLOB NOT NULL) STRICT;
";

/// The columns in the order of [`read_row`].
pub(super) const COLUMNS: &str = "seq, at_unix_ms, actor, action, model, version, digest, generation, before, after, \
                                  reason, evidence_json, changes_json, previous_hash, hash";

/// A row as it stands in the table.
pub(super) struct StoredRow {
    pub seq: i64,
    pub columns: Encoded,
    pub previous_hash: Vec<u8>,
    pub hash: Vec<u8>,
}

/// Opens the database for writing and makes the tables where they are missing.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // SQLite would make the file readable to all; its log takes the same mode.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|source| JournalError::State { what: "open the journal", path: path.to_owned(), source })?;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        let what = "keep a write-ahead log (network file systems cannot)";
        return Err(JournalError::State { what, path: path.to_owned(), source: io::Error::other(mode) });
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The log is copied by hand, see `Journal::copy_log`.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))?;
    check_format(&connection, path)?;
    if format(&connection)? == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
    }
    Ok(connection)
}

/// Opens the database for reading beside a running gateway.
pub(super) fn open_read_only(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    check_format(&connection, path)?;
    Ok(connection)
}

/// Appends a row; answers the new head.
pub(super) fn insert(connection: &Connection, head: Head, row: &Encoded) -> rusqlite::Result<Head> {
    let seq = head.seq + 1;
    let hash = row_hash(&head.hash, seq, row);
    let mut statement = connection.prepare_cached(
        "INSERT INTO journal (seq, at_unix_ms, actor, action, model, version, digest, generation, before, after, reason,
            evidence_json, changes_json, previous_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    statement.execute(params![
        i64::try_from(seq).unwrap_or(i64::MAX),
        row.at_unix_ms,
        row.actor,
        row.action,
        row.model,
        row.version,
        row.digest,
        row.generation,
        row.before,
        row.after,
        row.reason,
        row.evidence_json,
        row.changes_json,
        head.hash,
        hash,
    ])?;
    Ok(Head { seq, hash })
}

/// Reads a row selected with [`COLUMNS`].
pub(super) fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredRow> {
    let columns = Encoded {
        at_unix_ms: row.get(1)?,
        actor: row.get(2)?,
        action: row.get(3)?,
        model: row.get(4)?,
        version: row.get(5)?,
        digest: row.get(6)?,
        generation: row.get(7)?,
        before: row.get(8)?,
        after: row.get(9)?,
        reason: row.get(10)?,
        evidence_json: row.get(11)?,
        changes_json: row.get(12)?,
    };
    Ok(StoredRow { seq: row.get(0)?, columns, previous_hash: row.get(13)?, hash: row.get(14)? })
}

/// A table of texts by key. Each text is stored with its sum, because the chain does not cover these tables.
#[derive(Debug, Clone, Copy)]
pub(super) enum Texts {
    /// Single facts about the journal.
    State,
    /// Evidence, overwritten again and again.
    Checkpoints,
}

/// A text with its key; `None` when it does not have the sum it was written with.
pub(super) type StoredText = (String, Option<String>);

impl Texts {
    fn table(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Checkpoints => "checkpoint",
        }
    }

    /// Every text, in order of the keys.
    pub(super) fn read(self, connection: &Connection) -> rusqlite::Result<Vec<StoredText>> {
        let sql = format!("SELECT key, value, sum FROM {} ORDER BY key", self.table());
        let mut statement = connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| {
            let (key, value, sum): (String, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let is_intact = sum == text_sum(&key, &value);
            Ok((key, is_intact.then_some(value)))
        })?;
        rows.collect()
    }

    /// Stores a text over the one under its key.
    pub(super) fn set(self, connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
        let sql = format!("INSERT OR REPLACE INTO {} (key, value, sum) VALUES (?1, ?2, ?3)", self.table());
        connection.prepare_cached(&sql)?.execute(params![key, value, text_sum(key, value)])?;
        Ok(())
    }

    /// Removes the text under a key.
    pub(super) fn remove(self, connection: &Connection, key: &str) -> rusqlite::Result<()> {
        let sql = format!("DELETE FROM {} WHERE key = ?1", self.table());
        connection.prepare_cached(&sql)?.execute(params![key])?;
        Ok(())
    }
}

fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn check_format(connection: &Connection, path: &Path) -> Result<(), JournalError> {
    let found = format(connection)?;
    if !(0..=FORMAT).contains(&found) {
        return Err(JournalError::Format { path: path.to_owned(), found, known: FORMAT });
    }
    Ok(())
}
