//! The loader: one thread of low priority that reads, checks, loads and warms versions one at a time, so that a
//! load does not move the latency of the versions that serve.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use base_metrics::Metrics;
use base_serving::engine::{Artifact, LoadError, Placement, Runner};
use base_serving::lane::Lane;
use base_serving::{ArmTally, InFlightMark, ModelLimits, Provider, ServingVersion, VersionStats};
use base_types::{Clock, Digest, Signature, TensorSpec, VersionId};
use control_config::NameMap;
use control_registry::Limits;
use control_registry::journal::Trials;
use control_registry::model_config::ModelConfig;
use control_store::Store;
use tracing::{debug, warn};

use crate::gate::{self, Desk, Warm};
use crate::memory::file_bytes;
use crate::sample::samples;
use crate::source::{Source, read, read_warmup};
use crate::turn::Event;
use crate::warm_up::{RUNS, WarmUp, warm_up};

/// After loads of versions with less than this, nothing is given back to the system.
const TRIM_BYTES_MIN: u64 = 1 << 20;

/// What turns bytes into something that runs. Wired up by the composition root.
pub trait Loader: Send + Sync {
    /// Loads an artifact; blocks.
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError>;
    /// Loads an artifact to run as told; blocks. Refuses what is not there.
    fn load_on(&self, artifact: &Artifact, placement: Placement) -> Result<Arc<dyn Runner>, LoadError> {
        match placement.provider {
            Provider::Cpu => self.load(artifact),
            other => Err(LoadError(format!("the provider {other} is not there"))),
        }
    }
    /// Puts a queue in front of a runner.
    fn lane(&self, runner: Arc<dyn Runner>) -> Arc<dyn Lane>;
    /// Marks what is in flight on some content, where the next process finds it; `None` when that cannot be done.
    fn mark(&self, digest: Digest) -> Option<Arc<dyn InFlightMark>>;
    /// What was in flight when the last process ended has been noted elsewhere: counting starts from zero.
    fn forget_crashes(&self);
    /// Puts the calling thread behind those that serve.
    fn step_back(&self) -> std::io::Result<()>;
    /// Gives freed memory back to the system; called after versions were freed, and after large ones were loaded.
    fn trim(&self);
}

/// One version to be taken up.
pub(crate) struct LoadRequest {
    pub(crate) id: VersionId,
    pub(crate) stamp: Source,
    pub(crate) config: Option<ModelConfig>,
    /// What callers call the inputs and outputs: the names of config.pbtxt are theirs.
    pub(crate) names: NameMap,
    pub(crate) limits: Arc<ModelLimits>,
    /// The content this number stands for, if it is known.
    pub(crate) registered: Option<Digest>,
    /// Only find out whether the content is still the same.
    pub(crate) is_check: bool,
}

/// Work for the loader's thread.
pub(crate) enum LoaderJob {
    Load(Box<LoadRequest>),
    /// Frees versions nobody uses any more.
    Free(Vec<Arc<ServingVersion>>),
}

/// Most sessions of one version, where sessions cannot be shared and config.pbtxt asks for more.
const SESSIONS_MAX: u32 = 64;

/// Inputs and outputs with the shapes of config.pbtxt, where these are not the graph's.
pub(crate) type Shown = Option<Arc<Signature>>;

/// Why a version cannot be loaded: stable code and text.
type Unloadable = (&'static str, String);

/// What became of a request: stable code and text when refused.
pub(crate) enum LoadResult {
    Loaded {
        version: Arc<ServingVersion>,
        shown: Shown,
        took: Duration,
    },
    /// The content is (still) the one given.
    Same(Digest),
    /// Other content than the number stands for.
    Changed(Digest),
    Refused {
        code: String,
        text: String,
        digest: Option<Digest>,
        is_transient: bool,
    },
}

/// What the thread needs.
pub(crate) struct LoadContext {
    /// The model repository, if there is one.
    pub(crate) root: Option<PathBuf>,
    /// The store, if there is one.
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) limits: Limits,
    pub(crate) loader: Arc<dyn Loader>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    /// Asks whether a digest is quarantined, so that its content is not even loaded.
    pub(crate) is_barred: Box<dyn Fn(Digest) -> bool + Send>,
    /// What versions have to pass, and what is known of it.
    pub(crate) gates: Desk,
    /// Remembers what is being loaded, should it take the process with it.
    pub(crate) trials: Trials,
    pub(crate) events: SyncSender<Event>,
}

