//! What a store holds: `switchrail versions`, `show`, `label` and `export`.

mod page;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_types::{Label, ModelName, Selector, Version};
use clap::Args;
use control_admin::changelog;
use control_registry::journal::{History, Performance};
use control_store::{Record, Store};
use serde_json::{Value, json};

use super::store::StoreArguments;
use super::{CliError, Finished, print, print_json};

/// Arguments of `switchrail versions`.
#[derive(Debug, Args)]
pub struct VersionsArguments {
    /// Only this model
    model: Option<ModelName>,
    #[command(flatten)]
    store: StoreArguments,
}

/// Arguments of `switchrail show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The model
    model: ModelName,
    /// The version, by number or label
    version: Selector,
    /// The state directory of a gateway: adds how the version did there
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArguments,
}

/// Arguments of `switchrail label`.
#[derive(Debug, Args)]
pub struct LabelArguments {
    /// The model
    model: ModelName,
    /// The label
    #[arg(value_parser = control_store::label)]
    label: Label,
    /// The version it is to name
    #[arg(required_unless_present = "remove")]
    version: Option<Version>,
    /// Take the label away
    #[arg(long, conflicts_with = "version")]
    remove: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Arguments of `switchrail export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The model
    model: ModelName,
    /// The version, by number or label
    version: Selector,
    /// The bundle to write, such as fraud-3.tar
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    store: StoreArguments,
}

/// Runs `switchrail versions`.
pub(super) fn versions(arguments: &VersionsArguments) -> Finished {
    let store = arguments.store.open()?;
    let models: Vec<ModelName> = match &arguments.model {
        Some(model) => vec![model.clone()],
        None => store.list()?.models.into_keys().collect(),
    };
    let mut rows = Vec::new();
    for model in &models {
        let labels = store.labels(model)?;
        for record in store.records(model)? {
            let own = labels.iter().filter(|(_, version)| **version == record.version);
            rows.push((own.map(|(label, _)| label.clone()).collect::<Vec<_>>(), record));
        }
    }
    if arguments.store.json {
        let rows = rows.iter().map(|(labels, record)| brief(record, labels));
        print_json(&json!({ "versions": rows.collect::<Vec<_>>() }))?;
    } else {
        print(&page::table(&rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `switchrail show`.
pub(super) fn show(arguments: &ShowArguments) -> Finished {
    let store = arguments.store.open()?;
    let record = store.find(&arguments.model, &arguments.version)?;
    let labels = labels_of(&store, &record)?;
    let gates = store.gate_results(&record.model, record.version)?;
    let served = arguments.state_dir.as_deref().map(|folder| performance(folder, &record)).transpose()?.flatten();
    if arguments.store.json {
        let mut value = serde_json::to_value(&record).map_err(|error| CliError::Output(error.into()))?;
        value["labels_now"] = labels.iter().map(Label::as_str).collect();
        let gates = gates.iter().map(|result| json!({ "at_unix_ms": result.at_unix_ms, "report": result.report }));
        value["gates"] = gates.collect();
        value["performance"] = served.as_ref().map(changelog::performance).into();
        print_json(&value)?;
    } else {
        print(&page::version(&page::Shown {
            record: &record,
            labels: &labels,
            gates: &gates,
            served: served.as_ref(),
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `switchrail label`.
pub(super) fn label(arguments: &LabelArguments) -> Finished {
    let LabelArguments { model, label, version, .. } = arguments;
    arguments.store.open()?.set_label(model, label, *version)?;
    if arguments.store.json {
        let version = version.map(|version| version.get());
        print_json(&json!({ "model": model.as_str(), "label": label.as_str(), "version": version }))?;
    } else {
        print(&match version {
            Some(version) => format!("{label} is version {version} of {model}\n"),
            None => format!("{label} names no version of {model} any more\n"),
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `switchrail export`.
pub(super) fn export(arguments: &ExportArguments) -> Finished {
    let store = arguments.store.open()?;
    let version = store.find(&arguments.model, &arguments.version)?.version;
    let record = store.export(&arguments.model, version, &arguments.output)?;
    let path = arguments.output.display();
    if arguments.store.json {
        let digest = record.digest.to_string();
        print_json(
            &json!({ "model": record.model.as_str(), "version": version.get(), "digest": digest, "file": path.to_string() }),
        )?;
    } else {
        print(&format!("wrote {} version {version} ({}) to {path}\n", record.model, record.digest.short()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn labels_of(store: &Store, record: &Record) -> Result<Vec<Label>, CliError> {
    let labels = store.labels(&record.model)?;
    Ok(labels.into_iter().filter(|(_, version)| *version == record.version).map(|(label, _)| label).collect())
}

/// How this content did in a gateway.
fn performance(state_dir: &Path, record: &Record) -> Result<Option<Performance>, CliError> {
    let kept = History::open(state_dir).and_then(|history| history.performance(&record.model, Some(record.version)));
    let kept = kept.map_err(|source| CliError::Journal { path: state_dir.to_owned(), source })?;
    Ok(kept.into_iter().find(|(key, _)| key.digest == record.digest).map(|(_, performance)| performance))
}

/// A version in a list.
fn brief(record: &Record, labels: &[Label]) -> Value {
    json!({
        "model": record.model.as_str(),
        "version": record.version.get(),
        "digest": record.digest.to_string(),
        "tag": record.tag,
        "labels": labels.iter().map(Label::as_str).collect::<Vec<_>>(),
        "bytes": record.bytes(),
        "pushed_at_unix_ms": record.pushed_at_unix_ms,
        "pushed_by": record.pushed_by,
        "commit": record.lineage.git.as_ref().map(|git| &git.commit),
        "dirty": record.lineage.git.as_ref().map(|git| git.is_dirty),
    })
}
