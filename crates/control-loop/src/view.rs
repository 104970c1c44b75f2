//! What is in force, as values for the admin door: hence serialisable.

pub(crate) mod example;
pub(crate) mod experiment;
pub mod gates;
pub mod rollout;
pub mod source;

use std::sync::Arc;

use base_serving::ServingVersion;
use base_types::{ModelName, VersionState};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::feedback::Quality;
use crate::state::State;
use crate::tick::phase;
use crate::{evidence, steady};

/// The gateway.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Status {
    /// The generation in force.
    pub generation: u64,
    /// Whether everything present at start has been loaded or refused.
    pub started: bool,
    /// Every model.
    pub models: Vec<ModelStatus>,
    /// Barred content.
    pub quarantine: Vec<QuarantineStatus>,
    /// Problems in routing.toml as last read, each a line.
    pub problems: Vec<String>,
}

/// One model.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ModelStatus {
    /// Its name.
    pub name: String,
    /// The generation in force.
    pub generation: u64,
    /// The stable version, if there is a route.
    pub stable: Option<u64>,
    /// canary, provisional, interrupted or settled.
    pub phase: &'static str,
    /// Effective shares.
    pub split: Vec<ShareStatus>,
    /// Every version.
    pub versions: Vec<VersionStatus>,
    /// Trials under way.
    pub trials: Vec<TrialStatus>,
    /// The rollout under way.
    pub rollout: Option<rollout::UnderWay>,
    /// What the watch over the stable version shows, where one is asked for.
    pub steady_state: Option<Value>,
    /// What differs from the wish.
    pub notices: Vec<String>,
}

/// A version's share.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ShareStatus {
    /// The version.
    pub version: u64,
    /// Its share, 0 to 1.
    pub share: f64,
}

/// One version.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VersionStatus {
    /// The number.
    pub version: u64,
    /// registered, gating, loading, ready, draining, unloaded, failed or quarantined.
    pub state: &'static str,
    /// Its content.
    pub digest: Option<String>,
    /// Why it is in that state.
    pub reason: Option<ReasonStatus>,
    /// Its share of the unpinned traffic by table, 0 to 1.
    pub share_wanted: f64,
    /// Its share lately.
    pub share_actual: Option<f64>,
    /// How long the last load took.
    pub load_seconds: Option<f64>,
    /// What it holds in memory.
    pub memory_bytes: Option<u64>,
    /// Inputs as callers know them, as `name TYPE[dims]`.
    pub inputs: Vec<String>,
    /// Outputs as callers know them.
    pub outputs: Vec<String>,
    /// Inputs and outputs of the graph, where they are others.
    pub graph: Option<String>,
    /// What feedback says of its answers, since the process began.
    pub feedback: Option<FeedbackStatus>,
    /// What the gates said of it.
    pub gates: Vec<gates::GateStatus>,
    /// Where it came from.
    pub source: source::SourceStatus,
}

/// What feedback says of a version.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct FeedbackStatus {
    /// Pieces of feedback.
    pub n: u64,
    /// Their mean score: 1 is as good as can be, 0 as bad.
    pub mean_score: f64,
    /// Labels among them.
    pub labels: u64,
    /// Labels that say that the answer was wrong.
    pub mistakes: u64,
}

/// A reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ReasonStatus {
    /// Stable code.
    pub code: String,
    /// In a sentence.
    pub text: String,
}

/// A trial.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrialStatus {
    /// The version under trial.
    pub candidate: u64,
    /// The version it is compared with.
    pub stable: u64,
    /// Since when, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// enforce or observe.
    pub mode: &'static str,
    /// The numbers.
    pub evidence: Value,
}

/// A barred digest.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct QuarantineStatus {
    /// The model it was caught in.
    pub model: String,
    /// The version it was caught as.
    pub version: u64,
    /// The content.
    pub digest: String,
    /// Which rule or person.
    pub cause: String,
    /// Since when, in milliseconds since 1970.
    pub since_unix_ms: u64,
}

