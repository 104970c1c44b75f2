//! `switchrail captures`: what was captured, and the inputs of it as requests.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_types::ModelName;
use clap::Args;
use control_admin::time::rfc3339;
use control_registry::captures::{Capture, Captures, RECENT_MAX};
use serde_json::{Value, json};

use super::replay::state_dir;
use super::{CliError, Finished, print, print_json};

/// Arguments of `switchrail captures`.
#[derive(Debug, Args)]
pub struct CapturesArguments {
    /// The model
    model: ModelName,
    /// So many, the newest
    #[arg(short, long = "limit", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=RECENT_MAX as i64))]
    n: u32,
    /// Where the gateway keeps its state [default: .switchrail in the model repository]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The model repository, if the state lies there
    #[arg(long, value_name = "DIR")]
    model_repository: Option<PathBuf>,
    /// Write their inputs to this file, a request of the Open Inference Protocol in each line
    #[arg(long, value_name = "FILE")]
    as_inputs: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &CapturesArguments) -> Finished {
    let state_dir = state_dir(arguments.state_dir.as_deref(), arguments.model_repository.as_deref())?;
    let captures = Captures::open(&state_dir)?.recent(&arguments.model, arguments.n as usize)?;
    let written = arguments.as_inputs.as_deref().map(|file| write_inputs(file, &captures)).transpose()?;
    if arguments.json {
        let rows: Vec<Value> = captures.iter().map(row).collect();
        print_json(&json!({ "captures": rows, "inputs_written": written }))?;
    } else {
        print(&page(&captures, arguments, written))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes what can be written, the oldest first; gives how many.
fn write_inputs(file: &Path, captures: &[Capture]) -> Result<usize, CliError> {
    let unwritable = |source| CliError::Unwritable { path: file.to_owned(), source };
    // They hold what callers sent.
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file);
    let mut to = std::io::BufWriter::new(opened.map_err(unwritable)?);
    let mut n_written = 0;
    for request in captures.iter().rev().filter_map(Capture::request) {
        writeln!(to, "{request}").map_err(unwritable)?;
        n_written += 1;
    }
    to.flush().map_err(unwritable)?;
    Ok(n_written)
}

fn page(captures: &[Capture], arguments: &CapturesArguments, written: Option<usize>) -> String {
    let mut text = String::new();
    if captures.is_empty() {
        text.push_str(&format!("nothing of {} was captured\n", arguments.model));
    }
    if let (Some(n_written), Some(file)) = (written, &arguments.as_inputs) {
        let n_left_out = captures.len() - n_written;
        text.push_str(&format!("{}: {n_written} requests\n", file.display()));
        if n_left_out > 0 {
            text.push_str(&format!(
                "{n_left_out} left out: an input was redacted, or has values that the protocol's JSON has no form for (FP16, BF16, NaN, infinities, texts that are no UTF-8)\n"
            ));
        }
        return text;
    }
    captures.iter().for_each(|capture| text.push_str(&line(capture)));
    text
}

fn line(capture: &Capture) -> String {
    let redacted =
        if capture.was_redacted { format!("  redacted: {}", capture.redacted().join(", ")) } else { String::new() };
    let (id, at) = (&capture.prediction_id, rfc3339(capture.at_unix_ms));
    format!("{at}  {id}  version {} ({}){redacted}\n", capture.version, capture.reason)
}

fn row(capture: &Capture) -> Value {
    json!({
        "prediction_id": capture.prediction_id,
        "at": rfc3339(capture.at_unix_ms),
        "version": capture.version.get(),
        "digest": capture.digest.to_string(),
        "generation": capture.generation,
        "reason": capture.reason,
        "trace_id": capture.trace_id,
        "batch_rows": capture.batch_rows,
        "redacted": capture.redacted(),
    })
}
