//! Whether an order makes sense as things stand: pure questions to the state.

use std::collections::BTreeSet;

use base_types::{ModelName, Selector, Version, VersionId};

use crate::contract;
use crate::order::{Refused, refuse};
use crate::publish::is_ready;
use crate::state::State;

/// Versions under trial: what a rollback that names no target takes out. Versions that only rules send requests to are
/// the file's business.
pub(crate) fn leaving(state: &State, model: &ModelName, stable: Version) -> Vec<Version> {
    let route = state.models.get(model).and_then(|m| m.route.as_ref());
    let arms = route.into_iter().flat_map(|r| r.split.arms());
    let mut versions: BTreeSet<Version> =
        arms.filter(|a| a.weight > 0.0 && !a.is_redirected).map(|a| a.version).collect();
    // A promotion cut short by a restart takes no traffic, but is what the order is about.
    versions.extend(state.stance(model).and_then(|s| s.candidate).map(|c| c.version));
    versions.remove(&stable);
    versions.into_iter().collect()
}

pub(crate) fn confirmed_before(state: &State, model: &ModelName, stable: Version) -> Result<Version, Refused> {
    if state.models.get(model).is_some_and(|m| m.is_rolled_back) {
        let text = format!(
            "version {stable} of {model} took over by a rollback already; to leave it too, name the version to go back to with --to"
        );
        return refuse("rolled_back_already", text);
    }
    let confirmed = state.decisions.confirmed.get(model).map(Vec::as_slice).unwrap_or_default();
    let earlier = confirmed.iter().rev().copied().find(|v| *v != stable && is_ready(state, model, *v));
    let text = || format!("{model} has no earlier confirmed version that is ready; name one with --to");
    earlier.ok_or_else(|| Refused { code: "no_target", message: text() })
}

pub(crate) fn stable_of(state: &State, model: &ModelName) -> Result<Version, Refused> {
    let Some(known) = state.models.get(model) else {
        return refuse("model_unknown", format!("there is no model {model}"));
    };
    match &known.route {
        Some(route) => Ok(route.stable),
        None => refuse("model_not_ready", format!("{model} has no stable version yet")),
    }
}

pub(crate) fn resolve(state: &State, model: &ModelName, selector: &Selector) -> Result<Version, Refused> {
    let known = state.models.get(model);
    let version = match selector {
        Selector::Version(version) => Some(*version),
        Selector::Label(label) => known.and_then(|m| m.route.as_ref()).and_then(|r| r.labels.get(label)).copied(),
    };
    match version.filter(|v| known.is_some_and(|m| m.versions.contains_key(v))) {
        Some(version) => Ok(version),
        None => refuse("version_unknown", format!("{model} has no version {selector}")),
    }
}

pub(crate) fn only_candidate(state: &State, model: &ModelName) -> Result<Version, Refused> {
    let trials = state.models.get(model).map(|m| m.trials.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
    match trials.as_slice() {
        [only] => Ok(*only),
        [] => refuse("no_candidate", format!("{model} has no candidate; name the version")),
        _ => refuse("several_candidates", format!("{model} has several candidates; name the version")),
    }
}

/// Whether a version may take over from stable: ready, not barred, same contract.
pub(crate) fn check_candidate(
    state: &State,
    model: &ModelName,
    version: Version,
    stable: Version,
) -> Result<(), Refused> {
    let id = VersionId { model: model.clone(), version };
    if version == stable {
        return refuse("already_stable", format!("version {version} of {model} is stable already"));
    }
    if let Some(quarantine) = state.decisions.digests.get(&id).and_then(|d| state.decisions.quarantine.get(d)) {
        return refuse(
            "quarantined",
            format!("{id} is quarantined ({}); release it first, with a reason", quarantine.cause),
        );
    }
    let known = state.models.get(model);
    if known.is_none_or(|m| m.serving(stable).is_none() || m.serving(version).is_none()) {
        let entry = state.entry(&id);
        let why = entry.and_then(|e| e.reason.as_ref()).map(|(_, text)| format!(": {text}")).unwrap_or_default();
        return refuse("version_not_ready", format!("{id} is not ready{why}"));
    }
    if known.is_some_and(|m| m.serving(version).map(|s| s.digest) == m.serving(stable).map(|s| s.digest)) {
        return refuse(
            "same_content",
            format!("{id} has the same content as version {stable}: there is nothing to try"),
        );
    }
    match known.and_then(|m| contract::misfit(m, (model, version), stable)) {
        Some(text) => refuse("signature", text),
        None => Ok(()),
    }
}
