//! The control plane as the rest of the program sees it: started, asked, ordered, stopped.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_serving::{ChangeKind, ChangeRequest, Changed, FeedbackSink, Judge, SnapshotCell};
use base_types::{Change, Clock, Digest, Generation, ModelName, Version};
use control_config::{Diagnostic, WatchError, WatchOptions, Watched, Watcher};
use control_registry::journal::{Action, Entry, HistoryQuery, Journal, JournalError, Recovered, Row, Trials};
use control_registry::repository::{ScanOptions, scan};
use thiserror::Error;
use tokio::sync::{oneshot, watch};
use tracing::error;

use crate::change::{self, MemoryOrder};
use crate::gate::Desk;
use crate::load::{LoadContext, Loader, LoaderJob};
use crate::order::{Done, Operation, Order, Refused, RolloutOrder, refuse};
use crate::recorder::{Job, Recorder};
use crate::recover::{note_crashes, note_load_crashes, recover};
use crate::residency::MemoryBounds;
use crate::shelf::{Shelf, ShelfError, StoreSource};
use crate::tick::RESERVE;
use crate::turn::{Core, Event, turn};
use crate::webhook::Webhook;
use crate::{load, routing_source, view};

/// Events waiting for the control thread. Loads and file changes wait for room, orders are refused.
const EVENTS_MAX: usize = 256;
/// Versions waiting to be loaded or freed; what finds no room is asked for again at the next look. The control thread
/// never waits for the loader, because the loader may be waiting for it.
const LOADER_JOBS_MAX: usize = 4096;

/// How the control plane is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The model repository, if there is one.
    pub repository: Option<PathBuf>,
    /// What loaded versions may take.
    pub memory: MemoryBounds,
    /// The store of pushed versions, if there is one.
    pub store: Option<StoreSource>,
    /// How it is read.
    pub scan: ScanOptions,
    /// How often it is looked at.
    pub look_every: Duration,
    /// routing.toml, if there is one.
    pub routing: Option<PathBuf>,
    /// How it is watched.
    pub watch: WatchOptions,
    /// How long a promotion must hold before it is final.
    pub confirm_after: Duration,
    /// With `--follow-latest`: the share of a new version.
    pub follow_share: Option<f64>,
    /// Whom to tell of decisions.
    pub webhooks: Vec<String>,
    /// How long a webhook may take to answer.
    pub webhook_timeout: Duration,
}

