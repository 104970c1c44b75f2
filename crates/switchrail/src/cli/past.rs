//! `switchrail at`, `changelog`, `restore` and `audit`: what served when, what became of each version, the way back to an
//! earlier moment, and whether the record is as it was written. All but `restore` read a state directory as well.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_types::{Clock, ModelName, SystemClock};
use clap::{Args, Subcommand};
use control_admin::{changelog, past};
use control_registry::journal::{History, JournalError};
use serde_json::{Value, json};

use super::gateway::GatewayArguments;
use super::history::{When, when};
use super::order::{OrderArguments, signed};
use super::{CliError, Finished, print, print_json, words};

/// Arguments of `switchrail at`.
#[derive(Debug, Args)]
pub struct AtArguments {
    /// The moment, such as 2026-01-31T08:00:00Z, or a span ago such as 30m, 12h or 7d
    #[arg(value_name = "WHEN", value_parser = when)]
    when: When,
    /// Only this model
    #[arg(long)]
    model: Option<ModelName>,
    #[command(flatten)]
    from: FromArguments,
}

/// Where a record is read.
#[derive(Debug, Args)]
struct FromArguments {
    /// Read the journal of this state directory, without a gateway
    #[arg(long, value_name = "DIR", conflicts_with_all = ["admin", "token_file"])]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayArguments,
}

/// Arguments of `switchrail changelog`.
#[derive(Debug, Args)]
pub struct ChangelogArguments {
    /// The model
    model: ModelName,
    #[command(flatten)]
    from: FromArguments,
}

/// Arguments of `switchrail restore`.
#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The moment to go back to, such as 2026-01-31T08:00:00Z, or a span ago such as 30m, 12h or 7d
    #[arg(long, value_name = "WHEN", value_parser = when)]
    at: When,
    /// Only this model [default: all]
    #[arg(long)]
    model: Option<ModelName>,
    /// Only say what would change and what stands against it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    order: OrderArguments,
}

/// Commands about the record itself.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Reads the whole journal again: each row by its hash, the sums of what stands beside it, its structure. Exit code 0
    /// sound, 1 not
    Verify(VerifyArguments),
}

/// Arguments of `switchrail audit verify`.
#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// The hash of a row that was kept elsewhere, or how it begins: shows whether rows were cut off the end
    #[arg(long, value_name = "HASH", value_parser = anchor)]
    anchor: Option<String>,
    #[command(flatten)]
    from: FromArguments,
}

/// Runs `switchrail at`.
pub(super) fn at(arguments: &AtArguments) -> Finished {
    let at_unix_ms = arguments.when.unix_ms(SystemClock.unix_ms());
    let answer = match &arguments.from.state_dir {
        Some(dir) => past::moment(&offline(dir, |history| history.at(at_unix_ms, arguments.model.as_ref()))?),
        None => {
            let mut query = vec![("at_unix_ms", at_unix_ms.to_string())];
            query.extend(arguments.model.iter().map(|model| ("model", model.to_string())));
            arguments.from.gateway.gateway()?.get("/v1/at", &query)?
        }
    };
    shown(&arguments.from, &answer, moment)
}

