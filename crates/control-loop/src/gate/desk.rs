//! What is known about the gates of each version, and how it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base_types::{Clock, Comparison, Digest, GateOverride, ModelName, Version, VersionId};
use control_config::GateRules;
use control_gate::{GateReport, failing, refusal};
use control_registry::journal::{Action, Entry};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::{info, warn};

use super::LaneSubject;
use crate::contract;
use crate::recorder::Job;
use crate::state::State;
use crate::turn::Core;

/// What the keys begin with under which results are kept.
const KEY: &str = "gates/";

/// What the gates said about some content.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gated {
    pub(crate) digest: Digest,
    /// The manifest and rules it was asked by.
    pub(crate) mark: String,
    pub(crate) reports: Vec<GateReport>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    model: String,
    version: u64,
    digest: String,
    mark: String,
    reports: Vec<GateReport>,
}

/// The writer, as the loader's thread sees it.
pub(crate) struct Desk {
    core: Arc<Core>,
}

impl Desk {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// What the versions of a model are asked by.
    pub(crate) fn rules(&self, model: &ModelName) -> GateRules {
        self.core.lock().routing.gates(model).clone()
    }

    /// When two answers of a model are the same.
    pub(crate) fn comparison(&self, model: &ModelName) -> Comparison {
        let routing = self.core.lock().routing.clone();
        let disagreement = routing.guardrail(model).disagreement.as_ref();
        disagreement.map(|limit| limit.compare.clone()).unwrap_or_default()
    }

    /// Whether a version has been confirmed in traffic with this content.
    pub(crate) fn is_trusted(&self, id: &VersionId, digest: Digest) -> bool {
        let state = self.core.lock();
        let decisions = &state.decisions;
        let is_confirmed = decisions.confirmed.get(&id.model).is_some_and(|known| known.contains(&id.version));
        is_confirmed && decisions.digests.get(id) == Some(&digest)
    }

    /// Whether this content was let through under the same manifest and rules.
    pub(crate) fn has_passed(&self, id: &VersionId, digest: Digest, mark: &str) -> bool {
        let state = self.core.lock();
        let Some(gated) = state.gates.get(id).filter(|gated| gated.digest == digest && gated.mark == mark) else {
            return false;
        };
        refusal(id, &gated.reports, overrides(&state, &id.model, digest)).is_none()
    }

    /// The version that another one would replace.
    pub(crate) fn stable(&self, id: &VersionId, clock: &Arc<dyn Clock>) -> Option<(Version, LaneSubject)> {
        let state = self.core.lock();
        let model = state.models.get(&id.model)?;
        let version = model.route.as_ref()?.stable;
        let serving = model.serving(version).filter(|_| version != id.version)?.clone();
        let subject = LaneSubject {
            contract: model.signature(version)?.clone(),
            graph: serving.signature.clone(),
            lane: serving.lane.clone(),
            runner: serving.runner.clone(),
            limits: Arc::new(contract::limits(&state.routing, &id.model)),
            clock: clock.clone(),
            serving: Some(serving),
        };
        Some((version, subject))
    }

    /// Keeps what the gates said, tells it, and gives the reason why the version is kept out, if it is.
    pub(crate) fn settle(&self, id: &VersionId, gated: Gated) -> Option<String> {
        let (refused, is_failed) = {
            let mut state = self.core.lock();
            let overrides = overrides(&state, &id.model, gated.digest);
            let refused = refusal(id, &gated.reports, overrides);
            let is_failed = failing(&gated.reports, overrides, false).next().is_some();
            state.gates.insert(id.clone(), gated.clone());
            (refused, is_failed)
        };
        for report in &gated.reports {
            let took = Duration::from_millis(report.took_ms);
            if let Some(gate) = report.gate() {
                self.core.metrics.gate(&id.model, gate, report.verdict.as_str(), took);
            }
            if report.is_failed() {
                warn!(version = %id, gate = report.gate, is_required = report.is_required, report.text, "gate failed");
            }
        }
        let told: Vec<String> = gated.reports.iter().map(|r| format!("{} {}", r.gate, r.verdict)).collect();
        let told = told.join(", ");
        let action = if is_failed { Action::GateFailed } else { Action::Gated };
        info!(version = %id, gates = told, "gates asked");
        let evidence = json!({ "gates": gated.reports });
        let reason = refused.clone().unwrap_or(told);
        let entry = Entry {
            model: Some(id.model.clone()),
            version: Some(id.version),
            digest: Some(gated.digest),
            reason: Some(reason),
            evidence_json: Some(evidence.to_string()),
            ..Entry::new(self.core.clock.unix_ms(), "gateway", action)
        };
        self.core.recorder.later(Job::Append(Box::new(entry)));
        self.core.recorder.later(Job::Checkpoint { key: key(id), json: store(id, &gated) });
        refused
    }
}

impl Core {
    /// Forgets what the gates said of a version that is gone; the history has it.
    pub(crate) fn forget_gates(&self, id: &VersionId) {
        if self.lock().gates.remove(id).is_some() {
            self.recorder.later(Job::Checkpoint { key: key(id), json: None });
        }
    }
}

/// Failed gates that persons overrode for some content.
pub(crate) fn overrides<'a>(state: &'a State, model: &ModelName, digest: Digest) -> &'a [GateOverride] {
    state.decisions.overrides.get(&(model.clone(), digest)).map(Vec::as_slice).unwrap_or_default()
}

fn key(id: &VersionId) -> String {
    format!("{KEY}{}/{}", id.model, id.version)
}

fn store(id: &VersionId, gated: &Gated) -> Option<String> {
    let stored = Stored {
        model: id.model.to_string(),
        version: id.version.get(),
        digest: gated.digest.to_string(),
        mark: gated.mark.clone(),
        reports: gated.reports.clone(),
    };
    // Plain texts and finite numbers: there is nothing that could fail to be written.
    serde_json::to_string(&stored).ok()
}

/// What was kept before a restart.
pub(crate) fn stored(checkpoints: &[(String, String)]) -> BTreeMap<VersionId, Gated> {
    let read = |json: &str| {
        let Stored { model, version, digest, mark, reports } = serde_json::from_str(json).ok()?;
        let id = VersionId { model: ModelName::new(&model).ok()?, version: Version::new(version)? };
        Some((id, Gated { digest: digest.parse().ok()?, mark, reports }))
    };
    let of_gates = checkpoints.iter().filter(|(key, _)| key.starts_with(KEY));
    of_gates.filter_map(|(_, json)| read(json)).collect()
}
