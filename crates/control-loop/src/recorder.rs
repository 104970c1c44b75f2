//! The journal's own thread: everything durable goes through it, in order.
//!
//! What may wait is sent with `later`: a rollback is in force before it is recorded. What may not is sent with
//! `now`, which returns once it is on disk. Entries that the disk refuses are kept and tried again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_types::{Clock, Digest, Generation};
use control_registry::journal::{
    Entry, Head, History, HistoryQuery, Journal, JournalError, Performance, PerformanceKey, Row, Trials,
};
use tracing::{error, warn};

use crate::state::is_due;

/// Jobs waiting for the thread. Faults, rollbacks and commands are rare: this many mean that the disk hangs.
const JOBS_MAX: usize = 4096;
/// Entries kept while the disk refuses them.
const UNSAVED_MAX: usize = 4096;
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The answer to a job that is waited for.
type Reply<T> = SyncSender<Result<T, JournalError>>;

/// Something to make durable, or to read back.
pub(crate) enum Job {
    Append(Box<Entry>),
    /// A rollback: first the marker, which needs no space, then the entry.
    RolledBack(Digest, Box<Entry>),
    AppendNow(Vec<Entry>, Option<String>, Reply<u64>),
    MarkOpen(Digest),
    Unmark(Digest),
    Checkpoint {
        key: String,
        json: Option<String>,
    },
    Reserve(Generation),
    History(HistoryQuery, Reply<Vec<Row>>),
    /// What versions did since the last time, and that the gateway is alive.
    Performance {
        more: Vec<(PerformanceKey, Performance)>,
        alive_unix_ms: u64,
    },
    /// Answers once everything handed over before is on disk, or says why it is not.
    Settle(Reply<()>),
    Close(SyncSender<()>),
}

/// The way to the journal's thread.
pub(crate) struct Recorder {
    jobs: SyncSender<Job>,
    /// Rollbacks that found no room in the queue; taken up as soon as the thread comes round.
    overflow: Arc<Mutex<Vec<Job>>>,
    /// Generations up to this one are reserved on disk.
    reserved: Arc<AtomicU64>,
    /// The journal's last row.
    head: Arc<Mutex<Head>>,
    /// Where the journal lies.
    state_dir: PathBuf,
    metrics: Metrics,
}

struct Worker {
    journal: Journal,
    trials: Trials,
    unsaved: VecDeque<Entry>,
    /// Digests whose rollback is marked but not yet in the journal.
    marked: BTreeSet<Digest>,
    tried: Instant,
    /// Why the disk refused last.
    refused: Option<JournalError>,
    /// A reservation of generations that the disk still has to take.
    owed_reserve: Option<Generation>,
    /// What versions did that the disk still has to take.
    owed_performance: BTreeMap<PerformanceKey, Performance>,
    head: Arc<Mutex<Head>>,
    overflow: Arc<Mutex<Vec<Job>>>,
    reserved: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

impl Recorder {
    /// Starts the thread.
    pub(crate) fn start(
        journal: Journal,
        reserved: Generation,
        metrics: Metrics,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (jobs, received) = sync_channel(JOBS_MAX);
        let trials = journal.trials();
        let (unsaved, marked) = Default::default();
        let tried = clock.now();
        let overflow = Arc::new(Mutex::new(Vec::new()));
        let reserved = Arc::new(AtomicU64::new(reserved.0));
        let head = Arc::new(Mutex::new(Head::default()));
        let state_dir = journal.path().parent().map(PathBuf::from).unwrap_or_default();
        let worker = Worker {
            journal,
            trials,
            unsaved,
            marked,
            tried,
            refused: None,
            owed_reserve: None,
            owed_performance: BTreeMap::new(),
            head: head.clone(),
            overflow: overflow.clone(),
            reserved: reserved.clone(),
            clock,
            metrics: metrics.clone(),
        };
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || worker.work(&received))?;
        Ok((Self { jobs, overflow, reserved, head, state_dir, metrics }, thread))
    }

