//! Remembers decisions across restarts: an append-only, hash-chained SQLite table under the state directory.
//!
//! Every row says who did what, when, on what evidence, and carries the [`Change`]s that fold into [`Decisions`]; so
//! replaying the audit log from the first row *is* recovery, and there is no second copy of the truth to disagree
//! with. A row is durable when [`Journal::append`] returns. The chain shows any row that was altered, and the stored
//! head any that were cut off the end; someone who can rewrite the whole file can forge both.
//!
//! All calls block on the disk: the caller gives the journal a thread of its own. A failed write or sync makes it
//! read-only until it is opened again, because what the kernel then holds is unknown; a full disk does not.

mod audit;
mod blocks;
mod chain;
mod codec;
mod entry;
mod error;
mod fold;
mod history;
mod life;
mod lock;
mod moment;
mod performance;
mod recover;
mod schema;
mod table;
mod trials;

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base_types::{Decisions, Digest, Generation, VersionId};
use rusqlite::{Connection, TransactionBehavior};

pub use audit::{AnchorFinding, Audit, Damage};
pub use chain::Hash;
pub use entry::{Action, Entry, Row};
pub use error::JournalError;
pub use history::{HISTORY_ROWS_MAX, History, HistoryQuery};
pub use life::ModelLife;
pub use moment::{Moment, Served, Standing};
pub use performance::{FeedbackSums, Performance, PerformanceKey, Spread};
pub use table::{ArmTable, ExperimentTable, RuleTable, Table};
pub use trials::Trials;

use fold::Fold;
use lock::StateLock;
use schema::Texts;

const JOURNAL_FILE: &str = "journal.sqlite3";
/// Largest checkpoint, in bytes of JSON.
const CHECKPOINT_BYTES_MAX: usize = 4 << 20;
/// Largest routing text kept, in bytes.
const ROUTING_BYTES_MAX: usize = 16 << 20;
/// Rows after which what they fold to is kept anew: so many are read by a start at most, beside those of one life.
const ROWS_PER_FOLD: u64 = 4_096;
/// Commits after which the write-ahead log is copied into the main file.
const COMMITS_PER_COPY: u32 = 256;

/// The journal, open for writing by this process alone.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    path: PathBuf,
    head: Head,
    /// What the rows fold to.
    fold: Fold,
    generation_floor: Generation,
    boots: u64,
    /// Whether this start is still to be noted, because the disk was full.
    owes_start: bool,
    n_commits: u32,
    is_read_only: bool,
    trials: Trials,
    // Released last: fields are dropped in order.
    _lock: StateLock,
}

/// Number and hash of the last row; 0 and zeros before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The row's number.
    pub seq: u64,
    /// The row's hash.
    pub hash: Hash,
}

impl Head {
    /// The hash as hexadecimal digits.
    pub fn hex(&self) -> String {
        chain::hex(&self.hash)
    }

