//! `cargo xtask demo`: three versions of a real model through their life, with real input, on the real program.
//!
//! Everything is set up here: the runtime, the models, the release build. Then the gateway runs with a folder and
//! ports of its own while callers send files of this machine. The demo is a test as well: when something does not
//! go as told, it says what and fails.

mod admin;
mod build;
mod corpus;
mod features;
mod gateway;
mod interrupt;
mod labels;
mod magika;
mod screen;
mod stage;
mod story;
mod summary;
mod tally;
mod traffic;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};
use thiserror::Error;

use crate::runtime::{self, SetupError};
use crate::wheel::WheelError;
use gateway::{Gateway, Place};
use screen::Screen;
use stage::Stage;

/// Names of the folders of runs begin so; the process id follows.
const RUN_PREFIX: &str = "run-";

/// How the demo is shown.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Leaves the gateway running at the end, with the commands to try by hand, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Shorter waits, for CI.
    #[arg(long)]
    quick: bool,
    /// Shows this switchrail instead of a release build of the checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Why the demo did not come to its end.
#[derive(Debug, Error)]
pub enum DemoError {
    /// The runtime could not be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The models could not be fetched.
    #[error(transparent)]
    Wheel(#[from] WheelError),
    /// The models' tables could not be read.
    #[error(transparent)]
    Labels(#[from] labels::LabelsError),
    /// The faulty version could not be made.
    #[error("could not put a fault into the model")]
    Derive(#[from] testkit::onnx::derive::DeriveError),
    /// cargo could not build the program.
    #[error("could not build switchrail: see what cargo wrote above")]
    Build,
    /// There is nothing to send.
    #[error("found only {found} readable files to send, at least {least} are needed")]
    Files {
        /// Files found.
        found: usize,
        /// Files needed.
        least: usize,
    },
    /// The gateway did not become ready.
    #[error("the gateway did not become ready; its log says why")]
    Start,
    /// The admin API did not answer.
    #[error("the admin API did not answer {path}: {why}")]
    Admin {
        /// What was asked for.
        path: String,
        /// Why.
        why: String,
    },
    /// Something did not happen as told.
    #[error("not as told: {0}")]
    NotAsTold(String),
    /// A file or folder could not be used.
    #[error("could not use {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Sets everything up, shows it, and cleans up.
pub fn run(root: &Path, options: &Options) -> Result<(), DemoError> {
    interrupt::listen().map_err(io_at(Path::new("signal handlers")))?;
    let is_library_named = env::var_os("SWITCHRAIL_ORT_DYLIB").is_some_and(|value| !value.is_empty());
    let library = if is_library_named { None } else { Some(runtime::ensure(root)?) };
    let releases = magika::ensure(root)?;
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary).map_err(io_at(binary))?,
        None => build::release(root)?,
    };
    let folder = run_folder(&root.join(".switchrail").join("demo"))?;
    let place = Place { binary, library, folder: folder.clone() };
    let shown = show(root, options, &place, releases);
    if matches!(shown, Ok(()) | Err(DemoError::Interrupted)) {
        fs::remove_dir_all(&folder).map_err(io_at(&folder))?;
    } else {
        eprintln!("the end of the gateway's log:\n{}", place.log_tail());
        eprintln!("everything it wrote is kept in {}", folder.display());
    }
    shown
}

fn show(root: &Path, options: &Options, place: &Place, releases: magika::Releases) -> Result<(), DemoError> {
    place.prepare()?;
    let samples = corpus::gather(root);
    if samples.len() < corpus::FILES_MIN {
        return Err(DemoError::Files { found: samples.len(), least: corpus::FILES_MIN });
    }
    let mut stage = Stage::set(Screen::new(), place, releases, samples, options.quick)?;
    story::play(&mut stage)?;
    let is_kept = options.keep;
    let Stage { mut screen, mut gateway, .. } = stage;
    if is_kept {
        summary::by_hand(&mut screen, &gateway);
        match gateway.attend() {
            Err(DemoError::Interrupted) => {}
            other => return other,
        }
    }
    end(&mut screen, gateway)
}

/// Stops the gateway as an operator would.
fn end(screen: &mut Screen, gateway: Gateway) -> Result<(), DemoError> {
    match gateway.stop()? {
        Some(status) if status.success() => {
            screen.good("SIGTERM: the gateway drained and ended with 0.");
            Ok(())
        }
        other => Err(DemoError::NotAsTold(format!("after SIGTERM the gateway ended with {other:?}"))),
    }
}

/// A fresh folder for this run. Folders of failed runs whose process is gone make way.
fn run_folder(parent: &Path) -> Result<PathBuf, DemoError> {
    fs::create_dir_all(parent).map_err(io_at(parent))?;
    for entry in fs::read_dir(parent).map_err(io_at(parent))?.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(RUN_PREFIX)?.parse().ok()).and_then(Pid::from_raw);
        if pid.is_some_and(|pid| test_kill_process(pid).is_err()) {
            fs::remove_dir_all(entry.path()).map_err(io_at(&entry.path()))?;
        }
    }
    let folder = parent.join(format!("{RUN_PREFIX}{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(io_at(&folder))?;
    Ok(folder)
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> DemoError {
    let path = path.to_path_buf();
    move |source| DemoError::Io { path, source }
}
