//! `switchrail serve`: the composition root. Opens the state, starts the runtime, connects the planes, serves until
//! told to stop, and ends in order.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use base_metrics::{Alias, Metrics};
use base_serving::{OutcomeLedger, Snapshot, SnapshotCell};
use base_types::{Clock, Digest, SystemClock};
use control_admin::{AdminOptions, Token};
use control_bucket::MirrorError;
use control_config::{Diagnostic, GatewayConfig, MemorySettings, MetricsAlias};
use control_loop::{Connections, Control, ControlError, MemoryBounds, Settings, StoreSource};
use control_registry::journal::{Journal, JournalError};
use control_registry::repository::ScanOptions;
use data_edge::{Edge, Readiness};
use data_exec::{Executor, ShadowOptions, ShadowPool};
use data_grpc::{Grpc, is_grpc};
use data_path::Gateway;
use engine_onnx::{InFlightMarks, OnnxEngine, RuntimeError, lower_priority};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::bucket;
use crate::capture;
use crate::edge_options::edge_options;
use crate::loader::VersionLoader;
use crate::logging::{self, Log};
use crate::records;
use crate::settings::{self, ServeArguments, ServeSettings, SettingsError};
use crate::store::{self, StoreSourceError};

/// In the state directory: what is shared between versions, on its way into memory.
const DERIVED_FOLDER: &str = "derived";
/// In the state directory: requests in flight, for the next start.
const MARKS_FILE: &str = "in-flight";
/// How long the control plane may take to record the end.
const CONTROL_END: Duration = Duration::from_secs(10);
/// How long the other listeners may take to end once the data listener has drained.
const LISTENERS_END: Duration = Duration::from_secs(2);

