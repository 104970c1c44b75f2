//! Why the runtime could not be started.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why there is no engine. Every message names the remedy.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// Nothing was found in any of the places.
    #[error(
        "no ONNX Runtime library found: run `cargo xtask setup` in the checkout, or set SWITCHRAIL_ORT_DYLIB to the library; looked at {}",
        list(.looked_at)
    )]
    NotFound {
        /// The places, in the order they were tried.
        looked_at: Vec<PathBuf>,
    },
    /// The library that was named cannot be read.
    #[error(
        "cannot read the ONNX Runtime library {path} named by {origin}: correct it, or run `cargo xtask setup` and leave it unset"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What named it.
        origin: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file is not a usable shared library for this machine.
    #[error(
        "{path} is not a usable ONNX Runtime library: {reason}; run `cargo xtask setup`, or set SWITCHRAIL_ORT_DYLIB to a good one"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The library is older than what is supported.
    #[error("{path} is ONNX Runtime {found}, at least {minimum} is needed: run `cargo xtask setup`{}", old_hint(*.is_waivable))]
    TooOld {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest version that would do.
        minimum: String,
        /// Whether `allow_old_runtime` would let it pass.
        is_waivable: bool,
    },
    /// The runtime was started before: there is one environment per process.
    #[error("ONNX Runtime is already running in this process")]
    AlreadyStarted,
    /// The runtime refused to start.
    #[error("ONNX Runtime did not start: {0}")]
    Start(String),
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn old_hint(is_waivable: bool) -> &'static str {
    if is_waivable { ", or set allow_old_runtime and accept its known faults with external data" } else { "" }
}
