//! The store as the control plane sees it: looked at again and again on a thread of its own, because it may lie in a
//! bucket. Records never change, so each is read once. A store that cannot be looked at stays as it was.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base_types::{Clock, Label, ModelName, Version};
use control_registry::model_config::ModelConfig;
use control_registry::repository::{HashedFile, VersionFiles, assemble};
use control_registry::{Limits, Refusal, RefusalCode};
use control_store::{Record, Store, StoreError};
use tracing::{error, info, warn};

use crate::state::is_due;

/// The largest file of labels that a config names.
const LABELS_BYTES_MAX: u64 = 1 << 20;
/// A look takes at most one part in so many of the time.
const LOOK_SHARE: u32 = 20;
/// How often what was found damaged is read again.
const RETRY_EVERY: Duration = Duration::from_secs(30);

/// A store to serve from.
#[derive(Clone)]
pub struct StoreSource {
    /// The store.
    pub store: Arc<Store>,
    /// The time between two looks.
    pub poll: Duration,
    /// So many of the highest versions of a model are loaded without anybody asking for them.
    pub versions: usize,
}

/// A version in the store.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) record: Record,
    /// The config.pbtxt it was pushed with.
    pub(crate) config: Option<ModelConfig>,
}

/// What the store holds of a model.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ShelfModel {
    /// Its versions; those whose record cannot be used with the reason.
    pub(crate) versions: BTreeMap<Version, Result<Arc<Pushed>, Refusal>>,
    pub(crate) labels: BTreeMap<Label, Version>,
}

impl ShelfModel {
    /// The config.pbtxt of the highest version that has one: it stands for the model where no folder has one.
    pub(crate) fn config(&self) -> Option<&ModelConfig> {
        self.versions.values().rev().find_map(|pushed| pushed.as_ref().ok()?.config.as_ref())
    }
}

/// What the store holds.
pub(crate) type Holdings = BTreeMap<ModelName, ShelfModel>;

/// A store under watch. The watch ends when this is dropped.
pub(crate) struct Shelf {
    pub(crate) store: Arc<Store>,
    /// See [`StoreSource::versions`].
    pub(crate) n_versions: usize,
    seen: Arc<Mutex<Arc<Holdings>>>,
    tried: Mutex<Option<Instant>>,
    /// Dropped to end the watch. A look into a bucket that hangs is not waited for.
    #[expect(dead_code, reason = "its end is what counts")]
    stop: Sender<()>,
}

impl Shelf {
    /// Looks for the first time, which must succeed, and goes on looking. `tell` is called whenever something changed.
    pub(crate) fn start(
        source: StoreSource,
        clock: Arc<dyn Clock>,
        tell: impl Fn() + Send + 'static,
    ) -> Result<Self, ShelfError> {
        let StoreSource { store, poll, versions } = source;
        let first = Arc::new(look(&store, &Holdings::new()).map_err(ShelfError::Store)?);
        let seen = Arc::new(Mutex::new(first));
        let (stop, stopped) = channel();
        let looker = Looker { store: store.clone(), poll, clock, seen: seen.clone(), told: None };
        let thread = std::thread::Builder::new().name("store".to_owned());
        thread.spawn(move || looker.run(&stopped, tell)).map_err(ShelfError::Thread)?;
        Ok(Self { store, n_versions: versions, seen, tried: Mutex::default(), stop })
    }

    /// Whether what was found damaged is to be tried again. Once it was said, it is not due for a while.
    pub(crate) fn is_retry_due(&self, now: Instant) -> bool {
        let mut tried = self.tried.lock().unwrap_or_else(|e| e.into_inner());
        let is_retry_due = tried.is_none_or(|tried| is_due(tried, now, RETRY_EVERY));
        if is_retry_due {
            *tried = Some(now);
        }
        is_retry_due
    }

    /// What was seen last.
    pub(crate) fn holdings(&self) -> Arc<Holdings> {
        self.seen.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }
}

/// Why the store cannot be served from.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It cannot be looked at.
    #[error("cannot read the store")]
    Store(#[source] StoreError),
    /// The system gives no thread.
    #[error("cannot start the thread of the store")]
    Thread(#[source] std::io::Error),
}

/// The thread that looks.
struct Looker {
    store: Arc<Store>,
    poll: Duration,
    clock: Arc<dyn Clock>,
    seen: Arc<Mutex<Arc<Holdings>>>,
    /// The error the log was told, so that it is told once.
    told: Option<String>,
}

impl Looker {
    fn run(mut self, stopped: &Receiver<()>, tell: impl Fn()) {
        let mut pause = self.poll;
        while matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
            let began = self.clock.now();
            let before = self.seen.lock().unwrap_or_else(|e| e.into_inner()).clone();
            match look(&self.store, &before) {
                Ok(holdings) => {
                    if self.told.take().is_some() {
                        info!("the store can be read again");
                    }
                    if holdings != *before {
                        *self.seen.lock().unwrap_or_else(|e| e.into_inner()) = Arc::new(holdings);
                        tell();
                    }
                }
                Err(error) => {
                    let text = with_cause(&error);
                    if self.told.as_ref() != Some(&text) {
                        error!(text, "cannot look at the store: what is known of it stays");
                        self.told = Some(text);
                    }
                }
            }
            // A large store takes longer to look at, and then there is longer between two looks.
            pause = self.poll.max(self.clock.now().saturating_duration_since(began) * LOOK_SHARE);
        }
    }
}

