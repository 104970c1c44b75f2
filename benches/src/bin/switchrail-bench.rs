//! Runs one measurement: `cargo xtask bench` builds what is needed and calls this.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use switchrail_benches::closed::ClosedLoop;
use switchrail_benches::traffic::infer_request;
use switchrail_benches::{BenchError, Settings, measure};

/// Measurements of the gateway.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs one measurement.
    Run {
        /// Which one.
        name: Name,
        /// Short windows and few rounds.
        #[arg(long)]
        quick: bool,
        /// The checkout; results go to `.switchrail/bench` in it.
        #[arg(long)]
        root: PathBuf,
        /// The gateway's binary.
        #[arg(long)]
        gateway: PathBuf,
        /// The echo server's binary.
        #[arg(long)]
        echo: PathBuf,
    },
    /// Keeps a running server busy with tiny requests, for a profiler to look at.
    Drive {
        /// Where it listens.
        #[arg(long)]
        address: String,
        /// The model, of one FP32 input `x` with four columns.
        #[arg(long)]
        model: String,
        /// Callers at once.
        #[arg(long, default_value_t = 8)]
        connections: usize,
        /// For how long.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Name {
    Tiny,
    Batch,
    Switch,
    Load,
    Rollback,
    Memory,
    Wire,
    Rules,
    Scale,
    Shadow,
    History,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), BenchError> {
    match command {
        Command::Run { name, quick, root, gateway, echo } => {
            let settings = Settings { root, gateway, echo, is_quick: quick };
            match name {
                Name::Tiny => measure::tiny(&settings),
                Name::Batch => measure::batch(&settings),
                Name::Switch => measure::switch(&settings),
                Name::Load => measure::load(&settings),
                Name::Rollback => measure::rollback(&settings),
                Name::Memory => measure::memory(&settings),
                Name::Wire => measure::wire(&settings),
                Name::Rules => measure::rules(&settings),
                Name::Scale => measure::scale(&settings),
                Name::Shadow => measure::shadow(&settings),
                Name::History => measure::history(&settings),
            }
        }
        Command::Drive { address, model, connections, seconds } => {
            let request = infer_request(&address, &model, None, &[1.0, 2.0, 3.0, 4.0]);
            let began = Instant::now();
            let callers = ClosedLoop::start(&address, request, connections)?;
            std::thread::sleep(Duration::from_secs(seconds));
            let n_answered = callers.n_answered();
            callers.stop()?;
            println!("{:.0} requests/s", n_answered as f64 / began.elapsed().as_secs_f64());
            Ok(())
        }
    }
}
