//! Answers that are put together by hand, described by hand. What is shown here as required is always there.

use control_loop::RoutingSource;
use control_loop::view::{ModelStatus, QuarantineStatus};
use serde_json::{Map, Value, json};

use super::past;
use super::schemas::{Schemas, reference};

pub(super) type Fields<'a> = &'a [(&'a str, Value)];

pub(super) fn object(fields: Fields) -> Value {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "type": "object", "required": names, "properties": properties })
}

fn of(kind: &str, says: &str) -> Value {
    if says.is_empty() { json!({ "type": kind }) } else { json!({ "type": kind, "description": says }) }
}

pub(super) fn text(says: &str) -> Value {
    of("string", says)
}

pub(super) fn integer(says: &str) -> Value {
    of("integer", says)
}

pub(super) fn number(says: &str) -> Value {
    of("number", says)
}

pub(super) fn flag(says: &str) -> Value {
    of("boolean", says)
}

pub(super) fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// The same, or null.
pub(super) fn or_null(mut schema: Value) -> Value {
    match schema["type"].as_str().map(str::to_owned) {
        Some(kind) => {
            schema["type"] = json!([kind, "null"]);
            schema
        }
        None => json!({ "anyOf": [schema, { "type": "null" }] }),
    }
}

/// Numbers for computers to keep and people to read, whose names are in docs/rollout-statistics.md.
pub(super) fn open(says: &str) -> Value {
    json!({ "type": "object", "description": says, "additionalProperties": true })
}

/// Every schema made by hand.
pub(super) fn all() -> impl Iterator<Item = (String, Value)> {
    let parts = [state(), history(), config(), explain(), rollouts(), experiments(), past::all()];
    parts.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema))
}

