//! Switchrail: a model-serving gateway with live version switching. This binary is the composition root, the only
//! place that sees both planes, and the command line.

mod bucket;
mod capture;
mod cli;
mod edge_options;
mod loader;
mod logging;
mod records;
mod serve;
mod settings;
mod store;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A model-serving gateway with live version switching.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves a model repository.
    Serve(settings::ServeArguments),
    #[command(flatten)]
    Operator(cli::Command),
}

fn main() -> ExitCode {
    // Before any thread exists, because it sets a variable of the environment.
    engine_onnx::disable_telemetry();
    match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Operator(command) => cli::run(command),
    }
}