/// Why the gateway does not start.
#[derive(Debug, Error)]
enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot use the state directory")]
    State(#[from] JournalError),
    #[error("cannot open {MARKS_FILE} in the state directory")]
    Marks(#[source] std::io::Error),
    #[error("no ONNX Runtime")]
    Runtime(#[from] RuntimeError),
    #[error("cannot start the metrics")]
    Metrics(#[from] base_metrics::MetricsError),
    #[error("cannot listen on {address} ({what})")]
    Listen { what: &'static str, address: SocketAddr, source: std::io::Error },
    #[error("cannot read the token file")]
    Token(#[source] control_admin::TokenError),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Bucket(#[from] MirrorError),
    #[error(transparent)]
    Store(#[from] StoreSourceError),
    #[error("cannot keep records in the state directory")]
    Records(#[source] std::io::Error),
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

impl ServeError {
    /// 2: what was asked for makes no sense. 1: it does, but cannot be done here.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) | Self::Token(_) => ExitCode::from(2),
            Self::Control(ControlError::RoutingInvalid(_) | ControlError::RoutingUnreadable { .. }) => {
                ExitCode::from(2)
            }
            Self::Control(ControlError::Repository(_)) => ExitCode::from(2),
            Self::Store(error) if error.is_mistake() => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }

    fn diagnostics(&self) -> &[Diagnostic] {
        match self {
            Self::Settings(SettingsError::Invalid(problems)) => problems,
            Self::Control(ControlError::RoutingInvalid(problems)) => problems,
            _ => &[],
        }
    }
}

/// Runs the gateway until it is told to stop.
pub fn run(arguments: &ServeArguments) -> ExitCode {
    match settings::settle(arguments).map_err(ServeError::from).and_then(|settings| serve(&settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&error);
            error.exit_code()
        }
    }
}

/// An error with its causes, then the problems of a file, one a line.
fn tell(error: &ServeError) {
    let mut text = format!("switchrail: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    eprintln!("{text}");
    for problem in error.diagnostics() {
        eprintln!("{problem}");
    }
}

fn serve(settings: &ServeSettings) -> Result<(), ServeError> {
    let config = &settings.config;
    let log = logging::start(&config.log);
    for warning in &settings.warnings {
        warn!(%warning, "gateway.toml");
    }
    let token = config.admin.token_file.as_deref().map(Token::read).transpose().map_err(ServeError::Token)?;
    let (journal, recovered) = Journal::open(&settings.state_dir)?;
    let (marks, crashed) = InFlightMarks::open(&settings.state_dir.join(MARKS_FILE)).map_err(ServeError::Marks)?;
    let library = engine_onnx::locate(config.runtime.library.as_deref())?;
    let n_cores = std::thread::available_parallelism().map_or(2, usize::from);
    let n_threads = |wanted: usize, default: usize| if wanted == 0 { default } else { wanted };
    let n_run = n_threads(config.runtime.run_threads, n_cores);
    let engine = OnnxEngine::start(&engine_onnx::Options {
        library: Some(library),
        allow_old_runtime: config.runtime.allow_old,
        share_weights_in: config.memory.share_weights.then(|| settings.state_dir.join(DERIVED_FOLDER)),
        sessions_apart: if config.runtime.has_sessions_apart { n_run } else { 0 },
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let metrics = Metrics::new(env!("CARGO_PKG_VERSION"), engine.runtime_version())?;
    let fingerprint = capture::fingerprint(&engine, n_run);
    // One more than cores, so that one is free while others run quick models themselves.
    let n_io = n_threads(config.runtime.io_threads, n_cores + 1);
    let executor = Arc::new(Executor::start(n_run, n_io - 1, clock.clone())?);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(n_io).thread_name("io").enable_all().build()?;
    let listeners = runtime.block_on(Listeners::bind(config))?;
    let cell = Arc::new(SnapshotCell::new(Snapshot::default()));
    show_aliases(&metrics, config, cell.clone());
    let (started, started_unix_ms) = (clock.now(), clock.unix_ms());
    let connections = Connections {
        cell: cell.clone(),
        metrics: metrics.clone(),
        clock: clock.clone(),
        started,
        loader: Arc::new(VersionLoader { engine, executor: executor.clone(), marks }),
        crashed: sums(crashed),
    };
    let (repository, mirror) = bucket::repository(settings, &metrics, &clock)?;
    let control_settings = control_settings(settings, repository, store::source(settings, bucket::limits(config))?);
    let control = Arc::new(Control::start(control_settings, (journal, recovered), connections)?);
    let mut ledger = OutcomeLedger::new(control.judge(), started);
    if let Some(sink) = records::outcomes(&config.record, &settings.state_dir).map_err(ServeError::Records)? {
        ledger = ledger.with_sink(sink, started_unix_ms);
    }
    let gateway = Gateway::new(cell, Arc::new(ledger), metrics.clone(), clock);
    let gateway = capture::connect(gateway, settings, &metrics, fingerprint).map_err(ServeError::Records)?;
    let gateway = if config.memory.on_demand { gateway.with_on_demand(control.clone()) } else { gateway };
    let gateway = Arc::new(connect(gateway, settings, (&control, &metrics), &executor)?);
    let edges = Edges { gateway, control: control.clone(), metrics, token, log };
    runtime.block_on(edges.run(config, listeners))?;
    // Before the runtime goes, so that a second signal still ends a process whose disk hangs.
    let stop = tokio::task::spawn_blocking;
    let stopped = runtime.block_on(async { tokio::time::timeout(CONTROL_END, stop(move || control.stop())).await });
    if stopped.is_err() {
        error!("the journal does not take the end: this end counts as unclean");
    }
    drop(mirror);
    runtime.shutdown_timeout(LISTENERS_END);
    info!("stopped");
    Ok(())
}

/// Connects what the request path tells the control plane beside outcomes: feedback, exposures, copies of requests.
fn connect(
    gateway: Gateway,
    settings: &ServeSettings,
    (control, metrics): (&Control, &Metrics),
    executor: &Executor,
) -> Result<Gateway, ServeError> {
    let key = records::prediction_key(&settings.state_dir).map_err(ServeError::Records)?;
    let shadow = Arc::new(ShadowPool::start(executor, ShadowOptions::default(), lower_priority)?);
    let gateway = gateway.with_prediction_key(key).with_feedback(control.feedback()).with_shadow(shadow);
    let exposures = records::exposures(&settings.config.record, &settings.state_dir, metrics);
    match exposures.map_err(ServeError::Records)? {
        Some(sink) => Ok(gateway.with_exposures(sink)),
        None => Ok(gateway),
    }
}

/// Shows the figures under other servers' names too, where the operator asks for it.
fn show_aliases(metrics: &Metrics, config: &GatewayConfig, cell: Arc<SnapshotCell>) {
    let alias = |alias: &MetricsAlias| match alias {
        MetricsAlias::Triton => Alias::Triton,
        MetricsAlias::OpenVino => Alias::OpenVino,
    };
    let names: Vec<Alias> = config.metrics_aliases.iter().map(alias).collect();
    if !names.is_empty() {
        metrics.set_aliases(names, Box::new(move || data_path::alias_figures(&cell.load())));
    }
}

/// Adds up what several loads of the same content had in flight.
fn sums(counts: Vec<(Digest, u64)>) -> BTreeMap<Digest, u64> {
    let mut sums = BTreeMap::new();
    for (digest, n_requests) in counts {
        *sums.entry(digest).or_default() += n_requests;
    }
    sums
}

fn memory_bounds(memory: &MemorySettings) -> MemoryBounds {
    let budget_bytes = (memory.budget_mib > 0).then_some(memory.budget_mib << 20);
    MemoryBounds { budget_bytes, keep_warm: memory.keep_warm, on_demand: memory.on_demand }
}

fn control_settings(settings: &ServeSettings, models: Option<PathBuf>, store: Option<StoreSource>) -> Settings {
    let config = &settings.config;
    let (repository, limits) = (&config.repository, bucket::limits(config));
    Settings {
        repository: models,
        memory: memory_bounds(&config.memory),
        store,
        scan: ScanOptions { settle_ms: repository.settle.as_millis() as u64, limits },
        look_every: repository.poll,
        routing: config.routing.clone(),
        watch: config.watch.clone(),
        confirm_after: config.confirm_after,
        follow_share: config.follow_latest.then_some(config.follow_share),
        webhooks: config.webhook.urls.clone(),
        webhook_timeout: config.webhook.timeout,
    }
}

/// The bound listeners; bound before anything is loaded, so that a taken port is told at once.
struct Listeners {
    http: TcpListener,
    grpc: TcpListener,
    metrics: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    async fn bind(config: &GatewayConfig) -> Result<Self, ServeError> {
        Ok(Self {
            http: bind("http", config.http).await?,
            grpc: bind("grpc", config.grpc).await?,
            metrics: bind("metrics", config.metrics).await?,
            admin: bind("admin", config.admin.address).await?,
        })
    }

    /// The ready line: the addresses in fact bound.
    fn ready_line(&self) -> std::io::Result<String> {
        let addresses = serde_json::json!({
            "http": self.http.local_addr()?.to_string(),
            "grpc": self.grpc.local_addr()?.to_string(),
            "metrics": self.metrics.local_addr()?.to_string(),
            "admin": self.admin.local_addr()?.to_string(),
        });
        Ok(addresses.to_string())
    }
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { what, address, source })
}

/// Everything that listens.
struct Edges {
    gateway: Arc<Gateway>,
    control: Arc<Control>,
    metrics: Metrics,
    token: Option<Token>,
    log: Arc<Log>,
}

impl Edges {
    /// Serves until a signal, then drains.
    async fn run(self, config: &GatewayConfig, listeners: Listeners) -> Result<(), ServeError> {
        let ready_line = listeners.ready_line()?;
        let readiness = Arc::new(Readiness::default());
        let (stop, stopping) = watch::channel(Stage::Serving);
        let options = edge_options(config, readiness.clone());
        let admin = AdminOptions { token: self.token, ..AdminOptions::default() };
        // The operators' and the scraper's doors stay open until the data doors have drained.
        let edge = Edge::new(self.gateway, options).with_log_control(self.log);
        let edge = if config.model_control { edge.with_changes(self.control.clone()) } else { edge };
        let data = tokio::spawn(data_edges((listeners.http, listeners.grpc), edge, config.grpc_on_http, &stopping));
        let metrics = data_http::serve_metrics(listeners.metrics, self.metrics, reached(&stopping, Stage::Drained));
        let metrics = tokio::spawn(metrics);
        let admin =
            control_admin::serve(listeners.admin, self.control.clone(), admin, reached(&stopping, Stage::Drained));
        let admin = tokio::spawn(admin);
        let told = tokio::spawn(tell_ready(self.control.clone(), readiness.clone(), ready_line));
        wait_for_signal().await?;
        info!("stopping: no longer ready, requests under way may finish");
        told.abort();
        readiness.set_draining();
        stop.send_replace(Stage::Draining);
        if let Err(error) = data.await {
            error!(%error, "a data listener failed");
        }
        stop.send_replace(Stage::Drained);
        let ends = async { (metrics.await.is_ok(), admin.await.is_ok()) };
        match tokio::time::timeout(LISTENERS_END, ends).await {
            Ok((true, true)) => {}
            _ => warn!("the metrics or admin listener did not end in time"),
        }
        Ok(())
    }
}

/// Serves both data listeners until the drain is over. They share one edge, and with it the bounds.
fn data_edges(
    (http, grpc): (TcpListener, TcpListener),
    edge: Edge,
    is_grpc_on_http: bool,
    stages: &watch::Receiver<Stage>,
) -> impl Future<Output = ()> + Send + use<> {
    let (edge, stages) = (Arc::new(edge), stages.clone());
    let stopping = reached(&stages, Stage::Draining);
    async move {
        let calls = Grpc::new(edge.clone(), move || reached(&stages, Stage::Draining));
        let rest = async {
            if is_grpc_on_http {
                data_http::serve_beside(http, edge, (calls.clone(), is_grpc), stopping).await
            } else {
                data_http::serve(http, edge, stopping).await
            }
        };
        tokio::join!(rest, data_grpc::serve(grpc, calls.clone()));
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Serving,
    Draining,
    Drained,
}

/// Becomes ready when a stage is reached.
fn reached(stages: &watch::Receiver<Stage>, stage: Stage) -> impl Future<Output = ()> + Send + use<> {
    let mut stages = stages.clone();
    async move {
        // The sender is gone only when everything ends.
        let _ended = stages.wait_for(|now| *now >= stage).await;
    }
}

async fn tell_ready(control: Arc<Control>, readiness: Arc<Readiness>, ready_line: String) {
    if control.started().wait_for(|is_started| *is_started).await.is_err() {
        return;
    }
    readiness.set_ready();
    let mut stdout = std::io::stdout();
    if let Err(error) = writeln!(stdout, "{ready_line}").and_then(|()| stdout.flush()) {
        warn!(%error, "nobody reads the ready line");
    }
}

/// Waits for SIGTERM or SIGINT; a second one ends the process at once.
async fn wait_for_signal() -> Result<(), ServeError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        warn!("second signal: ending at once");
        // The journal survives any end; this one counts as unclean.
        std::process::exit(130);
    });
    Ok(())
}
