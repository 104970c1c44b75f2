//! Starts the runtime, once per process, and loads models with it.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, OnceLock};

use base_serving::engine::{Artifact, Engine, LoadError, Runner};
use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::raw::Session;
use crate::runner::OnnxRunner;
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
}

/// The running ONNX Runtime.
#[derive(Debug)]
pub struct OnnxEngine {
    environment: &'static Environment,
    library: RuntimeLibrary,
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
        Ok(Self { environment: ENVIRONMENT.get_or_init(|| environment), library })
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

impl Engine for OnnxEngine {
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError> {
        let external: Result<Vec<(CString, &[u8])>, _> =
            artifact.external.iter().map(|file| Ok((CString::new(file.path.as_str())?, &*file.content))).collect();
        let external = external.map_err(|_: std::ffi::NulError| LoadError("a file name holds a NUL".to_owned()))?;
        let _one_at_a_time = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
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
