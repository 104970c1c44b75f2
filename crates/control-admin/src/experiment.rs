//! Experiments: what their numbers say, and the planning of one.

use axum::Json;
use axum::extract::{Path, Request, State};
use serde_json::{Value, json};

use crate::plan::PlanQuestion;
use crate::problem::Problem;
use crate::routes::App;
use crate::{body, plan as planner};

type Answer = Result<Json<Value>, Problem>;

pub(crate) async fn list(State(app): State<App>) -> Json<Value> {
    Json(json!({ "experiments": app.control.experiments() }))
}

pub(crate) async fn one(State(app): State<App>, Path(name): Path<String>) -> Answer {
    find(&app, &name)
}

/// An experiment may be called like the planner.
pub(crate) async fn named_plan(State(app): State<App>) -> Answer {
    find(&app, "plan")
}

pub(crate) async fn plan(State(app): State<App>, request: Request) -> Answer {
    let question: PlanQuestion = body::json(&app, request).await?;
    let found = tokio::task::spawn_blocking(move || planner::answer(&question)).await;
    let found = found.map_err(|_| Problem::new("stopping", "the gateway is stopping"))?;
    Ok(Json(found.map_err(|error| Problem::malformed(error.to_string()))?))
}

fn find(app: &App, name: &str) -> Answer {
    let found = app.control.experiments().into_iter().find(|experiment| experiment["experiment"] == name);
    found.map(Json).ok_or_else(|| {
        let text = format!("no experiment {name:?} is under way; GET /v1/experiments lists them");
        Problem::new("experiment_unknown", text)
    })
}
