//! `cargo xtask mlflow`: the real program against a real MLflow server, which pip installs: what is registered there is
//! imported, linked back and served. It takes minutes and most of a gigabyte the first time; not a part of CI.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use thiserror::Error;

use crate::python::{self, EnvironmentError};
use crate::runtime::{self, SetupError};

/// The folder of the story.
const FOLDER: &str = "tests/mlflow";

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Tests this switchrail instead of a build of the checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The Python that runs MLflow: 3.11 or later, with venv and pip.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
}

/// Why it did not go as it should.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// The runtime could not be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no environment for it.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// A program could not be run.
    #[error("could not run {program}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Models could not be written.
    #[error("could not write models")]
    Models(#[source] io::Error),
    /// A step failed.
    #[error("{what} ended with {status}: see what it wrote above")]
    Failed {
        /// The step.
        what: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Runs the story.
pub fn run(root: &Path, options: &Options) -> Result<(), ScriptError> {
    let library = runtime::ensure(root)?;
    let binary = binary(root, options.binary.as_deref())?;
    let environment = root.join(".switchrail").join("mlflow");
    python::ensure(&environment, &root.join(FOLDER).join("requirements.txt"), &options.python)?;
    let mut command = script(&environment, &root.join(FOLDER).join("story.py"));
    // It would tell its makers how it is used.
    command.env("DO_NOT_TRACK", "true").env("MLFLOW_DISABLE_TELEMETRY", "true");
    finish(command.arg(binary).env("SWITCHRAIL_ORT_DYLIB", library), "tests/mlflow/story.py")
}

/// The program given, or one that is built.
pub fn binary(root: &Path, given: Option<&Path>) -> Result<PathBuf, ScriptError> {
    if let Some(binary) = given {
        return std::path::absolute(binary)
            .map_err(|source| ScriptError::Start { program: binary.to_path_buf(), source });
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    finish(command.args(["build", "--package", "switchrail"]).current_dir(root), "cargo build --package switchrail")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("debug").join("switchrail"))
}

/// A script, to be run in an environment.
pub fn script(environment: &Path, file: &Path) -> Command {
    let mut command = Command::new(python::of(environment));
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(file);
    command
}

/// Runs a command to its end; what it writes is shown.
pub fn finish(command: &mut Command, what: &str) -> Result<(), ScriptError> {
    let program = PathBuf::from(command.get_program());
    let status = command.status().map_err(|source| ScriptError::Start { program, source })?;
    if status.success() { Ok(()) } else { Err(ScriptError::Failed { what: what.to_owned(), status }) }
}
