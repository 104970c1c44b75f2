//! The control thread: one event at a time.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_serving::SnapshotCell;
use base_types::{Clock, VersionId, VersionState};
use control_config::{FileEvent, TreeState};
use control_registry::journal::Moment;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tracing::info;

use crate::change::{ChangeReply, MemoryOrder, Waiting};
use crate::control::Settings;
use crate::demand::{Wish, WishReply, Wishes};
use crate::load::{LoadResult, LoaderJob};
use crate::order::{Done, Order, Refused};
use crate::performance::Noted;
use crate::recorder::Recorder;
use crate::residency::Residency;
use crate::restore::{Restore, Restored};
use crate::shelf::Shelf;
use crate::source::Source;
use crate::state::{State, is_due};
use crate::webhook::Webhook;

const TICK: Duration = Duration::from_secs(1);
/// How often what is counted is judged, and rollouts are taken on.
const DRIVE: Duration = Duration::from_millis(250);
/// How long the control thread sleeps at most: drained versions are freed and commands taken within it.
const IDLE: Duration = Duration::from_millis(100);
/// Until everything present at start is loaded, and while somebody waits for a load, the repository is looked at this
/// often.
const LOOK_HURRIED: Duration = Duration::from_millis(50);

/// What the control thread takes.
pub(crate) enum Event {
    Order(Order, oneshot::Sender<Result<Done, Refused>>),
    Change(MemoryOrder, ChangeReply),
    File(FileEvent, Option<TreeState>),
    Loaded {
        id: VersionId,
        stamp: Source,
        result: Box<LoadResult>,
    },
    /// The store holds something else than before.
    Shelf,
    /// What served at an earlier moment is to be brought back.
    Restore(Box<(Restore, Moment)>, oneshot::Sender<Result<Restored, Refused>>),
    /// A request asks for a version that is not in memory.
    Wish(Wish, WishReply),
    Stop,
}

/// What all parts of the control plane share. Everything but `state` is immutable.
pub(crate) struct Core {
    pub(crate) state: Mutex<State>,
    pub(crate) cell: Arc<SnapshotCell>,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started: Instant,
    pub(crate) recorder: Recorder,
    /// What has been carried over of what versions did. Taken after the writer lock, never before.
    pub(crate) noted: Mutex<Noted>,
    pub(crate) webhook: Webhook,
    pub(crate) settings: Settings,
    pub(crate) loader_jobs: SyncSender<LoaderJob>,
    /// The store, if there is one.
    pub(crate) shelf: Option<Shelf>,
    /// Who is in memory, and who asked. Taken after the writer lock, never before.
    pub(crate) residency: Mutex<Residency>,
}

impl Core {
    /// The writer lock. Never held across IO.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn notify(&self, event: Value) {
        self.webhook.send(event);
    }
}

/// Takes events until it is told to stop.
pub(crate) fn turn(core: &Core, events: &Receiver<Event>, tell_started: &watch::Sender<bool>) {
    let (mut looked, mut ticked) = (None::<Instant>, core.clock.now());
    let mut driven = ticked;
    let (mut waiting, mut wishes) = (Waiting::default(), Wishes::default());
    loop {
        let now = core.clock.now();
        let is_started = core.lock().is_started;
        let is_hurried = !is_started || !waiting.is_empty() || !wishes.is_empty();
        let look_every = if is_hurried { LOOK_HURRIED.min(core.settings.look_every) } else { core.settings.look_every };
        if looked.is_none_or(|at| is_due(at, now, look_every)) {
            core.look();
            looked = Some(core.clock.now());
        }
        if !is_started && core.is_all_loaded() {
            core.begin_serving();
            // Nobody listening any more means that the process is going down.
            let _down = tell_started.send(true);
        }
        if is_due(ticked, now, TICK) {
            core.tick();
            ticked = now;
        }
        if is_started && is_due(driven, now, DRIVE) {
            core.judge_totals();
            core.drive_rollouts();
            core.look_at_experiments();
            driven = now;
        }
        core.sweep();
        waiting.answer(core);
        wishes.answer(core);
        match events.recv_timeout(if is_hurried { LOOK_HURRIED } else { IDLE }) {
            Ok(Event::Order(order, reply)) => {
                // The one who ordered may have given up waiting; the journal tells what was done.
                let _gone = reply.send(core.carry_out(&order));
            }
            Ok(Event::Restore(order, reply)) => {
                // The one who ordered may have given up waiting; the journal tells what was done.
                let _gone = reply.send(core.restore(&order));
            }
            Ok(Event::Change(order, reply)) => waiting.begin(core, order, reply),
            Ok(Event::File(event, tree)) => core.configure(event, tree),
            Ok(Event::Loaded { id, stamp, result }) => core.loaded(&id, stamp, *result),
            Ok(Event::Wish(wish, reply)) => wishes.begin(core, wish, reply),
            Ok(Event::Shelf) => core.look(),
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl Core {
    /// Whether everything present at start has been taken up or refused, and every model has its stable version.
    fn is_all_loaded(&self) -> bool {
        let state = self.lock();
        let settle = Duration::from_millis(self.settings.scan.settle_ms) * 2;
        let is_patient = !is_due(self.started, self.clock.now(), settle.max(TICK));
        state.models.keys().all(|name| state.is_settled(name))
            && !(is_patient && state.models.values().any(|m| m.is_settling))
    }

    fn begin_serving(&self) {
        self.choose_stables();
        let mut state = self.lock();
        state.is_started = true;
        let ready = |m: &crate::state::Model| m.versions.values().filter(|e| e.state == VersionState::Ready).count();
        let n_ready: usize = state.models.values().map(ready).sum();
        let (n_models, generation) = (state.models.len(), state.generation);
        drop(state);
        self.tick();
        let repository = self.settings.repository.as_ref().map(|root| root.display().to_string());
        let store = self.shelf.as_ref().map(|shelf| shelf.store.place());
        info!(n_models, n_ready, generation, repository, store, "ready");
    }
}
