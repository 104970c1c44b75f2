//! What a loaded version is made of: a model from the engine, a lane from the pool, a mark in the state directory.

use std::sync::Arc;

use base_serving::InFlightMark;
use base_serving::engine::{Artifact, Engine, LoadError, Placement, Runner};
use base_serving::lane::Lane;
use base_types::Digest;
use control_loop::Loader;
use data_exec::Executor;
use engine_onnx::{InFlightMarks, OnnxEngine, free_memory_to_system, lower_priority};

/// The loader of the control plane.
pub struct VersionLoader {
    /// The runtime.
    pub engine: OnnxEngine,
    /// The worker pool.
    pub executor: Arc<Executor>,
    /// The page of in-flight marks.
    pub marks: InFlightMarks,
}

impl Loader for VersionLoader {
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError> {
        self.engine.load(artifact)
    }

    fn load_on(&self, artifact: &Artifact, placement: Placement) -> Result<Arc<dyn Runner>, LoadError> {
        self.engine.load_on(artifact, placement)
    }

    fn lane(&self, runner: Arc<dyn Runner>) -> Arc<dyn Lane> {
        Arc::new(self.executor.lane(runner))
    }

    fn mark(&self, digest: Digest) -> Option<Arc<dyn InFlightMark>> {
        self.marks.claim(digest)
    }

    fn forget_crashes(&self) {
        self.marks.reset();
    }

    fn step_back(&self) -> std::io::Result<()> {
        lower_priority()
    }

    fn trim(&self) {
        free_memory_to_system();
    }
}