/// Why the control plane does not start.
#[derive(Debug, Error)]
pub enum ControlError {
    /// routing.toml cannot be read, and none was accepted before.
    #[error("cannot read {path}")]
    RoutingUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// routing.toml is invalid, and none was accepted before.
    #[error("routing.toml has {} problems", .0.len())]
    RoutingInvalid(Vec<Diagnostic>),
    /// routing.toml could not be recorded, and none was accepted before.
    #[error("routing.toml could not be recorded in the journal: see the log")]
    RoutingUnrecorded,
    /// The model repository cannot be read.
    #[error(transparent)]
    Repository(#[from] control_registry::repository::ScanError),
    /// The store cannot be served from.
    #[error(transparent)]
    Store(#[from] ShelfError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
    /// routing.toml cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The start could not be recorded.
    #[error("cannot record the start")]
    Journal(#[from] JournalError),
}

/// The control plane, running.
pub struct Control {
    pub(crate) core: Arc<Core>,
    events: SyncSender<Event>,
    is_started: watch::Receiver<bool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    watcher: Mutex<Option<Watcher>>,
}

/// What the control plane is connected to.
pub struct Connections {
    /// Where snapshots go.
    pub cell: Arc<SnapshotCell>,
    /// Where figures go.
    pub metrics: Metrics,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The origin of the seconds that classic windows count in; the ledger's too.
    pub started: Instant,
    /// What turns bytes into something that runs.
    pub loader: Arc<dyn Loader>,
    /// Requests that were in flight by content when the process last died.
    pub crashed: BTreeMap<Digest, u64>,
}

impl Control {
    /// Recovers the state, reads routing.toml and the repository, and begins to load.
    pub fn start(
        settings: Settings,
        (mut journal, recovered): (Journal, Recovered),
        connections: Connections,
    ) -> Result<Self, ControlError> {
        let Connections { cell, metrics, clock, started, loader, crashed } = connections;
        let (crashes, mut changes) = note_crashes(&recovered, &crashed);
        let (load_crashes, noted) = note_load_crashes(&recovered);
        changes.extend(noted);
        for (key, json) in changes {
            let noted = match json {
                Some(json) => journal.checkpoint(&key, &json),
                None => journal.remove_checkpoint(&key),
            };
            match noted {
                Err(error) if !error.is_storage() => return Err(error.into()),
                Err(error) => error!(%error, "crashes are known but could not be noted"),
                Ok(()) => {}
            }
        }
        loader.forget_crashes();
        // A repository that cannot be read at start is a mistake to be told, not an empty one.
        settings.repository.iter().try_for_each(|root| scan(root, &settings.scan, clock.unix_ms()).map(drop))?;
        let trials = journal.trials();
        recovered.interrupted_loads.iter().try_for_each(|(digest, _)| trials.end_load(digest))?;
        let reserved = recovered.generation_floor.0 + RESERVE;
        // A full disk must not keep the gateway from starting; the next tick tries again.
        let reserved = match journal.reserve_generations(Generation(reserved)) {
            Ok(()) => reserved,
            Err(error) if error.is_storage() => recovered.generation_floor.0,
            Err(error) => return Err(error.into()),
        };
        let mut threads = Vec::new();
        let (recorder, thread) = Recorder::start(journal, Generation(reserved), metrics.clone(), clock.clone())?;
        threads.push(thread);
        let (webhook, thread) = Webhook::start(settings.webhooks.clone(), settings.webhook_timeout, metrics.clone())?;
        threads.extend(thread);
        let (state, entries) = recover(&recovered, (crashes, load_crashes), clock.unix_ms());
        match recorder.now(entries.clone(), None) {
            Ok(_) => recovered.pending_quarantines.iter().try_for_each(|digest| trials.finish(digest))?,
            // What is known is in force, and the markers stay; the entries are kept until the disk takes them.
            Err(error) if error.is_storage() => {
                error!(%error, "the start cannot be recorded yet");
                for entry in entries {
                    let barred = entry.changes.iter().find_map(|change| match change {
                        Change::Quarantined { digest, .. } => Some(*digest),
                        _ => None,
                    });
                    let entry = Box::new(entry);
                    recorder.later(
                        barred.map_or_else(|| Job::Append(entry.clone()), |d| Job::RolledBack(d, entry.clone())),
                    );
                }
            }
            Err(error) => return Err(error.into()),
        }
        let (events, received) = sync_channel(EVENTS_MAX);
        let (loader_jobs, jobs) = sync_channel(LOADER_JOBS_MAX);
        let shelf = open_shelf(&settings, &clock, &events)?;
        let core = Arc::new(Core {
            state: Mutex::new(state),
            cell,
            metrics,
            clock,
            started,
            recorder,
            noted: Mutex::default(),
            webhook,
            settings,
            loader_jobs,
            shelf,
            residency: Mutex::default(),
        });
        let known = core.first_routing(core.settings.routing.as_ref(), recovered.accepted_routing.as_deref())?;
        let watcher = watch_routing(&core, known, &events)?;
        threads.push(spawn_loader(&core, (loader, trials), jobs, events.clone())?);
        let (tell_started, is_started) = watch::channel(false);
        let turning = core.clone();
        let thread = std::thread::Builder::new().name("control".to_owned());
        threads.push(thread.spawn(move || turn(&turning, &received, &tell_started))?);
        Ok(Self { core, events, is_started, threads: Mutex::new(threads), watcher: Mutex::new(watcher) })
    }

    pub(crate) fn events(&self) -> &SyncSender<Event> {
        &self.events
    }

    /// The judge of faults, for the outcome ledger.
    pub fn judge(&self) -> Arc<dyn Judge> {
        self.core.clone()
    }

    /// Becomes true once every version present at start is loaded or refused.
    pub fn started(&self) -> watch::Receiver<bool> {
        self.is_started.clone()
    }

    /// Has an order carried out.
    pub async fn order(&self, order: Order) -> Result<Done, Refused> {
        let is_safe =
            matches!(order.operation, Operation::Rollback { .. } | Operation::Rollout(RolloutOrder::Abort { .. }));
        if is_safe {
            // Toward safety nothing is waited for: not for the control thread, which may be waiting for the disk.
            let core = self.core.clone();
            let done = tokio::task::spawn_blocking(move || core.carry_out(&order)).await;
            return done.unwrap_or_else(|_| refuse("internal", "the rollback broke off; look at the status"));
        }
        let (reply, answer) = oneshot::channel();
        match self.events.try_send(Event::Order(order, reply)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return refuse("busy", "too many orders wait already; try again"),
            Err(TrySendError::Disconnected(_)) => return refuse("stopping", "the gateway is stopping"),
        }
        answer.await.unwrap_or_else(|_| refuse("stopping", "the gateway is stopping"))
    }

    /// What is in force, for people and tools.
    pub fn status(&self) -> view::Status {
        let (mut status, loaded) = {
            let state = self.core.lock();
            (view::status(&state), view::loaded(&state))
        };
        // The runtime is asked without the lock: it may be busy.
        view::fill_memory(&mut status, &loaded);
        status
    }

    /// What the gates said of a version; `None` where there is no such version.
    pub fn gates(&self, model: &ModelName, version: Version) -> Option<view::gates::GatesStatus> {
        view::gates::gates(&self.core.lock(), model, version)
    }

    /// Takes feedback, for the data plane.
    pub fn feedback(&self) -> Arc<dyn FeedbackSink> {
        self.core.clone()
    }

    /// Whether there is such a model.
    pub fn has_model(&self, model: &ModelName) -> bool {
        self.core.lock().models.contains_key(model)
    }

    /// The routing wished for and in force, for checks and explanations.
    pub fn routing(&self) -> Arc<control_config::RoutingConfig> {
        self.core.lock().routing.clone()
    }

    /// What the last reading of routing.toml complained about.
    pub fn problems(&self) -> Vec<Diagnostic> {
        self.core.lock().problems.clone()
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<base_serving::Snapshot> {
        self.core.cell.load()
    }

    /// The journal, newest first. Blocks.
    pub fn history(&self, query: HistoryQuery) -> Result<Vec<Row>, JournalError> {
        self.core.recorder.history(query)
    }

    /// Records the orderly end and stops the threads. Blocks for as long as the journal needs.
    pub fn stop(&self) {
        let entry = Entry::new(self.core.clock.unix_ms(), "gateway", Action::Stopped);
        // Disconnected: the control thread has stopped already.
        let _stopped = self.events.send(Event::Stop);
        self.core.checkpoint();
        self.core.note_performance(&[]);
        if let Err(error) = self.core.recorder.now(vec![entry], None) {
            error!(%error, "the end could not be recorded");
        }
        self.core.recorder.close();
        drop(self.watcher.lock().unwrap_or_else(|e| e.into_inner()).take());
        // The loader may be in the middle of a load that cannot be stopped; the process ends without it.
        let mut threads = self.threads.lock().unwrap_or_else(|e| e.into_inner());
        for thread in threads.drain(..).filter(JoinHandle::is_finished) {
            if thread.join().is_err() {
                error!("a control thread panicked");
            }
        }
    }
}

impl ChangeRequest for Control {
    fn request<'a>(&'a self, kind: ChangeKind, model: &'a ModelName, version: Option<Version>) -> Changed<'a> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            let order = MemoryOrder { kind, model: model.clone(), version };
            match self.events.try_send(Event::Change(order, reply)) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => return change::refuse("too many orders wait already; try again"),
                Err(TrySendError::Disconnected(_)) => return change::refuse("the gateway is stopping"),
            }
            answer.await.unwrap_or_else(|_| change::refuse("the gateway is stopping"))
        })
    }
}

