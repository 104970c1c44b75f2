//! Runs every test of the workspace, with everything they need set up first.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

use clap::Args;
use thiserror::Error;

use crate::runtime::{self, SetupError};

/// What to run.
#[derive(Debug, Args)]
pub struct Options {
    /// Only tests whose name contains this text.
    filter: Option<String>,
    /// Uses cargo's own test runner, even where nextest is installed.
    #[arg(long)]
    plain: bool,
}

/// Why the tests did not pass.
#[derive(Debug, Error)]
pub enum TestError {
    /// The runtime could not be set up.
    #[error("the tests need ONNX Runtime")]
    Setup(#[from] SetupError),
    /// Cargo could not be started.
    #[error("could not start {0}")]
    Start(String, #[source] io::Error),
    /// A step failed; what it printed says why.
    #[error("{step} failed ({status})")]
    Failed {
        /// The command.
        step: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Sets the runtime up, builds the binary that the boundary tests start, and runs all tests.
pub fn run(root: &Path, options: &Options) -> Result<(), TestError> {
    let library = runtime::ensure(root)?;
    let cargo = |arguments: &[&str]| cargo(root, &library, arguments);
    // The boundary tests find the binary beside themselves, so it has to be built before they run; with the tests,
    // so that dependencies are compiled once.
    cargo(&["build", "--workspace", "--bins", "--tests"])?;
    let filter: Vec<&str> = options.filter.iter().map(String::as_str).collect();
    if options.plain || !has_nextest() {
        return cargo(&[&["test", "--workspace", "--no-fail-fast"], &*filter].concat());
    }
    cargo(&[&["nextest", "run", "--workspace", "--no-fail-fast"], &*filter].concat())?;
    // nextest leaves out what stands in the documentation.
    cargo(&[&["test", "--workspace", "--doc", "--quiet"], &*filter].concat())
}

fn has_nextest() -> bool {
    let output = Command::new("cargo").args(["nextest", "--version"]).output();
    output.is_ok_and(|output| output.status.success())
}

fn cargo(root: &Path, library: &Path, arguments: &[&str]) -> Result<(), TestError> {
    let step = format!("cargo {}", arguments.join(" "));
    eprintln!("> {step}");
    let mut command = Command::new("cargo");
    command.current_dir(root).args(arguments);
    if std::env::var_os("SWITCHRAIL_ORT_DYLIB").is_none_or(|value| value.is_empty()) {
        command.env("SWITCHRAIL_ORT_DYLIB", library);
    }
    let status = command.status().map_err(|error| TestError::Start(step.clone(), error))?;
    if status.success() { Ok(()) } else { Err(TestError::Failed { step, status }) }
}
