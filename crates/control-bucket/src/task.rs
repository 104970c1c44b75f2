//! Looks at the bucket again and again, on a thread of its own.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use base_metrics::Metrics;
use base_types::Clock;
use thiserror::Error;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::mirror::{Folder, Look};
use crate::source::SourceError;
use crate::store::StoreSource;
use crate::{Address, Bounds};

/// The longest pause after failures, unless the poll itself is longer.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// A first look that finds things in motion looks so often again before the start goes on.
const FIRST_LOOKS_MAX: u32 = 5;

/// What to mirror.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// The bucket.
    pub address: Address,
    /// The folder of the cache; nobody else may use it.
    pub folder: PathBuf,
    /// The time between two looks.
    pub poll: Duration,
    /// What it may hold.
    pub bounds: Bounds,
}

/// What the mirror needs of the process.
pub struct Connections {
    /// Where figures go.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Called on the mirror's thread before anything else, to lower its priority.
    pub step_back: fn() -> io::Result<()>,
}

/// Why there is no mirror.
#[derive(Debug, Error)]
pub enum MirrorError {
    /// The cache cannot be used.
    #[error("cannot use the cache of the bucket at {}: check that the state directory can be written", .folder.display())]
    Folder {
        /// The cache.
        folder: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// Nothing is cached, and the bucket gave nothing.
    #[error(
        "cannot read models from {address}, and nothing of it is cached: {text}: check the address, the network and the credentials in the environment"
    )]
    Bucket {
        /// The bucket.
        address: String,
        /// What went wrong.
        text: String,
    },
    /// The system gives no thread or runtime.
    #[error("cannot start the thread of the bucket")]
    Thread(#[source] io::Error),
}

/// A running mirror. It ends when it is dropped.
pub struct Mirror {
    view: PathBuf,
    stop: watch::Sender<bool>,
    /// Dropped to end the pause between two looks.
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mirror {
    /// Opens the cache and starts to look. Returns at once when there are versions to serve from an earlier time, and
    /// otherwise when the first look has brought some: a gateway that starts with half of them would choose among
    /// those.
    pub fn start(options: MirrorOptions, connections: Connections) -> Result<Self, MirrorError> {
        let address = options.address.to_string();
        let failed = |source| MirrorError::Folder { folder: options.folder.clone(), source };
        let folder = Folder::open(&options.folder, &address, options.bounds).map_err(failed)?;
        let (stop, stopping) = watch::channel(false);
        let source = StoreSource::new(options.address.clone(), stopping).map_err(MirrorError::Thread)?;
        let (view, is_filled) = (folder.view().root().to_owned(), !folder.view().is_empty());
        let (wake, woken) = channel();
        let (tell, told) = sync_channel(1);
        let looker = Looker { folder, source, options, connections, n_failures: 0, said: Said::default() };
        let run = move || looker.run(is_filled, |first| tell.send(first).is_ok(), &woken);
        let thread = std::thread::Builder::new().name("bucket".to_owned()).spawn(run).map_err(MirrorError::Thread)?;
        let mirror = Self { view, stop, wake: Some(wake), thread: Some(thread) };
        let first = if is_filled { Ok(()) } else { told.recv().unwrap_or_else(|_| Err("the thread ended".to_owned())) };
        first.map_err(|text| MirrorError::Bucket { address, text })?;
        Ok(mirror)
    }

    /// The folder to serve: a model repository.
    pub fn view(&self) -> &Path {
        &self.view
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the thread of the bucket failed");
        }
    }
}

struct Looker {
    folder: Folder,
    source: StoreSource,
    options: MirrorOptions,
    connections: Connections,
    n_failures: u32,
    said: Said,
}

/// What the log has been told, so that it is told once.
#[derive(Default, PartialEq, Eq)]
struct Said {
    error: Option<String>,
    look: Look,
}

impl Looker {
    fn run(mut self, is_filled: bool, tell: impl Fn(Result<(), String>) -> bool, woken: &Receiver<()>) {
        if let Err(error) = (self.connections.step_back)() {
            warn!(%error, "the thread of the bucket keeps its priority");
        }
        if !is_filled {
            let first = self.first(woken);
            if !tell(first) {
                return;
            }
        }
        let mut pause = if is_filled { Duration::ZERO } else { self.options.poll };
        while !is_over(woken, pause) {
            let is_settling = match self.look() {
                Ok(is_settling) => is_settling,
                Err(None) => return,
                Err(Some(_)) => false,
            };
            let chance = RandomState::new().hash_one(self.n_failures) as f64 / u64::MAX as f64;
            let settle = Duration::from_millis(self.options.bounds.settle_ms.max(50));
            let poll = if is_settling { self.options.poll.min(settle) } else { self.options.poll };
            pause = pause_of(poll, self.n_failures, chance);
        }
    }