/// Looks once. What was read before is not read again.
fn look(store: &Store, before: &Holdings) -> Result<Holdings, StoreError> {
    let mut holdings = Holdings::new();
    for (name, versions) in store.list()?.models {
        let known = before.get(&name);
        let mut model = ShelfModel::default();
        for version in versions {
            let kept = known.and_then(|known| known.versions.get(&version)).filter(|kept| kept.is_ok());
            let found = kept.cloned().unwrap_or_else(|| read_record(store, &name, version));
            model.versions.insert(version, found);
        }
        model.labels = match store.labels(&name) {
            Ok(labels) => labels,
            Err(error) => {
                warn!(model = %name, error = with_cause(&error), "the labels in the store stay as they were");
                known.map(|known| known.labels.clone()).unwrap_or_default()
            }
        };
        holdings.insert(name, model);
    }
    Ok(holdings)
}

fn read_record(store: &Store, name: &ModelName, version: Version) -> Result<Arc<Pushed>, Refusal> {
    let record = store.record(name, version).map_err(|error| refusal(&error))?;
    let record = record.ok_or_else(|| Refusal::new(RefusalCode::Unreadable, "its record went away"))?;
    let config = match &record.config_pbtxt {
        Some(text) => Some(labelled(store, &record, ModelConfig::parse(text, name)?)?),
        None => None,
    };
    Ok(Arc::new(Pushed { record, config }))
}

/// Reads the files of labels that a config names; one that was not pushed is only told.
fn labelled(store: &Store, record: &Record, mut config: ModelConfig) -> Result<ModelConfig, Refusal> {
    for output in &config.outputs {
        let Some(file) = &output.label_file else { continue };
        match read_beside(store, record, file, LABELS_BYTES_MAX)? {
            None => config.warnings.push(format!("the file {file:?} with labels of {:?} was not pushed", output.name)),
            Some(content) => {
                let text = String::from_utf8_lossy(&content);
                let labels = text.lines().map(|line| line.trim_end().to_owned()).collect();
                config.labels.insert(output.name.clone(), labels);
            }
        }
    }
    Ok(config)
}

/// Reads a file that was pushed beside a model, of at most so many bytes; `None` when there is none of that name.
pub(crate) fn read_beside(
    store: &Store,
    record: &Record,
    path: &str,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(file) = record.beside.iter().find(|file| file.path == path) else { return Ok(None) };
    if file.size > bytes_max {
        let text = format!("{path:?} has {} bytes, the limit is {bytes_max}", file.size);
        return Err(Refusal::new(RefusalCode::TooLarge, text));
    }
    store.read_file(file).map(Some).map_err(|error| refusal(&error))
}

/// Reads a version as the folder's reader does: every byte verified, and looked through before the runtime sees it.
pub(crate) fn read_pushed(store: &Store, record: &Record, limits: &Limits) -> Result<VersionFiles, Refusal> {
    // Before memory is taken for it.
    if record.bytes() > limits.version_bytes {
        let text = format!("its files have {} bytes, the limit is {}", record.bytes(), limits.version_bytes);
        return Err(Refusal::new(RefusalCode::TooLarge, text));
    }
    let read = store.read(record).map_err(|error| refusal(&error))?;
    let hashed = read.into_iter().zip(&record.files).map(|((path, content), file)| HashedFile {
        path,
        content: content.into(),
        sha256: *file.sha256.as_bytes(),
    });
    let files = assemble(hashed.collect(), limits)?;
    if files.digest != record.digest {
        let text = format!("the record says {}, its files are {}", record.digest, files.digest);
        return Err(Refusal::new(RefusalCode::StoreDamaged, text));
    }
    Ok(files)
}

/// What the store says, as a refusal of one version.
fn refusal(error: &StoreError) -> Refusal {
    let code = match error {
        StoreError::Io { .. } | StoreError::Busy { .. } => RefusalCode::Unreadable,
        _ => RefusalCode::StoreDamaged,
    };
    Refusal::new(code, with_cause(error))
}

pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A number in the store stands for one record, unless somebody meddled.
impl PartialEq for Pushed {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.record, &other.record);
        ours.digest == theirs.digest && ours.pushed_at_unix_ms == theirs.pushed_at_unix_ms
    }
}

impl fmt::Debug for StoreSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSource")
            .field("poll", &self.poll)
            .field("versions", &self.versions)
            .finish_non_exhaustive()
    }
}
