//! `cargo xtask conformance`: unmodified clients against the real program, and a page that says what each of them can
//! do.
//!
//! Every client has a driver in `tests/conformance/drivers` and a list of pinned packages in
//! `tests/conformance/requirements`. A driver runs its calls and reports them as JSON lines; what is expected to be
//! absent is tested to be refused. A call that fails and is not listed in `tests/conformance/known.json` fails the
//! run.

mod build;
mod clients;
mod drive;
mod gateway;
mod models;
mod packages;
mod page;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};
use thiserror::Error;

use crate::python::EnvironmentError;
use crate::runtime::{self, SetupError};
use clients::{CLIENTS, Client};
use gateway::Gateway;
use record::{Call, Known, Outcome, Record, Session};

/// The folder of drivers, requirements and results.
const FOLDER: &str = "tests/conformance";

/// The page made of the results.
const PAGE: &str = "docs/conformance.md";

/// Folders of runs are called this and the number of their process.
const RUN_PREFIX: &str = "run-";

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only the clients that install quickly, for CI.
    #[arg(long)]
    short: bool,
    /// Only this client; may be repeated. `--list` names them.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// Names the clients and ends.
    #[arg(long)]
    list: bool,
    /// Write nothing; fail where the results or docs/conformance.md are not current.
    #[arg(long)]
    check: bool,
    /// Tests a release build.
    #[arg(long)]
    release: bool,
    /// Tests this switchrail instead of a build of the checkout.
    #[arg(long, value_name = "FILE", conflicts_with = "release")]
    binary: Option<PathBuf>,
    /// The Python that runs the clients: 3.11 or 3.12, with venv and pip. All but mlserver run with 3.13 too.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
}

/// Why the suite did not pass.
#[derive(Debug, Error)]
pub enum ConformanceError {
    /// The runtime could not be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// There is no such client.
    #[error("there is no client {0}: --list names them")]
    Client(String),
    /// cargo could not build the program.
    #[error("could not build switchrail: see what cargo wrote above")]
    Build,
    /// There is no Python environment for a client.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The gateway did not become ready.
    #[error("the gateway did not become ready; the end of its log:\n{0}")]
    Start(String),
    /// The gateway did not end as told.
    #[error("the gateway did not end as told: {status}; the end of its log:\n{log}")]
    Stop {
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// A committed file cannot be understood.
    #[error("{path} is not what `cargo xtask conformance` writes and reads")]
    Json {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Calls failed that are not known to.
    #[error("{0} calls failed that tests/conformance/known.json does not list")]
    Failed(usize),
    /// The committed results are not those of this run.
    #[error("not current: {}; run cargo xtask conformance", .0.join(", "))]
    Stale(Vec<String>),
    /// A file or folder could not be used.
    #[error("could not use {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Installs the clients, runs them against the gateway, and writes or compares the page.
pub fn run(root: &Path, options: &Options) -> Result<(), ConformanceError> {
    if options.list {
        CLIENTS.iter().for_each(|client| println!("{}", client.name));
        return Ok(());
    }
    let chosen = chosen(options)?;
    let library = runtime::ensure(root)?;
    let place = root.join(".switchrail").join("conformance");
    fs::create_dir_all(&place).map_err(io_at(&place))?;
    let known = Known::read(&root.join(FOLDER).join("known.json"))?;
    for client in &chosen {
        packages::ensure(root, &place, &options.python, client)?;
    }
    let binary = match &options.binary {
        Some(binary) => std::path::absolute(binary).map_err(io_at(binary))?,
        None => build::program(root, options.release)?,
    };
    let folder = run_folder(&place)?;
    let mut gateway = Gateway::start(&binary, &library, &folder)?;
    let sessions = drive_all(root, &mut gateway, &chosen, &known)?;
    gateway.stop()?;
    print!("{}", page::summary(&sessions));
    let n_failed = sessions.iter().map(Session::n_failed).sum();
    if n_failed > 0 {
        eprintln!("what the clients and the gateway wrote is kept in {}", folder.display());
        return Err(ConformanceError::Failed(n_failed));
    }
    fs::remove_dir_all(&folder).map_err(io_at(&folder))?;
    conclude(root, sessions, options.check)
}

/// A fresh folder for this run. Folders of earlier runs whose process is gone make way.
fn run_folder(place: &Path) -> Result<PathBuf, ConformanceError> {
    for entry in fs::read_dir(place).map_err(io_at(place))?.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(RUN_PREFIX)?.parse().ok()).and_then(Pid::from_raw);
        if pid.is_some_and(|pid| test_kill_process(pid).is_err()) {
            fs::remove_dir_all(entry.path()).map_err(io_at(&entry.path()))?;
        }
    }
    let folder = place.join(format!("{RUN_PREFIX}{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(io_at(&folder))?;
    Ok(folder)
}

/// The clients of this run, in their order.
fn chosen(options: &Options) -> Result<Vec<&'static Client>, ConformanceError> {
    if let Some(unknown) = options.client.iter().find(|name| CLIENTS.iter().all(|client| client.name != **name)) {
        return Err(ConformanceError::Client(unknown.clone()));
    }
    let is_chosen = |client: &&Client| match options.client.is_empty() {
        true => client.is_short || !options.short,
        false => options.client.iter().any(|name| name == client.name),
    };
    Ok(CLIENTS.iter().filter(is_chosen).collect())
}

fn drive_all(
    root: &Path,
    gateway: &mut Gateway,
    chosen: &[&Client],
    known: &Known,
) -> Result<Vec<Session>, ConformanceError> {
    let mut sessions = Vec::new();
    for client in chosen {
        println!("== {}", client.name);
        let mut session = drive::run(root, gateway, client)?;
        known.apply(&mut session);
        if !gateway.is_running() {
            session.calls.push(Call {
                name: "the gateway".to_owned(),
                shows: "It runs on, whatever clients do.".to_owned(),
                outcome: Outcome::Failed("it ended".to_owned()),
            });
        }
        for call in session.calls.iter().filter(|call| call.outcome != Outcome::Passed) {
            println!("   {}: {}", call.name, page::words(&call.outcome));
        }
        sessions.push(session);
    }
    Ok(sessions)
}

/// Keeps the results and writes the page, or compares both with what is there.
fn conclude(root: &Path, sessions: Vec<Session>, is_check: bool) -> Result<(), ConformanceError> {
    let (results, page) = (root.join(FOLDER).join("results.json"), root.join(PAGE));
    let before = Record::read(&results)?;
    let mut after = before.clone();
    after.merge(sessions);
    let rendered = page::render(&after);
    if is_check {
        let mut stale = before.differences(&after);
        if fs::read_to_string(&page).map_err(io_at(&page))? != rendered {
            stale.push(PAGE.to_owned());
        }
        return if stale.is_empty() { Ok(()) } else { Err(ConformanceError::Stale(stale)) };
    }
    fs::write(&results, after.to_json()).map_err(io_at(&results))?;
    fs::write(&page, rendered).map_err(io_at(&page))?;
    println!("wrote {PAGE}");
    Ok(())
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> ConformanceError {
    let path = path.to_path_buf();
    move |source| ConformanceError::Io { path, source }
}

/// The last lines of a text, indented.
fn tail(text: &str, n_lines: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(n_lines)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
