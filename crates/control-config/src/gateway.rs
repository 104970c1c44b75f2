//! gateway.toml: what is fixed at start. Listeners, folders, threads, bounds of the edges.
//!
//! Flags of the command line win over the file, so what belongs together is checked on the merged settings, by
//! [`GatewayConfig::check`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::document::read;
use crate::reader::Section;
use crate::{Invalid, Parsed, WatchOptions};

mod memory;
mod record;
mod settings;
mod store;
mod url;

pub use memory::MemorySettings;
pub use record::RecordSettings;
pub use store::StoreSettings;

const MIB: u64 = 1 << 20;

/// gateway.toml, read and checked; paths are relative to the folder of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    /// `model_repository`: the folder with a folder per model, or the address of a bucket as [`is_bucket`] knows it.
    pub model_repository: Option<PathBuf>,
    /// `state_dir`: the folder of the journal.
    pub state_dir: Option<PathBuf>,
    /// `routing`: the live file.
    pub routing: Option<PathBuf>,
    /// `follow_latest`: a new highest version becomes a guarded canary by itself.
    pub follow_latest: bool,
    /// `follow_share`: the share of such a canary.
    pub follow_share: f64,
    /// `confirm_after_ms`: a promotion that holds this long is confirmed.
    pub confirm_after: Duration,
    /// `model_control`: callers of the data listener may load and unload models.
    pub model_control: bool,
    /// `metrics_aliases`: the other servers whose names of metrics are shown too.
    pub metrics_aliases: Vec<MetricsAlias>,
    /// `grpc_on_http`: the HTTP listener takes gRPC as well.
    pub grpc_on_http: bool,
    /// `feedback`: callers may tell what answers were worth.
    pub feedback: bool,
    /// `http.address`: predictions.
    pub http: SocketAddr,
    /// `grpc.address`: predictions over gRPC.
    pub grpc: SocketAddr,
    /// `metrics.address`: Prometheus.
    pub metrics: SocketAddr,
    /// `[admin]`.
    pub admin: AdminSettings,
    /// `[runtime]`.
    pub runtime: RuntimeSettings,
    /// `[limits]`.
    pub limits: EdgeLimits,
    /// `[repository]`.
    pub repository: RepositorySettings,
    /// `[bucket]`: how a model repository in a bucket is read.
    pub bucket: BucketSettings,
    /// `[store]`: pushed versions.
    pub store: StoreSettings,
    /// `[memory]`: what loaded versions may take.
    pub memory: MemorySettings,
    /// `[watch]`: how edits of routing.toml are noticed.
    pub watch: WatchOptions,
    /// `[log]`.
    pub log: LogSettings,
    /// `[webhook]`.
    pub webhook: WebhookSettings,
    /// `[record]`.
    pub record: RecordSettings,
}

/// A server whose names of metrics dashboards may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsAlias {
    /// Triton Inference Server.
    Triton,
    /// OpenVINO Model Server.
    OpenVino,
}

/// The operators' listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// `address`.
    pub address: SocketAddr,
    /// `token_file`: holds the token that callers must show.
    pub token_file: Option<PathBuf>,
}

/// The model runtime and the threads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RuntimeSettings {
    /// `library`: ONNX Runtime's shared library.
    pub library: Option<PathBuf>,
    /// `allow_old`: accepts a library older than the fixes we rely on.
    pub allow_old: bool,
    /// `io_threads`: threads of the edges; 0 chooses.
    pub io_threads: usize,
    /// `run_threads`: threads that run models; 0 means one per core.
    pub run_threads: usize,
    /// `shared_sessions` turned off: each thread runs a session of its own of a version on the CPU.
    pub has_sessions_apart: bool,
}

/// Bounds of the listeners.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeLimits {
    /// `body_bytes`: the largest body.
    pub body_bytes: u64,
    /// `bodies_bytes`: large bodies held at once, over all connections.
    pub bodies_bytes: u64,
    /// `header_bytes`: the largest head of a request.
    pub header_bytes: usize,
    /// `connections`: open at once, per listener.
    pub connections: usize,
    /// `header_timeout_ms`: from the first byte of a request to the end of its head.
    pub header_timeout: Duration,
    /// `body_timeout_ms`: from the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// `answer_timeout_ms`: who takes nothing of an answer for this long is cut off.
    pub answer_timeout: Duration,
    /// `idle_timeout_ms`: a connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// `drain_ms`: how long requests in flight may take to finish at shutdown.
    pub drain: Duration,
}

/// How the model repository is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositorySettings {
    /// `poll_ms`: the time between two looks.
    pub poll: Duration,
    /// `settle_ms`: a version folder is taken up when it has been unchanged this long.
    pub settle: Duration,
    /// `models`: the most models.
    pub models: usize,
    /// `versions_per_model`: the most versions of one model.
    pub versions_per_model: usize,
    /// `model_file_bytes`: the largest model file.
    pub model_file_bytes: u64,
    /// `version_bytes`: the largest sum of the files of one version.
    pub version_bytes: u64,
}

/// How a model repository in a bucket is mirrored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSettings {
    /// `poll_ms`: the time between two looks.
    pub poll: Duration,
    /// `objects`: the most objects of a listing.
    pub objects: usize,
    /// `cache_bytes`: the most bytes of the cache on disk.
    pub cache_bytes: u64,
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogSettings {
    /// `format`.
    pub format: LogFormat,
    /// `level`: the least severe events that are logged.
    pub level: LogLevel,
    /// `access`: one line per request.
    pub access: bool,
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// The least severe events that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// And what may need one.
    Warn,
    /// And what changes.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And everything else.
    Trace,
}

