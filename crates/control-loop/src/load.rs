//! The loader: one thread of low priority that reads, checks, loads and warms versions one at a time, so that a
//! load does not move the latency of the versions that serve.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use base_metrics::Metrics;
use base_serving::engine::{Artifact, LoadError, Runner};
use base_serving::lane::{Job, JobError, Lane, Report, Submission};
use base_serving::{ArmTally, InFlightMark, ModelLimits, ServingVersion};
use base_types::{Clock, Data, DataType, Digest, FaultKind, Signature, Tensor, TensorSpec, VersionId};
use bytes::Bytes;
use control_registry::Limits;
use control_registry::model_config::ModelConfig;
use control_registry::repository::{Stamp, read_version};
use tracing::{debug, warn};

use crate::turn::Event;

/// Runs before a version may be routed: enough for the runtime to settle its memory plan, and for the lane to know
/// how long a run takes.
const WARM_UP_RUNS: usize = 8;
const WARM_UP_BYTES_MAX: usize = 64 << 20;

/// What turns bytes into something that runs. Wired up by the composition root.
pub trait Loader: Send + Sync {
    /// Loads an artifact; blocks.
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError>;
    /// Puts a queue in front of a runner.
    fn lane(&self, runner: Arc<dyn Runner>) -> Arc<dyn Lane>;
    /// Marks what is in flight on some content, where the next process finds it; `None` when that cannot be done.
    fn mark(&self, digest: Digest) -> Option<Arc<dyn InFlightMark>>;
    /// What was in flight when the last process ended has been noted elsewhere: counting starts from zero.
    fn forget_crashes(&self);
    /// Puts the calling thread behind those that serve.
    fn step_back(&self) -> std::io::Result<()>;
    /// Gives freed memory back to the system; called after versions were freed.
    fn trim(&self);
}