    /// The first six bytes of the hash as a number, which a metric can hold exactly.
    pub fn number(&self) -> u64 {
        self.hash.iter().take(6).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// What an earlier life of the gateway left behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// Everything decided, folded from the rows.
    pub decisions: Decisions,
    /// The highest generation that may have been used; the next one must be greater.
    pub generation_floor: Generation,
    /// How often the journal was opened, this time included.
    pub boots: u64,
    /// Whether the last life ended in an orderly way. True at the very first start.
    pub clean_shutdown: bool,
    /// The routing file accepted last.
    pub accepted_routing: Option<String>,
    /// Checkpoints by key, as JSON.
    pub checkpoints: Vec<(String, String)>,
    /// Trials that were open: their digests were taking traffic as candidates.
    pub open_trials: Vec<Digest>,
    /// Rollbacks that took effect but may not have reached the journal: bar these digests, append that, then
    /// [`Trials::finish`] them.
    pub pending_quarantines: Vec<Digest>,
    /// When the last life was seen alive last, in milliseconds since 1970; about a minute before its end where that was
    /// not in order.
    pub last_seen_unix_ms: Option<u64>,
    /// What was being loaded when the last life ended; to be noted, then [`Trials::end_load`].
    pub interrupted_loads: Vec<(Digest, VersionId)>,
}

impl Journal {
    /// Opens the journal of a state directory, creating both where missing, and verifies the rows since the last fold that was
    /// kept.
    pub fn open(state_dir: &Path) -> Result<(Self, Recovered), JournalError> {
        let io_error = |what: &'static str| {
            let path = state_dir.to_owned();
            move |source| JournalError::State { what, path, source }
        };
        let builder = DirBuilder::new().recursive(true).mode(0o700).create(state_dir);
        builder.map_err(io_error("create the state directory"))?;
        let lock = StateLock::take(state_dir)?;
        let trials = Trials::open(state_dir)?;
        let path = journal_path(state_dir);
        let opened = schema::open(&path).and_then(|connection| {
            let (fold, recovered) = recover::recover(&connection, &path)?;
            Ok((connection, fold, recovered))
        });
        let (connection, fold, mut recovered) = opened.map_err(|error| recover::name_damage(&path, error))?;
        let left = trials.left_over()?;
        (recovered.open_trials, recovered.pending_quarantines) = (left.open, left.rolled_back);
        recovered.interrupted_loads = left.loading;
        let mut journal = Self {
            connection,
            path,
            head: fold.head,
            fold,
            generation_floor: recovered.generation_floor,
            boots: recovered.boots,
            owes_start: true,
            n_commits: 0,
            is_read_only: false,
            trials,
            _lock: lock,
        };
        match journal.commit(|_| Ok(())) {
            // A gateway that cannot start would be worse than one that counts this start later.
            Err(JournalError::DiskFull) => tracing::warn!("the disk is full: this start is not in the journal yet"),
            result => result?,
        }
        journal.keep_fold();
        // SQLite syncs its files; that they exist is the folder's to remember.
        File::open(state_dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync the state directory"))?;
        Ok((journal, recovered))
    }

    /// Appends one decision. It is durable when this returns its row number.
    pub fn append(&mut self, entry: &Entry) -> Result<u64, JournalError> {
        self.append_all(std::slice::from_ref(entry), None)
    }

    /// Appends several decisions, all or none, and with them the routing file accepted, if any.
    pub fn append_all(&mut self, entries: &[Entry], routing: Option<&str>) -> Result<u64, JournalError> {
        let rows = entries.iter().map(codec::encode).collect::<Result<Vec<_>, _>>()?;
        let before = self.head;
        check_size("the routing file", routing.map_or(0, str::len), ROUTING_BYTES_MAX)?;
        let head = self.commit(|transaction| {
            let mut head = before;
            for row in &rows {
                head = schema::insert(transaction, head, row)?;
            }
            Texts::State.set(transaction, "head_seq", &head.seq.to_string())?;
            Texts::State.set(transaction, "head_hash", &chain::hex(&head.hash))?;
            if let Some(routing) = routing {
                Texts::State.set(transaction, "accepted_routing", routing)?;
            }
            Ok(head)
        })?;
        self.head = head;
        entries.iter().for_each(|entry| self.fold.entry(entry));
        self.fold.head = head;
        self.keep_fold();
        Ok(head.seq)
    }

    /// Keeps what the rows fold to, where enough of them have come. The rows do without it.
    fn keep_fold(&mut self) {
        if self.head.seq - self.fold.kept_seq < ROWS_PER_FOLD {
            return;
        }
        // Tried again after as many rows, should it fail.
        self.fold.kept_seq = self.head.seq;
        let json = match self.fold.json() {
            Ok(json) => json,
            Err(error) => return tracing::warn!(%error, "what the journal's rows fold to cannot be written"),
        };
        if let Err(error) = self.commit_lazily(|transaction| Texts::Folds.set(transaction, fold::KEY, &json)) {
            tracing::warn!(%error, "what the journal's rows fold to could not be kept: the next start takes longer");
        }
    }

    /// The last row's number and hash. Kept elsewhere, they are an anchor: rows cut off the end are found by it.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Where the journal lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that the gateway is alive, so that a later start can tell when it ended. May be lost in a power cut.
    pub fn note_alive(&mut self, unix_ms: u64) -> Result<(), JournalError> {
        self.commit_lazily(|transaction| Texts::State.set(transaction, "last_seen_unix_ms", &unix_ms.to_string()))
    }

