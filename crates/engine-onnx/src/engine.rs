//! Starts the runtime, once per process, and loads models with it.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, OnceLock};

use base_serving::Provider;
use base_serving::engine::{Artifact, Engine, LoadError, Placement, Runner};
use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::apart::Apart;
use crate::raw::{Message, Session, available, runtime_name, session_on};
use crate::runner::OnnxRunner;
use crate::sharing::Sharing;
use crate::{RuntimeError, RuntimeLibrary, locate, probe};

/// Keeps the runtime's telemetry from starting; read by the library as it is loaded.
const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// The one environment of the process. Never dropped: the runtime allows no second one.
static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();

/// Held while the runtime is started and while a session is made: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// How to start the runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The library; searched for when not given, see [`locate`].
    pub library: Option<PathBuf>,
    /// Takes a library older than 1.31, which has known faults with external data.
    pub allow_old_runtime: bool,
    /// A folder of this process alone, through which versions with equal weights share them; without it they do not.
    pub share_weights_in: Option<PathBuf>,
    /// Sessions of each version on the CPU, each run by one thread at a time; 0 for one that all threads share.
    pub sessions_apart: usize,
}

/// The running ONNX Runtime.
pub struct OnnxEngine {
    environment: &'static Environment,
    library: RuntimeLibrary,
    sharing: Option<Sharing>,
    sessions_apart: usize,
}

impl OnnxEngine {
    /// Finds, checks and loads the library, and starts it without telemetry, its log going to `tracing`.
    /// Works once per process. Best called before other threads are started, see [`disable_telemetry`].
    pub fn start(options: &Options) -> Result<Self, RuntimeError> {
        let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        if ENVIRONMENT.get().is_some() {
            return Err(RuntimeError::AlreadyStarted);
        }
        let path = locate(options.library.as_deref())?;
        let library = probe(&path, options.allow_old_runtime)?;
        // Every error of `ort` asks the library for memory; here the library is known to load.
        let builder = ort::init_from(&path).map_err(|e| RuntimeError::Start(e.to_string()))?;
        let environment = builder
            .with_name("switchrail")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|e| RuntimeError::Start(e.to_string()))?;
        // The environment opens at the most talkative level; formatting each of those lines costs load time.
        environment.set_log_level(LogLevel::Warning);
        let sharing = options.share_weights_in.as_deref().and_then(|folder| {
            let made = Sharing::new(folder);
            made.inspect_err(|error| tracing::warn!(%error, folder = %folder.display(), "weights are not shared")).ok()
        });
        Ok(Self {
            environment: ENVIRONMENT.get_or_init(|| environment),
            library,
            sharing,
            sessions_apart: options.sessions_apart,
        })
    }

    /// The library's version, such as `1.32.0`.
    pub fn runtime_version(&self) -> &str {
        &self.library.version
    }

    /// The library that was loaded.
    pub fn library(&self) -> &RuntimeLibrary {
        &self.library
    }
}

/// Whether the library has a provider; where it has not, the ones that it has are named.
fn check_provider(provider: Provider, available: &[String]) -> Result<(), Message> {
    if available.iter().any(|name| name == runtime_name(provider)) {
        return Ok(());
    }
    let has: Vec<&str> = Provider::ALL
        .into_iter()
        .filter(|known| available.iter().any(|name| name == runtime_name(*known)))
        .map(Provider::as_str)
        .collect();
    Err(format!(
        "the provider {provider} ({}) is not in this ONNX Runtime library, which has {}: take a library that has it, or set provider in routing.toml",
        runtime_name(provider),
        has.join(", ")
    ))
}

/// External files as the C interface takes them.
fn external_files(artifact: &Artifact) -> Result<Vec<(CString, &[u8])>, LoadError> {
    let files = artifact.external.iter().map(|file| Ok((CString::new(file.path.as_str())?, &*file.content)));
    files.collect::<Result<_, _>>().map_err(|_: std::ffi::NulError| LoadError("a file name holds a NUL".to_owned()))
}

impl OnnxEngine {
    fn load_onto(&self, artifact: &Artifact, provider: Provider) -> Result<Arc<dyn Runner>, LoadError> {
        if provider == Provider::Cpu {
            return self.load(artifact);
        }
        let external = external_files(artifact)?;
        let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        let session = session_on(self.environment, &artifact.model.content, &external, provider).map_err(LoadError)?;
        Ok(Arc::new(OnnxRunner::new(session).map_err(LoadError)?))
    }
}

impl Engine for OnnxEngine {
    fn load_on(&self, artifact: &Artifact, placement: Placement) -> Result<Arc<dyn Runner>, LoadError> {
        let Placement { provider, n_sessions } = placement;
        let n_sessions = match provider {
            Provider::Cpu if self.sessions_apart == 0 => return self.load(artifact),
            Provider::Cpu => self.sessions_apart,
            _ => n_sessions,
        };
        available().and_then(|names| check_provider(provider, &names)).map_err(LoadError)?;
        let first = self.load_onto(artifact, provider)?;
        let more = (1..n_sessions).map(|_| self.load_onto(artifact, provider)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Apart::new(first, more)))
    }

    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError> {
        let external = external_files(artifact)?;
        let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(sharing) = &self.sharing {
            match sharing.load(self.environment, artifact, &external) {
                Ok(Some(runner)) => return Ok(Arc::new(runner)),
                Ok(None) => {}
                // The version is as good as any: it has its weights to itself.
                Err(reason) => tracing::debug!(reason, "weights are not shared"),
            }
        }
        let session = Session::create(self.environment, &artifact.model.content, &external).map_err(LoadError)?;
        Ok(Arc::new(OnnxRunner::new(session).map_err(LoadError)?))
    }
}

/// Keeps the runtime's telemetry from starting, whatever the environment says. [`OnnxEngine::start`] and [`probe`] do it
/// themselves; a program that starts threads of other C libraries before them calls it first thing.
pub fn disable_telemetry() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: Rust code reads the environment under the same lock. C code on another thread could be reading the
        // list while it grows by this one entry; the C library then moves to a new list and leaves the one the process
        // started with in place, so that such a reader finds the old content. It happens once, before the first model
        // is loaded.
        unsafe { std::env::set_var(TELEMETRY_VARIABLE, "1") };
    });
}

/// Passes the runtime's own messages on.
fn log(level: LogLevel, category: &str, _id: &str, location: &str, message: &str) {
    match level {
        LogLevel::Verbose => tracing::trace!(target: "onnxruntime", category, location, message),
        LogLevel::Info => tracing::debug!(target: "onnxruntime", category, location, message),
        LogLevel::Warning => tracing::warn!(target: "onnxruntime", category, location, message),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "onnxruntime", category, location, message),
    }
}
