//! Versions in memory that were never loaded: a lane that follows a script, and whatever else a snapshot holds.

use std::sync::Arc;

use base_metrics::Metrics;
use base_serving::engine::{RunControl, RunError, Runner};
use base_serving::lane::{Job, JobError, Lane, Report, Submission};
use base_serving::{
    ArmTally, FaultReport, Judge, ModelLimits, RetryBudget, ServingModel, ServingVersion, VersionStats,
};
use base_types::{Digest, MemoryUse, ModelName, Signature, Tensor, Version, VersionId};

/// Decides what becomes of a job.
type LaneScript = Box<dyn Fn(Job) -> Submission + Send + Sync>;

/// A lane that follows a script and never queues.
pub struct FakeLane(LaneScript);

impl FakeLane {
    /// Does with a job what the script does.
    pub fn new(script: impl Fn(Job) -> Submission + Send + Sync + 'static) -> Self {
        Self(Box::new(script))
    }
}

impl Lane for FakeLane {
    fn submit(&self, job: Job) -> Submission {
        (self.0)(job)
    }

    fn waiting(&self) -> usize {
        0
    }
}

/// The report of a run that took a millisecond.
pub fn report(result: Result<Vec<Tensor>, JobError>) -> Report {
    use std::time::Duration;
    Report { result, queue: Duration::ZERO, run: Duration::from_millis(1), batch: None }
}

struct NoRunner(Signature);

impl Runner for NoRunner {
    fn signature(&self) -> &Signature {
        &self.0
    }

    fn run(&self, _: &[Tensor], _: &[usize], _: &RunControl) -> Result<Vec<Tensor>, RunError> {
        Err(RunError::Terminated)
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse::default()
    }
}

/// Judges nothing.
pub struct NoJudge;

impl Judge for NoJudge {
    fn on_fault(&self, _: &FaultReport<'_>) {}
}

/// A version in memory with the lane given. Its digest repeats the version's number.
pub fn serving_version(
    metrics: &Metrics,
    (model, version): (&ModelName, Version),
    signature: Signature,
    lane: Arc<dyn Lane>,
) -> Arc<ServingVersion> {
    let digest = Digest::new([version.get() as u8; 32]);
    Arc::new(ServingVersion {
        metrics: metrics.version(model, version),
        id: VersionId { model: model.clone(), version },
        digest,
        digest_short: digest.short(),
        signature: signature.clone(),
        lane,
        runner: Arc::new(NoRunner(signature)),
        tally: ArmTally::default(),
        stats: VersionStats::default(),
        mark: None,
    })
}

/// A model without versions or route.
pub fn serving_model(name: &ModelName, limits: ModelLimits) -> ServingModel {
    ServingModel {
        name: name.clone(),
        route: None,
        versions: Default::default(),
        unready: Default::default(),
        budget: Arc::new(RetryBudget::new(limits.retry_ratio, limits.retry_reserve)),
        limits: Arc::new(limits),
        is_judged: false,
        declared: Arc::default(),
        contracts: Default::default(),
        watch: None,
    }
}