fn feedback(quality: &Quality) -> FeedbackStatus {
    let (labels, mistakes) = quality.labels;
    FeedbackStatus { n: quality.n, mean_score: quality.score_sum / quality.n as f64, labels, mistakes }
}

pub(crate) fn status(state: &State) -> Status {
    let quarantine = state.decisions.quarantine.iter().map(|(digest, q)| QuarantineStatus {
        model: q.id.model.to_string(),
        version: q.id.version.get(),
        digest: digest.to_string(),
        cause: q.cause.clone(),
        since_unix_ms: q.since_unix_ms,
    });
    Status {
        generation: state.generation,
        started: state.is_started,
        models: state.models.keys().filter_map(|name| model(state, name)).collect(),
        quarantine: quarantine.collect(),
        problems: state.problems.iter().map(ToString::to_string).collect(),
    }
}

/// Every version in memory.
pub(crate) fn loaded(state: &State) -> Vec<Arc<ServingVersion>> {
    let entries = state.models.values().flat_map(|m| m.versions.values());
    entries.filter_map(|e| e.serving.clone()).collect()
}

/// Adds what the versions hold in memory.
pub(crate) fn fill_memory(status: &mut Status, loaded: &[Arc<ServingVersion>]) {
    for model in &mut status.models {
        for version in &mut model.versions {
            let is_it =
                |s: &&Arc<ServingVersion>| s.id.model.as_str() == model.name && s.id.version.get() == version.version;
            let memory = loaded.iter().find(is_it).map(|s| s.runner.memory());
            version.memory_bytes = memory.map(|m| m.arena_bytes + m.mapped_bytes);
        }
    }
}

fn model(state: &State, name: &ModelName) -> Option<ModelStatus> {
    let model = state.models.get(name)?;
    let route = model.route.as_ref();
    let share = |v| route.map_or(0.0, |r| r.split.share(v, r.stable));
    let versions = model.versions.iter().map(|(version, entry)| {
        let is_barred = state.decisions.is_quarantined(&State::id(name, *version));
        let signature = model.signature(*version).cloned().unwrap_or_default();
        let show = |specs: &[base_types::TensorSpec]| specs.iter().map(ToString::to_string).collect();
        VersionStatus {
            version: version.get(),
            state: if is_barred { VersionState::Quarantined.as_str() } else { entry.state.as_str() },
            digest: entry.digest.map(|d| d.to_string()),
            reason: entry.reason.clone().map(|(code, text)| ReasonStatus { code, text }),
            share_wanted: share(*version),
            share_actual: model.shares.actual.get(version).copied(),
            load_seconds: entry.load.map(|d| d.as_secs_f64()),
            memory_bytes: None,
            inputs: show(&signature.inputs),
            outputs: show(&signature.outputs),
            feedback: model.returned.quality.get(version).map(feedback),
            gates: gates::of(state, &State::id(name, *version)),
            source: source::source(entry),
            graph: model.contracts.get(version).and(entry.serving.as_ref()).map(|s| s.signature.to_string()),
        }
    });
    let trials = model.trials.iter().map(|(version, open)| TrialStatus {
        candidate: version.get(),
        stable: open.stable.id.version.get(),
        since_unix_ms: open.since_unix_ms,
        mode: open.trial.guardrail().mode.as_str(),
        evidence: evidence::of_trial(open),
    });
    let shares = model.versions.keys().map(|v| ShareStatus { version: v.get(), share: share(*v) });
    let mut notices = model.notices.clone();
    notices.extend(model.refusal.iter().map(|r| format!("config.pbtxt refused: {r}")));
    Some(ModelStatus {
        name: name.to_string(),
        generation: state.generation,
        stable: route.map(|r| r.stable.get()),
        phase: phase(state, name),
        split: shares.filter(|s| s.share > 0.0).collect(),
        versions: versions.collect(),
        trials: trials.collect(),
        rollout: rollout::under_way(state, name),
        steady_state: model.steady.as_ref().map(steady::evidence_of),
        notices,
    })
}
