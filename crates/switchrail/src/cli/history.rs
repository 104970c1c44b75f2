//! `switchrail history`: who or what changed routing, when, from what to what, why, and on what evidence.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_types::{Clock, ModelName, SystemClock, Version};
use clap::Args;
use control_admin::{show, time};
use control_registry::journal::{Action, History, HistoryQuery};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{Evidence, Row};
use super::gateway::GatewayArguments;
use super::{CliError, Finished, print, print_json, words};

/// Arguments of `switchrail history`.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    /// Only this model
    #[arg(long)]
    model: Option<ModelName>,
    /// Only since then: a span such as 30m, 12h or 7d, or a moment such as 2026-01-31 or 2026-01-31T08:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
    /// Only until then, in the same forms
    #[arg(long, value_name = "WHEN", value_parser = when)]
    until: Option<When>,
    /// Only this version
    #[arg(long)]
    version: Option<Version>,
    /// Only this action, such as promoted or rolled_back; `published` for each table that came into force, which is left
    /// out otherwise
    #[arg(long, value_parser = action)]
    action: Option<Action>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Only those before this number, to page on
    #[arg(long, value_name = "SEQ")]
    before: Option<u64>,
    /// Read the journal of this state directory, without a gateway
    #[arg(long, value_name = "DIR", conflicts_with_all = ["admin", "token_file"])]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// A moment, or one so long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Unix(u64),
    Ago(std::time::Duration),
}

/// Runs the command.
pub(super) fn run(arguments: &HistoryArguments) -> Finished {
    let now = SystemClock.unix_ms();
    let span = (arguments.since.map(|when| when.unix_ms(now)), arguments.until.map(|when| when.unix_ms(now)));
    let answer = match &arguments.state_dir {
        Some(state_dir) => offline(arguments, state_dir, span)?,
        None => online(arguments, span)?,
    };
    if arguments.gateway.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = answer["rows"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Row> = rows.into_iter().filter_map(|row| Row::deserialize(row).ok()).collect();
    print(&page(&rows, arguments.limit.into()))?;
    Ok(ExitCode::SUCCESS)
}

fn online(arguments: &HistoryArguments, (since, until): (Option<u64>, Option<u64>)) -> Result<Value, CliError> {
    let mut query = vec![("limit", arguments.limit.to_string())];
    query.extend(arguments.model.iter().map(|model| ("model", model.to_string())));
    query.extend(arguments.version.iter().map(|version| ("version", version.to_string())));
    query.extend(arguments.action.iter().map(|action| ("action", action.to_string())));
    query.extend(since.map(|ms| ("since_unix_ms", ms.to_string())));
    query.extend(until.map(|ms| ("until_unix_ms", ms.to_string())));
    query.extend(arguments.before.map(|seq| ("before", seq.to_string())));
    arguments.gateway.gateway()?.get("/v1/history", &query)
}

fn offline(
    arguments: &HistoryArguments,
    state_dir: &Path,
    (since_unix_ms, until_unix_ms): (Option<u64>, Option<u64>),
) -> Result<Value, CliError> {
    let query = HistoryQuery {
        model: arguments.model.clone(),
        version: arguments.version,
        action: arguments.action,
        since_unix_ms,
        until_unix_ms,
        before_seq: arguments.before,
        limit: Some(arguments.limit.into()),
    };
    let rows = History::open(state_dir).and_then(|history| history.query(&query));
    let rows = rows.map_err(|source| CliError::Journal { path: state_dir.to_owned(), source })?;
    Ok(json!({ "rows": rows.iter().map(show::row).collect::<Vec<_>>() }))
}

fn page(rows: &[Row], limit: usize) -> String {
    let mut text: String = rows.iter().map(block).collect();
    match rows.last() {
        None => text.push_str("nothing is recorded\n"),
        Some(last) if rows.len() == limit => text.push_str(&format!("there may be more: --before {}\n", last.seq)),
        Some(_) => {}
    }
    text
}

/// One row as a few lines.
fn block(row: &Row) -> String {
    let subject = match (&row.model, row.version) {
        (Some(model), Some(version)) => format!(" {model} {version}"),
        (Some(model), None) => format!(" {model}"),
        _ => String::new(),
    };
    let generation = row.generation.map(|g| format!(", generation {g}")).unwrap_or_default();
    let mut text = format!("{}  {}{subject} by {}  (#{}{generation})\n", row.at, row.action, row.actor, row.seq);
    let change = match (&row.before, &row.after) {
        (Some(before), Some(after)) => Some(format!("{before}  →  {after}")),
        (None, Some(after)) => Some(format!("→  {after}")),
        (Some(before), None) => Some(format!("{before}  →")),
        (None, None) => None,
    };
    // Evidence of another shape is shown by --json.
    let evidence = Evidence::deserialize(&row.evidence).ok().and_then(|evidence| words::one_line(&evidence));
    let lines = [
        change.map(|change| format!("    {change}\n")),
        row.reason.as_ref().map(|reason| format!("    why: {}\n", reason.replace('\n', " "))),
        evidence.map(|evidence| format!("    evidence: {evidence}\n")),
    ];
    text.extend(lines.into_iter().flatten());
    text
}

pub(super) fn when(text: &str) -> Result<When, String> {
    let span = time::parse_span(text).map(When::Ago);
    let moment = || time::parse_rfc3339(text).map(When::Unix);
    span.or_else(moment)
        .ok_or_else(|| "a span such as 30m, 12h or 7d, or a moment such as 2026-01-31T08:00:00Z".to_owned())
}

fn action(text: &str) -> Result<Action, String> {
    let words = || Action::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ");
    Action::parse(text).ok_or_else(|| format!("one of {}", words()))
}

impl When {
    pub(super) fn unix_ms(self, now_unix_ms: u64) -> u64 {
        match self {
            Self::Unix(ms) => ms,
            Self::Ago(span) => now_unix_ms.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests;
