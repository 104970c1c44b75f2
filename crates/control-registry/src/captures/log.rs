//! Writing captures: offered on the request path, turned into text and written on a thread of its own.
//!
//! What waits is bounded in number and in bytes; what finds no room is dropped and counted. Nothing is opened before
//! the first capture, so a gateway that captures nothing leaves no file.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base_serving::{Capture, CaptureSink};
use tracing::error;

use super::{FOLDER, Fingerprint, NAME, RUNTIME_FILE, line};
use crate::LineLogLimits;
use crate::line_log::Files;

/// Captures waiting to be written.
const WAITING_MAX: usize = 1_024;
/// Bytes of captures waiting to be written.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// How long the end of a process waits for what is still to be written.
const END: Duration = Duration::from_secs(1);
/// For nobody but the one who runs the gateway: captures hold what callers sent.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Bounds of captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureLimits {
    /// The largest capture in memory; a larger one is not made.
    pub capture_bytes: usize,
    /// The files.
    pub files: LineLogLimits,
}

/// What became of a request that was drawn to be captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaptureEnd {
    /// It is in the file.
    Written,
    /// Captures came faster than they can be written.
    Dropped,
    /// It is larger than a capture may be.
    TooLarge,
    /// The disk did not take it.
    Failed,
}

/// Who is told what became of each.
type Told = Arc<dyn Fn(CaptureEnd) + Send + Sync>;

/// Takes captures. When it goes, what it took is written first, unless the disk does not let it.
pub struct CaptureLog {
    /// `None` while it goes.
    captures: Option<SyncSender<Capture>>,
    /// Disconnected when the writing thread has ended.
    ended: Mutex<Receiver<()>>,
    waiting_bytes: Arc<AtomicUsize>,
    capture_bytes: usize,
    told: Told,
}

impl CaptureLog {
    /// Makes ready to write below a state directory. `told` is called on the request path and by the writing thread,
    /// so it must not wait.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(
        state_dir: &Path,
        limits: CaptureLimits,
        fingerprint: Fingerprint,
        told: Told,
    ) -> std::io::Result<Self> {
        let (captures, waiting) = sync_channel(WAITING_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let folder = state_dir.join(FOLDER);
        if folder.is_dir() {
            // Captures of earlier starts are compared with what computes from now on.
            write_runtime(&folder, &fingerprint)?;
        }
        let files = Files::new(folder.join(format!("{NAME}.jsonl")), limits.files, FILE_MODE);
        let mut writer = Writer {
            folder,
            files,
            fingerprint,
            is_open: false,
            told: told.clone(),
            waiting_bytes: waiting_bytes.clone(),
        };
        let (running, ended) = sync_channel(0);
        std::thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            let _running = running;
            writer.run(&waiting);
        })?;
        Ok(Self {
            captures: Some(captures),
            ended: Mutex::new(ended),
            waiting_bytes,
            capture_bytes: limits.capture_bytes,
            told,
        })
    }
}

impl CaptureSink for CaptureLog {
    fn has_room(&self, n_bytes: usize) -> bool {
        let refused = if n_bytes > self.capture_bytes {
            CaptureEnd::TooLarge
        } else if self.waiting_bytes.load(Ordering::Relaxed) + n_bytes > WAITING_BYTES_MAX {
            CaptureEnd::Dropped
        } else {
            return true;
        };
        (self.told)(refused);
        false
    }

    fn captured(&self, capture: Capture) {
        let n_bytes = capture.n_bytes();
        self.waiting_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        let is_taken = self.captures.as_ref().is_some_and(|captures| captures.try_send(capture).is_ok());
        if !is_taken {
            self.waiting_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
            (self.told)(CaptureEnd::Dropped);
        }
    }
}

impl Drop for CaptureLog {
    fn drop(&mut self) {
        self.captures = None;
        let ended = self.ended.get_mut().unwrap_or_else(|e| e.into_inner());
        // Nothing is ever sent: the end of the thread is what is waited for.
        let _ended = ended.recv_timeout(END);
    }
}

/// The thread that writes.
struct Writer {
    folder: PathBuf,
    files: Files,
    fingerprint: Fingerprint,
    is_open: bool,
    told: Told,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Writer {
    fn run(&mut self, waiting: &Receiver<Capture>) {
        let mut is_failing = false;
        while let Ok(capture) = waiting.recv() {
            let n_bytes = capture.n_bytes();
            let result = self.write(&capture);
            self.waiting_bytes.fetch_sub(n_bytes, Ordering::Relaxed);
            (self.told)(if result.is_ok() { CaptureEnd::Written } else { CaptureEnd::Failed });
            if let (Err(error), false) = (&result, is_failing) {
                // Once per trouble: the disk may be full for hours.
                error!(%error, folder = %self.folder.display(), "captures cannot be written and are lost");
            }
            is_failing = result.is_err();
        }
    }

    fn write(&mut self, capture: &Capture) -> std::io::Result<()> {
        if !self.is_open {
            std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder)?;
            write_runtime(&self.folder, &self.fingerprint)?;
            self.is_open = true;
        }
        self.files.append(&line::write(capture, &self.fingerprint))?;
        // Whoever has an answer's id can look for it now, and a process that is killed has written what it counted.
        self.files.flush()
    }
}

/// Whole before it has its name.
fn write_runtime(folder: &Path, fingerprint: &Fingerprint) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(fingerprint)?;
    let new = folder.join(format!("{RUNTIME_FILE}.new"));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&new)?;
    std::io::Write::write_all(&mut file, &text)?;
    std::fs::rename(&new, folder.join(RUNTIME_FILE))
}