    /// Hands a job over without waiting.
    pub(crate) fn later(&self, job: Job) {
        match self.jobs.try_send(job) {
            Ok(()) => {}
            // Written again at the next tick.
            Err(TrySendError::Full(Job::Checkpoint { json: Some(_), .. } | Job::Reserve(_))) => {}
            Err(TrySendError::Full(job)) => {
                self.metrics.journal_failed();
                let mut overflow = self.overflow.lock().unwrap_or_else(|e| e.into_inner());
                if overflow.len() < UNSAVED_MAX {
                    overflow.push(job);
                } else {
                    error!("the journal hangs and its queue is full: an entry is lost");
                }
            }
            Err(TrySendError::Disconnected(_)) => warn!("the journal is closed"),
        }
    }

    /// Generations up to this one are reserved on disk.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Acquire)
    }

    /// Makes entries durable, all or none, and with them the routing file accepted, if any. Blocks.
    pub(crate) fn now(&self, entries: Vec<Entry>, routing: Option<String>) -> Result<u64, JournalError> {
        self.ask(|reply| Job::AppendNow(entries, routing, reply))
    }

    /// Waits until everything handed over before is on disk. An error means that it is kept and tried again.
    pub(crate) fn settle(&self) -> Result<(), JournalError> {
        self.ask(Job::Settle)
    }

    /// Number and hash of the last row on disk.
    pub(crate) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// A reader of its own, which sees everything handed over before. Blocks.
    pub(crate) fn reader(&self) -> Result<History, JournalError> {
        // What the disk refuses cannot be read; what it took can.
        if let Err(error) = self.settle() {
            warn!(%error, "what is read back lacks what is not on disk yet");
        }
        History::open(&self.state_dir)
    }

    /// Reads back. Blocks.
    pub(crate) fn history(&self, query: HistoryQuery) -> Result<Vec<Row>, JournalError> {
        self.ask(|reply| Job::History(query, reply))
    }

    /// Writes what is left, marks the orderly end and stops the thread.
    pub(crate) fn close(&self) {
        let (done, closed) = sync_channel(1);
        if self.jobs.send(Job::Close(done)).is_ok() {
            // An error means that the thread is gone already.
            let _ended = closed.recv();
        }
    }

    fn ask<T>(&self, job: impl FnOnce(Reply<T>) -> Job) -> Result<T, JournalError> {
        let (reply, answer) = sync_channel(1);
        self.jobs.send(job(reply)).map_err(|_| JournalError::ReadOnly)?;
        answer.recv().unwrap_or(Err(JournalError::ReadOnly))
    }
}

