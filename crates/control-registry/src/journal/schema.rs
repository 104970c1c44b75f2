//! The tables, and the statements that touch them.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::chain::{row_hash, text_sum};
use super::codec::Encoded;
use super::{Head, JournalError, blocks};

/// Raised when the tables change; older releases then refuse the file.
const FORMAT: i64 = 2;
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

/// What format 2 has beside that of 1: the rows are found by action and version, and by time; sums of versions; a copy of
/// what the rows fold to.
const TABLES_2: &str = "
CREATE INDEX journal_action ON journal (action, seq);
CREATE INDEX journal_model_action ON journal (model, action, seq);
CREATE INDEX journal_version ON journal (model, version, seq);
CREATE TABLE block (number INTEGER PRIMARY KEY, at_min INTEGER NOT NULL, at_max INTEGER NOT NULL) STRICT;
CREATE TABLE performance (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum BLOB NOT NULL) STRICT;
CREATE TABLE fold (key TEXT PRIMARY KEY, value TEXT NOT NULL, sum BLOB NOT NULL) STRICT;
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
    let found = format(&connection)?;
    if found < FORMAT {
        let transaction = connection.transaction()?;
        if found == 0 {
            transaction.execute_batch(TABLES)?;
        }
        transaction.execute_batch(TABLES_2)?;
        transaction.execute_batch(blocks::FILL)?;
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
    blocks::note(connection, i64::try_from(seq).unwrap_or(i64::MAX), row.at_unix_ms)?;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Texts {
    /// Single facts about the journal.
    State,
    /// Evidence, overwritten again and again.
    Checkpoints,
    /// How versions did.
    Performance,
    /// What the rows fold to.
    Folds,
}

/// A text with its key; `None` when it does not have the sum it was written with.
pub(super) type StoredText = (String, Option<String>);

impl Texts {
    fn table(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Checkpoints => "checkpoint",
            Self::Performance => "performance",
            Self::Folds => "fold",
        }
    }

    /// Every table of texts.
    pub(super) const ALL: [Self; 4] = [Self::State, Self::Checkpoints, Self::Performance, Self::Folds];

    /// What its texts are called where one of them is damaged.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::State => "the entry",
            Self::Checkpoints => "the evidence",
            Self::Performance => "the performance of",
            Self::Folds => "the copy of what the rows fold to,",
        }
    }

    /// Every text, in order of the keys.
    pub(super) fn read(self, connection: &Connection) -> rusqlite::Result<Vec<StoredText>> {
        if !has_table(connection, self.table())? {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT key, value, sum FROM {} ORDER BY key", self.table());
        let mut statement = connection.prepare(&sql)?;
        statement.query_map([], read_text)?.collect()
    }

    /// The texts whose keys lie from `first` to before `last`.
    pub(super) fn between(self, connection: &Connection, first: &str, last: &str) -> rusqlite::Result<Vec<StoredText>> {
        if !has_table(connection, self.table())? {
            return Ok(Vec::new());
        }
        let sql = format!("SELECT key, value, sum FROM {} WHERE key >= ?1 AND key < ?2 ORDER BY key", self.table());
        let mut statement = connection.prepare_cached(&sql)?;
        statement.query_map(params![first, last], read_text)?.collect()
    }

    /// The text under a key, if it is there and whole.
    pub(super) fn one(self, connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
        let sql = format!("SELECT key, value, sum FROM {} WHERE key = ?1", self.table());
        let mut statement = connection.prepare_cached(&sql)?;
        let found = statement.query_row(params![key], read_text).optional()?;
        Ok(found.and_then(|(_, value)| value))
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

fn read_text(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredText> {
    let (key, value, sum): (String, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let is_intact = sum == text_sum(&key, &value);
    Ok((key, is_intact.then_some(value)))
}

/// Whether a table is there: a journal of an older format is read as it is until the gateway opens it.
pub(super) fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?;
    statement.exists(params![name])
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
