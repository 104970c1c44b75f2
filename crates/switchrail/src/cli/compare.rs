//! `switchrail compare`: how two versions of a model differ, as files, by what was measured of them, by how they did in
//! traffic, and by what they answer. What cannot be compared is said, with what would be needed.
//!
//! Reading order: here (what is compared), `place` (finding the versions), `agree` (asking both), `live` (how they did),
//! `told` (in words and in JSON).

mod agree;
mod live;
mod place;
mod told;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use base_types::{ModelName, Selector};
use clap::Args;
use control_registry::difference::{Changed, Difference, difference};

use self::agree::Agreement;
use self::live::Live;
use self::place::Found;
use super::gateway::GatewayArguments;
use super::{CliError, Finished, print, print_json};

/// Captured requests that are asked again when nobody says how many.
const CAPTURES: usize = 100;

/// Arguments of `switchrail compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// The model
    model: ModelName,
    /// The version to start from: its number, or its label in the store
    before: Selector,
    /// The version to compare with it
    after: Selector,
    #[command(flatten)]
    files: FileArguments,
    /// Requests of the Open Inference Protocol to ask both with: one JSON document, or one each line
    #[arg(long, value_name = "FILE", conflicts_with = "state_dir")]
    inputs: Option<PathBuf>,
    /// The gateway's state directory: both are asked what was captured there
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// How many captured requests are asked, the latest first
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = CAPTURES)]
    captures: usize,
    /// Ask the gateway whose data listener is here; without it both are run here, with the runtime
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Where the files are.
#[derive(Debug, Args)]
struct FileArguments {
    /// The store that holds them
    #[arg(long, value_name = "DIR or URL")]
    store: Option<PathBuf>,
    /// The model repository that holds them; asked for what the store does not have
    #[arg(long, value_name = "DIR")]
    model_repository: Option<PathBuf>,
}

/// Two versions side by side.
struct Comparison {
    model: ModelName,
    before: Found,
    after: Found,
    /// As files; `None` where one of them is not at hand.
    difference: Option<Difference>,
    /// Offline metrics that are not the same.
    metrics: Vec<Changed<f64>>,
    live: Option<(Live, Live)>,
    agreement: Option<Agreement>,
    /// What was not compared, and why.
    left_out: Vec<String>,
}

/// Runs the command.
pub(super) fn run(arguments: &CompareArguments) -> Finished {
    let compared = compare(arguments)?;
    if arguments.gateway.json {
        print_json(&told::json(&compared))?
    } else {
        print(&told::text(&compared))?
    }
    Ok(ExitCode::SUCCESS)
}

fn compare(arguments: &CompareArguments) -> Result<Comparison, CliError> {
    let model = &arguments.model;
    let FileArguments { store, model_repository } = &arguments.files;
    let places = place::Places::open(store.as_deref(), model_repository.as_deref())?;
    let before = places.find(model, &arguments.before)?;
    let after = places.find(model, &arguments.after)?;
    let mut left_out = Vec::new();
    let difference = match (&before.files, &after.files) {
        (Ok(before), Ok(after)) => Some(difference(&before.artifact, &after.artifact).map_err(place::refused)?),
        _ => None,
    };
    for found in [&before, &after] {
        left_out.extend(found.files.as_ref().err().map(|why| format!("signature, graph and weights: {why}")));
    }
    let metrics = metrics(&before, &after).unwrap_or_else(|why| {
        left_out.push(format!("offline metrics: {why}"));
        Vec::new()
    });
    let live = live::live(&arguments.gateway, model, (before.version, after.version)).map_err(|why| {
        left_out.push(format!("live metrics: {why}"));
    });
    let agreement = agree::agreement(arguments, (&before, &after)).unwrap_or_else(|why| {
        left_out.push(format!("outputs: {why}"));
        None
    });
    left_out.dedup();
    let model = model.clone();
    Ok(Comparison { model, before, after, difference, metrics, live: live.ok(), agreement, left_out })
}

/// Offline metrics of which there are two values, or that one version alone has.
fn metrics(before: &Found, after: &Found) -> Result<Vec<Changed<f64>>, String> {
    let (Some(old), Some(new)) = (&before.record, &after.record) else {
        return Err("kept for versions in a store: name one that holds both with --store".to_owned());
    };
    let (old, new) = (&old.lineage.metrics, &new.lineage.metrics);
    if old.is_empty() && new.is_empty() {
        return Err("neither version was pushed with any (push --metrics FILE)".to_owned());
    }
    let all: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|name| (name, ())).collect();
    let of =
        |name: &String| Changed { name: name.clone(), before: old.get(name).copied(), after: new.get(name).copied() };
    Ok(all.into_keys().map(of).collect())
}
