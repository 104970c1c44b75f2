//! `switchrail store`: keeps a store in order; and what all commands about a store share.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base_types::{Clock, SystemClock};
use clap::{Args, Subcommand};
use control_admin::time;
use control_store::{CollectOptions, Collected, Store, Verified};
use serde_json::json;

use super::{CliError, Finished, print, print_json, words};

/// The environment variable that names the store.
const STORE_VARIABLE: &str = "SWITCHRAIL_STORE";
const NO_STORE: &str = "where is the store? say it with --store DIR, or in SWITCHRAIL_STORE";

/// Commands of a store's keeper.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reads everything in the store and names what is damaged; exit code 1 if something is
    Verify(VerifyArguments),
    /// Removes parts that no version consists of, left by pushes that were broken off
    Gc(GcArguments),
}

/// Arguments of `switchrail store verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    store: StoreArguments,
}

/// Arguments of `switchrail store gc`.
#[derive(Debug, Args)]
pub struct GcArguments {
    /// What was written within this time stays
    #[arg(long, default_value = "24h", value_parser = span)]
    grace: Duration,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Where the store is, and how answers are printed.
#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    /// The folder of the store [default: SWITCHRAIL_STORE]
    #[arg(long, value_name = "DIR or URL")]
    pub(super) store: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl StoreArguments {
    /// The store, which must be there.
    pub(super) fn open(&self) -> Result<Store, CliError> {
        crate::store::open_existing(&self.path()?, None).map_err(CliError::StorePlace)
    }

    /// The store, made if it is not there.
    pub(super) fn open_or_make(&self) -> Result<Store, CliError> {
        crate::store::open(&self.path()?).map_err(CliError::StorePlace)
    }

    fn path(&self) -> Result<PathBuf, CliError> {
        let variable = || std::env::var_os(STORE_VARIABLE).filter(|text| !text.is_empty()).map(PathBuf::from);
        self.store.clone().or_else(variable).ok_or(CliError::Flags(NO_STORE))
    }
}

/// Runs the command.
pub(super) fn run(command: &Command) -> Finished {
    match command {
        Command::Verify(arguments) => verify(arguments),
        Command::Gc(arguments) => gc(arguments),
    }
}

fn verify(arguments: &VerifyArguments) -> Finished {
    let verified = arguments.store.open()?.verify()?;
    if arguments.store.json {
        let damage = verified.damage.iter().map(|damage| {
            let versions = damage.versions.iter().map(|(model, version)| format!("{model}@{version}"));
            json!({ "key": damage.key, "reason": damage.reason, "versions": versions.collect::<Vec<_>>() })
        });
        let damage: Vec<_> = damage.collect();
        print_json(&json!({
            "versions": verified.n_versions,
            "objects": verified.n_objects,
            "bytes": verified.bytes,
            "orphans": verified.n_orphans,
            "damage": damage,
        }))?;
    } else {
        print(&told(&verified))?;
    }
    Ok(if verified.damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(verified: &Verified) -> String {
    let mut text = String::new();
    for damage in &verified.damage {
        let versions: Vec<String> =
            damage.versions.iter().map(|(model, version)| format!("{model} {version}")).collect();
        let hit = if versions.is_empty() { "no version".to_owned() } else { versions.join(", ") };
        text.push_str(&format!("damaged: {}: {}; hit: {hit}\n", damage.key, damage.reason));
    }
    let Verified { n_versions, n_objects, n_orphans, .. } = verified;
    let bytes = words::bytes(verified.bytes);
    text.push_str(&format!("{n_versions} versions, {n_objects} parts of {bytes}"));
    if *n_orphans > 0 {
        text.push_str(&format!(", {n_orphans} parts of no version (`switchrail store gc` removes them)"));
    }
    text.push_str(match verified.damage.len() {
        0 => ": nothing is damaged\n",
        _ => ": something is damaged; push the files of the versions named again, which mends their parts\n",
    });
    text
}

fn gc(arguments: &GcArguments) -> Finished {
    let grace_ms = u64::try_from(arguments.grace.as_millis()).unwrap_or(u64::MAX);
    let options = CollectOptions { grace_ms, is_dry_run: arguments.dry_run, now_unix_ms: SystemClock.unix_ms() };
    let collected = arguments.store.open()?.collect_garbage(&options)?;
    if arguments.store.json {
        print_json(&json!({
            "removed": collected.removed,
            "removed_bytes": collected.removed_bytes,
            "dry_run": arguments.dry_run,
            "young": collected.n_young,
            "kept": collected.n_kept,
            "kept_bytes": collected.kept_bytes,
        }))?;
    } else {
        let Collected { n_young, n_kept, .. } = collected;
        let verb = if arguments.dry_run { "would be removed" } else { "removed" };
        let (removed, kept) = (words::bytes(collected.removed_bytes), words::bytes(collected.kept_bytes));
        let n_removed = collected.removed.len();
        print(&format!(
            "{verb}: {n_removed} parts of {removed}; too young: {n_young}; kept for versions: {n_kept} parts of {kept}\n"
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn span(text: &str) -> Result<Duration, String> {
    time::parse_span(text).ok_or_else(|| "write a span such as 30m, 12h or 7d".to_owned())
}
