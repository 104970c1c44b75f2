//! `switchrail status`: what is in force, on one page.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use base_types::{Clock, ModelName, SystemClock};
use clap::Args;
use control_admin::time;

use super::answers::{Model, Source, Status, Trial, UnderWay, Version, VersionGate, VersionSource};
use super::gateway::{Gateway, GatewayArguments};
use super::{CliError, Finished, print, print_json, with_causes, words};

/// Digits of a digest that are shown, as in the answers' header.
const DIGEST_SHOWN: usize = 16;
/// Clears the terminal and goes to its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Arguments of `switchrail status`.
#[derive(Debug, Args)]
pub struct StatusArguments {
    /// Only this model
    model: Option<ModelName>,
    /// Show it again every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2",
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    watch: Option<u64>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Runs the command.
pub(super) fn run(arguments: &StatusArguments) -> Finished {
    let gateway = arguments.gateway.gateway()?;
    let Some(seconds) = arguments.watch else {
        show(arguments, &gateway)?;
        return Ok(ExitCode::SUCCESS);
    };
    loop {
        if std::io::stdout().is_terminal() && !arguments.gateway.json {
            clear()?;
        }
        match show(arguments, &gateway) {
            Ok(()) => {}
            // A gateway that restarts is worth watching.
            Err(error @ CliError::Unreachable { .. }) => print(&format!("{}\n", with_causes(&error)))?,
            Err(error) => return Err(error),
        }
        std::thread::sleep(Duration::from_secs(seconds));
    }
}

fn show(arguments: &StatusArguments, gateway: &Gateway) -> Result<(), CliError> {
    let model = arguments.model.as_ref();
    if let (Some(model), true) = (model, arguments.gateway.json) {
        return print_json(&gateway.get(&format!("/v1/models/{model}"), &[])?);
    }
    let answer = gateway.get("/v1/status", &[])?;
    if arguments.gateway.json {
        return print_json(&answer);
    }
    let mut status = gateway.read_as::<Status>(answer)?;
    if let Some(name) = model {
        status.models.retain(|m| m.name == name.as_str());
        status.quarantine.retain(|q| q.model == name.as_str());
        if status.models.is_empty() {
            let error = format!("there is no model {name}; switchrail status lists them");
            return Err(CliError::Refused { code: "model_unknown".to_owned(), error });
        }
    }
    print(&page(&status, SystemClock.unix_ms()))
}

/// The control sequence does not pass through `print`, which lets none through.
fn clear() -> Result<(), CliError> {
    use std::io::Write;
    std::io::stdout().write_all(CLEAR.as_bytes()).map_err(CliError::Output)
}

/// The whole page.
fn page(status: &Status, now_unix_ms: u64) -> String {
    let state = if status.started { "ready" } else { "starting: versions are being loaded" };
    let mut text = format!("generation {}, {state}\n", status.generation);
    text.extend(status.config.source.as_ref().map(source));
    if status.models.is_empty() {
        text.push_str("\nno models: put versions at <model repository>/<model>/<version>/model.onnx\n");
    }
    for model in &status.models {
        text.push_str(&section(model, now_unix_ms));
    }
    if !status.quarantine.is_empty() {
        text.push_str("\nquarantine\n");
    }
    for q in &status.quarantine {
        let (digest, since) = (short(&q.digest), time::rfc3339(q.since_unix_ms));
        text.push_str(&format!("  {} {}  {digest}  since {since}: {}\n", q.model, q.version, q.cause));
    }
    if !status.config.problems.is_empty() {
        text.push_str("\nrouting.toml was refused, the routing accepted before it is in force\n");
    }
    text.extend(status.config.problems.iter().map(words::problem));
    text
}

/// Of which commit routing.toml is.
fn source(source: &Source) -> String {
    let Source { short, branch, dirty, remote } = source;
    let dirty = if *dirty { " with changes that are not committed" } else { "" };
    let beside: String = branch.iter().chain(remote).map(|name| format!(", {name}")).collect();
    format!("routing.toml of commit {short}{dirty}{beside}\n")
}

fn section(model: &Model, now_unix_ms: u64) -> String {
    let stable = model.stable.map_or("no stable version".to_owned(), |v| format!("stable {v}"));
    let mut text = format!("\n{}: {stable}, {}\n", model.name, model.phase);
    let header = ["version", "state", "wanted", "actual", "load", "memory", "digest"].map(str::to_owned);
    text.push_str(&table(std::iter::once(header).chain(model.versions.iter().map(cells)).collect()));
    text.extend(model.versions.iter().filter_map(origin));
    for version in &model.versions {
        if let Some(reason) = &version.reason {
            let (number, state) = (version.version, &version.state);
            text.push_str(&format!("  version {number} is {state} ({}): {}\n", reason.code, reason.text));
        }
        text.extend(version.gates.iter().filter_map(|gate| failed_gate(version, gate)));
    }
    if let Some(UnderWay { number, candidate, policy, status, note }) = &model.rollout {
        let status = status.replace('_', " ");
        text.push_str(&format!("  rollout {number} of {candidate} by the policy {policy}: {status}: {note}\n"));
    }
    for trial in &model.trials {
        text.push_str(&trial_lines(trial, now_unix_ms));
    }
    text.extend(model.notices.iter().map(|notice| format!("  note: {notice}\n")));
    text
}

/// A failed gate that does not keep its version out, and why not; what keeps it out is its reason.
fn failed_gate(version: &Version, gate: &VersionGate) -> Option<String> {
    let keeps_out = version.reason.as_ref().is_some_and(|reason| reason.code == "gate_failed");
    let why = match &gate.overridden {
        Some(by) => format!("overridden by {}: {}", by.actor, by.reason),
        None if keeps_out => return None,
        None => "not required".to_owned(),
    };
    let (number, gate, verdict, text) = (version.version, &gate.gate, &gate.verdict, &gate.text);
    (verdict == "failed").then(|| format!("  version {number} failed the gate {gate} ({why}): {text}\n"))
}

/// Where a version came from, if it was pushed.
fn origin(version: &Version) -> Option<String> {
    let VersionSource { place, tag, git_commit, pushed_by } = &version.source;
    let said = [
        tag.as_ref().map(|tag| format!("tag {tag}")),
        git_commit.as_ref().map(|commit| format!("commit {}", commit.get(..12).unwrap_or(commit))),
        pushed_by.as_ref().filter(|by| !by.is_empty()).map(|by| format!("pushed by {by}")),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    let from = if place == "store" { "the store" } else { "its folder" };
    (!said.is_empty()).then(|| format!("  version {} from {from}: {}\n", version.version, said.join(", ")))
}

fn cells(version: &Version) -> [String; 7] {
    let dash = || "–".to_owned();
    [
        version.version.to_string(),
        version.state.clone(),
        words::percent(version.share_wanted),
        version.share_actual.map_or_else(dash, words::percent),
        version.load_seconds.map_or_else(dash, words::seconds),
        version.memory_bytes.map_or_else(dash, words::bytes),
        version.digest.as_deref().map_or_else(dash, short),
    ]
}

fn trial_lines(trial: &Trial, now_unix_ms: u64) -> String {
    let since = Duration::from_millis(now_unix_ms.saturating_sub(trial.since_unix_ms));
    let mode = if trial.mode == "observe" { ", observed only: no rollback by itself" } else { "" };
    let (candidate, stable) = (trial.candidate, trial.stable);
    let mut text = format!("  trial of {candidate} against {stable} for {}{mode}\n", time::span(since));
    text.extend(words::trial(&trial.evidence).iter().map(|line| format!("    {line}\n")));
    text
}

/// Columns as wide as what stands in them.
pub(super) fn table<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn short(digest: &str) -> String {
    digest.chars().take(DIGEST_SHOWN).collect()
}

#[cfg(test)]
mod tests;