    /// Looks until there is something to serve and nothing is in motion any more.
    fn first(&mut self, woken: &Receiver<()>) -> Result<(), String> {
        for _ in 0..FIRST_LOOKS_MAX {
            match self.look() {
                Ok(false) => break,
                Ok(true) if is_over(woken, Duration::from_millis(self.options.bounds.settle_ms.max(50))) => break,
                Ok(true) => {}
                Err(text) => return Err(text.unwrap_or_else(|| "stopped".to_owned())),
            }
        }
        let failed = self.said.look.failed.first_key_value();
        match failed.filter(|_| self.folder.view().is_empty()) {
            Some((what, why)) => Err(format!("{what}: {why}")),
            None => Ok(()),
        }
    }

    /// One look, with what is to be counted and said. Whether something is in motion; the error, or `None` at the end.
    fn look(&mut self) -> Result<bool, Option<String>> {
        let metrics = &self.connections.metrics;
        let result = self.folder.look(&mut self.source, self.connections.clock.unix_ms());
        metrics.bucket_fetched(self.folder.take_bytes_fetched());
        metrics.set_bucket_cache_bytes(self.folder.bytes());
        match result {
            Ok(look) => {
                let is_whole = look.failed.is_empty();
                let unix_seconds = self.connections.clock.unix_ms() as f64 / 1000.0;
                metrics.bucket_looked(is_whole.then_some(unix_seconds));
                metrics.set_bucket_refused(look.refused.len());
                self.n_failures = if is_whole { 0 } else { self.n_failures.saturating_add(1) };
                let is_settling = look.is_settling;
                self.say(look);
                Ok(is_settling)
            }
            Err(SourceError::Stopped) => Err(None),
            Err(error) => {
                metrics.bucket_looked(None);
                self.n_failures = self.n_failures.saturating_add(1);
                let text = with_cause(&error);
                if self.said.error.as_ref() != Some(&text) {
                    warn!(address = %self.options.address, error = text, "cannot look at the bucket: what is there stays");
                    self.said.error = Some(text.clone());
                }
                Err(Some(text))
            }
        }
    }

    /// Logs what changed since the last look.
    fn say(&mut self, look: Look) {
        if self.said.error.take().is_some() {
            info!(address = %self.options.address, "the bucket can be looked at again");
        }
        let is_new = |known: Option<&String>, why: &String| known != Some(why);
        for (what, why) in look.refused.iter().filter(|(what, why)| is_new(self.said.look.refused.get(*what), why)) {
            warn!(what, why, "not taken from the bucket");
        }
        for (what, why) in look.failed.iter().filter(|(what, why)| is_new(self.said.look.failed.get(*what), why)) {
            warn!(what, why, "not fetched from the bucket: it is tried again");
        }
        self.said.look = look;
    }
}

/// Waits; whether the mirror is to end.
fn is_over(woken: &Receiver<()>, pause: Duration) -> bool {
    !matches!(woken.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
}

/// The pause before the next look: doubled for each failure in a row, and a tenth longer or shorter by chance (0 to 1),
/// so that replicas do not ask at once.
fn pause_of(poll: Duration, n_failures: u32, chance: f64) -> Duration {
    let doubled = poll.saturating_mul(1 << n_failures.min(16));
    doubled.min(PAUSE_MAX.max(poll)).mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

fn with_cause(error: &SourceError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_and_stay_bounded() {
        let poll = Duration::from_secs(30);
        assert_eq!(pause_of(poll, 0, 0.5), poll);
        assert_eq!(pause_of(poll, 0, 0.0), Duration::from_secs(27));
        assert_eq!(pause_of(poll, 2, 0.5), Duration::from_secs(120));
        assert_eq!(pause_of(poll, u32::MAX, 0.5), PAUSE_MAX);
        let day = Duration::from_secs(86_400);
        assert_eq!(pause_of(day, 3, 0.5), day, "a long poll stays as long as it is");
    }
}
