//! Python environments with pinned packages, in the ignored folder. pip does the downloading, so that mirrors and
//! proxies configured for pip apply; every file it may install is pinned by its hash.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Lines of a failed command that are shown.
const LINES_MAX: usize = 8;

/// The file that says which packages an environment was made for, written last.
const MARK: &str = "made-for";

/// Why there is no environment.
#[derive(Debug, Error)]
pub enum EnvironmentError {
    /// Python could not be started, or has no venv or pip.
    #[error(
        "could not make a Python environment with {python}: Python 3.11 or 3.12 with venv and pip is needed\n{log}"
    )]
    Python {
        /// The program.
        python: PathBuf,
        /// The last lines it wrote.
        log: String,
    },
    /// pip could not install the packages.
    #[error("pip could not install {requirements}: check the network, the proxy and pip's index settings\n{log}")]
    Packages {
        /// The list of packages.
        requirements: PathBuf,
        /// The last lines pip wrote.
        log: String,
    },
    /// A file or folder could not be used.
    #[error("could not use {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The Python of an environment.
pub fn of(folder: &Path) -> PathBuf {
    folder.join("bin").join("python")
}

/// Makes sure that an environment is there with exactly the packages of a list.
pub fn ensure(folder: &Path, requirements: &Path, python: &Path) -> Result<(), EnvironmentError> {
    let wanted = mark(requirements, python)?;
    // An environment without its mark was not finished, or somebody else's.
    if fs::read_to_string(folder.join(MARK)).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    eprintln!("installing the packages of {} with pip", requirements.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(io_at(folder))?;
    }
    let mut make = Command::new(python);
    make.args(["-m", "venv"]).arg(folder);
    let unusable = |log| EnvironmentError::Python { python: python.to_path_buf(), log };
    finish(&mut make).map_err(unusable)?;
    let mut install = Command::new(of(folder));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    install.args(["--require-hashes", "--only-binary=:all:", "--requirement"]).arg(requirements);
    let requirements = requirements.to_path_buf();
    finish(&mut install).map_err(|log| EnvironmentError::Packages { requirements, log })?;
    let mark = folder.join(MARK);
    fs::write(&mark, wanted).map_err(io_at(&mark))
}

/// What an environment is made for: a list of packages and a Python.
fn mark(requirements: &Path, python: &Path) -> Result<String, EnvironmentError> {
    let list = fs::read(requirements).map_err(io_at(requirements))?;
    let digest: String = Sha256::digest(list).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut ask = Command::new(python);
    ask.args(["-c", "import sys; print(sys.version, sys.base_prefix)"]);
    let version = finish(&mut ask).map_err(|log| EnvironmentError::Python { python: python.to_path_buf(), log })?;
    Ok(format!("{digest} {}", String::from_utf8_lossy(&version.stdout)))
}

/// Runs a command to its end; the last lines it wrote when it fails.
fn finish(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("    {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    Err(last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n"))
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> EnvironmentError + use<> {
    let path = path.to_path_buf();
    move |source| EnvironmentError::Io { path, source }
}
