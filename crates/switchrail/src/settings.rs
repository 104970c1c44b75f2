//! What `serve` is told: gateway.toml, then flags on top, then checked as a whole.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use control_bucket::Address;
use control_config::{Diagnostic, GatewayConfig, SettingError, is_bucket, parse_address, parse_gateway};
use thiserror::Error;

/// The state directory, if none is given, lies inside the repository under this name, which scans pass over.
pub(crate) const STATE_IN_REPOSITORY: &str = ".switchrail";

/// Flags of `switchrail serve`. A flag wins over gateway.toml.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// The model repository: <model>/<version>/model.onnx, in a folder or a bucket
    #[arg(long, value_name = "DIR or URL")]
    model_repository: Option<PathBuf>,
    /// The store that `switchrail push` writes to, beside the model repository or without one
    #[arg(long, value_name = "DIR or URL")]
    store: Option<PathBuf>,
    /// Settings that are fixed at start
    #[arg(long, value_name = "gateway.toml")]
    config: Option<PathBuf>,
    /// Routing, read again whenever it changes
    #[arg(long, value_name = "routing.toml")]
    routing: Option<PathBuf>,
    /// Where decisions are remembered [default: <model repository>/.switchrail]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where applications send requests [default: 127.0.0.1:8000]
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    http_address: Option<SocketAddr>,
    /// Where applications send requests over gRPC [default: 127.0.0.1:8001]
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    grpc_address: Option<SocketAddr>,
    /// Where Prometheus scrapes [default: 127.0.0.1:8002]
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    metrics_address: Option<SocketAddr>,
    /// Where operators talk to the gateway [default: 127.0.0.1:8003]
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    admin_address: Option<SocketAddr>,
    /// A file with the token operators must show
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Put every higher version that arrives under trial as a canary
    #[arg(long)]
    follow_latest: bool,
}

/// Why `serve` does not know what to do. The process exits with 2.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// gateway.toml cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// gateway.toml is invalid.
    #[error("gateway.toml has {} problems", .0.len())]
    Invalid(Vec<Diagnostic>),
    /// What came out does not fit together.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Misfit(Vec<SettingError>),
    /// The model repository is meant to be a bucket and is none that can be reached.
    #[error(transparent)]
    Bucket(#[from] control_bucket::AddressError),
}

/// Settings that fit together.
#[derive(Debug, Clone)]
pub struct ServeSettings {
    /// Everything from gateway.toml and flags.
    pub config: GatewayConfig,
    /// The model repository as it was given, if there is one.
    pub repository: Option<PathBuf>,
    /// The bucket, if it is one.
    pub bucket: Option<Address>,
    /// The store as it was given, if there is one.
    pub store: Option<PathBuf>,
    /// The state directory.
    pub state_dir: PathBuf,
    /// Warnings about gateway.toml.
    pub warnings: Vec<Diagnostic>,
}

/// Reads gateway.toml, applies the flags and checks the whole.
pub fn settle(arguments: &ServeArguments) -> Result<ServeSettings, SettingsError> {
    let (mut config, warnings) = match &arguments.config {
        None => (GatewayConfig::default(), Vec::new()),
        Some(path) => {
            let unreadable = |source| SettingsError::Unreadable { path: path.clone(), source };
            let bytes = std::fs::read(path).map_err(unreadable)?;
            let parsed = parse_gateway(path, &bytes).map_err(|invalid| SettingsError::Invalid(invalid.diagnostics))?;
            (parsed.value, parsed.warnings)
        }
    };
    let ServeArguments { model_repository, store, routing, state_dir, token_file, .. } = arguments;
    config.model_repository = model_repository.clone().or(config.model_repository);
    config.store.path = store.clone().or(config.store.path);
    config.routing = routing.clone().or(config.routing);
    config.state_dir = state_dir.clone().or(config.state_dir);
    config.http = arguments.http_address.unwrap_or(config.http);
    config.grpc = arguments.grpc_address.unwrap_or(config.grpc);
    config.metrics = arguments.metrics_address.unwrap_or(config.metrics);
    config.admin.address = arguments.admin_address.unwrap_or(config.admin.address);
    config.admin.token_file = token_file.clone().or(config.admin.token_file);
    config.follow_latest |= arguments.follow_latest;
    let misfits = config.check();
    let (repository, store) = (config.model_repository.clone(), config.store.path.clone());
    let in_repository = || repository.as_ref().map(|root| root.join(STATE_IN_REPOSITORY));
    let Some(state_dir) = config.state_dir.clone().or_else(in_repository).filter(|_| misfits.is_empty()) else {
        return Err(SettingsError::Misfit(misfits));
    };
    let bucket = repository.as_deref().filter(|root| is_bucket(root));
    let bucket = bucket.map(|root| Address::parse(&root.to_string_lossy())).transpose()?;
    Ok(ServeSettings { config, repository, bucket, store, state_dir, warnings })
}