/// Runs until the control thread is gone.
pub(crate) fn work(context: &LoadContext, jobs: &Receiver<LoaderJob>) {
    if let Err(error) = context.loader.step_back() {
        warn!(%error, "the loader's thread keeps its priority: loads may be felt");
    }
    while let Ok(job) = jobs.recv() {
        match job {
            LoaderJob::Load(request) => {
                let (id, stamp) = (request.id.clone(), request.stamp.clone());
                let result = take_up(context, &request);
                let is_large = file_bytes(&stamp) >= TRIM_BYTES_MIN;
                if context.events.send(Event::Loaded { id, stamp, result: Box::new(result) }).is_err() {
                    return;
                }
                // The files were read into memory, and the runtime read them once more: several times what is kept.
                if is_large {
                    context.loader.trim();
                }
            }
            LoaderJob::Free(versions) => {
                for version in &versions {
                    debug!(version = %version.id, "freed");
                }
                drop(versions);
                context.loader.trim();
            }
        }
    }
}

fn take_up(context: &LoadContext, request: &LoadRequest) -> LoadResult {
    let began = context.clock.now();
    let id = &request.id;
    let files = match read(context, request) {
        Ok(files) => files,
        Err(refusal) => {
            let (code, is_transient) = (refusal.code.as_str().to_owned(), refusal.code.is_transient());
            return LoadResult::Refused { code, text: refusal.text, digest: None, is_transient };
        }
    };
    let digest = files.digest;
    if request.registered.is_some_and(|known| known != digest) {
        return LoadResult::Changed(digest);
    }
    if request.is_check || (context.is_barred)(digest) {
        return LoadResult::Same(digest);
    }
    if let Err(error) = context.trials.begin_load(&digest, id) {
        warn!(%error, "should this load end the process, it will not be known which one it was");
    }
    let loaded = load(context, request, &files.artifact, digest);
    if let Err(error) = context.trials.end_load(&digest) {
        warn!(%error, "an unclean end would be charged to this load");
    }
    match loaded {
        Ok((version, shown)) => {
            let took = context.clock.now().saturating_duration_since(began);
            LoadResult::Loaded { version, shown, took }
        }
        Err((code, text)) => {
            LoadResult::Refused { code: code.to_owned(), text, digest: Some(digest), is_transient: false }
        }
    }
}

fn load(
    context: &LoadContext,
    request: &LoadRequest,
    artifact: &Artifact,
    digest: Digest,
) -> Result<(Arc<ServingVersion>, Shown), Unloadable> {
    let id = &request.id;
    let n_sessions = request.config.as_ref().and_then(|config| config.instances).unwrap_or(1).clamp(1, SESSIONS_MAX);
    let placement = Placement { provider: request.limits.provider, n_sessions: n_sessions as usize };
    let runner = context.loader.load_on(artifact, placement).map_err(|e| ("load_failed", e.to_string()))?;
    let (signature, shown) = signatures(request, runner.signature())?;
    let samples = match &request.config {
        Some(config) if !config.warmups.is_empty() => {
            let contract = request.names.apply(shown.as_ref().unwrap_or(&signature)).signature;
            let read = |name: &str, bytes_max| read_warmup(context, request, name, bytes_max);
            let samples = samples(config, (&contract, &signature), &read);
            samples.map_err(|text| ("warm_up_failed", text))?
        }
        _ => Vec::new(),
    };
    let lane = context.loader.lane(runner.clone());
    let (limits, clock) = (request.limits.clone(), context.clock.clone());
    let (signed, lane_of) = (signature.clone(), lane.clone());
    warm_up(WarmUp { id: id.clone(), signature: signed, samples, lane: lane_of, limits, clock, n_runs: RUNS })?;
    let warm = Warm { digest, signature: &signature, shown: shown.as_ref(), lane: &lane, runner: &runner };
    gate::check(context, request, &warm)?;
    let metrics = context.metrics.version(&id.model, id.version);
    lane.counted_by(metrics.batches());
    let version = Arc::new(ServingVersion {
        metrics,
        id: id.clone(),
        digest,
        digest_short: digest.short(),
        signature,
        lane,
        runner,
        tally: ArmTally::default(),
        stats: VersionStats::default(),
        mark: context.loader.mark(digest),
    });
    Ok((version, shown.map(Arc::new)))
}

/// The graph's signature as config.pbtxt narrows it, and as it shows it where that differs. The names in the file are
/// those of the callers; what comes out has the graph's.
fn signatures(request: &LoadRequest, graph: &Signature) -> Result<(Signature, Option<Signature>), Unloadable> {
    let Some(config) = &request.config else { return Ok((graph.clone(), None)) };
    let renamed = request.names.apply(graph).signature;
    config.check_signature(&renamed).map_err(|problems| ("config_mismatch", problems.join("; ")))?;
    let narrowed = config.narrow(&renamed);
    let shown = config.shown(&narrowed);
    let back = |side: Vec<TensorSpec>, graph: &[TensorSpec]| {
        let named = side.into_iter().zip(graph);
        named.map(|(spec, theirs)| TensorSpec { name: theirs.name.clone(), ..spec }).collect()
    };
    let back = |signature: Signature| Signature {
        inputs: back(signature.inputs, &graph.inputs),
        outputs: back(signature.outputs, &graph.outputs),
    };
    Ok((back(narrowed), shown.map(back)))
}
