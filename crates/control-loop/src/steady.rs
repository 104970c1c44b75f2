//! The watch over a version after its promotion (T11), for those who ask for it: a stable version that goes bad later is
//! left for the one confirmed before. One step and no further: should that one go bad too, a person is called.

use std::sync::Arc;

use base_serving::{FaultReport, ServingVersion};
use base_types::{Digest, ModelName};
use control_rollout::{Cause, Guardrail, Mode, OnFailure, SteadyEvidence, SteadyGuard, SteadyState};
use serde_json::Value;

use crate::checkpoint;
use crate::effect::Effect;
use crate::evidence::{self, Shown};
use crate::leave::Leave;
use crate::order::{Operation, Order};
use crate::recorder::Job;
use crate::state::State;
use crate::turn::Core;

/// A stable version under watch.
pub(crate) struct Watched {
    version: Arc<ServingVersion>,
    /// What it was begun by.
    rule: (f64, Option<SteadyState>),
    guard: SteadyGuard,
    /// Its successes when the watch began.
    base: u64,
    is_told: bool,
}

impl Watched {
    fn successes(&self) -> u64 {
        self.version.tally.successes().saturating_sub(self.base)
    }
}

/// Begins or ends the watch over a model's stable version, to match what is in force.
pub(crate) fn settle(state: &mut State, name: &ModelName, guardrail: &Guardrail) {
    let Some(model) = state.models.get_mut(name) else { return };
    let stable = model.route.as_ref().and_then(|route| model.serving(route.stable)).cloned();
    let Some(stable) = stable.filter(|_| guardrail.mode != Mode::Off) else {
        model.steady = None;
        return;
    };
    let rule = (guardrail.limit, guardrail.steady_state);
    let is_same = |watched: &Watched| Arc::ptr_eq(&watched.version, &stable) && watched.rule == rule;
    if model.steady.as_ref().is_some_and(is_same) {
        return;
    }
    let stored = state.steady_checkpoints.remove(&checkpoint_key(name, stable.digest));
    let restored = stored.and_then(|json| SteadyGuard::restore(guardrail, &checkpoint::parse_steady(&json)?).ok()?);
    let guard = restored.or_else(|| SteadyGuard::new(guardrail).ok()?);
    let base = stable.tally.successes();
    model.steady = guard.map(|guard| Watched { version: stable, rule, guard, base, is_told: false });
}

impl Core {
    /// Takes a fault of a watched version, and leaves it where that convicts it.
    pub(crate) fn watch_stable(&self, state: &mut State, report: &FaultReport<'_>, effects: &mut Vec<Effect>) {
        let attempt = report.attempt;
        let name = &attempt.model.name;
        let Some(model) = state.models.get_mut(name) else { return };
        let has_trial = !model.trials.is_empty();
        let Some(watched) = model.steady.as_mut() else { return };
        // A trial compares the two, and tells who is ill by more than a count.
        if has_trial || !std::ptr::eq(attempt.version, Arc::as_ptr(&watched.version)) {
            return;
        }
        let successes = watched.successes();
        let Some(evidence) = watched.guard.on_fault(successes, attempt.assignment.key) else { return };
        let is_enforced = state.routing.guardrail(name).mode == Mode::Enforce;
        match evidence.on_failure {
            OnFailure::RollBack if is_enforced => self.leave_stable(state, name, &evidence, effects),
            _ => tell(state, name, ("would_roll_back", &evidence), None, effects),
        }
    }

    /// Goes back to the version confirmed before, if there is one and this is the first step back.
    fn leave_stable(&self, state: &mut State, name: &ModelName, evidence: &SteadyEvidence, effects: &mut Vec<Effect>) {
        let cause = Cause::SteadyState(*evidence);
        let order = Order {
            model: name.clone(),
            operation: Operation::Rollback { to: None, is_quarantined: true },
            actor: "guardrail".to_owned(),
            reason: Some(cause.to_string()),
        };
        let leave =
            Leave { to: None, is_quarantined: true, cause: cause.as_str(), evidence: evidence::of_steady(evidence) };
        if let Err(refused) = self.leave(state, &order, leave, effects) {
            tell(state, name, ("stable_ill", evidence), Some(refused.message), effects);
        }
    }

    /// Stores what every watch has learned, at fixed times.
    pub(crate) fn checkpoint_steady(&self) {
        for (name, model) in &self.lock().models {
            let Some(watched) = &model.steady else { continue };
            let json = checkpoint::steady_json(watched.guard.checkpoint(watched.successes()));
            let key = checkpoint_key(name, watched.version.digest);
            self.recorder.later(Job::Checkpoint { key, json: Some(json) });
        }
    }
}

/// What the watch over a model's stable version shows.
pub(crate) fn evidence_of(watched: &Watched) -> Value {
    evidence::of_steady(&watched.guard.evidence(watched.successes()))
}

fn tell(
    state: &mut State,
    name: &ModelName,
    (verdict, evidence): (&'static str, &SteadyEvidence),
    why: Option<String>,
    effects: &mut Vec<Effect>,
) {
    let Some(watched) = state.models.get_mut(name).and_then(|m| m.steady.as_mut()) else { return };
    if std::mem::replace(&mut watched.is_told, true) {
        return;
    }
    let why = why.map(|why| format!("; {why}")).unwrap_or_default();
    let text = format!("{}{why}", Cause::SteadyState(*evidence));
    let id = watched.version.id.clone();
    let evidence = Shown::Written(evidence::of_steady(evidence));
    effects.push(Effect::Verdict { model: name.clone(), id, verdict, text, evidence });
}

/// The key the state of a watch is stored under.
fn checkpoint_key(model: &ModelName, digest: Digest) -> String {
    format!("steady/{model}/{digest}")
}
