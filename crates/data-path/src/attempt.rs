//! One try at one version: submit, wait within the deadline, classify.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base_serving::batching::Batched;
use base_serving::engine::RunControl;
use base_serving::lane::{Job, JobError, Refusal, Report, Submission};
use base_serving::{ModelLimits, ServingVersion};
use base_types::{FaultKind, OutcomeClass, Reason, Tensor};

use crate::Code;

/// What a try needs besides the version.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) inputs: Arc<[Tensor]>,
    pub(crate) outputs: Arc<[usize]>,
    pub(crate) deadline: Instant,
    pub(crate) is_callers_deadline: bool,
    pub(crate) limits: Arc<ModelLimits>,
}

/// How a try ended.
pub(crate) struct Tried {
    pub(crate) result: Result<Vec<Tensor>, Why>,
    pub(crate) queue: Duration,
    pub(crate) run: Duration,
    pub(crate) batch: Option<Batched>,
}

/// Why a try gave no outputs.
pub(crate) struct Why {
    pub(crate) class: OutcomeClass,
    pub(crate) code: Code,
    pub(crate) fault: Option<FaultKind>,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Why {
    /// The version could not answer.
    pub(crate) fn fault() -> Self {
        Self::new(OutcomeClass::VersionFault, Code::VersionFault)
    }

    fn new(class: OutcomeClass, code: Code) -> Self {
        Self { class, code, fault: None, detail: String::new(), retry_after: None }
    }
}

/// Counts the attempt in flight, and stops its work when the caller leaves.
struct InFlight<'a> {
    version: &'a ServingVersion,
    control: Arc<RunControl>,
    is_marked: bool,
    is_over: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.version.end(self.is_marked);
        if !self.is_over {
            self.control.terminate();
        }
    }
}

/// Tries one version. Dropping the future stops the work.
pub(crate) async fn attempt(version: &ServingVersion, reason: Reason, work: Work) -> Tried {
    let control = Arc::new(RunControl::default());
    let is_marked = reason.is_evidence();
    version.begin(is_marked);
    let mut in_flight = InFlight { version, control: control.clone(), is_marked, is_over: false };
    let Work { inputs, outputs, deadline, is_callers_deadline, limits } = work;
    let job = Job { inputs, outputs, deadline, limits, control: control.clone() };
    let report = match version.lane.submit(job) {
        Submission::Finished(report) => report,
        Submission::Refused(refusal) => return refused(refusal),
        Submission::Queued(report) => match tokio::time::timeout_at(deadline.into(), report).await {
            Ok(Ok(report)) => report,
            Ok(Err(_closed)) => return refused(Refusal::Closed),
            Err(_elapsed) => return late(control.has_begun(), is_callers_deadline),
        },
    };
    in_flight.is_over = true;
    reported(report, is_callers_deadline)
}

fn failed(why: Why) -> Tried {
    Tried { result: Err(why), queue: Duration::ZERO, run: Duration::ZERO, batch: None }
}

fn refused(refusal: Refusal) -> Tried {
    failed(match refusal {
        Refusal::Full(wait) => Why { retry_after: Some(wait), ..Why::new(OutcomeClass::Overload, Code::QueueFull) },
        Refusal::TooLate(wait) => {
            Why { retry_after: Some(wait), ..Why::new(OutcomeClass::Overload, Code::DeadlineTooShort) }
        }
        Refusal::Closed => Why::new(OutcomeClass::Unavailable, Code::Draining),
    })
}

/// The deadline passed while we waited. In the queue that is the version's backlog; in the run it is held
/// against nobody, because only the operator's run timeout makes a fault.
fn late(has_begun: bool, is_callers_deadline: bool) -> Tried {
    failed(match (has_begun, is_callers_deadline) {
        (false, _) => Why::new(OutcomeClass::Saturation, Code::DeadlineInQueue),
        (true, true) => Why::new(OutcomeClass::CallerDeadline, Code::DeadlineInRun),
        (true, false) => Why::new(OutcomeClass::Saturation, Code::DeadlineInRun),
    })
}

fn reported(report: Report, is_callers_deadline: bool) -> Tried {
    let result = report.result.map_err(|error| match error {
        JobError::Fault(kind, detail) => Why { fault: Some(kind), detail, ..Why::fault() },
        JobError::Expired => Why::new(OutcomeClass::Saturation, Code::DeadlineInQueue),
        JobError::Stopped if is_callers_deadline => Why::new(OutcomeClass::CallerDeadline, Code::DeadlineInRun),
        JobError::Stopped => Why::new(OutcomeClass::Saturation, Code::DeadlineInRun),
        JobError::Closed => Why::new(OutcomeClass::Unavailable, Code::Draining),
    });
    Tried { result, queue: report.queue, run: report.run, batch: report.batch }
}
