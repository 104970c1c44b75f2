//! `switchrail push`: puts a version into the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_types::{Clock, Label, ModelName, SystemClock, Version};
use clap::Args;
use control_store::{Push, Pushed, bundle_origin, git_of, held_in};
use serde_json::{Value, json};

use super::mlflow::{self, ModelUri};
use super::store::StoreArguments;
use super::{CliError, Finished, print, print_json, words};

/// Largest file of metrics, in bytes.
const METRICS_BYTES_MAX: u64 = 1 << 20;

/// Arguments of `switchrail push`.
#[derive(Debug, Args)]
pub struct PushArguments {
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    store: StoreArguments,
}

/// What is pushed, and what is said about it.
#[derive(Debug, Clone, Args)]
pub(super) struct SourceArguments {
    /// A model file, the folder of a version, a bundle of `switchrail export`, or models:/NAME/VERSION or
    /// models:/NAME@ALIAS of an MLflow registry
    #[arg(value_name = "MODEL_FILE_OR_DIR")]
    path: PathBuf,
    /// The model; a bundle brings its own name
    #[arg(long, value_name = "NAME", value_parser = control_store::model_name)]
    model: Option<ModelName>,
    /// The number it is to have [default: the next free one]
    #[arg(long)]
    version: Option<Version>,
    /// A label for the version; may be repeated
    #[arg(long = "label", value_name = "LABEL", value_parser = control_store::label)]
    labels: Vec<Label>,
    /// A semantic version, unique within the model [default: that of manifest.toml]
    #[arg(long, value_parser = control_store::tag)]
    tag: Option<String>,
    /// Something to remember about the version, such as dataset=2026-05; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
    /// A JSON file with numbers by name: what was measured
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// A config.pbtxt that does not lie beside the model
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A manifest.toml that does not lie beside the model
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// A model repository whose numbers are not given to other content
    #[arg(long, value_name = "DIR")]
    model_repository: Option<PathBuf>,
    /// Who pushes [default: the user's name]
    #[arg(long, value_name = "NAME")]
    pub(super) by: Option<String>,
    /// The MLflow server, for models:/… [default: MLFLOW_TRACKING_URI]
    #[arg(long, value_name = "URL")]
    mlflow: Option<String>,
}

/// Runs the command.
pub(super) fn run(arguments: &PushArguments) -> Finished {
    let pushed = push(&arguments.source, &arguments.store)?;
    if arguments.store.json {
        print_json(&as_json(&pushed))?;
    } else {
        print(&told(&pushed))?;
        for note in &pushed.notes {
            eprintln!("note: {}", super::printable(note));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Puts it into the store. What comes from a registry is told what it became.
pub(super) fn push(arguments: &SourceArguments, store: &StoreArguments) -> Result<Pushed, CliError> {
    let Some(text) = arguments.path.to_str().filter(|text| ModelUri::is_meant(text)) else {
        let (push, notes) = wanted(arguments)?;
        let mut pushed = store.open_or_make()?.push(&push)?;
        pushed.notes.extend(notes);
        return Ok(pushed);
    };
    let imported = mlflow::import(&ModelUri::parse(text)?, arguments.mlflow.as_deref())?;
    let named = || control_store::model_name(imported.name()).ok();
    let model = arguments.model.clone().or_else(named);
    let fetched = SourceArguments { path: imported.file.clone(), model, ..arguments.clone() };
    let (mut push, _no_commit) = wanted(&fetched)?;
    // What is said here wins over what the run says; the folder it was fetched into says nothing.
    push.git = None;
    for (key, value) in &imported.set {
        push.set.entry(key.clone()).or_insert_with(|| value.clone());
    }
    for (name, value) in &imported.metrics {
        push.metrics.entry(name.clone()).or_insert(*value);
    }
    let mut pushed = store.open_or_make()?.push(&push)?;
    let record = &pushed.record;
    // The version is in the store all the same.
    if let Err(error) = imported.link(&record.model, record.version, &record.digest) {
        pushed.notes.push(format!("{} could not be told what it became: {error}", imported.uri()));
    }
    Ok(pushed)
}

fn wanted(arguments: &SourceArguments) -> Result<(Push, Vec<String>), CliError> {
    let now_unix_ms = SystemClock.unix_ms();
    let origin = bundle_origin(&arguments.path)?;
    let mut notes = Vec::new();
    let git = match (&origin, git_of(&arguments.path)) {
        // A bundle says itself where it comes from.
        (Some(_), _) => None,
        (None, Ok(git)) => Some(git),
        (None, Err(reason)) => {
            notes.push(format!("no commit is recorded: {reason}"));
            None
        }
    };
    let model = arguments.model.as_ref().or(origin.as_ref().map(|origin| &origin.model));
    let held = match (&arguments.model_repository, model) {
        (Some(repository), Some(model)) => held_in(repository, model, now_unix_ms)?,
        _ => BTreeMap::new(),
    };
    let user = || ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let push = Push {
        version: arguments.version,
        labels: arguments.labels.clone(),
        tag: arguments.tag.clone(),
        config: arguments.config.clone(),
        manifest: arguments.manifest.clone(),
        git,
        set: arguments.set.iter().cloned().collect(),
        metrics: arguments.metrics.as_deref().map(read_metrics).transpose()?.unwrap_or_default(),
        held,
        by: arguments.by.clone().or_else(user).unwrap_or_default(),
        tool: concat!("switchrail ", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Push::new(&arguments.path, arguments.model.clone(), now_unix_ms)
    };
    Ok((push, notes))
}

fn as_json(pushed: &Pushed) -> Value {
    let record = &pushed.record;
    json!({
        "model": record.model.as_str(),
        "version": record.version.get(),
        "digest": record.digest.to_string(),
        "new": pushed.is_new,
        "tag": record.tag,
        "bytes": record.bytes(),
        "mended_parts": pushed.n_mended,
        "notes": pushed.notes,
    })
}

fn told(pushed: &Pushed) -> String {
    let record = &pushed.record;
    let (model, version) = (&record.model, record.version);
    let (digest, bytes) = (record.digest.short(), words::bytes(record.bytes()));
    let mended = match pushed.n_mended {
        0 => String::new(),
        n => format!("; {n} damaged parts of it were mended"),
    };
    if pushed.is_new {
        let tag = record.tag.as_ref().map(|tag| format!(", tag {tag}")).unwrap_or_default();
        format!("pushed {model} version {version} ({digest}, {bytes}{tag}){mended}\n")
    } else {
        format!("{model} version {version} is this content already ({digest}, {bytes}){mended}\n")
    }
}

/// A flat object of numbers.
fn read_metrics(path: &Path) -> Result<BTreeMap<String, f64>, CliError> {
    let unreadable = |source| CliError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    let refuse = |reason: String| {
        let source = std::io::Error::new(std::io::ErrorKind::InvalidData, reason);
        CliError::Unreadable { path: path.to_owned(), source }
    };
    if bytes > METRICS_BYTES_MAX {
        return Err(refuse(format!("it has more than {METRICS_BYTES_MAX} bytes")));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    let shape = "write a JSON object of numbers, such as {\"accuracy\": 0.93}";
    serde_json::from_slice(&text).map_err(|error| refuse(format!("{error}; {shape}")))
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "write KEY=VALUE".to_owned())
}
