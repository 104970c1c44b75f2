//! `switchrail replay`: a captured request is run again, and the answer is compared bit for bit.
//!
//! Reading order: here (what is replayed, and what came of it), `again` (running it: through a gateway, or with the
//! runtime), `wire` (what a gateway is sent and answers), `difference` (two answers), `told` (in words and in JSON),
//! `cannot` (why there is nothing to compare).

mod again;
mod cannot;
mod difference;
mod told;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_types::Version;
use clap::Args;
use control_registry::captures::{Capture, Captures, Fingerprint};

use self::again::Again;
pub(super) use self::cannot::Cannot;
use self::difference::Difference;
use super::{CliError, Finished, print, print_json};
use crate::settings::STATE_IN_REPOSITORY;

/// The exit code where the answer is another one.
const DIFFERS: u8 = 3;

/// Arguments of `switchrail replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// The answer's id, as the header switchrail-prediction-id gave it
    prediction_id: String,
    /// Another version than the one that answered
    #[arg(long, value_name = "VERSION")]
    version: Option<Version>,
    /// Where the gateway keeps its state [default: .switchrail in the model repository]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Where it is run.
#[derive(Debug, Args)]
struct Place {
    /// Ask the gateway whose data listener is here [default: 127.0.0.1:8000]
    #[arg(long, value_name = "HOST:PORT", group = "place")]
    http: Option<String>,
    /// Run it here, with the version of this model repository and without a gateway
    #[arg(long, value_name = "DIR", group = "place")]
    model_repository: Option<PathBuf>,
    /// Run it here, with the version of this store and without a gateway
    #[arg(long, value_name = "DIR", group = "place")]
    store: Option<PathBuf>,
}

/// A captured request that was run again.
struct Replay {
    capture: Capture,
    again: Again,
    differences: Vec<Difference>,
    /// What is not as it was, and may be why.
    changed: Vec<String>,
}

/// Runs the command.
pub(super) fn run(arguments: &ReplayArguments) -> Finished {
    let state_dir = state_dir(arguments.state_dir.as_deref(), arguments.place.model_repository.as_deref())?;
    let replay = match replay(arguments, &state_dir) {
        Ok(replay) => replay,
        Err(cannot) if arguments.json => {
            print_json(&told::cannot(&arguments.prediction_id, &cannot))?;
            return Ok(ExitCode::FAILURE);
        }
        Err(cannot) => return Err(CliError::Cannot(Box::new(cannot))),
    };
    if arguments.json {
        print_json(&told::json(&replay))?
    } else {
        print(&told::text(&replay))?
    }
    Ok(if replay.differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

/// Where captures lie.
pub(super) fn state_dir(state_dir: Option<&Path>, repository: Option<&Path>) -> Result<PathBuf, CliError> {
    let in_repository = || repository.map(|folder| folder.join(STATE_IN_REPOSITORY));
    let found = state_dir.map(Path::to_owned).or_else(in_repository);
    found.ok_or(CliError::Flags(
        "where are the captures? Name the gateway's state directory with --state-dir, or its --model-repository if the state lies there",
    ))
}

fn replay(arguments: &ReplayArguments, state_dir: &Path) -> Result<Replay, Cannot> {
    let captures = Captures::open(state_dir)?;
    let id = arguments.prediction_id.trim();
    let Some(capture) = captures.find(id)? else {
        return Err(cannot::not_found(state_dir, &captures, id));
    };
    let (Some(inputs), true) = (capture.inputs(), capture.outputs.iter().any(|output| output.data.is_some())) else {
        return Err(Cannot::Redacted(capture.redacted().into_iter().map(str::to_owned).collect()));
    };
    let version = arguments.version.unwrap_or(capture.version);
    let again = match &arguments.place {
        Place { model_repository: Some(folder), .. } => again::in_repository(folder, (&capture, version), inputs)?,
        Place { store: Some(folder), .. } => again::in_store(folder, (&capture, version), inputs)?,
        Place { http, .. } => {
            let now = Fingerprint::of_last_start(state_dir);
            again::by_gateway(http.as_deref(), (&capture, version), (&inputs, now))?
        }
    };
    let is_same_content = capture.digest.to_string().starts_with(&again.digest);
    if version == capture.version && !is_same_content {
        return Err(Cannot::OtherContent { version, was: capture.digest.short(), is: again.digest });
    }
    let differences = difference::compare(&capture.outputs, &again.outputs);
    let changed = changed(&capture, &again);
    Ok(Replay { capture, again, differences, changed })
}

/// What else is not as it was.
fn changed(capture: &Capture, again: &Again) -> Vec<String> {
    let mut changed = Vec::new();
    if again.version != capture.version {
        changed.push(format!("version {} answered then, version {} now", capture.version, again.version));
    }
    match &again.fingerprint {
        Some(now) => changed.extend(capture.fingerprint.differences(now)),
        None => changed.push("what the gateway computes with now is not known here".to_owned()),
    }
    if let Some(n_rows) = capture.batch_rows {
        changed.push(format!("the answer came out of a run of {n_rows} rows, shared with other requests"));
    }
    changed
}
