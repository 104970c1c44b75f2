//! A gateway with fake versions behind a listener on a free port.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_routing::ModelRoute;
use base_serving::lane::{Job, JobError, Refusal, Report, Submission};
use base_serving::{FeedbackSink, ModelLimits, OutcomeLedger, ServingModel, Snapshot, SnapshotCell, Unready};
use base_types::{
    Data, DataType, FaultKind, Generation, Label, ModelName, Signature, SystemClock, Tensor, TensorSpec, Version,
    VersionState,
};
use bytes::Bytes;
use data_edge::{Drained, Edge, EdgeOptions, HttpLimits, Readiness};
use data_path::Gateway;
use testkit::fake::{FakeLane, NoJudge, report, serving_model, serving_version};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::client::Client;
use crate::serve;

/// What version `n` of model `m` does with a job.
pub(super) const ECHO: u64 = 1;
pub(super) const HANG: u64 = 2;
pub(super) const QUARANTINED: u64 = 3;
pub(super) const FAULT: u64 = 4;
pub(super) const FULL: u64 = 5;
pub(super) const PANIC: u64 = 6;
pub(super) const NO_TEXT: u64 = 7;
pub(super) const LOADING: u64 = 8;

/// A test waits this long for what should come at once.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

type Held = Arc<Mutex<Vec<oneshot::Sender<Report>>>>;

fn output(from: &Tensor) -> Tensor {
    Tensor::new("y", DataType::Fp32, from.shape().to_vec(), from.data().clone()).unwrap()
}

fn submit(version: u64, held: &Held, job: &Job) -> Submission {
    match version {
        HANG => {
            let (reply, report) = oneshot::channel();
            held.lock().unwrap().push(reply);
            Submission::Queued(report)
        }
        FAULT => Submission::Finished(report(Err(JobError::Fault(FaultKind::Run, "secret detail".into())))),
        FULL => Submission::Refused(Refusal::Full(Duration::from_millis(1500))),
        PANIC => panic!("a defect"),
        NO_TEXT => {
            let data = Data::Strings(vec![Bytes::from_static(&[0xff])]);
            Submission::Finished(report(Ok(vec![Tensor::new("y", DataType::Bytes, vec![1], data).unwrap()])))
        }
        _ => Submission::Finished(report(Ok(vec![output(&job.inputs[0])]))),
    }
}

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn signature(n: u64) -> Signature {
    let spec = |name: &str, datatype| TensorSpec { name: name.into(), datatype, dims: vec![None, Some(4)] };
    let y = if n == NO_TEXT { DataType::Bytes } else { DataType::Fp32 };
    Signature { inputs: vec![spec("x", DataType::Fp32)], outputs: vec![spec("y", y)] }
}

/// Model `m` with stable version 1, and model `cold`, of which nothing is ready.
fn snapshot(metrics: &Metrics, held: &Held) -> Snapshot {
    let name = ModelName::new("m").unwrap();
    let serving = |n: u64| {
        let held = held.clone();
        let lane = Arc::new(FakeLane::new(move |job| submit(n, &held, &job)));
        (version(n), serving_version(metrics, (&name, version(n)), signature(n), lane))
    };
    let limits = ModelLimits { batch_rows: 8, ..ModelLimits::default() };
    let mut route = ModelRoute::to_one(name.clone(), version(ECHO));
    route.labels.insert(Label::new("champion").unwrap(), version(ECHO));
    let unready = |state| Unready { state, reason: String::new() };
    let warm = ServingModel {
        route: Some(route),
        versions: [ECHO, HANG, FAULT, FULL, PANIC, NO_TEXT].into_iter().map(serving).collect(),
        unready: [
            (version(QUARANTINED), unready(VersionState::Quarantined)),
            (version(LOADING), unready(VersionState::Loading)),
        ]
        .into(),
        ..serving_model(&name, limits.clone())
    };
    let cold = ServingModel {
        unready: [(version(1), unready(VersionState::Loading))].into(),
        ..serving_model(&ModelName::new("cold").unwrap(), limits)
    };
    let models = [warm, cold].into_iter().map(|m| (m.name.clone(), Arc::new(m))).collect();
    Snapshot { generation: Generation(7), models }
}

/// A served gateway.
pub(super) struct World {
    pub(super) address: SocketAddr,
    pub(super) metrics: Metrics,
    pub(super) readiness: Arc<Readiness>,
    held: Held,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Drained>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(EdgeOptions::default()).await
    }

    pub(super) async fn with_limits(limits: HttpLimits) -> Self {
        Self::with(EdgeOptions { limits, ..EdgeOptions::default() }).await
    }

    pub(super) async fn with(options: EdgeOptions) -> Self {
        let world = Self::start(options).await;
        world.readiness.set_ready();
        world
    }

    /// A process whose start-up is not over.
    pub(super) async fn with_starting() -> Self {
        Self::start(EdgeOptions::default()).await
    }

    async fn start(options: EdgeOptions) -> Self {
        Self::start_as(options, |edge| edge, |gateway| gateway).await
    }

    /// With an edge that has more than its options.
    pub(super) async fn managed(change: impl FnOnce(Edge) -> Edge) -> Self {
        Self::start_as(EdgeOptions::default(), change, |gateway| gateway).await
    }

    /// With somebody who takes feedback.
    pub(super) async fn taking_feedback(options: EdgeOptions, sink: Arc<dyn FeedbackSink>) -> Self {
        let world = Self::start_as(options, |edge| edge, |gateway| gateway.with_feedback(sink)).await;
        world.readiness.set_ready();
        world
    }

    async fn start_as(
        options: EdgeOptions,
        change: impl FnOnce(Edge) -> Edge,
        more: impl FnOnce(Gateway) -> Gateway,
    ) -> Self {
        let metrics = Metrics::new("0", "0").unwrap();
        let held = Held::default();
        let cell = Arc::new(SnapshotCell::new(snapshot(&metrics, &held)));
        let ledger = Arc::new(OutcomeLedger::new(Arc::new(NoJudge), Instant::now()));
        let gateway = Arc::new(more(Gateway::new(cell, ledger, metrics.clone(), Arc::new(SystemClock))));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, readiness) = (listener.local_addr().unwrap(), options.readiness.clone());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            stopped.await.ok();
        };
        let server = tokio::spawn(serve(listener, change(Edge::new(gateway, options)), shutdown));
        Self { address, metrics, readiness, held, stop: Some(stop), server }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Takes the jobs that hang, once there are as many as that.
    pub(super) async fn hanging(&self, n: usize) -> Vec<oneshot::Sender<Report>> {
        let wait = async {
            loop {
                if self.held.lock().unwrap().len() >= n {
                    return std::mem::take(&mut *self.held.lock().unwrap());
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("jobs hang")
    }

    pub(super) fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(super) async fn stopped(self) -> Drained {
        tokio::time::timeout(PATIENCE, self.server).await.expect("the server stops").unwrap()
    }

    /// The sum of all request counters with these labels.
    pub(super) fn requests(&self, labels: &str) -> f64 {
        let text = String::from_utf8(self.metrics.render().unwrap()).unwrap();
        let lines = text.lines().filter(|l| l.starts_with("switchrail_requests_total{") && l.contains(labels));
        lines.map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

/// What a hanging version answers when it is let go.
pub(super) fn good_report() -> Report {
    let data = Data::Raw(Bytes::from(vec![0; 16]));
    report(Ok(vec![Tensor::new("y", DataType::Fp32, vec![1, 4], data).unwrap()]))
}

/// Waits until something is so.
pub(super) async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it comes true");
}
