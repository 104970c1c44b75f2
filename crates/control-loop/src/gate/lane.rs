//! A loaded version as the gates ask it: through its lane, past the queue, behind all requests.

use std::sync::Arc;
use std::time::Duration;

use base_serving::engine::Runner;
use base_serving::lane::{Job, JobError, Lane};
use base_serving::{ModelLimits, ServingVersion};
use base_types::{Clock, Signature, Tensor};
use control_gate::{Fault, Ran, Subject};

/// Beyond the run timeout, for a run that is stopped to come back.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A version in memory.
pub(crate) struct LaneSubject {
    pub(crate) contract: Signature,
    pub(crate) graph: Signature,
    pub(crate) lane: Arc<dyn Lane>,
    pub(crate) runner: Arc<dyn Runner>,
    pub(crate) limits: Arc<ModelLimits>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Keeps a version that serves in memory while it is asked.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) serving: Option<Arc<ServingVersion>>,
}

impl Subject for LaneSubject {
    fn contract(&self) -> &Signature {
        &self.contract
    }

    fn graph(&self) -> &Signature {
        &self.graph
    }

    fn run(&self, inputs: Vec<Tensor>) -> Result<Ran, Fault> {
        let job = Job {
            inputs: inputs.into(),
            outputs: (0..self.graph.outputs.len()).collect(),
            deadline: self.clock.now() + self.limits.run_timeout + STOP_GRACE,
            limits: self.limits.clone(),
            control: Arc::default(),
        };
        let report = self.lane.run_apart(job);
        match report.result {
            Ok(outputs) => Ok(Ran { outputs, took: report.run }),
            Err(JobError::Fault(_, text)) => Err(Fault::Failed(text)),
            Err(JobError::Closed) => Err(Fault::Failed("it left memory while it was asked".to_owned())),
            Err(JobError::Expired | JobError::Stopped) => Err(Fault::Failed("it did not end in time".to_owned())),
        }
    }

    fn memory_bytes(&self) -> u64 {
        let memory = self.runner.memory();
        memory.arena_bytes + memory.mapped_bytes
    }
}
