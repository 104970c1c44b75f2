//! What is: status, models, history, quarantine, the routing in force.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use base_types::Version;
use control_config::{RoutingConfig, diff};
use control_registry::journal::{Action, HISTORY_ROWS_MAX, HistoryQuery};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::model_name;
use crate::problem::Problem;
use crate::routes::App;
use crate::show;

/// Rows of history when nobody says how many.
const HISTORY_ROWS: usize = 100;

type Answer = Result<Json<Value>, Problem>;

pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

pub(crate) async fn status(State(app): State<App>) -> Json<Value> {
    let status = app.control.status();
    let head = app.control.journal_head();
    Json(json!({
        "generation": status.generation,
        "journal": { "seq": head.seq, "head": head.hex() },
        "started": status.started,
        "models": status.models,
        "quarantine": status.quarantine,
        "config": { "problems": show::diagnostics(&app.control.problems()), "source": app.control.routing_source() },
    }))
}

pub(crate) async fn model(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<Json<impl serde::Serialize>, Problem> {
    let name = model_name(&name)?;
    let found = app.control.status().models.into_iter().find(|m| m.name == name.as_str());
    found.map(Json).ok_or_else(|| Problem::model_unknown(name.as_str()))
}

pub(crate) async fn quarantine(State(app): State<App>) -> Json<Value> {
    Json(json!({ "quarantine": app.control.status().quarantine }))
}

pub(crate) async fn config(State(app): State<App>) -> Json<Value> {
    let wished = diff(&RoutingConfig::default(), &app.control.routing());
    let snapshot = app.control.snapshot();
    let mut models: Vec<_> = snapshot.models.values().collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    let models = models.iter().map(|m| json!({ "name": m.name.as_str(), "route": m.route.as_ref().map(show::route) }));
    Json(json!({
        "generation": snapshot.generation.0,
        "wished": wished.iter().map(show::difference).collect::<Vec<_>>(),
        "models": models.collect::<Vec<_>>(),
        "problems": show::diagnostics(&app.control.problems()),
        "source": app.control.routing_source(),
    }))
}

/// The parameters of a look into the history.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryParameters {
    model: Option<String>,
    version: Option<u64>,
    action: Option<String>,
    since_unix_ms: Option<u64>,
    until_unix_ms: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
}

pub(crate) async fn history(
    State(app): State<App>,
    parameters: Result<Query<HistoryParameters>, QueryRejection>,
) -> Answer {
    let Query(parameters) = parameters.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    let HistoryParameters { model, version, action, since_unix_ms, until_unix_ms, before, limit } = parameters;
    let limit = limit.unwrap_or(HISTORY_ROWS);
    if !(1..=HISTORY_ROWS_MAX).contains(&limit) {
        return Err(Problem::malformed(format!("limit lies between 1 and {HISTORY_ROWS_MAX}")));
    }
    let model = model.as_deref().map(model_name).transpose()?;
    let unknown = |word: &str| Problem::malformed(format!("there is no action {word:?}; docs/history.md lists them"));
    let action = action.map(|word| Action::parse(&word).ok_or_else(|| unknown(&word))).transpose()?;
    let version =
        version.map(|n| Version::new(n).ok_or_else(|| Problem::malformed("versions begin with 1"))).transpose()?;
    let (before_seq, limit_rows) = (before, Some(limit));
    let query = HistoryQuery { model, version, action, since_unix_ms, until_unix_ms, before_seq, limit: limit_rows };
    let control = app.control.clone();
    // Reading waits for the journal's thread and the disk.
    let rows = tokio::task::spawn_blocking(move || control.history(query)).await;
    let rows = rows.map_err(|_| Problem::new("stopping", "the gateway is stopping"))?;
    let rows = rows.map_err(|error| Problem::new("journal", error.to_string()))?;
    let next = rows.last().map(|row| row.seq).filter(|_| rows.len() == limit);
    Ok(Json(json!({ "rows": rows.iter().map(show::row).collect::<Vec<_>>(), "next_before": next })))
}
