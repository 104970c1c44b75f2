//! `cargo xtask oracle`: the statistics of a rollout, written down a second time in Python with numpy and scipy.
//!
//! What it works out is stored in `tests/oracle/cases.json`, which the tests of control-rollout read: they need no
//! Python. The packages are pinned, and stay in `.switchrail/oracle`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use thiserror::Error;

use crate::python::{self, EnvironmentError};

/// The folder of the oracle.
const FOLDER: &str = "tests/oracle";

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Write nothing; fail where the stored cases are not what the oracle says.
    #[arg(long)]
    check: bool,
    /// The Python that runs it: 3.11 or later, with venv and pip.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
}

/// Why there are no cases, or not these.
#[derive(Debug, Error)]
pub enum OracleError {
    /// There is no environment for it.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// Python could not be run.
    #[error("could not run {python}")]
    Start {
        /// The program.
        python: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The oracle failed, or differs from what is stored.
    #[error("the oracle ended with {0}: see what it wrote above; cargo xtask oracle writes the cases anew")]
    Failed(ExitStatus),
}

/// Writes or compares the cases.
pub fn run(root: &Path, options: &Options) -> Result<(), OracleError> {
    let folder = root.join(FOLDER);
    let environment = root.join(".switchrail").join("oracle");
    python::ensure(&environment, &folder.join("requirements.txt"), &options.python)?;
    let cases = folder.join("cases.json");
    let python = python::of(&environment);
    let mut command = Command::new(&python);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(folder.join("oracle.py"));
    command.arg(if options.check { "check" } else { "write" }).arg(&cases);
    let status = command.status().map_err(|source| OracleError::Start { python, source })?;
    if !status.success() {
        return Err(OracleError::Failed(status));
    }
    println!("{} {}", if options.check { "current:" } else { "wrote" }, cases.display());
    Ok(())
}
