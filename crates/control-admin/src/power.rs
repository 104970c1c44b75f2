//! Before a rollout: what its rules would find, and when, and how long its steps take. The same for the API and, from a
//! routing.toml, for the command line.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use base_types::ModelName;
use control_config::RoutingConfig;
use control_rollout::power::{Harm, HarmPower, LatencyShape, Power, PowerRequest, ProofPower, StepPower, power};
use control_rollout::{Draws, OutOfRange, Rule};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::problem::Problem;
use crate::rollout::known;
use crate::routes::App;

/// Runs for each number: the mean of a delay to a tenth or so.
const ROUNDS: u32 = 200;
/// The same question gets the same answer.
const SEED: u64 = 0x5377_6974_6368_7261;

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct PowerQuestion {
    /// The policy by name; `None`: the model's.
    pub policy: Option<String>,
    /// The model's requests a second, over all versions.
    pub requests_per_second: f64,
    /// How often stable faults, in [0, 0.5).
    pub stable_error_rate: f64,
    /// Stable's latency, its median and its 99th percentile in milliseconds.
    pub latency_ms: Option<(f64, f64)>,
}

/// Why nothing can be calculated.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum PowerError {
    /// There is no such policy.
    #[error("there is no policy {0:?}: routing.toml defines none of this name, and it is not one of {builtin}", builtin = control_config::BUILTIN_POLICIES.join(", "))]
    PolicyUnknown(String),
    /// A value that cannot be.
    #[error("{0}")]
    OutOfRange(OutOfRange),
}

/// What a rollout of a model can be expected to find, as JSON; `text` has it for people. Computes for a second or so.
pub fn answer(routing: &RoutingConfig, model: &ModelName, question: &PowerQuestion) -> Result<Value, PowerError> {
    let (name, policy) = match &question.policy {
        None => routing.policy(model),
        Some(name) => match routing.named_policy(name) {
            Some(policy) => (name.as_str().into(), policy),
            None => return Err(PowerError::PolicyUnknown(name.clone())),
        },
    };
    let request = PowerRequest {
        policy: &policy,
        guardrail: policy.guardrail.as_ref().unwrap_or_else(|| routing.guardrail(model)),
        requests_per_second: question.requests_per_second,
        stable_error_rate: question.stable_error_rate,
        latency: question.latency_ms.map(|(p50, p99)| LatencyShape { p50: p50 / 1000.0, p99: p99 / 1000.0 }),
        rounds: ROUNDS,
    };
    let mut draws = Draws::seeded(SEED);
    let power = power(&request, &mut || draws.unit()).map_err(PowerError::OutOfRange)?;
    let mut value = shown(&power);
    value["model"] = model.as_str().into();
    value["policy"] = name.as_ref().into();
    value["stable_error_rate"] = question.stable_error_rate.into();
    Ok(value)
}

fn shown(power: &Power) -> Value {
    let parts = |parts: &[(Rule, f64)]| {
        let part = |(rule, part): &(Rule, f64)| (rule.as_str().to_owned(), Value::from(*part));
        parts.iter().map(part).collect::<serde_json::Map<_, _>>()
    };
    json!({
        "requests_per_second": power.requests_per_second,
        "alpha": power.alpha,
        "parts": parts(&power.parts),
        "apart": parts(&power.apart),
        "promote_alpha": power.promote_alpha,
        "steps": power.steps.iter().map(step).collect::<Vec<_>>(),
        "total_seconds": power.total_seconds,
        "not_counted": power.not_counted,
        "text": power.to_string(),
    })
}

fn step(step: &StepPower) -> Value {
    json!({
        "step": step.index + 1, "share": step.share, "shadow": step.is_shadow, "seconds": step.seconds,
        "harms": step.harms.iter().map(harm).collect::<Vec<_>>(),
        "proofs": step.proofs.iter().map(proof).collect::<Vec<_>>(),
    })
}

fn harm(harm: &HarmPower) -> Value {
    let (kind, size) = match harm.harm {
        Harm::Errors(rate) => ("error_rate", rate),
        Harm::Latency(factor) => ("latency_factor", factor),
        Harm::Disagreement(rate) => ("disagreement", rate),
    };
    json!({ "harm": kind, "size": size, "requests_estimated": harm.estimate, "requests": harm.mean,
        "requests_p95": harm.p95, "found": harm.found, "seconds": harm.seconds })
}

fn proof(proof: &ProofPower) -> Value {
    json!({ "of": proof.of.as_str(), "clean_requests": proof.clean_requests,
        "expected_requests": proof.expected_requests, "seconds": proof.seconds })
}

/// What the API takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PowerParameters {
    policy: Option<String>,
    rps: Option<f64>,
    #[serde(default)]
    stable_error_rate: f64,
    latency_p50_ms: Option<f64>,
    latency_p99_ms: Option<f64>,
}

pub(crate) async fn handle(
    State(app): State<App>,
    Path(model): Path<String>,
    parameters: Result<Query<PowerParameters>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(parameters) = parameters.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
    let PowerParameters { policy, rps, stable_error_rate, latency_p50_ms, latency_p99_ms } = parameters;
    let model = known(&app, &model)?;
    let Some(requests_per_second) = rps.or_else(|| app.control.requests_per_second(&model)) else {
        let text = format!("{model} had no requests lately: say in `rps` how many a second to assume");
        return Err(Problem::new("no_traffic", text));
    };
    let latency_ms = match (latency_p50_ms, latency_p99_ms) {
        (None, None) => None,
        (Some(p50), Some(p99)) => Some((p50, p99)),
        _ => return Err(Problem::malformed("give both latency_p50_ms and latency_p99_ms, or neither")),
    };
    let question = PowerQuestion { policy, requests_per_second, stable_error_rate, latency_ms };
    let routing = app.control.routing();
    let found = tokio::task::spawn_blocking(move || answer(&routing, &model, &question)).await;
    let found = found.map_err(|_| Problem::new("stopping", "the gateway is stopping"))?;
    Ok(Json(found.map_err(|error| match &error {
        PowerError::PolicyUnknown(_) => Problem::new("policy_unknown", error.to_string()),
        PowerError::OutOfRange(_) => Problem::malformed(error.to_string()),
    })?))
}
