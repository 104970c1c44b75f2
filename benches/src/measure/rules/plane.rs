//! A whole control plane in this process, over a temporary repository and with models that answer at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_routing::{Assignment, SplitId};
use base_serving::engine::{Artifact, LoadError, Runner};
use base_serving::lane::{JobError, Lane, Submission};
use base_serving::{Attempt, InFlightMark, OutcomeLedger, Rerun, ServingModel, Snapshot, SnapshotCell};
use base_types::{Clock, Digest, FaultKind, ModelName, Outcome, OutcomeClass, Reason, Selector, SystemClock, Version};
use control_config::WatchOptions;
use control_loop::{Connections, Control, Loader, Operation, Order, Settings};
use control_registry::journal::Journal;
use control_registry::repository::ScanOptions;
use tempfile::TempDir;
use testkit::fake::{FakeLane, FakeRunner, report};
use testkit::onnx::affine4;
use testkit::repository::Repository;
use tokio::runtime::Runtime;

use crate::BenchError;
use crate::error::io_at;

/// The model whose candidates fail.
const MODEL: &str = "m";
/// How long anything may take.
const WAIT_MAX: Duration = Duration::from_secs(20);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// A control plane, and what a request path needs of it.
pub(super) struct Plane {
    pub(super) cell: Arc<SnapshotCell>,
    pub(super) ledger: OutcomeLedger,
    repository: Repository,
    control: Option<Control>,
    runtime: Runtime,
    model: ModelName,
    _folder: TempDir,
}

fn failed(error: impl std::fmt::Debug) -> BenchError {
    BenchError::InProcess(format!("{error:?}"))
}

pub(super) fn version(n: u64) -> Result<Version, BenchError> {
    Version::new(n).ok_or_else(|| failed("version 0"))
}

impl Plane {
    /// Starts with version 1 of the model, so many other models, and this routing.toml.
    pub(super) fn start(routing: &str, n_others: usize) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(io_at("make a temporary folder"))?;
        let repository = Repository::new(folder.path().join("models")).map_err(io_at("make a model repository"))?;
        for n in 0..n_others {
            let published = repository.publish(&format!("other-{n}"), 1, &affine4(n as f32, 1.0));
            published.map_err(io_at("publish a model"))?;
        }
        let path = folder.path().join("routing.toml");
        std::fs::write(&path, routing).map_err(io_at("write routing.toml"))?;
        let settings = Settings {
            repository: Some(repository.root().to_owned()),
            store: None,
            memory: Default::default(),
            scan: ScanOptions { settle_ms: 0, ..ScanOptions::default() },
            look_every: Duration::from_millis(10),
            routing: Some(path),
            watch: WatchOptions::default(),
            confirm_after: Duration::from_secs(3600),
            follow_share: None,
            webhooks: Vec::new(),
            webhook_timeout: Duration::from_secs(2),
        };
        let cell = Arc::new(SnapshotCell::new(Snapshot::default()));
        let started = Instant::now();
        let connections = Connections {
            cell: cell.clone(),
            metrics: Metrics::new("0", "0").map_err(failed)?,
            clock: Arc::new(SystemClock) as Arc<dyn Clock>,
            started,
            loader: Arc::new(InstantLoader),
            crashed: Default::default(),
        };
        let journal = Journal::open(&folder.path().join("state")).map_err(failed)?;
        repository.publish(MODEL, 1, &affine4(1.0, 1.0)).map_err(io_at("publish a model"))?;
        let control = Control::start(settings, journal, connections).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(io_at("start a runtime"))?;
        runtime.block_on(control.started().wait_for(|is_started| *is_started)).map_err(failed)?;
        let ledger = OutcomeLedger::new(control.judge(), started);
        let model = ModelName::new(MODEL).map_err(failed)?;
        Ok(Self { cell, ledger, repository, control: Some(control), runtime, model, _folder: folder })
    }

    /// Publishes a version and waits until it is in memory.
    pub(super) fn publish(&self, n: u64) -> Result<(), BenchError> {
        self.repository.publish(MODEL, n, &affine4(n as f32, 0.0)).map_err(io_at("publish a version"))?;
        let wanted = version(n)?;
        self.wait("a version is ready", |model| model.versions.contains_key(&wanted))
    }

    /// Takes the folder of a version away.
    pub(super) fn remove(&self, n: u64) -> Result<(), BenchError> {
        self.repository.remove(MODEL, n).map_err(io_at("remove a version"))
    }

    /// Orders something, which must be done.
    pub(super) fn order(&self, operation: Operation) -> Result<(), BenchError> {
        let reason = Some("measurement".to_owned());
        let order = Order { model: self.model.clone(), operation, actor: "bench".to_owned(), reason };
        let control = self.control.as_ref().ok_or_else(|| failed("the control plane is down"))?;
        self.runtime.block_on(control.order(order)).map(drop).map_err(failed)
    }

    /// Waits until a version takes a share of the traffic.
    pub(super) fn wait_share(&self, n: u64) -> Result<(), BenchError> {
        let wanted = version(n)?;
        self.wait("a candidate takes traffic", |model| {
            model.route.as_ref().is_some_and(|route| route.split.share(wanted, route.stable) > 0.0)
        })
    }

    fn wait(&self, what: &str, is_so: impl Fn(&ServingModel) -> bool) -> Result<(), BenchError> {
        let began = Instant::now();
        while !self.serving().is_some_and(|model| is_so(&model)) {
            if began.elapsed() > WAIT_MAX {
                let (what, seen) = (what.to_owned(), "nothing of it".to_owned());
                return Err(BenchError::Timeout { what, seconds: WAIT_MAX.as_secs(), seen });
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        Ok(())
    }

    pub(super) fn serving(&self) -> Option<Arc<ServingModel>> {
        self.cell.load().models.get(MODEL).cloned()
    }

    /// Records the end of one attempt at a version, as the request path would.
    pub(super) fn attempt(&self, model: &ServingModel, n: u64, is_good: bool) -> Result<(), BenchError> {
        let asked = model.versions.get(&version(n)?).ok_or_else(|| failed("the version is not in memory"))?;
        let (split, reason) = (Some(SplitId::Default), Reason::Split);
        let assignment = Assignment { split, reason, ..Assignment::pinned(asked.id.version) };
        let rerun = if is_good { Rerun::None } else { Rerun::Answered };
        let attempt = Attempt { model, version: asked, assignment: &assignment, rerun };
        let class = if is_good { OutcomeClass::Ok } else { OutcomeClass::VersionFault };
        let fault = (!is_good).then_some(FaultKind::Run);
        let (queue, run) = (Duration::ZERO, Duration::from_millis(1));
        self.ledger.attempt(&attempt, &Outcome { class, fault, reason, queue, run, total: run }, Instant::now());
        Ok(())
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(control) = self.control.take() {
            control.stop();
        }
    }
}

/// The version as an order names it.
pub(super) fn selector(n: u64) -> Result<Selector, BenchError> {
    Ok(Selector::Version(version(n)?))
}

struct InstantLoader;

impl Loader for InstantLoader {
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
