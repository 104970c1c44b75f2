//! How things stand for a rollout.

use base_types::{ModelName, Rollout};
use control_rollout::Rule;
use control_rollout::rollout::{Facts, is_frozen};

use crate::publish::is_ready;
use crate::rollout::live::{Counts, Live};
use crate::state::{Model, State};

/// The facts of a model's rollout. The default, which knows nothing, where there is none.
pub(crate) fn facts(state: &State, name: &ModelName) -> Facts {
    let Some(model) = state.models.get(name) else { return Facts::default() };
    let is_frozen = is_frozen_now(state, name, model);
    let (Some(rollout), Some(live)) = (state.rollout(name), &model.live) else {
        return Facts { is_frozen, ..Facts::default() };
    };
    let counts = counts(model, rollout);
    let mut facts = Facts {
        is_candidate_ready: is_ready(state, name, rollout.candidate),
        gate: live.gate.clone(),
        warm_up: live.warmed_up(),
        n_requests: counts.n_requests.saturating_sub(live.at_step.n_requests),
        n_shadowed: counts.n_shadowed.saturating_sub(live.at_step.n_shadowed),
        last_request_unix_ms: live.last_request_unix_ms,
        is_frozen,
        requests_per_second: requests_per_second(model),
        ..Facts::default()
    };
    if let Some(open) = model.trials.get(&rollout.candidate) {
        let evidence = open.evidence();
        let is_tripped = |rule| evidence.findings.get(rule).is_some_and(|rule| rule.is_tripped);
        facts.n_feedback = open.n_feedback;
        facts.is_sample_ratio_broken = is_tripped(Rule::SampleRatio);
        facts.is_shared_incident = open.trial.is_incident();
        facts.proofs = evidence.proofs.into_iter().collect();
    }
    facts
}

/// Whether too many rollbacks have frozen the rollouts of a model, by the policy of its last one.
fn is_frozen_now(state: &State, name: &ModelName, model: &Model) -> bool {
    let rollbacks = state.decisions.rollbacks.get(name).map(Vec::as_slice).unwrap_or_default();
    let of_last = || Live::of(state.decisions.rollouts.get(name)?).map(|live| live.policy);
    let policy = model.live.as_ref().map(|live| live.policy.clone()).or_else(of_last);
    policy.is_some_and(|policy| is_frozen(rollbacks, policy.freeze_after))
}

/// What the candidate has answered since its trial opened.
pub(crate) fn counts(model: &Model, rollout: &Rollout) -> Counts {
    let Some(open) = model.trials.get(&rollout.candidate) else { return Counts::default() };
    Counts { n_requests: open.n_candidate_requests(), n_shadowed: open.n_shadowed() }
}

/// Requests of a model in a second, over the last seconds in which there were any.
pub(crate) fn requests_per_second(model: &Model) -> Option<f64> {
    let seconds = &model.shares.seconds;
    let total: u64 = seconds.iter().flat_map(|second| second.values()).sum();
    (total > 0).then(|| total as f64 / seconds.len() as f64)
}
