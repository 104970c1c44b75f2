//! One job on one thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use base_serving::engine::{RunError, Runner};
use base_serving::lane::{Job, JobError, Report};
use base_types::{Clock, FaultKind, Tensor};
use tokio::sync::oneshot;

use crate::output;
use crate::watch::{Running, Slot, Taker, timeout_error};

/// A job and when it came.
pub(crate) struct Admitted {
    pub(crate) job: Job,
    pub(crate) since: Instant,
}

/// What became of a job.
pub(crate) struct Ran {
    /// The report; `None` when the watchdog has answered already.
    pub(crate) report: Option<Report>,
    /// Where it goes; `None` on the short path.
    pub(crate) reply: Option<oneshot::Sender<Report>>,
    /// The time in the runtime; `None` for a run that never began or did not end by itself.
    pub(crate) took: Option<Duration>,
}

/// Runs a job.
pub(crate) fn run(
    runner: &dyn Runner,
    admitted: Admitted,
    reply: Option<oneshot::Sender<Report>>,
    slot: &Slot,
    clock: &dyn Clock,
) -> Ran {
    let Admitted { job, since } = admitted;
    let began = clock.now();
    let queue = began.saturating_duration_since(since);
    let not_run = |error| Report { result: Err(error), queue, run: Duration::ZERO, batch: None };
    if began >= job.deadline {
        return Ran { report: Some(not_run(JobError::Expired)), reply, took: None };
    }
    let timeout = job.limits.run_timeout;
    let is_short_path = reply.is_none();
    let control = job.control.clone();
    let deadline = is_short_path.then_some(job.deadline);
    let taker = reply.map_or(Taker::Here, Taker::One);
    slot.begin(Running { began, timeout, deadline, queue, control, taker, is_overdue: false });
    let result = catch_unwind(AssertUnwindSafe(|| runner.run(&job.inputs, &job.outputs, &job.control)));
    let run = clock.now().saturating_duration_since(began);
    let Some(running) = slot.end() else { return Ran { report: None, reply: None, took: None } };
    let result = match result {
        _ if running.is_overdue => Err(timeout_error(timeout)),
        Ok(Ok(outputs)) => checked(runner, &job, outputs),
        Ok(Err(RunError::Terminated)) => Err(JobError::Stopped),
        Ok(Err(RunError::Failed(text))) => Err(JobError::Fault(FaultKind::Run, text)),
        Err(_panic) => Err(JobError::Fault(FaultKind::Run, "the runner panicked".to_owned())),
    };
    let is_stopped = matches!(result, Err(JobError::Stopped));
    let reply = match running.taker {
        Taker::One(reply) => Some(reply),
        Taker::Here | Taker::Several(..) | Taker::Told => None,
    };
    let has_taker = is_short_path || reply.is_some();
    let report = has_taker.then_some(Report { result, queue, run, batch: None });
    let took = (running.is_overdue || !is_stopped).then_some(run);
    Ran { report, reply, took }
}

fn checked(runner: &dyn Runner, job: &Job, outputs: Vec<Tensor>) -> Result<Vec<Tensor>, JobError> {
    let specs = &runner.signature().outputs;
    if outputs.len() != job.outputs.len() {
        let text = format!("{} outputs came, {} were asked for", outputs.len(), job.outputs.len());
        return Err(JobError::Fault(FaultKind::WrongOutput, text));
    }
    for (output, index) in outputs.iter().zip(job.outputs.iter()) {
        output::check(output, &specs[*index], &job.limits).map_err(|(kind, text)| JobError::Fault(kind, text))?;
    }
    Ok(outputs)
}
