//! The jobs that wait for one version, and which of them take the next turn.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use base_metrics::BatchReason;
use base_serving::batching::Batching;
use base_serving::lane::{Job, Report};
use tokio::sync::oneshot;

use crate::costs::Costs;
use crate::decide::{Decision, Offer, Situation, decide};
use crate::health::Health;
use crate::join::may_join;
use crate::run::Admitted;

/// So many jobs from the head of a queue are looked at for ones that may run together.
const LOOKED_AT_MAX: usize = 1024;
/// Share of a new gap in the moving average, as a divisor.
const GAP_OVER: u32 = 8;
/// A pause counts for at most this many times the longest wait: the requests after it come as fast as ever.
const GAP_FACTOR_MAX: u32 = 4;
/// A batch is made no larger than can be expected to be over in this part of the run timeout, as a divisor.
const PART_OF_TIMEOUT: u32 = 2;

/// A waiting job.
pub(crate) struct Waiting {
    pub(crate) admitted: Admitted,
    pub(crate) reply: oneshot::Sender<Report>,
    /// Its rows, if it may share a run; else 0.
    pub(crate) n_rows: usize,
}

impl Waiting {
    pub(crate) fn job(&self) -> &Job {
        &self.admitted.job
    }

    fn is_left(&self) -> bool {
        self.reply.is_closed()
    }
}

/// Where a lane stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Place {
    /// Nowhere: nothing waits, or a worker is looking at it.
    #[default]
    Out,
    /// In the round.
    InRound,
    /// Held back for more requests to come.
    Delayed,
}

/// Whose turn it is.
pub(crate) enum Turn {
    /// Nobody waits.
    Nobody,
    /// One job, and why it was not kept for a batch, where that was a question.
    One(Waiting, Option<BatchReason>),
    /// Several, which share a run.
    Several(Vec<Waiting>, BatchReason),
    /// Nobody yet: the lane is to be looked at again then.
    Later(Instant),
}

/// What the queue does not know itself.
pub(crate) struct Around<'a> {
    pub(crate) now: Instant,
    /// Whether another run of the version is under way.
    pub(crate) is_busy: bool,
    pub(crate) costs: &'a Costs,
}

/// The jobs of one lane.
#[derive(Default)]
pub(crate) struct Queue {
    jobs: VecDeque<Waiting>,
    /// Rows of all jobs; a job that may share no run counts as one row.
    n_rows: usize,
    pub(crate) place: Place,
    last_came: Option<Instant>,
    /// Moving average of the time between two jobs that may share a run.
    gap: Option<Duration>,
    pub(crate) health: Health,
}

