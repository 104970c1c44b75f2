//! Run timeouts. Each thread that runs models has a slot; one watchdog looks at all slots every few
//! milliseconds, stops the runs that are over their time, and answers for those that do not stop.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base_serving::engine::RunControl;
use base_serving::lane::{JobError, Report};
use base_types::FaultKind;
use tokio::sync::oneshot;

use crate::lane::LaneState;
use crate::queue::Waiting;

/// How often the watchdog looks: a run timeout is exact to this.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// Where the answer of a run goes.
pub(crate) enum Taker {
    /// To the thread itself, which is the caller's: the short path.
    Here,
    /// To the caller.
    One(oneshot::Sender<Report>),
    /// To the members of a batch, and back to their lane if the run does not end.
    Several(Arc<LaneState>, Vec<Waiting>),
    /// Nowhere: the watchdog has answered.
    Told,
}

/// Members of a batch whose run was stopped, and their lane.
pub(crate) type Overdue = (Arc<LaneState>, Vec<Waiting>);

/// What a thread is running.
pub(crate) struct Running {
    pub(crate) began: Instant,
    pub(crate) timeout: Duration,
    /// On the short path the caller's thread cannot look at the clock itself: the run is stopped here.
    pub(crate) deadline: Option<Instant>,
    pub(crate) queue: Duration,
    pub(crate) control: Arc<RunControl>,
    pub(crate) taker: Taker,
    /// Set once the watchdog has acted.
    pub(crate) is_overdue: bool,
}

/// One thread's slot.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Option<Running>>);

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn begin(&self, running: Running) {
        *self.lock() = Some(running);
    }

    pub(crate) fn end(&self) -> Option<Running> {
        self.lock().take()
    }

    /// Stops the run if it is over its time. Says whether that may leave a worker stuck, and hands over the members of
    /// a batch, which are to run by themselves.
    fn check(&self, now: Instant, overdue: &mut Vec<Overdue>) -> bool {
        let mut slot = self.lock();
        let Some(running) = slot.as_mut() else { return false };
        let ran = now.saturating_duration_since(running.began);
        if running.deadline.is_some_and(|deadline| now >= deadline) {
            running.control.terminate();
        }
        if running.is_overdue || ran < running.timeout {
            return false;
        }
        running.is_overdue = true;
        running.control.terminate();
        match std::mem::replace(&mut running.taker, Taker::Told) {
            Taker::Here => {
                running.taker = Taker::Here;
                return false;
            }
            Taker::One(reply) => {
                let error = timeout_error(running.timeout);
                // A receiver that is gone has no use for the report.
                let _gone = reply.send(Report { result: Err(error), queue: running.queue, run: ran, batch: None });
            }
            Taker::Several(lane, members) => overdue.push((lane, members)),
            Taker::Told => {}
        }
        true
    }
}

pub(crate) fn timeout_error(timeout: Duration) -> JobError {
    JobError::Fault(FaultKind::Timeout, format!("the run took longer than run_timeout_ms = {}", timeout.as_millis()))
}

/// All slots of the process.
#[derive(Default)]
pub(crate) struct Slots(Mutex<Vec<Arc<Slot>>>);

impl Slots {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Slot>>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn add(&self) -> Arc<Slot> {
        let slot = Arc::new(Slot::default());
        self.lock().push(slot.clone());
        slot
    }

    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        self.lock().retain(|s| !Arc::ptr_eq(s, slot));
    }

    /// Takes time off every run under way.
    pub(crate) fn forgive(&self, time: Duration) {
        for slot in self.lock().iter() {
            if let Some(running) = slot.lock().as_mut() {
                running.began += time;
            }
        }
    }

    /// Checks every slot; gives the number of workers whose run was stopped now, and the members of batches among them.
    pub(crate) fn check(&self, now: Instant) -> (usize, Vec<Overdue>) {
        // Slots of threads that have ended are held by nobody else.
        let mut slots = self.lock();
        slots.retain(|s| Arc::strong_count(s) > 1);
        let mut overdue = Vec::new();
        let n_stopped = slots.iter().filter(|s| s.check(now, &mut overdue)).count();
        (n_stopped, overdue)
    }
}

thread_local! {
    static SHORT_PATH: RefCell<Option<Arc<Slot>>> = const { RefCell::new(None) };
}

/// The slot of a thread that is not a worker but runs quick models itself.
pub(crate) fn short_path_slot(slots: &Slots) -> Arc<Slot> {
    SHORT_PATH.with_borrow_mut(|slot| slot.get_or_insert_with(|| slots.add()).clone())
}
