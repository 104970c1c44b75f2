//! `cargo xtask buckets`: the real program against emulators of object stores, which registries have: moto for S3 and
//! Azurite for Azure. It needs Python with venv and pip, and npm for Azurite; not a part of CI.
//!
//! For each store: models are uploaded, served, replaced and removed; then the emulator is ended, and what is cached
//! serves on, across a restart too.

mod emulator;
mod gateway;
mod story;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::runtime::{self, SetupError};
use emulator::Kind;

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only this store; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// Tests this switchrail, built with the features s3, gcs and azure, instead of a build of the checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The Python that runs moto and fills the stores.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
}

/// Why a store was not served as it should be.
#[derive(Debug, Error)]
pub enum BucketsError {
    /// The runtime could not be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A command that prepares something failed.
    #[error("{what} failed: see what it wrote above")]
    Command {
        /// The command.
        what: String,
    },
    /// Something did not come to be in time.
    #[error("{what} did not happen in {seconds} s; the end of the gateway's log:\n{log}")]
    Patience {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// The last lines of the log.
        log: String,
    },
    /// A file or program could not be used.
    #[error("could not use {path}")]
    Io {
        /// The file or program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs the story with each store.
pub fn run(root: &Path, options: &Options) -> Result<(), BucketsError> {
    let library = runtime::ensure(root)?;
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => build(root)?,
    };
    let place = root.join(".switchrail").join("buckets");
    std::fs::create_dir_all(&place).map_err(io_at(&place))?;
    let python = emulator::python(root, &place, &options.python)?;
    for kind in Kind::ALL {
        if !options.only.is_empty() && !options.only.contains(&kind) {
            continue;
        }
        let store = emulator::start(kind, root, &place, &python)?;
        story::run(store, &binary, &library, &place)?;
        println!("{}: served, replaced, removed, and served on without the store", kind.name());
    }
    Ok(())
}

fn build(root: &Path) -> Result<PathBuf, BucketsError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", "switchrail", "--features", "s3,gcs,azure"]).current_dir(root);
    finish(&mut command, "cargo build --features s3,gcs,azure")?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("debug").join("switchrail"))
}

/// Runs a command to its end; what it writes is shown.
fn finish(command: &mut Command, what: &str) -> Result<(), BucketsError> {
    let status = command.status().map_err(io_at(Path::new(command.get_program())))?;
    if status.success() { Ok(()) } else { Err(BucketsError::Command { what: what.to_owned() }) }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> BucketsError {
    let path = path.to_path_buf();
    |source| BucketsError::Io { path, source }
}
