//! The worker threads, and fair turns between lanes: a lane with work stands in the round once, however many
//! jobs it holds, so a candidate's backlog cannot starve stable.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base_metrics::RerunCause;
use base_serving::engine::Runner;
use base_types::Clock;
use tracing::warn;

use crate::lane::{ExecLane, LaneState};
use crate::queue::{Place, Turn, Waiting};
use crate::run::run;
use crate::together::run_together;
use crate::watch::{Slot, Slots, TICK};

/// Workers stuck in a run that does not stop are replaced, until this many per place are alive.
const ALIVE_PER_WORKER_MAX: usize = 4;
/// Live requests that wait for workers over so many ticks in a row press out everything that gives way to them.
const PRESSED_TICKS: u32 = 5;
/// A watchdog this many ticks late was stopped, and the runs with it.
const OVERSLEPT_TICKS: u32 = 20;
/// How long a closing pool waits for the runs under way.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// A thread could not be started.
pub type ExecutorError = std::io::Error;

#[derive(Default)]
struct Round {
    lanes: VecDeque<Arc<LaneState>>,
    /// Lanes that hold back a batch until then for more requests to come.
    delayed: Vec<(Instant, Arc<LaneState>)>,
    is_closed: bool,
}

/// What submitters, workers and the watchdog share.
pub(crate) struct Shared {
    round: Mutex<Round>,
    wake: Condvar,
    slots: Slots,
    clock: Arc<dyn Clock>,
    n_workers: usize,
    /// Callers' threads that may run quick models themselves, and those that do.
    short_path_max: usize,
    n_short_path: AtomicUsize,
    /// Workers that have not ended, the stuck ones included.
    n_alive: AtomicUsize,
    /// Whether live requests have been waiting for workers for a while.
    is_pressed: AtomicBool,
}

impl Shared {
    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn slots(&self) -> &Slots {
        &self.slots
    }

    pub(crate) fn n_workers(&self) -> usize {
        self.n_workers
    }

    pub(crate) fn is_pressed(&self) -> bool {
        self.is_pressed.load(Ordering::Relaxed)
    }

    /// Whether there is a worker too many; the one who asks is then the one who goes.
    fn leave(&self) -> bool {
        let less = |n: usize| (n > self.n_workers).then(|| n - 1);
        self.n_alive.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Leave to run on the caller's thread. Some of these threads always stay free: a quick model that turns slow
    /// must not stop everything else.
    pub(crate) fn short_path(&self) -> Option<ShortPath<'_>> {
        let is_free = self.n_short_path.fetch_add(1, Ordering::Relaxed) < self.short_path_max;
        let permit = ShortPath(self);
        is_free.then_some(permit)
    }

    /// A lane that was empty has work.
    pub(crate) fn offer(&self, lane: Arc<LaneState>) {
        self.round().lanes.push_back(lane);
        self.wake.notify_one();
    }

    /// A lane is to be looked at again then.
    pub(crate) fn delay(&self, until: Instant, lane: Arc<LaneState>) {
        self.round().delayed.push((until, lane));
    }

    /// A lane that may be held back is to be looked at now.
    pub(crate) fn hurry(&self, lane: &Arc<LaneState>) {
        let mut round = self.round();
        // One that is not there any more is being looked at.
        let Some(index) = round.delayed.iter().position(|(_, delayed)| Arc::ptr_eq(delayed, lane)) else { return };
        let (_, lane) = round.delayed.swap_remove(index);
        round.lanes.push_back(lane);
        drop(round);
        self.wake.notify_one();
    }

    /// A lane has work to do now; it stood in this place before.
    pub(crate) fn bring(&self, lane: &Arc<LaneState>, place: Place) {
        match place {
            Place::Out => self.offer(lane.clone()),
            Place::Delayed => self.hurry(lane),
            Place::InRound => {}
        }
    }

    /// Puts the members of a batch back into their lane, each to run by itself.
    pub(crate) fn give_back(&self, lane: &Arc<LaneState>, members: Vec<Waiting>, cause: RerunCause) {
        if let Some(place) = lane.put_back(members, cause) {
            self.bring(lane, place);
        }
    }

    /// Waits for a lane's turn, and says whether it may be held back; `None` when the pool closes.
    fn next_lane(&self) -> Option<(Arc<LaneState>, bool)> {
        let mut round = self.round();
        loop {
            let is_closed = round.is_closed;
            if let Some(lane) = round.lanes.pop_front() {
                return Some((lane, !is_closed));
            }
            let first = round.delayed.iter().enumerate().min_by_key(|(_, (until, _))| *until);
            let Some((index, until)) = first.map(|(index, (until, _))| (index, *until)) else {
                if is_closed {
                    return None;
                }
                round = self.wake.wait(round).unwrap_or_else(|e| e.into_inner());
                continue;
            };
            let left = until.saturating_duration_since(self.clock.now());
            if left.is_zero() || is_closed {
                return Some((round.delayed.swap_remove(index).1, !is_closed));
            }
            round = self.wake.wait_timeout(round, left).unwrap_or_else(|e| e.into_inner()).0;
        }
    }
}

/// Given back on drop.
pub(crate) struct ShortPath<'a>(&'a Shared);