/// One version to be taken up.
pub(crate) struct LoadRequest {
    pub(crate) id: VersionId,
    pub(crate) stamp: Stamp,
    pub(crate) config: Option<ModelConfig>,
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

/// What became of a request: stable code and text when refused.
pub(crate) enum LoadResult {
    Loaded {
        version: Arc<ServingVersion>,
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
    pub(crate) root: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) loader: Arc<dyn Loader>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    /// Asks whether a digest is quarantined, so that its content is not even loaded.
    pub(crate) is_barred: Box<dyn Fn(Digest) -> bool + Send>,
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
                if context.events.send(Event::Loaded { id, stamp, result: Box::new(result) }).is_err() {
                    return;
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
    let LoadRequest { id, stamp, .. } = request;
    let files = match read_version(&context.root, &id.model, id.version, stamp, &context.limits) {
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
    match load(context, request, &files.artifact, digest) {
        Ok(version) => {
            let took = context.clock.now().saturating_duration_since(began);
            LoadResult::Loaded { version, took }
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
) -> Result<Arc<ServingVersion>, (&'static str, String)> {
    let id = &request.id;
    let runner = context.loader.load(artifact).map_err(|e| ("load_failed", e.to_string()))?;
    let mut signature = runner.signature().clone();
    if let Some(config) = &request.config {
        config.check_signature(&signature).map_err(|problems| ("config_mismatch", problems.join("; ")))?;
        signature = config.narrow(&signature);
    }
    let lane = context.loader.lane(runner.clone());
    warm_up(id, &signature, lane.as_ref(), &request.limits, context.clock.as_ref())?;
    Ok(Arc::new(ServingVersion {
        metrics: context.metrics.version(&id.model, id.version),
        id: id.clone(),
        digest,
        digest_short: digest.short(),
        signature,
        lane,
        runner,
        tally: ArmTally::default(),
        mark: context.loader.mark(digest),
    }))
}

/// Runs the version on made-up input: ones, because zeros make models that divide by a norm fail, then zeros, because
/// a one may be no valid index. Where the signature leaves shapes open, failing on both proves nothing and is only
/// told; where it does not, a version that can answer neither is refused.
fn warm_up(
    id: &VersionId,
    signature: &Signature,
    lane: &dyn Lane,
    limits: &Arc<ModelLimits>,
    clock: &dyn Clock,
) -> Result<(), (&'static str, String)> {
    let has_open_shapes = signature.inputs.iter().any(|s| s.dims.iter().skip(1).any(Option::is_none));
    let mut failure = None;
    for fill in [Fill::Ones, Fill::Zeros] {
        let inputs = signature.inputs.iter().map(|spec| made_up(spec, fill)).collect::<Option<Vec<Tensor>>>();
        let Some(inputs) = inputs else {
            warn!(version = %id, "inputs too large to warm up with");
            return Ok(());
        };
        match run_warm(inputs.into(), signature, lane, limits, clock) {
            Ok(()) => return Ok(()),
            Err(JobError::Fault(FaultKind::NonFinite, text)) => {
                warn!(version = %id, text, "warm-up: if that is normal for this model, set allow_non_finite");
                return Ok(());
            }
            Err(JobError::Fault(_, text)) => failure = Some(text),
            Err(other) => warn!(version = %id, ?other, "warm-up was cut short"),
        }
    }
    match failure {
        Some(text) if has_open_shapes => warn!(version = %id, text, "warm-up: made-up input does not fit the model"),
        Some(text) => return Err(("warm_up_failed", text)),
        None => {}
    }
    Ok(())
}

fn run_warm(
    inputs: Arc<[Tensor]>,
    signature: &Signature,
    lane: &dyn Lane,
    limits: &Arc<ModelLimits>,
    clock: &dyn Clock,
) -> Result<(), JobError> {
    let outputs: Arc<[usize]> = (0..signature.outputs.len()).collect();
    for _ in 0..WARM_UP_RUNS {
        let job = Job {
            inputs: inputs.clone(),
            outputs: outputs.clone(),
            deadline: clock.now() + limits.run_timeout + Duration::from_secs(1),
            limits: limits.clone(),
            control: Arc::default(),
        };
        wait(lane.submit(job)).result?;
    }
    Ok(())
}

fn wait(submission: Submission) -> Report {
    let stopped = || Report { result: Err(JobError::Closed), queue: Duration::ZERO, run: Duration::ZERO };
    match submission {
        Submission::Finished(report) => report,
        Submission::Queued(report) => report.blocking_recv().unwrap_or_else(|_| stopped()),
        Submission::Refused(_) => stopped(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fill {
    Ones,
    Zeros,
}

/// A tensor of one value with every open dimension 1.
fn made_up(spec: &TensorSpec, fill: Fill) -> Option<Tensor> {
    let shape: Vec<usize> = spec.dims.iter().map(|d| d.unwrap_or(1)).collect();
    let n_elements = base_types::element_count(&shape)?;
    let one: &[u8] = match spec.datatype {
        DataType::Bool | DataType::Uint8 | DataType::Int8 => &[1],
        DataType::Uint16 | DataType::Int16 => &[1, 0],
        DataType::Fp16 => &[0x00, 0x3c],
        DataType::Bf16 => &[0x80, 0x3f],
        DataType::Uint32 | DataType::Int32 => &[1, 0, 0, 0],
        DataType::Fp32 => &[0, 0, 0x80, 0x3f],
        DataType::Uint64 | DataType::Int64 => &[1, 0, 0, 0, 0, 0, 0, 0],
        DataType::Fp64 => &[0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        DataType::Bytes => b"1",
    };
    let n_bytes = n_elements.checked_mul(one.len()).filter(|n| *n <= WARM_UP_BYTES_MAX)?;
    let data = match (spec.datatype, fill) {
        (DataType::Bytes, Fill::Ones) => Data::Strings(vec![Bytes::from_static(one); n_elements]),
        (DataType::Bytes, Fill::Zeros) => Data::Strings(vec![Bytes::new(); n_elements]),
        (_, Fill::Ones) => Data::Raw(one.repeat(n_elements).into()),
        (_, Fill::Zeros) => Data::Raw(vec![0; n_bytes].into()),
    };
    Tensor::new(spec.name.clone(), spec.datatype, shape, data).ok()
}
