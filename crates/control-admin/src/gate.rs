//! The gates of a version, and the order that overrides one.

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use base_types::{Gate, Version};
use control_loop::Operation;
use control_loop::view::gates::GatesStatus;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::body::{self, VersionText, model_name};
use crate::guard::Peer;
use crate::order::{Who, carry_out};
use crate::problem::Problem;
use crate::routes::App;

/// What an override takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverrideBody {
    version: VersionText,
    gate: String,
    reason: Option<String>,
    actor: Option<String>,
}

pub(crate) async fn gates(
    State(app): State<App>,
    Path((model, version)): Path<(String, String)>,
) -> Result<Json<GatesStatus>, Problem> {
    let model = model_name(&model)?;
    let version: Version = version.parse().map_err(|error| Problem::malformed(format!("{error}")))?;
    if !app.control.has_model(&model) {
        return Err(Problem::model_unknown(model.as_str()));
    }
    let unknown = || Problem::new("version_unknown", format!("{model} has no version {version}"));
    app.control.gates(&model, version).map(Json).ok_or_else(unknown)
}

pub(crate) async fn override_gate(
    State(app): State<App>,
    Path(model): Path<String>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let OverrideBody { version, gate, reason, actor } = body::json(&app, request).await?;
    let known = || Gate::ALL.iter().map(|gate| gate.as_str()).collect::<Vec<_>>().join(", ");
    let gate = Gate::parse(&gate)
        .ok_or_else(|| Problem::malformed(format!("there is no gate {gate:?}; there are {}", known())))?;
    let operation = Operation::Override { version: version.version()?, gate };
    carry_out(&app, &model, operation, Who { peer, actor, reason }).await
}