impl Drop for ShortPath<'_> {
    fn drop(&mut self) {
        self.0.n_short_path.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The pool of worker threads. Dropping it finishes what waits and runs, within a bound, and joins the threads.
pub struct Executor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Executor {
    /// Starts `n_workers` threads and the watchdog of run timeouts. At most `short_path_max` callers at a time run
    /// quick models on their own threads: fewer than there are such threads.
    pub fn start(n_workers: usize, short_path_max: usize, clock: Arc<dyn Clock>) -> Result<Self, ExecutorError> {
        let n_workers = n_workers.max(1);
        let shared = Arc::new(Shared {
            round: Mutex::default(),
            wake: Condvar::new(),
            slots: Slots::default(),
            clock,
            n_workers,
            short_path_max,
            n_short_path: AtomicUsize::new(0),
            n_alive: AtomicUsize::new(0),
            is_pressed: AtomicBool::new(false),
        });
        let mut threads = Vec::new();
        for index in 0..n_workers {
            threads.push(spawn_worker(&shared, index)?);
        }
        let watched = shared.clone();
        let watchdog = std::thread::Builder::new().name("run-watchdog".to_owned());
        threads.push(watchdog.spawn(move || watch(&watched))?);
        Ok(Self { shared, threads })
    }

    /// Makes the lane of a loaded version.
    pub fn lane(&self, runner: Arc<dyn Runner>) -> ExecLane {
        ExecLane::new(runner, self.shared.clone())
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.shared.round().is_closed = true;
        self.shared.wake.notify_all();
        join_within(&self.shared, &mut self.threads);
    }
}

/// Joins threads that were told to end. A run that does not end must not hold up the end of the process.
pub(crate) fn join_within(shared: &Shared, threads: &mut Vec<JoinHandle<()>>) {
    let give_up = shared.clock.now() + CLOSE_WAIT;
    for thread in threads.drain(..) {
        while !thread.is_finished() && shared.clock.now() < give_up {
            std::thread::sleep(TICK);
        }
        if thread.is_finished() && thread.join().is_err() {
            warn!("a worker thread panicked");
        }
    }
}

fn spawn_worker(shared: &Arc<Shared>, index: usize) -> Result<JoinHandle<()>, ExecutorError> {
    let worker = shared.clone();
    let slot = shared.slots.add();
    let thread = std::thread::Builder::new().name(format!("run-{index}")).spawn(move || work(&worker, &slot))?;
    shared.n_alive.fetch_add(1, Ordering::Relaxed);
    Ok(thread)
}

fn work(shared: &Shared, slot: &Arc<Slot>) {
    while let Some((lane, may_wait)) = shared.next_lane() {
        let running = lane.running();
        let (turn, has_more) = lane.turn(shared, may_wait);
        if has_more {
            // Back to the end of the round before running, so that another worker can take the next job.
            shared.offer(lane.clone());
        }
        if let Turn::Later(_) = turn {
            // The run beside which it is held back may be over by now.
            if lane.is_held_back(1) {
                shared.hurry(&lane);
            }
            continue;
        }
        let is_told = take_turn(shared, &lane, turn, slot);
        drop(running);
        if lane.is_held_back(0) {
            shared.hurry(&lane);
        }
        // The watchdog has answered; if it started a replacement, this thread has outlived its place.
        if is_told && shared.leave() {
            return shared.slots.remove(slot);
        }
    }
    shared.n_alive.fetch_sub(1, Ordering::Relaxed);
    shared.slots.remove(slot);
}

/// Runs what has its turn. Says whether the watchdog has answered instead.
fn take_turn(shared: &Shared, lane: &Arc<LaneState>, turn: Turn, slot: &Slot) -> bool {
    let (waiting, reason) = match turn {
        Turn::Nobody | Turn::Later(_) => return false,
        Turn::Several(members, reason) => {
            if let Some(batches) = lane.batches() {
                batches.taken(reason, members.iter().map(|member| member.n_rows).sum());
            }
            return run_together(shared, lane, members, slot);
        }
        Turn::One(waiting, reason) => (waiting, reason),
    };
    let n_rows = waiting.n_rows;
    if let Some((batches, reason)) = lane.batches().zip(reason) {
        batches.taken(reason, n_rows);
    }
    let ran = run(lane.runner(), waiting.admitted, Some(waiting.reply), slot, shared.clock());
    lane.record_run(ran.took, n_rows);
    match (ran.report, ran.reply) {
        (Some(report), Some(reply)) => {
            // A receiver that is gone has no use for the report.
            let _gone = reply.send(report);
            false
        }
        _ => true,
    }
}

/// Looks after run timeouts until the pool closes. Time in which the whole process stood still is nobody's run time.
fn watch(shared: &Arc<Shared>) {
    let (mut looked, mut n_pressed) = (shared.clock.now(), 0u32);
    loop {
        let round = shared.round();
        if round.is_closed {
            return;
        }
        n_pressed = if round.lanes.is_empty() { 0 } else { n_pressed.saturating_add(1) };
        drop(round);
        shared.is_pressed.store(n_pressed >= PRESSED_TICKS, Ordering::Relaxed);
        std::thread::sleep(TICK);
        let now = shared.clock.now();
        let overslept = now.saturating_duration_since(looked).saturating_sub(TICK);
        if overslept > TICK * OVERSLEPT_TICKS {
            shared.slots.forgive(overslept);
        }
        looked = now;
        let (n_stopped, overdue) = shared.slots.check(now);
        (0..n_stopped).for_each(|_| replace_worker(shared));
        for (lane, members) in overdue {
            shared.give_back(&lane, members, RerunCause::Timeout);
        }
    }
}

/// Starts a worker in the place of one whose run does not end.
fn replace_worker(shared: &Arc<Shared>) {
    let n_alive = shared.n_alive.load(Ordering::Relaxed);
    if n_alive >= shared.n_workers * ALIVE_PER_WORKER_MAX {
        warn!(n_alive, "too many runs that do not end: no further worker is started");
    } else if let Err(error) = spawn_worker(shared, n_alive) {
        warn!(%error, "no replacement for a stuck worker");
    }
}
