//! A control plane over a temporary repository, with an engine and lanes of fakes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_routing::Assignment;
use base_serving::engine::{Artifact, LoadError, Runner};
use base_serving::lane::{JobError, Lane, Submission};
use base_serving::{
    Attempt, ChangeKind, ChangeRefused, ChangeRequest, InFlightMark, Judge, OutcomeLedger, Rerun, ServingModel,
    Snapshot, SnapshotCell,
};
use base_types::{Clock, Digest, FaultKind, ModelName, Outcome, OutcomeClass, Reason, Selector, SystemClock, Version};
use control_config::WatchOptions;
use control_loop::{
    Connections, Control, ControlError, Done, Loader, MemoryBounds, Operation, Order, Refused, Settings, view,
};
use control_registry::journal::{HistoryQuery, Journal, Row};
use control_registry::repository::ScanOptions;
use testkit::fake::{FakeLane, FakeRunner, report};
use testkit::onnx;
use testkit::repository::Repository;

use crate::store;

pub const MODEL: &str = "m";
const PATIENCE: Duration = Duration::from_secs(20);

struct FakeLoader;

impl Loader for FakeLoader {
    fn load(&self, _: &Artifact) -> Result<Arc<dyn Runner>, LoadError> {
        Ok(Arc::new(FakeRunner::affine4(1.0, 0.0)))
    }

    fn lane(&self, runner: Arc<dyn Runner>) -> Arc<dyn Lane> {
        Arc::new(FakeLane::new(move |job| {
            let result = runner.run(&job.inputs, &job.outputs, &job.control);
            Submission::Finished(report(result.map_err(|e| JobError::Fault(FaultKind::Run, e.to_string()))))
        }))
    }

    fn mark(&self, _: Digest) -> Option<Arc<dyn InFlightMark>> {
        None
    }

    fn forget_crashes(&self) {}

    fn step_back(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn trim(&self) {}
}

/// A gateway without edges; restarts keep the folder.
pub struct World {
    folder: tempfile::TempDir,
    pub repository: Repository,
    pub control: Option<Control>,
    pub cell: Arc<SnapshotCell>,
    pub metrics: Metrics,
    ledger: Option<OutcomeLedger>,
    pub confirm_after: Duration,
    pub crashed: BTreeMap<Digest, u64>,
    n_crashes: u32,
    /// With a store, of which so many versions are loaded unasked.
    pub store: Option<usize>,
    pub has_repository: bool,
}

pub fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

pub fn model() -> ModelName {
    ModelName::new(MODEL).unwrap()
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::new(folder.path().join("repository")).unwrap();
        Self {
            folder,
            repository,
            control: None,
            cell: Arc::new(SnapshotCell::new(Snapshot::default())),
            metrics: Metrics::new("0", "0").unwrap(),
            ledger: None,
            confirm_after: Duration::from_secs(3600),
            crashed: BTreeMap::new(),
            n_crashes: 0,
            store: None,
            has_repository: true,
        }
    }

