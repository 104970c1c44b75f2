//! What the gates said of a version.

use base_types::{ModelName, Version, VersionId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::gate::overrides;
use crate::state::State;

/// The gates of one version.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GatesStatus {
    /// The model.
    pub model: String,
    /// The version.
    pub version: u64,
    /// The content that was asked.
    pub digest: Option<String>,
    /// Each gate that was asked, in order.
    pub gates: Vec<GateStatus>,
}

/// One gate.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GateStatus {
    /// manifest, digest, signed, preflight, contract, golden, quality, latency, memory or replay.
    pub gate: String,
    /// passed, failed or skipped.
    pub verdict: &'static str,
    /// Whether a failure keeps the version out, unless gates are not enforced.
    pub is_required: bool,
    /// What was measured and what was wanted, in a sentence.
    pub text: String,
    /// What was measured, where that is a number.
    pub measured: Option<f64>,
    /// What it was compared with.
    pub threshold: Option<f64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Who overrode its failure, if somebody did.
    pub overridden: Option<OverrideStatus>,
}

/// A person's word that a failed gate does not matter for this content.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct OverrideStatus {
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since 1970.
    pub since_unix_ms: u64,
}

/// The gates of a version; `None` where there is no such version.
pub(crate) fn gates(state: &State, model: &ModelName, version: Version) -> Option<GatesStatus> {
    let id = State::id(model, version);
    let entry = state.entry(&id)?;
    let digest = state.gates.get(&id).map(|gated| gated.digest).or(entry.digest);
    let (name, number) = (model.to_string(), version.get());
    Some(GatesStatus { model: name, version: number, digest: digest.map(|d| d.to_string()), gates: of(state, &id) })
}

/// Each gate that was asked of a version, as long as the version is what was asked.
pub(crate) fn of(state: &State, id: &VersionId) -> Vec<GateStatus> {
    let Some(gated) = state.gates.get(id) else { return Vec::new() };
    let digest = state.entry(id).and_then(|entry| entry.digest);
    if digest.is_some_and(|digest| digest != gated.digest) {
        return Vec::new();
    }
    let known = overrides(state, &id.model, gated.digest);
    let one = |report: &control_gate::GateReport| {
        let by = known.iter().find(|by| Some(by.gate) == report.gate());
        GateStatus {
            gate: report.gate.clone(),
            verdict: report.verdict.as_str(),
            is_required: report.is_required,
            text: report.text.clone(),
            measured: report.measured,
            threshold: report.threshold,
            took_ms: report.took_ms,
            overridden: by.map(|by| OverrideStatus {
                actor: by.actor.clone(),
                reason: by.reason.clone(),
                since_unix_ms: by.since_unix_ms,
            }),
        }
    };
    gated.reports.iter().map(one).collect()
}
