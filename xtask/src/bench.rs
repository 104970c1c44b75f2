//! Builds the gateway and the measurements as they are released, and runs one measurement or all.

use std::error::Error;
use std::path::Path;
use std::process::{Command, ExitStatus};

use clap::{Args, ValueEnum};
use thiserror::Error;

use crate::runtime;

/// What to measure.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Which measurement; all of them when none is named.
    name: Option<Name>,
    /// Short windows and few rounds: shows that the measurements work, not what they would find.
    #[arg(long)]
    quick: bool,
}

/// The measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// Server CPU per tiny request, beside a bare hyper echo.
    Tiny,
    /// A model of 8 ms with and without batching, beside the same runs in-process.
    Batch,
    /// Version switches under load.
    Switch,
    /// The tail while other versions load.
    Load,
    /// From a bad canary's first fault to the swap.
    Rollback,
    /// Memory over load and unload cycles.
    Memory,
    /// Server CPU per request on every wire, from four floats to an image.
    Wire,
    /// What ten armed rules cost a healthy request, and how soon a verdict is in force.
    Rules,
    /// Whether many models cost those who ask one of them anything.
    Scale,
    /// The tail while a candidate gets copies of all requests.
    Shadow,
    /// Questions to a journal of a million rows, and a start on it.
    History,
}

/// Why a measurement was not made, or what it found wrong.
#[derive(Debug, Error)]
enum BenchError {
    /// The compiler refused.
    #[error("the release build failed ({0})")]
    Build(ExitStatus),
    /// The measurement said why.
    #[error("the measurement {name} failed ({status})")]
    Failed {
        /// Which one.
        name: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// Builds and measures.
pub fn run(root: &Path, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    runtime::ensure(root)?;
    build(root)?;
    let names = arguments.name.as_ref().map_or(Name::value_variants(), std::slice::from_ref);
    for name in names {
        measure(root, *name, arguments.quick)?;
    }
    Ok(())
}

fn build(root: &Path) -> Result<(), Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--package", "switchrail", "--package", "switchrail-benches"]);
    let status = command.current_dir(root).status()?;
    if status.success() { Ok(()) } else { Err(BenchError::Build(status).into()) }
}

fn measure(root: &Path, name: Name, is_quick: bool) -> Result<(), Box<dyn Error>> {
    let name = name.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder));
    let binary = |name: &str| target.join("release").join(name);
    let mut command = Command::new(binary("switchrail-bench"));
    command.args(["run", &name]).arg("--root").arg(root);
    command.arg("--gateway").arg(binary("switchrail")).arg("--echo").arg(binary("switchrail-echo"));
    if is_quick {
        command.arg("--quick");
    }
    let status = command.current_dir(root).status()?;
    if status.success() { Ok(()) } else { Err(BenchError::Failed { name, status }.into()) }
}