    pub fn routing_path(&self) -> PathBuf {
        self.folder.path().join("routing.toml")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn publish(&self, n: u64) {
        self.repository.publish(MODEL, n, &onnx::affine4(n as f32, 0.0)).unwrap();
    }

    pub fn start(&mut self) {
        self.try_start().unwrap();
        let mut started = self.control().started();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(started.wait_for(|is_started| *is_started)).unwrap();
    }

    pub fn try_start(&mut self) -> Result<(), ControlError> {
        let settings = Settings {
            repository: self.has_repository.then(|| self.repository.root().to_owned()),
            store: self.store.map(|versions| store::source(self.folder.path(), versions)),
            memory: MemoryBounds::default(),
            scan: ScanOptions { settle_ms: 0, ..ScanOptions::default() },
            look_every: Duration::from_millis(10),
            routing: Some(self.routing_path()).filter(|p| p.exists()),
            watch: WatchOptions {
                poll: Duration::from_millis(50),
                quiet: Duration::from_millis(20),
                ..WatchOptions::default()
            },
            confirm_after: self.confirm_after,
            follow_share: None,
            webhooks: Vec::new(),
            webhook_timeout: Duration::from_secs(2),
        };
        self.cell = Arc::new(SnapshotCell::new(Snapshot::default()));
        self.metrics = Metrics::new("0", "0").unwrap();
        let started = Instant::now();
        let connections = Connections {
            cell: self.cell.clone(),
            metrics: self.metrics.clone(),
            clock: Arc::new(SystemClock) as Arc<dyn Clock>,
            started,
            loader: Arc::new(FakeLoader),
            crashed: std::mem::take(&mut self.crashed),
        };
        let state_dir = self.state_dir();
        let journal = until("the journal is free", || Journal::open(&state_dir).ok());
        let control = Control::start(settings, journal, connections)?;
        let judge: Arc<dyn Judge> = control.judge();
        self.ledger = Some(OutcomeLedger::new(judge, started));
        self.control = Some(control);
        Ok(())
    }

    pub fn stop(&mut self) {
        self.ledger = None;
        self.control.take().unwrap().stop();
    }

    /// Ends as a killed process does: the next life finds the files as they are at this moment.
    pub fn crash(&mut self) {
        let from = self.state_dir();
        self.n_crashes += 1;
        let to = self.state_dir();
        copy_folder(&from, &to);
        self.stop();
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join(format!("state-{}", self.n_crashes))
    }

    pub fn control(&self) -> &Control {
        self.control.as_ref().unwrap()
    }

    pub fn serving(&self) -> Option<Arc<ServingModel>> {
        self.cell.load().models.get(MODEL).cloned()
    }

    pub fn stable(&self) -> Option<u64> {
        Some(self.serving()?.route.as_ref()?.stable.get())
    }

    pub fn status(&self) -> view::ModelStatus {
        self.control().status().models.into_iter().find(|m| m.name == MODEL).unwrap()
    }

    pub fn state_of(&self, n: u64) -> Option<&'static str> {
        self.status().versions.iter().find(|v| v.version == n).map(|v| v.state)
    }

    pub fn is_ready(&self, n: u64) -> bool {
        self.serving().is_some_and(|m| m.versions.contains_key(&version(n)))
    }

    pub fn wait_ready(&self, n: u64) {
        until(&format!("version {n} is ready"), || self.is_ready(n).then_some(()));
    }

    pub fn order(&self, operation: Operation) -> Result<Done, Refused> {
        let reason = Some("a test says so".to_owned());
        let order = Order { model: model(), operation, actor: "tester".to_owned(), reason };
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(self.control().order(order))
    }

    /// What a caller of the data plane may order; returns when the work is done.
    pub fn change(&self, kind: ChangeKind, n: Option<u64>) -> Result<(), ChangeRefused> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.control().request(kind, &model(), n.map(version)))
    }

    pub fn canary(&self, n: u64, share: f64) -> Result<Done, Refused> {
        self.order(Operation::Canary { version: Selector::Version(version(n)), share })
    }

    pub fn promote(&self, n: u64, is_confirmed: bool, is_forced: bool) -> Result<Done, Refused> {
        self.order(Operation::Promote { version: Some(Selector::Version(version(n))), is_confirmed, is_forced })
    }

    pub fn rollback(&self, to: Option<u64>, is_quarantined: bool) -> Result<Done, Refused> {
        self.order(Operation::Rollback { to: to.map(|n| Selector::Version(version(n))), is_quarantined })
    }

    /// Records how an attempt at a version ended, as the request path would.
    pub fn attempt(&self, n: u64, class: OutcomeClass) {
        let serving = self.serving().unwrap();
        let Some(asked) = serving.versions.get(&version(n)) else { return };
        let split = Some(base_routing::SplitId::Default);
        let assignment = Assignment { split, ..Assignment::pinned(version(n)) };
        let assignment = Assignment { reason: Reason::Split, ..assignment };
        let is_fault = class == OutcomeClass::VersionFault;
        let rerun = if is_fault { Rerun::Answered } else { Rerun::None };
        let attempt = Attempt { model: &serving, version: asked, assignment: &assignment, rerun };
        let zero = Duration::ZERO;
        let fault = is_fault.then_some(FaultKind::Run);
        let outcome = Outcome { class, fault, reason: Reason::Split, queue: zero, run: zero, total: zero };
        self.ledger.as_ref().unwrap().attempt(&attempt, &outcome, Instant::now());
    }

    pub fn history(&self) -> Vec<Row> {
        self.control().history(HistoryQuery::default()).unwrap()
    }

    pub fn actions(&self) -> Vec<&'static str> {
        self.history().iter().rev().map(|r| r.entry.action.as_str()).collect()
    }
}

/// Copies the state as it lies on disk; the database before its log, so that no change is missed.
fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else if !name.to_string_lossy().ends_with("-shm") && name != "lock" {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < give_up, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