impl Worker {
    fn work(mut self, jobs: &Receiver<Job>) {
        loop {
            self.tell_head();
            match jobs.recv_timeout(RETRY_EVERY) {
                Ok(Job::Close(done)) => {
                    self.flush();
                    if let Err(error) = self.journal.close() {
                        error!(%error, "the orderly end could not be marked");
                    }
                    // The one who asked may have given up waiting.
                    let _gone = done.send(());
                    return;
                }
                Ok(job) => {
                    let overflow = std::mem::take(&mut *self.overflow.lock().unwrap_or_else(|e| e.into_inner()));
                    overflow.into_iter().for_each(|job| self.perform(job));
                    // However busy the queue, what the disk refused is tried again.
                    if is_due(self.tried, self.clock.now(), RETRY_EVERY) {
                        self.flush();
                    }
                    self.perform(job);
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
            self.metrics.set_journal_pending(self.unsaved.len());
        }
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Append(entry) => self.append(*entry),
            Job::RolledBack(digest, entry) => {
                let marked = self.trials.roll_back(&digest);
                self.report("mark a rollback", marked);
                self.marked.insert(digest);
                self.append(*entry);
            }
            Job::AppendNow(entries, routing, reply) => {
                self.flush();
                // Rows are replayed in order: none may overtake those that still wait.
                let result = match self.refusal() {
                    Some(error) => Err(error),
                    None => self.journal.append_all(&entries, routing.as_deref()),
                };
                if result.is_err() {
                    self.metrics.journal_failed();
                }
                // The one who asked may have given up waiting.
                let _gone = reply.send(result);
            }
            Job::MarkOpen(digest) => self.report("mark a trial", self.trials.begin(&digest)),
            Job::Unmark(digest) if self.marked.contains(&digest) => {}
            Job::Unmark(digest) => self.report("remove the mark of a trial", self.trials.finish(&digest)),
            Job::Checkpoint { key, json } => {
                let result = match json {
                    Some(json) => self.journal.checkpoint(&key, &json),
                    None => self.journal.remove_checkpoint(&key),
                };
                self.report("checkpoint evidence", result);
            }
            Job::Reserve(up_to) => {
                self.owed_reserve = Some(up_to);
                self.reserve();
            }
            Job::Performance { more, alive_unix_ms } => self.keep_performance(more, alive_unix_ms),
            Job::History(query, reply) => {
                // The one who asked may have given up waiting.
                let _gone = reply.send(self.journal.history(&query));
            }
            Job::Settle(reply) => {
                self.flush();
                // The one who asked may have given up waiting.
                let _gone = reply.send(self.refusal().map_or(Ok(()), Err));
            }
            Job::Close(_) => {}
        }
    }

    fn append(&mut self, entry: Entry) {
        if self.unsaved.len() >= UNSAVED_MAX {
            error!(action = entry.action.as_str(), "too many entries wait for the disk: one is lost");
            // One that changes nothing, so that what is decided can still be replayed.
            let idle = self.unsaved.iter().position(|e| e.changes.is_empty()).unwrap_or(0);
            self.unsaved.remove(idle);
        }
        self.unsaved.push_back(entry);
        self.flush();
    }

    /// Writes what is waiting, in order, until the disk refuses.
    fn flush(&mut self) {
        self.tried = self.clock.now();
        self.reserve();
        while let Some(entry) = self.unsaved.front() {
            match self.journal.append(entry) {
                Ok(_) => {
                    self.unsaved.pop_front();
                }
                // The entry itself is at fault, and would block all others. What it decided is small and never is.
                Err(error @ JournalError::TooLarge { .. }) => {
                    self.failed("append to the journal", &error);
                    self.unsaved.pop_front();
                }
                Err(error) => {
                    self.failed("append to the journal", &error);
                    self.refused = Some(error);
                    return;
                }
            }
        }
        for digest in std::mem::take(&mut self.marked) {
            self.report("remove the mark of a rollback", self.trials.finish(&digest));
        }
    }

    /// Why not everything handed over is on disk.
    fn refusal(&mut self) -> Option<JournalError> {
        (!self.unsaved.is_empty()).then(|| self.refused.take().unwrap_or(JournalError::DiskFull))
    }

    /// Adds up what versions did. What the disk refuses is added to what comes next.
    fn keep_performance(&mut self, more: Vec<(PerformanceKey, Performance)>, alive_unix_ms: u64) {
        for (key, more) in more {
            self.owed_performance.entry(key).or_default().add(&more);
        }
        let owed: Vec<_> = std::mem::take(&mut self.owed_performance).into_iter().collect();
        let kept = self.journal.add_performance(&owed);
        if kept.is_err() {
            self.owed_performance = owed.into_iter().collect();
        }
        self.report("keep how versions did", kept);
        let noted = self.journal.note_alive(alive_unix_ms);
        self.report("note that the gateway is alive", noted);
    }

    /// Shows number and hash of the last row, for whoever keeps them elsewhere.
    fn tell_head(&self) {
        let now = self.journal.head();
        let mut head = self.head.lock().unwrap_or_else(|e| e.into_inner());
        if *head != now {
            *head = now;
            self.metrics.set_journal_head(now.seq, now.number());
        }
    }

    fn reserve(&mut self) {
        let Some(up_to) = self.owed_reserve else { return };
        match self.journal.reserve_generations(up_to) {
            Ok(()) => {
                self.owed_reserve = None;
                self.reserved.store(up_to.0, Ordering::Release);
            }
            Err(error) => self.failed("reserve generations", &error),
        }
    }

    fn report(&self, what: &'static str, result: Result<(), JournalError>) {
        if let Err(error) = result {
            self.failed(what, &error);
        }
    }

    fn failed(&self, what: &'static str, error: &JournalError) {
        self.metrics.journal_failed();
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        error!(what, %error, source, unsaved = self.unsaved.len(), "the journal failed; decisions stay in force");
    }
}
