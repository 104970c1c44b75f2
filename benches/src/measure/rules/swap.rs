//! When a new table is in force, as the thread that publishes it sees it: the first thing it logs afterwards. Under the
//! writer's lock nothing is logged.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base_serving::SnapshotCell;
use rustix::time::{ClockId, clock_gettime};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The moment at which a swap was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Swapped {
    pub(super) at: Instant,
    /// What the thread had used of a processor by then.
    pub(super) cpu: Duration,
}

thread_local! {
    /// The cell looked at and its generation before, while somebody waits for another one.
    static BEFORE: RefCell<Option<(Arc<SnapshotCell>, u64)>> = const { RefCell::new(None) };
    static SEEN: Cell<Option<Swapped>> = const { Cell::new(None) };
}

struct Watcher;

impl Subscriber for Watcher {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        let at = Instant::now();
        let is_newer = |(cell, before): &(Arc<SnapshotCell>, u64)| cell.load().generation.0 > *before;
        if SEEN.get().is_none() && BEFORE.with_borrow(|before| before.as_ref().is_some_and(is_newer)) {
            SEEN.set(Some(Swapped { at, cpu: thread_cpu() }));
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Listens to the log, for the rest of the process.
pub(super) fn listen() {
    // Whoever listens already is this.
    let _once = tracing::subscriber::set_global_default(Watcher);
}

/// Does something, and gives when this thread saw a new table in force meanwhile.
pub(super) fn during(cell: &Arc<SnapshotCell>, act: impl FnOnce()) -> Option<Swapped> {
    BEFORE.set(Some((Arc::clone(cell), cell.load().generation.0)));
    SEEN.set(None);
    act();
    BEFORE.set(None);
    SEEN.take()
}

/// Processor time of this thread.
pub(super) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