/// Runs `switchrail changelog`.
pub(super) fn changelog(arguments: &ChangelogArguments) -> Finished {
    let (model, is_json) = (&arguments.model, arguments.from.gateway.json);
    if let Some(dir) = &arguments.from.state_dir {
        let log = changelog::changelog(&offline(dir, |history| history.life(model))?, SystemClock.unix_ms());
        match is_json {
            true => print_json(&changelog::json(&log))?,
            false => print(&changelog::markdown(&log))?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let gateway = arguments.from.gateway.gateway()?;
    let path = format!("/v1/models/{model}/changelog");
    match is_json {
        true => print_json(&gateway.get(&path, &[])?)?,
        false => print(&gateway.get_text(&path, &[("format", "markdown".to_owned())])?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs `switchrail restore`.
pub(super) fn restore(arguments: &RestoreArguments) -> Finished {
    let RestoreArguments { order, .. } = arguments;
    let mut body = signed(json!({}), order.reason.as_deref(), order.actor.as_deref());
    body["at_unix_ms"] = json!(arguments.at.unix_ms(SystemClock.unix_ms()));
    body["dry_run"] = json!(arguments.dry_run);
    if let Some(model) = &arguments.model {
        body["model"] = json!(model.as_str());
    }
    let answer = arguments.order.gateway.gateway()?.post("/v1/restore", &body)?;
    if arguments.order.gateway.json {
        print_json(&answer)?;
    } else {
        print(&restored(&answer))?;
    }
    let has_obstacles = answer["obstacles"].as_array().is_some_and(|obstacles| !obstacles.is_empty());
    Ok(if has_obstacles { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs `switchrail audit`.
pub(super) fn audit(AuditCommand::Verify(arguments): &AuditCommand) -> Finished {
    let answer = match &arguments.from.state_dir {
        Some(dir) => past::audited(&offline(dir, |history| history.audit(arguments.anchor.as_deref()))?),
        None => {
            let query: Vec<_> = arguments.anchor.iter().map(|anchor| ("anchor", anchor.clone())).collect();
            arguments.from.gateway.gateway()?.get("/v1/audit", &query)?
        }
    };
    shown(&arguments.from, &answer, verified)?;
    Ok(if answer["sound"] == true { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn offline<T>(dir: &Path, read: impl FnOnce(&History) -> Result<T, JournalError>) -> Result<T, CliError> {
    let found = History::open(dir).and_then(|history| read(&history));
    found.map_err(|source| CliError::Journal { path: dir.to_owned(), source })
}

fn shown(from: &FromArguments, answer: &Value, page: impl Fn(&Value) -> String) -> Finished {
    match from.gateway.json {
        true => print_json(answer)?,
        false => print(&page(answer))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What served, for people.
fn moment(answer: &Value) -> String {
    let mut text = format!("{}: {}\n", string(&answer["at"]), string(&answer["says"]));
    let models = answer["models"].as_array().map(Vec::as_slice).unwrap_or_default();
    if models.is_empty() {
        text.push_str("nothing served\n");
    }
    for model in models {
        text.push_str(&format!(
            "\n{}  (generation {}, since {})\n",
            string(&model["model"]),
            model["generation"],
            string(&model["since"])
        ));
        for arm in model["split"].as_array().into_iter().flatten() {
            let role = if arm["version"] == model["stable"] { "  stable" } else { "" };
            let digest: String = string(&arm["digest"]).chars().take(16).collect();
            let share = words::percent(arm["share"].as_f64().unwrap_or_default());
            text.push_str(&format!("    version {}  {share}  {digest}{role}\n", arm["version"]));
        }
        text.push_str(&table(&model["table"]));
        let decided = &model["decided"];
        if decided.is_object() {
            let why = decided["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
            text.push_str(&format!(
                "    changed last by {}: {} at {} (#{}){why}\n",
                string(&decided["actor"]),
                string(&decided["action"]),
                string(&decided["at"]),
                decided["seq"]
            ));
        }
    }
    text
}

/// Rules, experiments and labels of a table.
fn table(table: &Value) -> String {
    let mut text = String::new();
    for rule in table["rules"].as_array().into_iter().flatten() {
        let when: Vec<String> = rule["when"].as_array().into_iter().flatten().map(string).collect();
        text.push_str(&format!(
            "    rule {}: {} → {}\n",
            string(&rule["name"]),
            when.join(" and "),
            string(&rule["then"])
        ));
    }
    for experiment in table["experiments"].as_array().into_iter().flatten() {
        text.push_str(&format!("    experiment {}\n", string(&experiment["name"])));
    }
    let labels: Vec<String> = table["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(label, version)| format!("{label} = {version}"))
        .collect();
    if !labels.is_empty() {
        text.push_str(&format!("    labels: {}\n", labels.join(", ")));
    }
    text
}

/// What became of an order to restore, for people.
fn restored(answer: &Value) -> String {
    let mut text = String::new();
    for difference in answer["differences"].as_array().into_iter().flatten() {
        let (now, then) = (string(&difference["now"]), string(&difference["then"]));
        text.push_str(&format!("{}: {now}  →  {then}\n", string(&difference["model"])));
    }
    for obstacle in answer["obstacles"].as_array().into_iter().flatten() {
        text.push_str(&format!("in the way: {} [{}]\n", string(&obstacle["text"]), string(&obstacle["code"])));
    }
    for remark in answer["remarks"].as_array().into_iter().flatten() {
        text.push_str(&format!("note: {}\n", string(remark)));
    }
    let has = |field: &str| answer[field].as_array().is_some_and(|list| !list.is_empty());
    text.push_str(&match (answer["done"] == true, has("obstacles"), has("differences")) {
        (true, ..) => format!("restored, generation {}\n", answer["generation"]),
        (false, true, _) => "nothing can be restored while this is in the way\n".to_owned(),
        (false, false, true) => "this is what would change; nothing was changed\n".to_owned(),
        (false, false, false) => "everything is as it was then; nothing was changed\n".to_owned(),
    });
    text
}

/// What an audit found, for people.
fn verified(answer: &Value) -> String {
    let mut text = format!("{} rows, the last one's hash is {}\n", answer["rows"], string(&answer["head"]));
    for damage in answer["damages"].as_array().into_iter().flatten() {
        text.push_str(&format!("wrong: {}\n", string(&damage["text"])));
    }
    if answer["damages"].as_array().is_some_and(|damages| damages.iter().any(|damage| damage["seq"].is_u64())) {
        let n = &answer["intact_after"];
        text.push_str(&format!("after the first wrong row {n} rows agree with the row before them\n"));
    }
    text.push_str(match answer["anchor"].as_str() {
        Some("found") => "the anchor is there: nothing up to it was rewritten or cut off\n",
        Some("missing") => "the anchor is not there: rows were cut off the end, or the journal was rewritten\n",
        _ => "without an anchor, rows cut off the end by someone who mends the rest do not show: keep the hash above elsewhere\n",
    });
    text.push_str(if answer["sound"] == true { "sound\n" } else { "NOT SOUND\n" });
    text
}

fn string(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn anchor(text: &str) -> Result<String, String> {
    match past::is_anchor(text) {
        true => Ok(text.to_owned()),
        false => Err("12 to 64 hexadecimal digits of a row's hash".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_says_what_it_cannot_see() {
        let sound = json!({ "sound": true, "rows": 3, "head": "abc", "damages": [], "anchor": "not_given" });
        let text = verified(&sound);
        assert!(text.contains("without an anchor") && text.ends_with("\nsound\n"), "{text}");
        let broken = json!({ "sound": false, "rows": 3, "head": "abc", "anchor": "missing", "intact_after": 1,
            "damages": [{ "seq": 2, "text": "row 2 is missing" }] });
        let text = verified(&broken);
        assert!(text.contains("wrong: row 2 is missing\nafter the first wrong row 1 rows"), "{text}");
        assert!(text.contains("the anchor is not there") && text.ends_with("NOT SOUND\n"), "{text}");
    }

    #[test]
    fn a_moment_is_told_with_shares_contents_and_the_last_decision() {
        let answer = json!({ "at": "T", "says": "the gateway was running", "models": [{
            "model": "m", "generation": 7, "since": "S", "stable": 1,
            "split": [{ "version": 1, "share": 0.9, "digest": "0123456789abcdef0123" },
                { "version": 2, "share": 0.1, "digest": null }],
            "table": { "rules": [{ "name": "beta", "when": ["header a = b"], "then": "version 2" }], "labels": { "stable": 1 } },
            "decided": { "actor": "amy", "action": "canary_started", "at": "D", "seq": 4, "reason": "why not" } }] });
        let expected = "T: the gateway was running\n\nm  (generation 7, since S)\n    version 1  90 %  0123456789abcdef  stable\n    \
                        version 2  10 %  null\n    rule beta: header a = b → version 2\n    labels: stable = 1\n    \
                        changed last by amy: canary_started at D (#4): why not\n";
        assert_eq!(moment(&answer), expected);
    }
}
