//! `cargo xtask simulate`: builds the simulation with optimisation and runs it. What it asks stands in `simulation/`.
//!
//! It has a profile of its own, because the release one takes minutes to link what only runs once.

use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus};

use thiserror::Error;

/// What to simulate.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Few runs: shows that nothing is far off. Writes nothing.
    #[arg(long)]
    quick: bool,
    /// Where chance begins.
    #[arg(long)]
    seed: Option<u64>,
    /// Write nothing; fail where a promise does not hold, or where page and plots are not those of the stored results.
    #[arg(long)]
    check: bool,
    /// Simulate nothing; make page and plots of the stored results.
    #[arg(long, conflicts_with = "check")]
    render: bool,
    /// Ask only this question, and put its figures in the place of the stored ones; may be repeated.
    #[arg(long, value_name = "QUESTION", conflicts_with_all = ["render", "check"])]
    only: Vec<String>,
}

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum SimulateError {
    /// cargo could not be run.
    #[error("cargo cannot be run")]
    Start(#[from] io::Error),
    /// It did not build, or a promise does not hold.
    #[error("the simulation ended with {0}: see what it wrote above")]
    Failed(ExitStatus),
}

/// Builds and runs it.
pub fn run(root: &Path, options: &Options) -> Result<(), SimulateError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--profile", "simulation", "--package", "switchrail-simulation", "--"]);
    command.arg("--root").arg(root).args(["--commit", &commit(root)]);
    if options.quick {
        command.arg("--quick");
    }
    if options.check {
        command.arg("--check");
    }
    if options.render {
        command.arg("--render");
    }
    for question in &options.only {
        command.args(["--only", question]);
    }
    if let Some(seed) = options.seed {
        command.args(["--seed", &seed.to_string()]);
    }
    let status = command.current_dir(root).status()?;
    if status.success() { Ok(()) } else { Err(SimulateError::Failed(status)) }
}

/// The commit of the checkout, with a plus sign where files were changed since; "unknown" without git.
fn commit(root: &Path) -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("--no-optional-locks").args(arguments).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    // The judge and the simulation are what the figures depend on.
    let changed = git(&["status", "--porcelain", "--", "crates/control-rollout", "simulation"]);
    if changed.is_some_and(|list| list.is_empty()) { commit } else { format!("{commit}+") }
}