impl Queue {
    pub(crate) fn new(health: Health) -> Self {
        Self { health, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        if let Some(settings) = settings(&waiting) {
            self.came(waiting.admitted.since, settings);
        }
        self.n_rows += waiting.n_rows.max(1);
        self.jobs.push_back(waiting);
    }

    /// Puts jobs back at the head, in their order; from now on each of them runs by itself.
    /// Gives their number; those whose callers have left are dropped.
    pub(crate) fn put_back(&mut self, members: Vec<Waiting>) -> usize {
        let n_before = self.jobs.len();
        for waiting in members.into_iter().rev().filter(|waiting| !waiting.is_left()) {
            self.n_rows += 1;
            self.jobs.push_front(Waiting { n_rows: 0, ..waiting });
        }
        self.jobs.len() - n_before
    }

    /// Drops the jobs whose callers have left.
    pub(crate) fn drop_left(&mut self) {
        self.jobs.retain(|waiting| !waiting.is_left());
        self.n_rows = self.jobs.iter().map(|waiting| waiting.n_rows.max(1)).sum();
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.jobs.pop_front()?;
        self.n_rows -= waiting.n_rows.max(1);
        Some(waiting)
    }

    fn came(&mut self, now: Instant, settings: &Batching) {
        let longest = settings.delay_max * GAP_FACTOR_MAX;
        if let Some(last) = self.last_came.replace(now).filter(|_| !longest.is_zero()) {
            let gap = now.saturating_duration_since(last).min(longest);
            self.gap = Some(self.gap.map_or(gap, |usual| usual - usual / GAP_OVER + gap / GAP_OVER));
        }
    }

    /// Takes the next job, if it and the lane have nothing to do with batches: without a look at the clock.
    pub(crate) fn turn_alone(&mut self) -> Option<Turn> {
        while self.jobs.front().is_some_and(Waiting::is_left) {
            drop(self.pop());
        }
        if self.jobs.front().is_some_and(|front| settings(front).is_some()) {
            return None;
        }
        Some(self.pop().map_or(Turn::Nobody, |waiting| Turn::One(waiting, None)))
    }

    /// Takes what is to run now.
    pub(crate) fn turn(&mut self, around: &Around<'_>) -> Turn {
        while self.jobs.front().is_some_and(Waiting::is_left) {
            drop(self.pop());
        }
        let Some(front) = self.jobs.front() else { return Turn::Nobody };
        let is_batched = settings(front).is_some();
        if is_batched && self.jobs.len() == 1 && !around.is_busy {
            // Nobody to share a run with, and nothing to wait for.
            return self.pop().map_or(Turn::Nobody, |waiting| Turn::One(waiting, Some(BatchReason::Idle)));
        }
        match self.look(around) {
            Some((_, Decision::Wait(until))) => Turn::Later(until),
            Some((places, Decision::Take(n, reason))) if n > 1 => Turn::Several(self.take(&places[..n]), reason),
            looked => {
                let reason = match looked {
                    Some((_, Decision::Take(_, reason))) => Some(reason),
                    _ => is_batched.then_some(BatchReason::Full),
                };
                self.pop().map_or(Turn::Nobody, |waiting| Turn::One(waiting, reason))
            }
        }
    }

    /// Whether there is anything to run at once.
    pub(crate) fn is_due(&self, around: &Around<'_>) -> bool {
        !matches!(self.look(around), Some((_, Decision::Wait(_))))
    }

    /// The places of the jobs that may run with the first one, and what is to be done about them. `None` where the
    /// first one runs by itself.
    fn look(&self, around: &Around<'_>) -> Option<(Vec<usize>, Decision)> {
        let front = self.jobs.front()?;
        let settings = settings(front)?;
        let rows_max = self.rows_max(front, settings, around);
        if front.n_rows >= rows_max {
            return None;
        }
        let (mut places, mut sums, mut deadlines) = (Vec::new(), Vec::new(), Vec::new());
        let (mut n_rows, mut deadline, mut is_cut) = (0, front.job().deadline, false);
        for (place, waiting) in self.jobs.iter().enumerate().take(LOOKED_AT_MAX) {
            let is_kin = waiting.n_rows > 0 && (place == 0 || may_join(front.job(), waiting.job()));
            if !is_kin || waiting.is_left() {
                continue;
            }
            if n_rows + waiting.n_rows > rows_max {
                is_cut = true;
                break;
            }
            n_rows += waiting.n_rows;
            deadline = deadline.min(waiting.job().deadline);
            places.push(place);
            sums.push(n_rows);
            deadlines.push(deadline);
        }
        if places.is_empty() {
            // The caller of the first one has just left.
            return None;
        }
        let offer = Offer { sums: &sums, deadlines: &deadlines, is_cut, oldest: front.admitted.since };
        let cost = |n_rows| around.costs.of(n_rows);
        let situation = Situation { now: around.now, is_busy: around.is_busy, gap: self.gap, cost: &cost };
        Some((places, decide(&offer, &situation, settings, rows_max)))
    }

    /// Most rows of a run now: by the settings, by what became of earlier batches, and so that the run timeout, which
    /// is meant for a run alone, is kept.
    fn rows_max(&self, front: &Waiting, settings: &Batching, around: &Around<'_>) -> usize {
        let mut rows = self.health.rows_max(settings.max_rows, around.now);
        let timeout = front.job().limits.run_timeout / PART_OF_TIMEOUT;
        while rows > 1 && around.costs.of(rows) > timeout {
            rows /= 2;
        }
        rows
    }

    /// Takes the jobs at these places, which ascend. Those in between stay in their order.
    fn take(&mut self, places: &[usize]) -> Vec<Waiting> {
        let n_looked_at = places.last().map_or(0, |last| last + 1);
        let mut taken = Vec::with_capacity(places.len());
        let mut left = Vec::new();
        for (place, waiting) in self.jobs.drain(..n_looked_at).enumerate() {
            if places.binary_search(&place).is_ok() {
                self.n_rows -= waiting.n_rows.max(1);
                taken.push(waiting);
            } else {
                left.push(waiting);
            }
        }
        left.into_iter().rev().for_each(|waiting| self.jobs.push_front(waiting));
        taken
    }
}

/// How a job is to be put together with others, if it may be.
fn settings(waiting: &Waiting) -> Option<&Batching> {
    if waiting.n_rows == 0 { None } else { waiting.job().limits.batching.on() }
}