/// Who is told of decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// `url`: each decision is posted to each of them.
    pub urls: Vec<String>,
    /// `timeout_ms`: how long one post may take.
    pub timeout: Duration,
}

/// Settings that do not go together, once file and flags are merged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// There is nothing to serve.
    #[error(
        "neither a model repository nor a store is given: set model_repository or store.path in gateway.toml, or pass --model-repository or --store"
    )]
    NoRepository,
    /// The cache and the journal cannot lie in a bucket.
    #[error(
        "a model repository or store in a bucket needs a folder for its cache and the journal: set state_dir in gateway.toml or pass --state-dir"
    )]
    BucketWithoutState,
    /// The journal does not lie in the store, which several gateways may share.
    #[error(
        "a store without a model repository needs a folder for the journal: set state_dir in gateway.toml or pass --state-dir"
    )]
    StoreWithoutState,
    /// Anyone who reaches the machine could change routing.
    #[error(
        "the admin address {0} can be reached from other machines: set admin.token_file, or use a loopback address"
    )]
    OpenAdmin(SocketAddr),
    /// Two listeners cannot share an address.
    #[error("{first} and {second} both listen on {address}: give each its own port")]
    SameAddress {
        /// The key of the one.
        first: &'static str,
        /// The key of the other.
        second: &'static str,
        /// Where.
        address: SocketAddr,
    },
}

/// A text that is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an address is host:port with an IP address or localhost as host: {0:?}")]
pub struct AddressError(String);

/// Reads gateway.toml. `file` is how diagnostics name it, and relative paths in it start at its folder.
pub fn parse_gateway(file: &Path, bytes: &[u8]) -> Result<Parsed<GatewayConfig>, Invalid> {
    let folder = file.parent().unwrap_or(Path::new(""));
    read(file, bytes, |tree, report| settings::gateway(Section::root(tree), folder, report))
}

/// Whether a model repository is the address of a bucket, such as `s3://bucket/prefix`, and no folder.
pub fn is_bucket(repository: &Path) -> bool {
    repository.to_str().is_some_and(|text| text.contains("://"))
}

/// Reads an address to listen on: `127.0.0.1:8000`, `[::1]:8000`, `0.0.0.0:0`, `localhost:8000`.
pub fn parse_address(text: &str) -> Result<SocketAddr, AddressError> {
    let error = || AddressError(text.to_owned());
    match text.strip_prefix("localhost:") {
        // A port is digits only; `u16::from_str` would take a sign.
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().map(loopback).map_err(|_| error()),
        _ => text.parse().map_err(|_| error()),
    }
}

impl GatewayConfig {
    /// What does not go together; empty when the program may start.
    pub fn check(&self) -> Vec<SettingError> {
        let mut errors = Vec::new();
        if self.model_repository.is_none() && self.store.path.is_none() {
            errors.push(SettingError::NoRepository);
        }
        let places = [&self.model_repository, &self.store.path];
        if self.state_dir.is_none() && places.iter().any(|place| place.as_deref().is_some_and(is_bucket)) {
            errors.push(SettingError::BucketWithoutState);
        } else if self.state_dir.is_none() && self.model_repository.is_none() && self.store.path.is_some() {
            errors.push(SettingError::StoreWithoutState);
        }
        if !is_loopback(self.admin.address.ip()) && self.admin.token_file.is_none() {
            errors.push(SettingError::OpenAdmin(self.admin.address));
        }
        let listeners = [
            ("http.address", self.http),
            ("grpc.address", self.grpc),
            ("metrics.address", self.metrics),
            ("admin.address", self.admin.address),
        ];
        for (i, (first, a)) in listeners.iter().enumerate() {
            for (second, b) in &listeners[i + 1..] {
                if do_collide(*a, *b) {
                    errors.push(SettingError::SameAddress { first, second, address: *b });
                }
            }
        }
        errors
    }
}

/// The system picks a free port for 0; otherwise an unspecified host takes the port on every address.
fn do_collide(a: SocketAddr, b: SocketAddr) -> bool {
    let is_same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && is_same_host
}

/// `::ffff:127.0.0.1` is loopback too, though the standard library does not say so.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            model_repository: None,
            state_dir: None,
            routing: None,
            follow_latest: false,
            follow_share: 0.1,
            confirm_after: Duration::from_secs(600),
            model_control: false,
            metrics_aliases: Vec::new(),
            grpc_on_http: false,
            feedback: true,
            http: loopback(8000),
            grpc: loopback(8001),
            metrics: loopback(8002),
            admin: AdminSettings { address: loopback(8003), token_file: None },
            runtime: RuntimeSettings::default(),
            limits: EdgeLimits::default(),
            repository: RepositorySettings::default(),
            bucket: BucketSettings::default(),
            store: StoreSettings::default(),
            memory: MemorySettings::default(),
            watch: WatchOptions::default(),
            log: LogSettings::default(),
            webhook: WebhookSettings { urls: Vec::new(), timeout: Duration::from_secs(2) },
            record: RecordSettings::default(),
        }
    }
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            body_bytes: 64 * MIB,
            bodies_bytes: 1_024 * MIB,
            header_bytes: 32 << 10,
            connections: 4_096,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for RepositorySettings {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            settle: Duration::from_secs(2),
            models: 1_024,
            versions_per_model: 256,
            model_file_bytes: 2_048 * MIB,
            version_bytes: 8_192 * MIB,
        }
    }
}

impl Default for BucketSettings {
    fn default() -> Self {
        Self { poll: Duration::from_secs(30), objects: 100_000, cache_bytes: 65_536 * MIB }
    }
}

impl LogLevel {
    /// The word used in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[cfg(test)]
mod tests;
