//! The queue in front of one version: admission, and the short path of quick models.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use base_metrics::{BatchMetrics, RerunCause};
use base_serving::batching::unfit;
use base_serving::engine::Runner;
use base_serving::lane::{Job, Lane, Refusal, Report, Submission};
use tokio::sync::oneshot;
use tracing::warn;

use crate::costs::{Average, Costs};
use crate::health::{Ended, Health};
use crate::join;
use crate::pool::Shared;
use crate::queue::{Around, Place, Queue, Turn, Waiting};
use crate::run::{Admitted, Ran, run};
use crate::watch::short_path_slot;

/// A version whose runs take less than this on average runs on the caller's thread: handing the job to another
/// thread and waking up again would cost more than the run.
const SHORT_PATH_MAX: Duration = Duration::from_micros(100);
const RETRY_AFTER_MIN: Duration = Duration::from_millis(50);

/// State shared between the submitters and the workers.
pub(crate) struct LaneState {
    runner: Arc<dyn Runner>,
    queue: Mutex<Queue>,
    n_waiting: AtomicUsize,
    n_running: AtomicUsize,
    /// Whether the lane is held back for more requests to come.
    is_delayed: AtomicBool,
    /// Whether requests of this version can share a run at all, as far as is known.
    is_fit: AtomicBool,
    /// Time of a run alone.
    run_average: Average,
    /// Times of runs by their rows, where runs are shared.
    costs: Costs,
    batches: OnceLock<BatchMetrics>,
}

/// The lane of one loaded version.
pub struct ExecLane {
    state: Arc<LaneState>,
    pool: Arc<Shared>,
}

/// One job, or several together, being run.
pub(crate) struct RunningGuard<'a>(&'a LaneState);

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        self.0.n_running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl LaneState {
    fn new(runner: Arc<dyn Runner>) -> Self {
        let flaw = unfit(runner.signature());
        let is_fit = AtomicBool::new(flaw.is_none());
        let queue = Mutex::new(Queue::new(Health::new(flaw)));
        let (n_waiting, n_running, is_delayed, run_average, costs, batches) = Default::default();
        Self { runner, queue, n_waiting, n_running, is_delayed, is_fit, run_average, costs, batches }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Takes what is to run next on a worker, which counts as running already. Says whether more is left for others.
    /// `may_wait` is off while the pool closes. A lane that is held back is with those that the pool keeps for later
    /// before anybody else can look at its queue.
    pub(crate) fn turn(self: &Arc<Self>, pool: &Shared, may_wait: bool) -> (Turn, bool) {
        let mut queue = self.queue();
        let turn = match queue.turn_alone() {
            Some(turn) => turn,
            None => {
                let is_busy = may_wait && self.n_running.load(Ordering::SeqCst) > 1;
                queue.turn(&Around { now: pool.clock().now(), is_busy, costs: &self.costs })
            }
        };
        let is_later = matches!(turn, Turn::Later(_));
        if let Turn::Later(until) = turn {
            pool.delay(until, self.clone());
        }
        let has_more = !is_later && !queue.is_empty();
        queue.place = match (is_later, has_more) {
            (true, _) => Place::Delayed,
            (_, true) => Place::InRound,
            (_, false) => Place::Out,
        };
        self.is_delayed.store(is_later, Ordering::SeqCst);
        self.n_waiting.store(queue.len(), Ordering::Relaxed);
        (turn, has_more)
    }

    /// Puts jobs back, each to run by itself. Gives the lane's place before, where it has work and was not in the round.
    pub(crate) fn put_back(&self, members: Vec<Waiting>, cause: RerunCause) -> Option<Place> {
        let mut queue = self.queue();
        let n_back = queue.put_back(members);
        if let Some(batches) = self.batches.get().filter(|_| n_back > 0) {
            batches.rerun(cause, n_back);
        }
        self.n_waiting.store(queue.len(), Ordering::Relaxed);
        let place = queue.place;
        if queue.is_empty() || place == Place::InRound {
            return None;
        }
        queue.place = Place::InRound;
        Some(place)
    }

    /// Whether the lane is held back although no run of it is under way any more, or only the one that asks.
    pub(crate) fn is_held_back(&self, n_running: usize) -> bool {
        self.is_delayed.load(Ordering::SeqCst) && self.n_running.load(Ordering::SeqCst) <= n_running
    }

    pub(crate) fn runner(&self) -> &dyn Runner {
        self.runner.as_ref()
    }

    /// Takes a job for running; it counts as running until the guard is gone.
    pub(crate) fn running(&self) -> RunningGuard<'_> {
        self.n_running.fetch_add(1, Ordering::AcqRel);
        RunningGuard(self)
    }

    pub(crate) fn record_run(&self, took: Option<Duration>, n_rows: usize) {
        let Some(took) = took else { return };
        self.run_average.add(took);
        if n_rows > 0 {
            self.costs.add(n_rows, took);
        }
    }

    pub(crate) fn record_batch(&self, took: Duration, n_rows: usize) {
        self.costs.add(n_rows, took);
    }

    pub(crate) fn batches(&self) -> Option<&BatchMetrics> {
        self.batches.get()
    }

    /// Whether the next batch is to be compared with a run alone.
    pub(crate) fn must_verify(&self) -> bool {
        self.queue().health.must_verify()
    }

    /// Takes note of how a batch ended, and tells what there is to tell.
    pub(crate) fn batch_ended(&self, ended: Ended, n_rows: usize, now: Instant) {
        if matches!(ended, Ended::Unfit(_)) {
            self.is_fit.store(false, Ordering::Relaxed);
        }
        let told = self.queue().health.ended(ended, n_rows, now);
        if let Some(text) = told {
            let (model, version) = self.batches.get().map_or(("", ""), BatchMetrics::version);
            warn!(model, version, "batching: {text}");
        }
    }

    fn is_quick(&self) -> bool {
        let average = self.run_average.get();
        average > Duration::ZERO && average < SHORT_PATH_MAX && self.n_waiting.load(Ordering::Relaxed) == 0
    }

    /// Rows of a job that may share a run; 0 of any other.
    fn rows(&self, job: &Job) -> usize {
        let is_batched = job.limits.batching.on().is_some() && self.is_fit.load(Ordering::Relaxed);
        if is_batched { join::rows(job) } else { 0 }
    }
}