/// Schemas by their names.
pub(super) type Named = Vec<(&'static str, Value)>;

fn state() -> Named {
    let problem = object(&[
        ("error", text("In a sentence, with the remedy.")),
        ("code", text("Stable; docs/admin-api.md lists all.")),
    ]);
    let mut problem_with_details = problem;
    for (name, item) in
        [("diagnostics", "Diagnostic"), ("obstacles", "RestoreObstacle"), ("differences", "RestoreDifference")]
    {
        problem_with_details["properties"][name] = list(reference(item));
    }
    let done = object(&[
        ("message", text("What is in force now.")),
        ("generation", integer("The generation in force.")),
        ("provisional", flag("Whether it still has to prove itself or to be confirmed.")),
    ]);
    let status = object(&[
        ("generation", integer("The generation in force.")),
        (
            "journal",
            object(&[
                ("seq", integer("The last row of the journal.")),
                ("head", text("Its hash; keep it elsewhere as an anchor.")),
            ]),
        ),
        ("started", flag("Whether everything present at start has been loaded or refused.")),
        ("models", list(of_type::<ModelStatus>())),
        ("quarantine", list(of_type::<QuarantineStatus>())),
        (
            "config",
            object(&[("problems", list(reference("Diagnostic"))), ("source", or_null(of_type::<RoutingSource>()))]),
        ),
    ]);
    vec![
        ("Problem", problem_with_details),
        ("Health", object(&[("status", text("ok"))])),
        ("Done", done),
        ("Status", status),
        ("Quarantine", object(&[("quarantine", list(of_type::<QuarantineStatus>()))])),
    ]
}

/// Asks for the schemas of types that answers made by hand refer to.
pub(super) fn refer_to(schemas: &mut Schemas) {
    schemas.given::<ModelStatus>();
    schemas.given::<QuarantineStatus>();
    schemas.given::<RoutingSource>();
}

/// A reference to the schema of a type, which is asked for in `refer_to`.
fn of_type<T: schemars::JsonSchema>() -> Value {
    reference(&T::schema_name())
}

fn history() -> Named {
    let row = object(&[
        ("seq", integer("Its place; no two rows share one.")),
        ("at", text("When, RFC 3339 in UTC.")),
        ("at_unix_ms", integer("When, in milliseconds since 1970.")),
        ("actor", text("Who, or what.")),
        ("action", text("What was done.")),
        ("model", or_null(text(""))),
        ("version", or_null(integer(""))),
        ("digest", or_null(text(""))),
        ("generation", or_null(integer(""))),
        ("before", or_null(text("The routing before, in words."))),
        ("after", or_null(text("The routing after, in words."))),
        ("reason", or_null(text(""))),
        ("evidence", json!({ "description": "The numbers of the moment, or null." })),
        ("changes", list(open("What it changed in the decisions that survive a restart, by `kind`."))),
    ]);
    let history = object(&[
        ("rows", list(reference("HistoryRow"))),
        ("next_before", or_null(integer("Pass it as `before` for the next page."))),
    ]);
    vec![("HistoryRow", row), ("History", history)]
}

fn config() -> Named {
    let diagnostic = object(&[
        ("file", text("")),
        ("line", integer("From 1.")),
        ("column", integer("From 1.")),
        ("severity", json!({ "type": "string", "enum": ["error", "warning"] })),
        ("code", text("Stable.")),
        ("message", text("What is wrong.")),
        ("hint", or_null(text("How to mend it."))),
    ]);
    let difference = object(&[
        ("model", or_null(text("Null for the defaults."))),
        ("aspect", text("What differs.")),
        ("before", or_null(text(""))),
        ("after", or_null(text(""))),
        ("text", text("All of it in a sentence.")),
    ]);
    let table_arm = object(&[
        ("name", text("")),
        ("version", integer("")),
        ("share", number("Its part of 1.")),
        ("redirected", flag("Whether stable answers in its place.")),
    ]);
    let table = object(&[
        ("stable", integer("")),
        ("arms", list(table_arm)),
        ("rules", list(object(&[("name", text("")), ("when", list(text(""))), ("then", text(""))]))),
        ("sticky", list(text("Where a sticky key is looked for."))),
        ("labels", json!({ "type": "object", "additionalProperties": { "type": "integer" } })),
        ("barred", list(integer(""))),
    ]);
    let config = object(&[
        ("generation", integer("The generation in force.")),
        ("wished", list(reference("Difference"))),
        ("models", list(object(&[("name", text("")), ("route", or_null(reference("RoutingTable")))]))),
        ("problems", list(reference("Diagnostic"))),
        ("source", or_null(of_type::<RoutingSource>())),
    ]);
    vec![
        ("Diagnostic", diagnostic),
        ("Difference", difference),
        ("RoutingTable", table),
        ("Config", config),
        ("ConfigCheck", object(&[("valid", flag("")), ("diagnostics", list(reference("Diagnostic")))])),
        (
            "ConfigDiff",
            object(&[("differences", list(reference("Difference"))), ("diagnostics", list(reference("Diagnostic")))]),
        ),
    ]
}

fn explain() -> Named {
    let arm = object(&[
        ("name", text("")),
        ("version", integer("")),
        ("share", number("")),
        ("redirected", flag("")),
        ("drawn", flag("Whether this one was drawn.")),
    ]);
    let rule = object(&[
        ("name", text("")),
        ("then", text("")),
        ("outcome", json!({ "type": "string", "enum": ["matched", "failed", "not_reached"] })),
    ]);
    let explanation = object(&[
        ("version", or_null(integer("The version it would get."))),
        ("reason", or_null(text("Why: pin, rule, experiment, sticky, split, stable and so on."))),
        ("rule", or_null(text(""))),
        ("sentences", list(text("The decision step by step."))),
        ("arms", list(arm)),
        ("rules", list(rule)),
        ("experiments", list(object(&[("name", text("")), ("layer", text("")), ("outcome", text(""))]))),
        ("sticky", or_null(object(&[("from", text("")), ("key", text(""))]))),
        ("by_chance", flag("Whether another draw could give another version.")),
        ("draw", or_null(integer("Repeats it."))),
        ("ready", flag("Whether the version can answer.")),
        ("generation", integer("")),
    ]);
    vec![("Explanation", explanation)]
}

fn rollouts() -> Named {
    let over = object(&[
        ("number", integer("")),
        ("candidate", integer("")),
        ("digest", text("")),
        ("stable", integer("")),
        ("policy", text("")),
        ("policy_text", text("The policy as it was, in TOML.")),
        ("status", text("promoted, rolled_back, aborted or replaced.")),
        ("last_step", integer("")),
        ("started_unix_ms", integer("")),
        ("ended_unix_ms", integer("")),
        ("retries", integer("")),
        ("ordered_by", text("")),
        ("why", text("How it ended, in a sentence.")),
    ]);
    let evidence = json!({ "description": "The numbers, to compute it again, or null." });
    let example = open("One request: inputs, and what stable and the candidate answered.");
    let power = object(&[
        ("model", text("")),
        ("policy", text("")),
        ("stable_error_rate", number("")),
        ("requests_per_second", number("")),
        ("alpha", number("The budget of false alarms.")),
        ("parts", open("The budget by rule.")),
        ("apart", open("Budgets of rules that stand apart.")),
        ("promote_alpha", number("")),
        ("steps", list(open("What each step finds, and when."))),
        ("total_seconds", or_null(number("How long the whole takes."))),
        ("not_counted", list(text("What no time can be given for."))),
        ("text", text("All of it for people.")),
    ]);
    vec![
        ("RolloutReport", object(&[("rollout", over), ("evidence", evidence)])),
        ("Disagreements", object(&[("model", text("")), ("examples", list(example))])),
        ("Power", power),
    ]
}

fn experiments() -> Named {
    let experiment = object(&[
        ("experiment", text("Its name.")),
        ("model", text("")),
        ("layer", text("")),
        ("units", list(number("The part of the layer it takes, from and to."))),
        ("since_unix_ms", integer("")),
        ("sentence", text("What its numbers say.")),
        ("verdict", open("The same by `kind`.")),
        ("primary", text("The measure that decides.")),
        ("alpha", number("")),
        ("arms", list(open("Counts and measures of an arm."))),
        ("comparisons", list(open("An arm against stable: difference, interval, finding."))),
        ("sample_ratio", open("Whether the arms get the shares they should.")),
        ("warnings", list(text(""))),
        ("status", json!({ "type": "string", "enum": ["running", "over"] })),
    ]);
    let plan = object(&[
        ("expected", number("Outcomes over all arms, on average.")),
        ("with_power", number("Outcomes by the planned end.")),
        ("estimate", number("")),
        ("expected_seconds", number("")),
        ("with_power_seconds", number("")),
        ("in_time", flag("")),
        ("reachable_effect", or_null(number("The change that could be seen in time."))),
        ("arms", list(object(&[("share", number("")), ("expected", number("")), ("with_power", number(""))]))),
        ("assumptions", list(text(""))),
        ("text", text("All of it for people.")),
    ]);
    vec![
        ("Experiment", experiment),
        ("Experiments", object(&[("experiments", list(reference("Experiment")))])),
        ("Plan", plan),
    ]
}
