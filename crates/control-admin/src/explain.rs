//! Which version a described request would get, and why: the decision of the request path over made-up facts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use axum::Json;
use axum::extract::{Path, Request, State};
use base_routing::{Facts, ModelRoute, Source};
use base_serving::ServingModel;
use base_types::{ModelName, NameError, Reason, Selector, Version};
use control_config::{ExperimentCheck, RoutingConfig, RuleCheck, RuleOutcome, explain};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::body::{self, VersionText, model_name};
use crate::problem::Problem;
use crate::routes::App;

/// A request as far as routing looks at it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DescribedRequest {
    /// The version or label in its path.
    pub pin: Option<String>,
    /// Headers; names in any case.
    pub headers: BTreeMap<String, String>,
    /// Cookies.
    pub cookies: BTreeMap<String, String>,
    /// Parameters of the query string.
    pub query: BTreeMap<String, String>,
    /// Request parameters of the inference protocol.
    pub parameters: BTreeMap<String, String>,
    /// The sticky key, wherever the model looks for it first.
    pub key: Option<String>,
    /// The random number to decide with where there is no sticky key.
    pub draw: Option<u64>,
}

/// Explains what a table does with a request. Where the answer is left to chance and no draw was given, one is drawn:
/// `by_chance` says so, and `draw` repeats it.
pub fn explained(route: &ModelRoute, request: &DescribedRequest) -> Result<Value, NameError> {
    let pin = request.pin.as_deref().map(str::parse::<Selector>).transpose()?;
    let facts = Described { request, sticky: route.sticky.first() };
    let draw = request.draw.unwrap_or_else(|| RandomState::new().hash_one(request.headers.len()));
    let explanation = explain(route, pin.as_ref(), &facts, draw);
    let assignment = explanation.assignment.as_ref();
    let is_drawn = assignment.is_ok_and(|a| matches!(a.reason, Reason::Split | Reason::Redirect) && a.key.is_none());
    // A redirected rule to one version, or a split of one arm, leaves nothing to chance.
    let is_by_chance = is_drawn && explanation.arms.len() > 1;
    let mut sentences = explanation.sentences();
    if request.key.is_some() && route.sticky.is_empty() {
        sentences.push("this model looks for no sticky key, so the one given plays no part".to_owned());
    }
    if is_by_chance && request.draw.is_none() {
        sentences.push(format!("no sticky key: each request is drawn anew; this draw was {draw}"));
    }
    let arms = explanation.arms.iter().map(|arm| {
        json!({ "name": &*arm.name, "version": arm.version.get(), "share": arm.share,
            "redirected": arm.is_redirected, "drawn": arm.is_drawn })
    });
    Ok(json!({
        "version": assignment.ok().map(|a| a.version.get()),
        "reason": assignment.ok().map(|a| a.reason.as_str()),
        "rule": assignment.ok().and_then(|a| a.rule.as_deref()),
        "sentences": sentences,
        "arms": arms.collect::<Vec<_>>(),
        "rules": explanation.rules.iter().map(rule).collect::<Vec<_>>(),
        "experiments": explanation.experiments.iter().map(experiment).collect::<Vec<_>>(),
        "sticky": explanation.sticky.as_ref().map(|(from, key)| json!({ "from": from.to_string(), "key": key })),
        "by_chance": is_by_chance,
        "draw": is_by_chance.then_some(draw),
    }))
}

/// Adds what the version chosen calls its inputs and outputs, where callers call them otherwise.
pub fn add_names(explained: &mut Value, config: &RoutingConfig, model: &ModelName) {
    let version = explained["version"].as_u64().and_then(Version::new);
    let names = version.and_then(|version| Some(config.names(model, version)?.sentences(version)));
    if let (Some(names), Some(sentences)) = (names, explained["sentences"].as_array_mut()) {
        sentences.extend(names.into_iter().map(Value::from));
    }
}

/// What the admin API takes: the same, with a number as pin, too.
#[derive(Debug, Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExplainBody {
    pin: Option<VersionText>,
    headers: BTreeMap<String, String>,
    cookies: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
    key: Option<String>,
    draw: Option<u64>,
}

pub(crate) async fn handle(
    State(app): State<App>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let name = model_name(&name)?;
    let ExplainBody { pin, headers, cookies, query, parameters, key, draw } = body::json(&app, request).await?;
    let pin = pin.map(|pin| pin.selector()).transpose()?.map(|pin| pin.to_string());
    let request = DescribedRequest { pin, headers, cookies, query, parameters, key, draw };
    let snapshot = app.control.snapshot();
    let model = snapshot.models.get(&name).ok_or_else(|| Problem::model_unknown(name.as_str()))?;
    let route = model.route.as_ref().ok_or_else(|| {
        Problem::new(
            "model_not_ready",
            format!("{name} has no stable version yet, so nothing is routed; GET /v1/models/{name} tells why"),
        )
    })?;
    let mut explained = explained(route, &request).map_err(|error| Problem::malformed(error.to_string()))?;
    add_names(&mut explained, &app.control.routing(), &name);
    add_readiness(&mut explained, model);
    explained["generation"] = snapshot.generation.0.into();
    Ok(Json(explained))
}

/// A pin may name a version that cannot answer; the table does not know.
fn add_readiness(explained: &mut Value, model: &ServingModel) {
    let version = explained["version"].as_u64().and_then(base_types::Version::new);
    let is_ready = version.is_some_and(|v| model.versions.contains_key(&v));
    explained["ready"] = is_ready.into();
    let (Some(version), false) = (version, is_ready) else { return };
    let state = match model.unready.get(&version) {
        Some(unready) if unready.reason.is_empty() => unready.state.as_str().to_owned(),
        Some(unready) => format!("{}: {}", unready.state.as_str(), unready.reason),
        None => "unknown".to_owned(),
    };
    if let Some(sentences) = explained["sentences"].as_array_mut() {
        sentences.push(format!("version {version} cannot answer: it is {state}").into());
    }
}

fn rule(rule: &RuleCheck) -> Value {
    let outcome = match rule.outcome {
        RuleOutcome::Matched => "matched",
        RuleOutcome::Failed => "failed",
        RuleOutcome::NotReached => "not_reached",
    };
    json!({ "name": &*rule.name, "then": rule.then, "outcome": outcome })
}

fn experiment(check: &ExperimentCheck) -> Value {
    json!({ "name": &*check.name, "layer": &*check.layer, "outcome": check.outcome.as_str() })
}

struct Described<'a> {
    request: &'a DescribedRequest,
    /// Where the key is put.
    sticky: Option<&'a Source>,
}

impl Facts for Described<'_> {
    fn value(&self, source: &Source) -> Option<Cow<'_, str>> {
        let request = self.request;
        let value = match source {
            Source::Header(name) => {
                request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            }
            Source::Cookie(name) => request.cookies.get(name.as_ref()),
            Source::Query(name) => request.query.get(name.as_ref()),
            Source::Parameter(name) => request.parameters.get(name.as_ref()),
        };
        let key = request.key.as_ref().filter(|_| self.sticky == Some(source));
        value.or(key).map(|value| Cow::Borrowed(value.as_str()))
    }
}

/// A request of which nothing is known.
pub(crate) struct NoFacts;

impl Facts for NoFacts {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        None
    }
}

#[cfg(test)]
mod tests;
