//! Rollouts: how one stands, what is ordered about it, and what it leaves behind.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use base_types::ModelName;
use control_loop::view::rollout::RolloutStatus;
use control_loop::{Operation, RolloutOrder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{self, VersionText, model_name};
use crate::guard::Peer;
use crate::order::{Who, carry_out};
use crate::problem::Problem;
use crate::routes::App;

type Answer = Result<Json<Value>, Problem>;
/// An order, who gives it, and why.
type Read = (RolloutOrder, Option<String>, Option<String>);

/// What can be ordered, as it stands in the path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Word {
    Start,
    Approve,
    Pause,
    Resume,
    Abort,
    Promote,
    Confirm,
    Retry,
    Thaw,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartBody {
    version: VersionText,
    policy: Option<String>,
    #[serde(default)]
    force: bool,
    reason: Option<String>,
    actor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AbortBody {
    #[serde(default)]
    quarantine: bool,
    reason: Option<String>,
    actor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RolloutPromoteBody")]
pub(crate) struct PromoteBody {
    #[serde(default)]
    force: bool,
    reason: Option<String>,
    actor: Option<String>,
}

/// What the other orders take.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlainBody {
    reason: Option<String>,
    actor: Option<String>,
}

/// Which report, and in which form.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportParameters {
    number: Option<u32>,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Format {
    #[default]
    Json,
    Markdown,
}

pub(crate) async fn status(State(app): State<App>, Path(model): Path<String>) -> Result<Json<RolloutStatus>, Problem> {
    let model = known(&app, &model)?;
    let rollout = app.control.rollout(&model);
    rollout.map(Json).ok_or_else(|| Problem::new("no_rollout", format!("{model} has had no rollout; start one")))
}

pub(crate) async fn order(
    word: Word,
    State(app): State<App>,
    Path(model): Path<String>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Answer {
    let (order, actor, reason): Read = match word {
        Word::Start => {
            let StartBody { version, policy, force, reason, actor } = body::json(&app, request).await?;
            (RolloutOrder::Start { version: version.selector()?, policy, is_forced: force }, actor, reason)
        }
        Word::Abort => {
            let AbortBody { quarantine, reason, actor } = body::json(&app, request).await?;
            (RolloutOrder::Abort { is_quarantined: quarantine }, actor, reason)
        }
        Word::Promote => {
            let PromoteBody { force, reason, actor } = body::json(&app, request).await?;
            (RolloutOrder::Promote { is_forced: force }, actor, reason)
        }
        Word::Approve => plain(RolloutOrder::Approve, &app, request).await?,
        Word::Pause => plain(RolloutOrder::Pause, &app, request).await?,
        Word::Resume => plain(RolloutOrder::Resume, &app, request).await?,
        Word::Confirm => plain(RolloutOrder::Confirm, &app, request).await?,
        Word::Retry => plain(RolloutOrder::Retry, &app, request).await?,
        Word::Thaw => plain(RolloutOrder::Thaw, &app, request).await?,
    };
    // Whom nobody names has approved nothing, and the name given in his stead would be ours.
    if matches!(order, RolloutOrder::Approve) && actor.as_deref().is_none_or(|name| name.trim().is_empty()) {
        return Err(Problem::new("name_needed", "an approval needs a name: say who approves, in `actor` (--actor)"));
    }
    carry_out(&app, &model, Operation::Rollout(order), Who { peer, actor, reason }).await
}

/// An order of which the path says everything.
async fn plain(order: RolloutOrder, app: &App, request: Request) -> Result<Read, Problem> {
    let PlainBody { reason, actor } = body::json(app, request).await?;
    Ok((order, actor, reason))
}

pub(crate) async fn report(
    State(app): State<App>,
    Path(model): Path<String>,
    parameters: Result<Query<ReportParameters>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ReportParameters { number, format }) = parameters.map_err(|r| Problem::malformed(r.body_text()))?;
    let model = known(&app, &model)?;
    let (control, name) = (app.control.clone(), model.to_string());
    // Reading waits for the journal's thread and the disk.
    let report = tokio::task::spawn_blocking(move || control.rollout_report(&model, number)).await;
    let (report, life) = report.map_err(|_| Problem::new("stopping", "the gateway is stopping"))??;
    Ok(match format {
        Format::Json => Json(report).into_response(),
        Format::Markdown => {
            let page = crate::report::markdown(&name, &report, &life);
            ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], page).into_response()
        }
    })
}

pub(crate) async fn disagreements(State(app): State<App>, Path(model): Path<String>) -> Answer {
    let model = known(&app, &model)?;
    Ok(Json(json!({ "model": model.as_str(), "examples": app.control.disagreements(&model) })))
}

/// A model's name from the path, if there is such a model.
pub(crate) fn known(app: &App, model: &str) -> Result<ModelName, Problem> {
    let name = model_name(model)?;
    if app.control.has_model(&name) { Ok(name) } else { Err(Problem::model_unknown(name.as_str())) }
}
