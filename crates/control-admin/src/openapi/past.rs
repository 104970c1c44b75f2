//! Answers about what was, described by hand as those of `shapes`.

use serde_json::{Value, json};

use super::schemas::reference;
use super::shapes::{Named, flag, integer, list, number, object, open, or_null, text};

/// Every schema of this file.
pub(super) fn all() -> Named {
    vec![
        ("Moment", moment()),
        ("Audit", audit()),
        ("Restored", restored()),
        ("RestoreDifference", difference()),
        ("RestoreObstacle", obstacle()),
        ("Changelog", changelog()),
        ("Performance", performance(true)),
        ("ModelPerformance", object(&[("model", text("")), ("versions", list(reference("Performance")))])),
        // What a version did, in a change log: the version is said around it.
        ("VersionPerformance", performance(false)),
    ]
}

fn moment() -> Value {
    let split = object(&[("version", integer("")), ("share", number("")), ("digest", or_null(text("")))]);
    let served = object(&[
        ("model", text("")),
        ("generation", integer("The generation in force.")),
        ("since", text("RFC 3339 in UTC.")),
        ("since_unix_ms", integer("")),
        ("seq", integer("The journal's row.")),
        ("stable", integer("")),
        ("split", list(split)),
        ("table", open("The whole table: arms, rules, labels, what is barred.")),
        ("decided", or_null(reference("HistoryRow"))),
    ]);
    object(&[
        ("at", text("RFC 3339 in UTC.")),
        ("at_unix_ms", integer("")),
        ("standing", words(&["unborn", "down", "up", "unknown"])),
        ("standing_since_unix_ms", or_null(integer(""))),
        ("says", text("The same in a sentence.")),
        ("models", list(served)),
    ])
}

fn audit() -> Value {
    object(&[
        ("sound", flag("Whether everything is as it was written.")),
        ("rows", integer("Rows looked at.")),
        ("head_seq", integer("The last row.")),
        ("head", text("Its hash; keep it elsewhere as an anchor.")),
        ("damages", list(object(&[("seq", integer("")), ("text", text(""))]))),
        ("intact_after", integer("Intact rows after the first damage.")),
        ("anchor", words(&["not_given", "found", "missing"])),
        ("anchored_seq", or_null(integer(""))),
    ])
}

fn restored() -> Value {
    object(&[
        ("done", flag("Whether anything was changed.")),
        ("generation", or_null(integer(""))),
        ("differences", list(reference("RestoreDifference"))),
        ("obstacles", list(reference("RestoreObstacle"))),
        ("remarks", list(text(""))),
    ])
}

fn difference() -> Value {
    let words = "Shares in words.";
    object(&[("model", text("")), ("now", or_null(text(words))), ("then", or_null(text(words)))])
}

fn obstacle() -> Value {
    object(&[("model", text("")), ("code", text("Stable.")), ("text", text("In a sentence."))])
}

fn changelog() -> Value {
    let event = object(&[
        ("at_unix_ms", integer("")),
        ("seq", integer("The journal's row.")),
        ("action", text("")),
        ("actor", text("")),
        ("before", or_null(text(""))),
        ("after", or_null(text(""))),
        ("reason", or_null(text(""))),
    ]);
    let stretch = object(&[
        ("from_unix_ms", integer("")),
        ("until_unix_ms", or_null(integer("Null while it goes on."))),
        ("share", number("")),
    ]);
    let version = object(&[
        ("version", integer("")),
        ("digest", or_null(text(""))),
        ("tag", or_null(text(""))),
        ("registered_at", or_null(text("RFC 3339 in UTC."))),
        ("registered_by", or_null(text(""))),
        ("pushed", json!({ "description": "Who pushed it, and where it came from, as the store has it, or null." })),
        ("signature", json!({ "description": "Inputs and outputs, or null." })),
        ("changed", list(text("What differs from the version before it."))),
        ("events", list(event)),
        ("served", list(stretch)),
        ("served_ms", integer("How long it took traffic.")),
        ("fate", text("What became of it.")),
        ("performance", or_null(reference("VersionPerformance"))),
    ]);
    object(&[("model", text("")), ("is_cut", flag("Whether older rows were left out.")), ("versions", list(version))])
}

fn performance(is_named: bool) -> Value {
    let quantile = || or_null(number("Milliseconds."));
    let latency = object(&[("mean", quantile()), ("p50", quantile()), ("p95", quantile()), ("p99", quantile())]);
    let feedback =
        object(&[("n", integer("")), ("mean_score", number("")), ("labels", integer("")), ("mistakes", integer(""))]);
    let mut fields = vec![
        ("requests", integer("")),
        ("by_class", json!({ "type": "object", "additionalProperties": { "type": "integer" } })),
        ("error_rate", or_null(number(""))),
        ("latency_ms", latency),
        ("run_ms_mean", or_null(number(""))),
        ("feedback", or_null(feedback)),
        ("traffic_ms", integer("How long it took traffic.")),
        ("first_served_unix_ms", or_null(integer(""))),
        ("last_served_unix_ms", or_null(integer(""))),
        ("updated_unix_ms", or_null(integer(""))),
    ];
    if is_named {
        fields.extend([("model", text("")), ("version", integer("")), ("digest", text(""))]);
    }
    object(&fields)
}

fn words(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}
