//! What the gateway asks of an inference engine. `engine-onnx` is the real one, testkit has a fake.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use base_types::{MemoryUse, Signature, Tensor};
use thiserror::Error;

use crate::Provider;

/// One file of a version as it was read: what was hashed is what runs.
#[derive(Debug, Clone)]
pub struct ArtifactFile {
    /// Path relative to the version's folder, with `/`.
    pub path: String,
    /// The content.
    pub content: Arc<[u8]>,
}

/// Everything the runtime reads of one version. The first file is the model.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The model file.
    pub model: ArtifactFile,
    /// External data files the model refers to.
    pub external: Vec<ArtifactFile>,
}

/// Why an artifact could not be turned into a runner.
#[derive(Debug, Error)]
#[error("the runtime refused the model: {0}")]
pub struct LoadError(pub String);

/// Why a run gave no outputs. After our own checks of name, type and shape every such error is the version's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RunError {
    /// The runtime reported an error.
    #[error("{0}")]
    Failed(String),
    /// The run was terminated through its [`RunControl`].
    #[error("the run was terminated")]
    Terminated,
}

/// Turns artifacts into runners. Called from the loader thread only, one at a time.
pub trait Engine: Send + Sync {
    /// Loads an artifact. Blocks for as long as the runtime takes.
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError>;

    /// Loads an artifact onto a provider. An engine without it refuses, and never falls back to another one.
    fn load_on(&self, artifact: &Artifact, placement: Placement) -> Result<Arc<dyn Runner>, LoadError> {
        match placement.provider {
            Provider::Cpu => self.load(artifact),
            other => Err(LoadError(format!("the provider {other} is not there, this engine has cpu alone"))),
        }
    }
}

/// Where a version runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Placement {
    /// What computes it.
    pub provider: Provider,
    /// Sessions side by side where they cannot be shared, at least one.
    pub n_sessions: usize,
}

/// One loaded version. `run` may be called from several threads at once. Dropping it frees the model,
/// which can take tens of milliseconds: never drop the last reference on a request's thread.
pub trait Runner: Send + Sync {
    /// Inputs and outputs in the model's order.
    fn signature(&self) -> &Signature;

    /// Computes the outputs whose positions in the signature are given, in that order. `inputs` fit the
    /// signature and stand in its order. Blocks.
    fn run(&self, inputs: &[Tensor], outputs: &[usize], control: &RunControl) -> Result<Vec<Tensor>, RunError>;

    /// What the version holds in memory now.
    fn memory(&self) -> MemoryUse;
}

/// Something that can stop a run at the next node of the graph.
pub trait Terminate: Send + Sync {
    /// Asks the run to stop.
    fn terminate(&self);
}

/// Connects the one who wants a run stopped with the one who runs it.
#[derive(Default)]
pub struct RunControl {
    is_terminated: AtomicBool,
    has_begun: AtomicBool,
    running: Mutex<Option<Arc<dyn Terminate>>>,
}

impl RunControl {
    /// Stops the run: at once if it has not begun, else at the next node of the graph.
    pub fn terminate(&self) {
        let running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        self.is_terminated.store(true, Ordering::Release);
        if let Some(running) = running.as_ref() {
            running.terminate();
        }
    }

    /// Whether `terminate` was called.
    pub fn is_terminated(&self) -> bool {
        self.is_terminated.load(Ordering::Acquire)
    }

    /// Whether a run began.
    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Called by the runner as it begins; `false` when the run must not begin at all.
    pub fn begin(&self, run: Arc<dyn Terminate>) -> bool {
        let mut running = self.running.lock().unwrap_or_else(|e| e.into_inner());
        if self.is_terminated() {
            return false;
        }
        self.has_begun.store(true, Ordering::Release);
        *running = Some(run);
        true
    }

    /// Called by the runner when the run is over.
    pub fn end(&self) {
        *self.running.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }
}