    /// Promises that generations up to this one may be used: after a restart counting begins above it.
    pub fn reserve_generations(&mut self, up_to: Generation) -> Result<(), JournalError> {
        if up_to <= self.generation_floor {
            return Ok(());
        }
        self.commit(|transaction| Texts::State.set(transaction, "generation_floor", &up_to.to_string()))?;
        self.generation_floor = up_to;
        Ok(())
    }

    /// Stores evidence under a key, over what was there. Survives kill -9; a power cut may bring back the one before.
    pub fn checkpoint(&mut self, key: &str, json: &str) -> Result<(), JournalError> {
        check_size("a checkpoint", key.len() + json.len(), CHECKPOINT_BYTES_MAX)?;
        self.commit_lazily(|transaction| Texts::Checkpoints.set(transaction, key, json))
    }

    /// Forgets the evidence under a key.
    pub fn remove_checkpoint(&mut self, key: &str) -> Result<(), JournalError> {
        self.commit_lazily(|transaction| Texts::Checkpoints.remove(transaction, key))
    }

    /// Marks an orderly end and closes. Dropping the journal without this counts as a crash.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.commit(|transaction| Texts::State.set(transaction, "clean_shutdown", "1"))?;
        // What cannot be copied now stays in the write-ahead log, which the next open reads.
        self.copy_log()
    }

    /// Rows that match, newest first.
    pub fn history(&self, query: &HistoryQuery) -> Result<Vec<Row>, JournalError> {
        history::query(&self.connection, query)
    }

    /// The markers of open trials; usable from any thread while the journal writes on its own.
    pub fn trials(&self) -> Trials {
        self.trials.clone()
    }

    /// Runs a durable transaction.
    fn commit<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        if self.is_read_only {
            return Err(JournalError::ReadOnly);
        }
        let boots = self.owes_start.then_some(self.boots);
        let result = transact(&mut self.connection, |transaction| {
            if let Some(boots) = boots {
                Texts::State.set(transaction, "boots", &boots.to_string())?;
                // Taken away until it is earned again.
                Texts::State.set(transaction, "clean_shutdown", "0")?;
            }
            work(transaction)
        });
        let value = self.watch(result)?;
        self.owes_start = false;
        self.n_commits += 1;
        if self.n_commits >= COMMITS_PER_COPY {
            self.n_commits = 0;
            // The rows themselves are durable: a failure here is not this call's.
            if let Err(error) = self.copy_log() {
                tracing::warn!(error = %error, "cannot copy the journal's log into its main file");
            }
        }
        Ok(value)
    }

    /// Runs a transaction that is not synced by itself; the next durable one carries it along.
    fn commit_lazily<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, JournalError> {
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let result = self.commit(work);
        if let Err(error) = self.connection.pragma_update(None, "synchronous", "FULL") {
            // Without it nothing that follows would be durable.
            self.is_read_only = true;
            return Err(error.into());
        }
        result
    }

    /// Copies the write-ahead log into the main file. Done by hand, because SQLite keeps a failure of its own copying
    /// to itself and would try a failed sync again.
    fn copy_log(&mut self) -> Result<(), JournalError> {
        let copy = self.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        match self.watch(copy) {
            // The rows are safe in the log; there will be room for the copy later.
            Err(JournalError::DiskFull) => Ok(()),
            result => result,
        }
    }

    /// Turns SQLite's result into ours; after an I/O error the journal takes no more writes.
    fn watch<T>(&mut self, result: rusqlite::Result<T>) -> Result<T, JournalError> {
        result.map_err(|error| {
            let error = JournalError::from(error);
            if matches!(error, JournalError::Io(_)) {
                self.is_read_only = true;
                tracing::error!(error = %error, "journal is read-only until it is opened again");
            }
            error
        })
    }
}

/// Where the journal of a state directory lies.
pub fn journal_path(state_dir: &Path) -> PathBuf {
    state_dir.join(JOURNAL_FILE)
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn check_size(what: &'static str, bytes: usize, limit: usize) -> Result<(), JournalError> {
    if bytes <= limit { Ok(()) } else { Err(JournalError::TooLarge { what, limit: limit as u64 }) }
}

#[cfg(test)]
mod tests;
