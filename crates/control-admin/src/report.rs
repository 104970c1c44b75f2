//! The report of a rollout for people: what happened, on what evidence, by which policy.

use std::fmt::Write;
use std::time::Duration;

use control_registry::journal::Row;
use serde_json::Value;

use crate::time::{rfc3339, span};

/// A report with what the journal says of the rollout's life, oldest first, for people.
pub(crate) fn markdown(model: &str, report: &Value, life: &[Row]) -> String {
    let rollout = &report["rollout"];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut page = String::new();
    let mut line = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    line(format!(
        "# Rollout {} of {model}: version {} {}\n",
        rollout["number"],
        rollout["candidate"],
        text(&rollout["status"])
    ));
    line(format!("{}\n", text(&rollout["why"])));
    line("| | |\n|---|---|".to_owned());
    for (name, key) in [
        ("candidate", "candidate"),
        ("content", "digest"),
        ("judged against", "stable"),
        ("policy", "policy"),
        ("ordered by", "ordered_by"),
        ("retries", "retries"),
    ] {
        line(format!("| {name} | {} |", text(&rollout[key])));
    }
    let duration = rollout["ended_unix_ms"].as_u64().zip(rollout["started_unix_ms"].as_u64());
    if let Some((ended, started)) = duration {
        line(format!("| began | {} |", rfc3339(started)));
        line(format!("| lasted | {} |", span(Duration::from_millis(ended.saturating_sub(started)))));
    }
    line("\n## What happened\n".to_owned());
    for Row { entry, seq, .. } in life {
        let after = entry.after.as_ref().map(|after| format!(" → {after}")).unwrap_or_default();
        let reason = entry.reason.as_deref().unwrap_or_default();
        let (at, action) = (rfc3339(entry.at_unix_ms), entry.action.as_str());
        line(format!("- {at} (row {seq}, {}): {action}{after}; {reason}", entry.actor));
    }
    line("\n## Evidence\n".to_owned());
    rules(&report["evidence"], &mut line);
    line("\n## The policy it followed\n".to_owned());
    line(format!("```toml\n{}\n```", text(&rollout["policy_text"]).trim_end()));
    page
}

/// Each rule with its counts, statistic and threshold.
fn rules(evidence: &Value, line: &mut impl FnMut(String)) {
    let Some(rules) = evidence["rules"].as_array() else {
        return line("No request was judged.".to_owned());
    };
    line("| rule | counts | log E | threshold | tripped |\n|---|---|---|---|---|".to_owned());
    for rule in rules {
        let number = |key: &str| rule[key].as_f64().map_or_else(|| "–".to_owned(), |n| format!("{n:.3}"));
        let counts = rule["counts"]
            .as_str()
            .map_or_else(|| format!("{} against {}", rule["faults"], rule["others"]), str::to_owned);
        let name = rule["rule"].as_str().unwrap_or("?");
        line(format!("| {name} | {counts} | {} | {} | {} |", number("log_e"), number("threshold"), rule["tripped"]));
    }
    let mut json = String::new();
    // Writing into a text cannot fail.
    let _written = write!(json, "{evidence:#}");
    line(format!("\nEverything, to compute it again:\n\n```json\n{json}\n```"));
}
