//! Notices edits of a few files, whichever way they are saved.
//!
//! What counts is the content. Events of the file system are hints to look sooner: they are taken from the folder
//! of the file (an editor that renames, a swapped symlink and a deleted file leave a watch on the file itself deaf)
//! and their kinds are ignored. Without any event the content is read at every poll. A content is delivered when
//! it has stayed the same for a quiet period, so that a file in the middle of being written is not taken for
//! the edit; a missing file is reported as missing and never as empty.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base_types::{Clock, SystemClock};
use thiserror::Error;
use tracing::warn;

mod content;
mod folders;

use content::{Reading, Seen};
use folders::Folders;

/// Changes that wait for the receiver; while there is no room the next poll tries again.
const PENDING_EVENTS_MAX: usize = 16;
/// Files one watcher looks after.
const FILES_MAX: usize = 16;
/// How long the events of one save are gathered before the first look, as a part of the quiet period.
const GATHER_PART: u32 = 3;

/// How eagerly files are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchOptions {
    /// The time between two looks that no event asked for.
    pub poll: Duration,
    /// How long a content must stay the same before it counts; eight times as long for an empty file.
    pub quiet: Duration,
    /// Whether events of the file system are listened to.
    pub uses_events: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self { poll: Duration::from_secs(2), quiet: Duration::from_millis(150), uses_events: true }
    }
}

/// A file to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Where it is.
    pub path: PathBuf,
    /// The content its owner already has; only another one is delivered.
    pub known: Option<Vec<u8>>,
}

/// A file has another content than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEvent {
    /// The file, as it was named.
    pub path: PathBuf,
    /// What it holds now, or why that cannot be told; then what was read before stays in force.
    pub content: Result<Vec<u8>, FileProblem>,
}

/// Why a file's content cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum FileProblem {
    /// There is no such file.
    #[error("the file is missing")]
    Missing,
    /// It is larger than any configuration.
    #[error("the file is larger than {0} bytes")]
    TooLarge(usize),
    /// It could not be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// Why watching could not begin.
#[derive(Debug, Error)]
pub enum WatchError {
    /// More files than one watcher looks after.
    #[error("{0} files to watch, at most {FILES_MAX} are allowed")]
    TooManyFiles(usize),
    /// The system gave no thread.
    #[error("the watching thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// The watching thread; it ends when this is dropped.
#[derive(Debug)]
pub struct Watcher {
    is_stopped: Arc<AtomicBool>,
    wake: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts watching. Without a working event mechanism the polls alone serve, and that is logged.
    pub fn start(files: Vec<Watched>, options: WatchOptions) -> Result<(Self, Receiver<FileEvent>), WatchError> {
        if files.len() > FILES_MAX {
            return Err(WatchError::TooManyFiles(files.len()));
        }
        let (events, receiver) = sync_channel(PENDING_EVENTS_MAX);
        // One waiting hint says as much as many.
        let (wake, hints) = sync_channel(1);
        let is_stopped = Arc::new(AtomicBool::new(false));
        let folders = Folders::new(files.iter().map(|f| f.path.clone()), options.uses_events.then(|| wake.clone()));
        let files = files.into_iter().map(File::new).collect();
        let task = Task { files, folders, options, hints, events, is_stopped: is_stopped.clone() };
        let thread = std::thread::Builder::new().name("config-watch".to_owned()).spawn(move || task.run());
        let thread = Some(thread.map_err(WatchError::Thread)?);
        Ok((Self { is_stopped, wake, thread }, receiver))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Release);
        // A full channel wakes the thread as well, and a closed one means that it has ended.
        self.wake.try_send(()).ok();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            warn!("the watching thread had panicked");
        }
    }
}

struct Task {
    files: Vec<File>,
    folders: Folders,
    options: WatchOptions,
    hints: Receiver<()>,
    events: SyncSender<FileEvent>,
    is_stopped: Arc<AtomicBool>,
}

struct File {
    path: PathBuf,
    /// What the receiver knows.
    delivered: Option<Seen>,
    /// Something else, seen since.
    pending: Option<(Seen, Instant)>,
}

/// The receiver is gone, or the watcher is.
struct Stopped;

impl Task {
    fn run(mut self) {
        while let Ok(()) = self.turn() {}
    }

    fn turn(&mut self) -> Result<(), Stopped> {
        // Watch before looking: a change after the look is then a hint.
        self.folders.arm();
        let mut wait = self.options.poll;
        for file in &mut self.files {
            if let Some(due) = file.look(&self.options, &self.events)? {
                wait = wait.min(due);
            }
        }
        self.wait(wait)
    }

    /// Waits for a hint, and then until the events of the same save have come in.
    fn wait(&self, time: Duration) -> Result<(), Stopped> {
        let hint = self.hints.recv_timeout(time);
        self.go_on()?;
        match hint {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => return Err(Stopped),
        }
        let until = SystemClock.now() + self.options.quiet / GATHER_PART;
        while let Some(left) = until.checked_duration_since(SystemClock.now()) {
            if self.hints.recv_timeout(left).is_ok() {
                self.go_on()?;
            }
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), Stopped> {
        if self.is_stopped.load(Ordering::Acquire) { Err(Stopped) } else { Ok(()) }
    }
}

impl File {
    fn new(watched: Watched) -> Self {
        let delivered = watched.known.as_deref().map(Seen::of);
        Self { path: watched.path, delivered, pending: None }
    }

    /// Looks at the file and delivers what has settled. Returns when to look again, if something is unsettled.
    fn look(&mut self, options: &WatchOptions, events: &SyncSender<FileEvent>) -> Result<Option<Duration>, Stopped> {
        let Reading { seen, content } = content::read(&self.path);
        if self.delivered == Some(seen) {
            self.pending = None;
            return Ok(None);
        }
        let now = SystemClock.now();
        let since = match self.pending {
            Some((pending, since)) if pending == seen => since,
            _ => now,
        };
        self.pending = Some((seen, since));
        let patience = content::patience(&content, options.quiet);
        let left = patience.saturating_sub(now.duration_since(since));
        if !left.is_zero() {
            return Ok(Some(left));
        }
        match events.try_send(FileEvent { path: self.path.clone(), content }) {
            Ok(()) => {
                self.delivered = Some(seen);
                self.pending = None;
                Ok(None)
            }
            Err(TrySendError::Full(_)) => Ok(Some(options.quiet)),
            Err(TrySendError::Disconnected(_)) => Err(Stopped),
        }
    }
}

#[cfg(test)]
mod tests;