impl ExecLane {
    pub(crate) fn new(runner: Arc<dyn Runner>, pool: Arc<Shared>) -> Self {
        Self { state: Arc::new(LaneState::new(runner)), pool }
    }

    /// How long a job that came now would wait, by what runs took lately.
    fn estimated_wait(&self, queue: &Queue, job: &Job) -> Duration {
        let state = &self.state;
        let work = match job.limits.batching.on() {
            Some(settings) if state.is_fit.load(Ordering::Relaxed) => {
                state.costs.of_all(queue.n_rows(), settings.max_rows)
            }
            _ => state.run_average.get() * queue.len() as u32,
        };
        work / self.pool.n_workers() as u32
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
        let n_rows = self.state.rows(&job);
        let mut queue = self.state.queue();
        if queue.len() >= limit {
            // Those whose caller has left make room.
            queue.drop_left();
        }
        let wait = self.estimated_wait(&queue, &job);
        if queue.len() >= limit {
            return Submission::Refused(Refusal::Full(wait.max(RETRY_AFTER_MIN)));
        }
        if wait > left {
            return Submission::Refused(Refusal::TooLate((wait - left).max(RETRY_AFTER_MIN)));
        }
        let (reply, report) = oneshot::channel();
        queue.push(Waiting { admitted: Admitted { job, since: now }, reply, n_rows });
        self.state.n_waiting.store(queue.len(), Ordering::Relaxed);
        let place = queue.place;
        let is_due = match place {
            Place::InRound => false,
            Place::Out => true,
            Place::Delayed => {
                let is_busy = self.state.n_running.load(Ordering::Acquire) > 0;
                queue.is_due(&Around { now, is_busy, costs: &self.state.costs })
            }
        };
        if is_due {
            queue.place = Place::InRound;
        }
        drop(queue);
        if is_due {
            self.pool.bring(&self.state, place);
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
        let n_rows = self.state.rows(&job);
        let ran = self.run_on_this_thread(job);
        self.state.record_run(ran.took, n_rows);
        ran.report.unwrap_or_else(Report::closed)
    }

    fn run_apart(&self, job: Job) -> Report {
        self.run_on_this_thread(job).report.unwrap_or_else(Report::closed)
    }

    fn counted_by(&self, batches: BatchMetrics) {
        // The first handles stay: a lane belongs to one version.
        let _first_stays = self.state.batches.set(batches);
    }

    fn waiting(&self) -> usize {
        self.state.n_waiting.load(Ordering::Relaxed)
    }

    fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.state.n_running.load(Ordering::Acquire) == 0
    }
}
