//! What the request path asks of a loaded version: take a job, give a report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base_types::{FaultKind, Tensor};
use tokio::sync::oneshot;

use base_metrics::BatchMetrics;

use crate::ModelLimits;
use crate::batching::Batched;
use crate::engine::RunControl;

/// One attempt, ready to run: inputs fit the version's signature and stand in its order.
pub struct Job {
    /// The inputs.
    pub inputs: Arc<[Tensor]>,
    /// Positions of the wanted outputs in the signature, in the order the caller wants them.
    pub outputs: Arc<[usize]>,
    /// Work that has not begun by then never begins.
    pub deadline: Instant,
    /// The model's bounds, as of the request's snapshot.
    pub limits: Arc<ModelLimits>,
    /// Lets the caller stop the run.
    pub control: Arc<RunControl>,
}

/// How a job ended, and where its time went.
#[derive(Debug)]
pub struct Report {
    /// Checked outputs, or why there are none.
    pub result: Result<Vec<Tensor>, JobError>,
    /// Time in the queue.
    pub queue: Duration,
    /// Time in the runtime.
    pub run: Duration,
    /// The run it shared with other requests; `None` for one of its own.
    pub batch: Option<Batched>,
}

impl Report {
    /// Of a job that a closing lane let go.
    pub fn closed() -> Self {
        Self { result: Err(JobError::Closed), queue: Duration::ZERO, run: Duration::ZERO, batch: None }
    }
}

/// Why a job gave no outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobError {
    /// The version's fault. The text is for the log, not for the caller.
    Fault(FaultKind, String),
    /// The deadline passed before the run began.
    Expired,
    /// The caller stopped it.
    Stopped,
    /// The lane closed before the run began.
    Closed,
}

/// What became of a submitted job.
pub enum Submission {
    /// It ran at once, on the caller's thread: the version is known to be quick and nobody was waiting.
    Finished(Report),
    /// It waits or runs elsewhere. Dropping the receiver takes the job out of the queue.
    Queued(oneshot::Receiver<Report>),
    /// It was refused at once.
    Refused(Refusal),
}

/// Why a job was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The queue is full. Come back after the time given.
    Full(Duration),
    /// The queue is so long that the deadline would pass in it.
    TooLate(Duration),
    /// The lane is closing.
    Closed,
}

/// The queue in front of one loaded version.
pub trait Lane: Send + Sync {
    /// Takes a job or refuses it; never waits.
    fn submit(&self, job: Job) -> Submission;

    /// Runs a job past the queue and waits for its end, on the calling thread where the lane can do that: for warm-up,
    /// which must not take the threads that serve. Never called on a thread of an async runtime.
    fn run_here(&self, job: Job) -> Report {
        match self.submit(job) {
            Submission::Finished(report) => report,
            Submission::Queued(report) => report.blocking_recv().unwrap_or_else(|_| Report::closed()),
            Submission::Refused(_) => Report::closed(),
        }
    }

    /// The same for runs whose time says nothing about the version, because they give way to all others: no later
    /// decision of the lane is made by it.
    fn run_apart(&self, job: Job) -> Report {
        self.run_here(job)
    }

    /// Gives the lane the handles by which it counts its batches. A lane that makes none has no use for them.
    fn counted_by(&self, _batches: BatchMetrics) {}

    /// Jobs waiting now.
    fn waiting(&self) -> usize;

    /// Whether nothing waits or runs: a run may outlive the request that asked for it.
    fn is_idle(&self) -> bool {
        self.waiting() == 0
    }
}
