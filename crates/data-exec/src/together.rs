//! Several jobs of one version in one run.
//!
//! What a member gets is what it would have got alone. A batch that fails, takes too long or gives outputs that are not
//! its rows' is nobody's fault: its members go back to the head of the queue and each runs by itself. A run ends early
//! only when all its callers have left.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base_metrics::RerunCause;
use base_serving::batching::Batched;
use base_serving::engine::{RunControl, RunError, Terminate};
use base_serving::lane::{Job, JobError, Report};
use base_types::Tensor;

use crate::health::Ended;
use crate::join::{difference, join, split};
use crate::lane::LaneState;
use crate::output;
use crate::pool::Shared;
use crate::queue::Waiting;
use crate::watch::{Running, Slot, Taker};

/// The callers of one run. The last one to leave ends it.
struct Callers {
    n_left: AtomicUsize,
    control: Arc<RunControl>,
}

/// One of them.
struct Caller {
    callers: Arc<Callers>,
    has_left: AtomicBool,
}

impl Terminate for Caller {
    fn terminate(&self) {
        if !self.has_left.swap(true, Ordering::AcqRel) {
            self.callers.leave();
        }
    }
}

impl Callers {
    fn leave(&self) {
        if self.n_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.control.terminate();
        }
    }
}

/// What the run gave.
struct Outcome {
    outputs: Vec<Tensor>,
    took: Duration,
    /// The outputs of the last member run by itself, where the batch is compared with that.
    alone: Option<Vec<Tensor>>,
}

/// Runs jobs that may share a run. Says whether the watchdog has acted, so that this thread may have been replaced.
pub(crate) fn run_together(shared: &Shared, lane: &Arc<LaneState>, members: Vec<Waiting>, slot: &Slot) -> bool {
    let began = shared.clock().now();
    let control = Arc::<RunControl>::default();
    let members = gather(members, began, &control);
    let Some(first) = members.first() else { return false };
    let (outputs, limits) = (first.job().outputs.clone(), first.job().limits.clone());
    let rows: Vec<usize> = members.iter().map(|member| member.n_rows).collect();
    let n_rows = rows.iter().sum();
    let jobs: Vec<&Job> = members.iter().map(Waiting::job).collect();
    let last = members.last().filter(|_| lane.must_verify()).map(|member| member.job().inputs.clone());
    let Some(inputs) = join(&jobs) else {
        shared.give_back(lane, members, RerunCause::Unfit);
        return false;
    };
    let tolerance = limits.batching.on().map_or(0.0, |settings| settings.tolerance);
    slot.begin(Running {
        began,
        timeout: limits.run_timeout,
        deadline: None,
        queue: Duration::ZERO,
        control: control.clone(),
        taker: Taker::Several(lane.clone(), members),
        is_overdue: false,
    });
    let result = catch_unwind(AssertUnwindSafe(|| -> Result<Outcome, RunError> {
        let given = lane.runner().run(&inputs, &outputs, &control)?;
        let took = shared.clock().now().saturating_duration_since(began);
        let alone = last.map(|inputs| lane.runner().run(&inputs, &outputs, &control)).transpose()?;
        Ok(Outcome { outputs: given, took, alone })
    }));
    let ended_at = shared.clock().now();
    let members = match slot.end().map(|running| running.taker) {
        Some(Taker::Several(_, members)) => members,
        // The watchdog has put them back.
        _ => {
            lane.batch_ended(Ended::TimedOut, n_rows, ended_at);
            return true;
        }
    };
    members.iter().for_each(|member| member.job().control.end());
    let outcome = match result {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(RunError::Terminated)) => {
            shared.give_back(lane, members, RerunCause::Error);
            return false;
        }
        Ok(Err(RunError::Failed(_))) | Err(_) => {
            lane.batch_ended(Ended::Failed, n_rows, ended_at);
            shared.give_back(lane, members, RerunCause::Error);
            return false;
        }
    };
    lane.record_batch(outcome.took, n_rows);
    match shares(&outcome, &rows, tolerance) {
        Ok(shares) => {
            lane.batch_ended(Ended::Well, n_rows, ended_at);
            answer((shared, lane), members, shares, (began, outcome.took));
        }
        Err(why) => {
            lane.batch_ended(Ended::Unfit(why), n_rows, ended_at);
            shared.give_back(lane, members, RerunCause::Unfit);
        }
    }
    false
}

/// Those who still wait and have time left; the others are told why not.
fn gather(members: Vec<Waiting>, now: Instant, control: &Arc<RunControl>) -> Vec<Waiting> {
    let callers = Arc::new(Callers { n_left: AtomicUsize::new(members.len()), control: control.clone() });
    let mut gathered = Vec::with_capacity(members.len());
    for member in members {
        let caller = Caller { callers: callers.clone(), has_left: AtomicBool::new(false) };
        let error = if now >= member.job().deadline {
            JobError::Expired
        } else if member.job().control.begin(Arc::new(caller)) {
            gathered.push(member);
            continue;
        } else {
            JobError::Stopped
        };
        callers.leave();
        let queue = now.saturating_duration_since(member.admitted.since);
        // A receiver that is gone has no use for the report.
        let _gone = member.reply.send(Report { result: Err(error), queue, run: Duration::ZERO, batch: None });
    }
    gathered
}

/// Each member's outputs, or why the version cannot be batched.
fn shares(outcome: &Outcome, rows: &[usize], tolerance: f64) -> Result<Vec<Vec<Tensor>>, String> {
    let shares = split(&outcome.outputs, rows)?;
    let compared = outcome.alone.as_ref().zip(shares.last());
    match compared.and_then(|(alone, batched)| difference(batched, alone, tolerance)) {
        Some(difference) => Err(difference),
        None => Ok(shares),
    }
}

/// Gives each member its outputs. One whose outputs are not in order runs by itself, which says whose fault that is.
fn answer(
    (shared, lane): (&Shared, &Arc<LaneState>),
    members: Vec<Waiting>,
    shares: Vec<Vec<Tensor>>,
    (began, run): (Instant, Duration),
) {
    let n_rows = members.iter().map(|member| member.n_rows).sum();
    let specs = &lane.runner().signature().outputs;
    let (mut odd, mut is_counted) = (Vec::new(), true);
    for (member, outputs) in members.into_iter().zip(shares) {
        let job = member.job();
        let mut pairs = outputs.iter().zip(job.outputs.iter());
        let is_whole = outputs.len() == job.outputs.len();
        if !is_whole || pairs.any(|(output, index)| output::check(output, &specs[*index], &job.limits).is_err()) {
            odd.push(member);
            continue;
        }
        let queue = began.saturating_duration_since(member.admitted.since);
        let batch = Some(Batched { n_rows, is_counted });
        is_counted = false;
        // A receiver that is gone has no use for the report.
        let _gone = member.reply.send(Report { result: Ok(outputs), queue, run, batch });
    }
    if !odd.is_empty() {
        shared.give_back(lane, odd, RerunCause::Output);
    }
}

#[cfg(test)]
mod tests;
