//! What is not the product: set-up, checks and the demo. One module per subcommand.

mod runtime;

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
    /// Fetches ONNX Runtime's library, pinned and hash-checked, into `.switchrail/`.
    Setup,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup => setup(&repository_root()),
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