/// Puts the store under watch. What is pushed is looked at soon; should the control thread be busy, at its next look.
fn open_shelf(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    events: &SyncSender<Event>,
) -> Result<Option<Shelf>, ShelfError> {
    let (events, clock) = (events.clone(), clock.clone());
    let tell = move || drop(events.try_send(Event::Shelf));
    settings.store.clone().map(|source| Shelf::start(source, clock, tell)).transpose()
}

fn watch_routing(
    core: &Arc<Core>,
    known: Option<Vec<u8>>,
    events: &SyncSender<Event>,
) -> Result<Option<Watcher>, ControlError> {
    let Some(path) = core.settings.routing.clone() else { return Ok(None) };
    let watched = Watched { path: path.clone(), known };
    let (watcher, changes) = Watcher::start(vec![watched], core.settings.watch.clone())?;
    let (core, events) = (core.clone(), events.clone());
    std::thread::Builder::new()
        .name("routing-events".to_owned())
        .spawn(move || routing_source::hand_on(&core, &path, &changes, &events))?;
    Ok(Some(watcher))
}

fn spawn_loader(
    core: &Arc<Core>,
    (loader, trials): (Arc<dyn Loader>, Trials),
    jobs: Receiver<LoaderJob>,
    events: SyncSender<Event>,
) -> std::io::Result<JoinHandle<()>> {
    let barred = core.clone();
    let context = LoadContext {
        root: core.settings.repository.clone(),
        store: core.shelf.as_ref().map(|shelf| shelf.store.clone()),
        limits: core.settings.scan.limits,
        loader,
        metrics: core.metrics.clone(),
        clock: core.clock.clone(),
        is_barred: Box::new(move |digest| barred.lock().decisions.quarantine.contains_key(&digest)),
        gates: Desk::new(core.clone()),
        trials,
        events,
    };
    std::thread::Builder::new().name("loader".to_owned()).spawn(move || load::work(&context, &jobs))
}
