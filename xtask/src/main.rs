//! What is not the product: set-up, checks and the demo. One module per subcommand.

mod bench;
mod buckets;
mod check;
mod conformance;
mod demo;
mod docs;
mod mlflow;
mod oracle;
mod pipelines;
mod python;
mod runtime;
mod simulate;
mod test;
mod walls;
mod wheel;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development commands of Switchrail.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures the gateway, as described in docs/performance.md.
    Bench(bench::Arguments),
    /// Runs the real program against emulators of S3 and Azure.
    Buckets(buckets::Options),
    /// Checks format, lints, walls and generated pages.
    Check,
    /// Runs unmodified clients of the protocols against the real program, and writes docs/conformance.md.
    Conformance(conformance::Options),
    /// Writes the generated pages and tables anew.
    Docs {
        /// Change nothing; fail where a page is not current.
        #[arg(long)]
        check: bool,
    },
    /// Imports models from a real MLflow server, which pip installs.
    Mlflow(mlflow::Options),
    /// Works out once more, in Python, what the statistics of a rollout must be, and compares or writes the cases.
    Oracle(oracle::Options),
    /// Lints the examples for CI, and drives a gateway with a Python client generated from the admin API's document.
    Pipelines(pipelines::Options),
    /// Simulates rollouts, and writes the figures of docs/rollout-statistics.md.
    Simulate(simulate::Options),
    /// Checks the walls between crates, and licences.
    Walls,
    /// Fetches ONNX Runtime's library, pinned and hash-checked, into `.switchrail/`.
    Setup,
    /// Shows three versions of a real model going through their life, on the real program.
    Demo(demo::Options),
    /// Sets everything up and runs every test of the workspace.
    Test(test::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(arguments) => bench::run(&repository_root(), &arguments),
        Command::Buckets(options) => buckets::run(&repository_root(), &options).map_err(Into::into),
        Command::Check => check::run(&repository_root()).map_err(Into::into),
        Command::Conformance(options) => conformance::run(&repository_root(), &options).map_err(Into::into),
        Command::Docs { check } => docs::run(&repository_root(), check).map_err(Into::into),
        Command::Mlflow(options) => mlflow::run(&repository_root(), &options).map_err(Into::into),
        Command::Pipelines(options) => pipelines::run(&repository_root(), &options).map_err(Into::into),
        Command::Oracle(options) => oracle::run(&repository_root(), &options).map_err(Into::into),
        Command::Simulate(options) => simulate::run(&repository_root(), &options).map_err(Into::into),
        Command::Walls => walls::run(&repository_root()).map_err(Into::into),
        Command::Setup => setup(&repository_root()),
        Command::Demo(options) => demo::run(&repository_root(), &options).map_err(Into::into),
        Command::Test(options) => test::run(&repository_root(), &options).map_err(Into::into),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn setup(root: &Path) -> Result<(), Box<dyn Error>> {
    let library = runtime::ensure(root)?;
    println!("ONNX Runtime {} is at {}", runtime::VERSION, library.display());
    Ok(())
}

/// The checkout this command belongs to, wherever it was called from.
fn repository_root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

fn report(error: &dyn Error) {
    eprintln!("error: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        eprintln!("  because: {cause}");
        source = cause.source();
    }
}
