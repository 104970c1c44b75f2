//! The queue in front of one version: admission, and the short path of quick models.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base_serving::engine::Runner;
use base_serving::lane::{Job, Lane, Refusal, Report, Submission};
use tokio::sync::oneshot;

use crate::pool::Shared;
use crate::run::{Admitted, Ran, run};
use crate::watch::short_path_slot;

/// A version whose runs take less than this on average runs on the caller's thread: handing the job to another
/// thread and waking up again would cost more than the run.
const SHORT_PATH_MAX: Duration = Duration::from_micros(100);
/// Share of a new measurement in the moving average, as a divisor.
const AVERAGE_OVER: u64 = 8;
/// A run counts for at most this many times the average.
const OUTLIER_FACTOR: u64 = 8;
const RETRY_AFTER_MIN: Duration = Duration::from_millis(50);

/// A waiting job.
pub(crate) struct Waiting {
    pub(crate) admitted: Admitted,
    pub(crate) reply: oneshot::Sender<Report>,
}

/// State shared between the submitters and the workers.
pub(crate) struct LaneState {
    runner: Arc<dyn Runner>,
    queue: Mutex<VecDeque<Waiting>>,
    n_waiting: AtomicUsize,
    n_running: AtomicUsize,
    /// Moving average of a run's time; 0 until the first run.
    run_average_nanos: AtomicU64,
}

/// The lane of one loaded version.
pub struct ExecLane {
    state: Arc<LaneState>,
    pool: Arc<Shared>,
}

/// One job being run.
pub(crate) struct RunningGuard<'a>(&'a LaneState);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.n_running.fetch_sub(1, Ordering::AcqRel);
    }
}

impl LaneState {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Takes the next job that somebody still waits for. Says whether more are left.
    pub(crate) fn next(&self) -> (Option<Waiting>, bool) {
        let mut queue = self.queue();
        let next = loop {
            match queue.pop_front() {
                Some(waiting) if waiting.reply.is_closed() => {}
                other => break other,
            }
        };
        self.n_waiting.store(queue.len(), Ordering::Relaxed);
        (next, !queue.is_empty())
    }

    pub(crate) fn runner(&self) -> &dyn Runner {
        self.runner.as_ref()
    }

    /// Takes a job for running; it counts as running until the guard is gone.
    pub(crate) fn running(&self) -> RunningGuard<'_> {
        self.n_running.fetch_add(1, Ordering::AcqRel);
        RunningGuard(self)
    }

    pub(crate) fn record_run(&self, took: Option<Duration>) {
        let Some(took) = took else { return };
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let average = self.run_average_nanos.load(Ordering::Relaxed);
        // A run that the system interrupted says little about the model: one sample moves the average by a bounded
        // factor, a few slow runs in a row move it all the way.
        let took = if average == 0 { took } else { took.min(average.saturating_mul(OUTLIER_FACTOR)) };
        let next = if average == 0 { took } else { average - average / AVERAGE_OVER + took / AVERAGE_OVER };
        self.run_average_nanos.store(next.max(1), Ordering::Relaxed);
    }

    fn run_average(&self) -> Duration {
        Duration::from_nanos(self.run_average_nanos.load(Ordering::Relaxed))
    }

    fn is_quick(&self) -> bool {
        let average = self.run_average();
        average > Duration::ZERO && average < SHORT_PATH_MAX && self.n_waiting.load(Ordering::Relaxed) == 0
    }
}

impl ExecLane {
    pub(crate) fn new(runner: Arc<dyn Runner>, pool: Arc<Shared>) -> Self {
        let (queue, n_waiting, n_running, run_average_nanos) = Default::default();
        Self { state: Arc::new(LaneState { runner, queue, n_waiting, n_running, run_average_nanos }), pool }
    }

    /// How long a job that came now would wait, by what runs took lately.
    fn estimated_wait(&self, n_ahead: usize) -> Duration {
        self.state.run_average() * n_ahead as u32 / self.pool.n_workers() as u32
    }

    fn run_on_this_thread(&self, job: Job) -> Ran {
        let clock = self.pool.clock();
        let slot = short_path_slot(self.pool.slots());
        let admitted = Admitted { job, since: clock.now() };
        let _running = self.state.running();
        run(self.state.runner(), admitted, None, &slot, clock)
    }

    fn enqueue(&self, job: Job) -> Submission {
        let now = self.pool.clock().now();
        let left = job.deadline.saturating_duration_since(now);
        let limit = job.limits.queue_requests;
        let mut queue = self.state.queue();
        if queue.len() >= limit {
            // Those whose caller has left make room.
            queue.retain(|w| !w.reply.is_closed());
        }
        let wait = self.estimated_wait(queue.len());
        if queue.len() >= limit {
            return Submission::Refused(Refusal::Full(wait.max(RETRY_AFTER_MIN)));
        }
        if wait > left {
            return Submission::Refused(Refusal::TooLate((wait - left).max(RETRY_AFTER_MIN)));
        }
        let (reply, report) = oneshot::channel();
        let is_first = queue.is_empty();
        queue.push_back(Waiting { admitted: Admitted { job, since: now }, reply });
        self.state.n_waiting.store(queue.len(), Ordering::Relaxed);
        drop(queue);
        if is_first {
            self.pool.offer(self.state.clone());
        }
        Submission::Queued(report)
    }
}

impl Lane for ExecLane {
    fn submit(&self, job: Job) -> Submission {
        match self.state.is_quick().then(|| self.pool.short_path()).flatten() {
            Some(_permit) => Submission::Finished(self.run_here(job)),
            None => self.enqueue(job),
        }
    }

    fn run_here(&self, job: Job) -> Report {
        let ran = self.run_on_this_thread(job);
        self.state.record_run(ran.took);
        ran.report.unwrap_or_else(Report::closed)
    }

    fn run_apart(&self, job: Job) -> Report {
        self.run_on_this_thread(job).report.unwrap_or_else(Report::closed)
    }

    fn waiting(&self) -> usize {
        self.state.n_waiting.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.state.n_running.load(Ordering::Acquire) == 0
    }
}
