//! Orders: canary, promote, rollback, release, and what all orders share. Read here, carried out by control-loop.

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use control_loop::{Operation, Order, RolloutOrder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::body::{self, VersionText, model_name};
use crate::guard::Peer;
use crate::problem::Problem;
use crate::routes::App;

/// Who orders, when nobody says.
const ACTOR: &str = "admin-api";
/// Names under which the gateway itself writes the journal: nobody may pass for them.
const RESERVED_ACTORS: [&str; 2] = ["gateway", "judge"];
const ACTOR_BYTES_MAX: usize = 128;
const REASON_BYTES_MAX: usize = 2_048;

type Answer = Result<Json<Value>, Problem>;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CanaryBody {
    version: VersionText,
    share: f64,
    reason: Option<String>,
    actor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromoteBody {
    version: Option<VersionText>,
    #[serde(default)]
    confirm: bool,
    #[serde(default)]
    force: bool,
    reason: Option<String>,
    actor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackBody {
    to: Option<VersionText>,
    #[serde(default = "yes")]
    quarantine: bool,
    reason: Option<String>,
    actor: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReleaseBody {
    version: VersionText,
    reason: String,
    actor: Option<String>,
}

fn yes() -> bool {
    true
}

/// Who orders, from where, and why.
pub(crate) struct Who {
    pub(crate) peer: Peer,
    pub(crate) actor: Option<String>,
    pub(crate) reason: Option<String>,
}

pub(crate) async fn canary(
    State(app): State<App>,
    Path(model): Path<String>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Answer {
    let CanaryBody { version, share, reason, actor } = body::json(&app, request).await?;
    let operation = Operation::Canary { version: version.selector()?, share };
    carry_out(&app, &model, operation, Who { peer, actor, reason }).await
}

pub(crate) async fn promote(
    State(app): State<App>,
    Path(model): Path<String>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Answer {
    let PromoteBody { version, confirm, force, reason, actor } = body::json(&app, request).await?;
    let version = version.as_ref().map(VersionText::selector).transpose()?;
    let operation = Operation::Promote { version, is_confirmed: confirm, is_forced: force };
    carry_out(&app, &model, operation, Who { peer, actor, reason }).await
}

pub(crate) async fn rollback(
    State(app): State<App>,
    Path(model): Path<String>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Answer {
    let RollbackBody { to, quarantine, reason, actor } = body::json(&app, request).await?;
    let to = to.as_ref().map(VersionText::selector).transpose()?;
    let operation = Operation::Rollback { to, is_quarantined: quarantine };
    carry_out(&app, &model, operation, Who { peer, actor, reason }).await
}

pub(crate) async fn release(
    State(app): State<App>,
    Path(model): Path<String>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Answer {
    let ReleaseBody { version, reason, actor } = body::json(&app, request).await?;
    let operation = Operation::Release { version: version.version()? };
    carry_out(&app, &model, operation, Who { peer, actor, reason: Some(reason) }).await
}

/// Has control-loop carry out an order.
pub(crate) async fn carry_out(app: &App, model: &str, operation: Operation, who: Who) -> Answer {
    let model = model_name(model)?;
    if !app.control.has_model(&model) {
        return Err(Problem::model_unknown(model.as_str()));
    }
    let peer = who.peer.remote;
    let order = Order { model, operation, actor: actor(&who)?, reason: reason(who.reason)? };
    // The journal has the rest, but no port.
    tracing::info!(%peer, actor = order.actor, model = %order.model, operation = name(&order.operation), "ordered");
    let done = app.control.order(order).await?;
    Ok(Json(json!({ "message": done.message, "generation": done.generation, "provisional": done.is_provisional })))
}

fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Canary { .. } => "canary",
        Operation::Promote { .. } => "promote",
        Operation::Rollback { .. } => "rollback",
        Operation::Release { .. } => "release",
        Operation::Override { .. } => "override",
        Operation::Rollout(order) => match order {
            RolloutOrder::Start { .. } => "rollout start",
            RolloutOrder::Approve => "rollout approve",
            RolloutOrder::Pause => "rollout pause",
            RolloutOrder::Resume => "rollout resume",
            RolloutOrder::Abort { .. } => "rollout abort",
            RolloutOrder::Promote { .. } => "rollout promote",
            RolloutOrder::Confirm => "rollout confirm",
            RolloutOrder::Retry => "rollout retry",
            RolloutOrder::Thaw => "rollout thaw",
        },
    }
}

/// The name given, and the address it came from where that is another machine.
pub(crate) fn actor(who: &Who) -> Result<String, Problem> {
    let name = who.actor.as_deref().map_or(ACTOR, str::trim);
    if name.is_empty() || name.len() > ACTOR_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Problem::malformed(format!(
            "an actor has 1 to {ACTOR_BYTES_MAX} bytes without control characters"
        )));
    }
    if RESERVED_ACTORS.contains(&name) {
        return Err(Problem::malformed(format!("the actor {name:?} is the gateway's own: give another name")));
    }
    let ip = who.peer.remote.ip().to_canonical();
    Ok(if ip.is_loopback() { name.to_owned() } else { format!("{name}@{ip}") })
}

pub(crate) fn reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    let Some(text) = reason else { return Ok(None) };
    let text = text.trim();
    if text.len() > REASON_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(Problem::malformed(format!(
            "a reason has at most {REASON_BYTES_MAX} bytes without control characters"
        )));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}
