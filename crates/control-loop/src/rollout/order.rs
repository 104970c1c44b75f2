//! What people order of a rollout.

use std::sync::Arc;

use base_types::{Change, ModelName, NextCandidate, Selector, VersionState};
use control_config::policy_text;
use control_registry::journal::{Action as JournalAction, Entry};
use control_rollout::rollout::{Event, History, Order as Asked, OrderKind, Start, begin, may_start, skips_judgement};

use crate::admissible::{resolve, stable_of};
use crate::operate::Plan;
use crate::order::{Done, Order, Refused, RolloutOrder, refuse};
use crate::rollout::enact::By;
use crate::rollout::facts;
use crate::rollout::live::Live;
use crate::state::State;
use crate::turn::Core;

/// How often an abort is given anew that something else came before.
const ABORT_TRIES: u32 = 100;

impl Core {
    /// Carries out an order about a rollout.
    pub(crate) fn order_rollout(&self, order: &Order, asked: &RolloutOrder) -> Result<Done, Refused> {
        let reason = || order.reason.clone().unwrap_or_default().into_boxed_str();
        let kind = match asked {
            RolloutOrder::Start { version, policy, is_forced } => {
                return self.start(order, version, policy.as_deref(), *is_forced);
            }
            RolloutOrder::Thaw => return self.thaw(order),
            RolloutOrder::Approve => OrderKind::Approve,
            RolloutOrder::Pause => OrderKind::Pause { reason: reason() },
            RolloutOrder::Resume => OrderKind::Resume,
            RolloutOrder::Abort { is_quarantined } => {
                OrderKind::Abort { reason: reason(), is_quarantined: *is_quarantined }
            }
            RolloutOrder::Promote { is_forced } => OrderKind::Promote { force: is_forced.then(reason) },
            RolloutOrder::Confirm => OrderKind::Confirm,
            RolloutOrder::Retry => OrderKind::Retry,
        };
        self.give(order, kind)
    }

    fn give(&self, order: &Order, kind: OrderKind) -> Result<Done, Refused> {
        let name = &order.model;
        let facts = facts(&self.lock(), name);
        let asked = Asked { by: order.actor.as_str().into(), kind };
        let by = By { actor: order.actor.clone(), reason: order.reason.clone(), action: JournalAction::RolloutOrdered };
        let is_safe = matches!(asked.kind, OrderKind::Abort { .. });
        let event = Event::Ordered { order: asked, facts };
        let mut taken = self.take(name, &event, &by);
        // An abort beats everything: also a step that came in between.
        for _ in 0..ABORT_TRIES {
            if !is_safe || taken.as_ref().err().is_none_or(|refused| refused.code != "superseded") {
                break;
            }
            taken = self.take(name, &event, &by);
        }
        let message = taken?;
        let mut done = Done { message, generation: self.lock().generation, is_provisional: false };
        // What was in force first is to be on disk when the one who ordered it is told.
        if let Some(error) = is_safe.then(|| self.recorder.settle().err()).flatten() {
            done.message.push_str(&format!("; this is in force, but not on disk yet: {error}"));
            done.is_provisional = true;
        }
        Ok(done)
    }

    fn start(&self, order: &Order, version: &Selector, policy: Option<&str>, is_forced: bool) -> Result<Done, Refused> {
        let name = &order.model;
        let state = self.lock();
        let version = resolve(&state, name, version)?;
        let stable = stable_of(&state, name)?;
        check_start(&state, name, (version, stable))?;
        let (policy_name, policy_in_force) = match policy {
            None => state.routing.policy(name),
            Some(named) => match state.routing.named_policy(named) {
                Some(policy) => (named.into(), policy),
                None => return refuse("policy_unknown", format!("there is no policy {named:?} in routing.toml")),
            },
        };
        if state.rollout(name).is_some() {
            drop(state);
            let by =
                By { actor: order.actor.clone(), reason: order.reason.clone(), action: JournalAction::RolloutOrdered };
            let message =
                self.take(name, &Event::NewCandidate(NextCandidate { version, policy: policy.map(Into::into) }), &by)?;
            return Ok(Done { message, generation: self.lock().generation, is_provisional: false });
        }
        let policy = policy_in_force;
        let rollbacks = state.decisions.rollbacks.get(name).map(Vec::as_slice).unwrap_or_default();
        let history = History { rollbacks_unix_ms: rollbacks, is_under_way: false };
        let now = self.clock.unix_ms();
        may_start(&policy, &history, is_forced, now)
            .map_err(|refusal| Refused { code: refusal.code.as_str(), message: refusal.text.to_string() })?;
        let confirmed = state.decisions.confirmed.get(name).map(Vec::as_slice).unwrap_or_default();
        let Some(digest) = state.entry(&State::id(name, version)).and_then(|e| e.digest) else {
            return refuse(
                "version_not_ready",
                format!("version {version} of {name} has not been read yet; try again"),
            );
        };
        let start = Start {
            number: state.decisions.rollouts.get(name).map_or(1, |last| last.number + 1),
            candidate: version,
            digest,
            stable,
            policy_name,
            policy_text: policy_text(&policy).into(),
            actor: order.actor.as_str().into(),
            skips_judgement: skips_judgement(confirmed, stable, version, policy.rollback_window),
        };
        let epoch = state.epoch(name);
        drop(state);
        let advanced = begin(&policy, start, now);
        if let Some(model) = self.lock().models.get_mut(name) {
            model.live = Some(Live::new(Arc::clone(&policy)));
        }
        let by = By { actor: order.actor.clone(), reason: order.reason.clone(), action: JournalAction::RolloutStarted };
        let begun = self.enact(name, (None, epoch), advanced, &by);
        let mut state = self.lock();
        if begun.is_err()
            && state.rollout(name).is_none()
            && let Some(model) = state.models.get_mut(name)
        {
            model.live = None;
        }
        Ok(Done { message: begun?, generation: state.generation, is_provisional: true })
    }

    /// A person has looked into the rollbacks: rollouts may begin again.
    fn thaw(&self, order: &Order) -> Result<Done, Refused> {
        let name = &order.model;
        if order.reason.as_ref().is_none_or(|r| r.trim().is_empty()) {
            return refuse("reason_missing", "to thaw rollouts needs a reason");
        }
        let state = self.lock();
        stable_of(&state, name)?;
        let entry = Entry {
            model: Some(name.clone()),
            reason: order.reason.clone(),
            changes: vec![Change::Thawed { model: name.clone() }],
            ..Entry::new(self.clock.unix_ms(), order.actor.clone(), JournalAction::RolloutsThawed)
        };
        let message = format!("rollouts of {name} may begin again");
        let plan = Plan { entries: vec![entry], message, epoch: state.epoch(name) };
        drop(state);
        self.record_and_apply(plan, false)
    }
}

/// What makes no sense from the start, whatever the policy's gate would say.
fn check_start(
    state: &State,
    name: &ModelName,
    (version, stable): (base_types::Version, base_types::Version),
) -> Result<(), Refused> {
    let id = State::id(name, version);
    if version == stable {
        return refuse("already_stable", format!("version {version} of {name} is stable already"));
    }
    if let Some(quarantine) = state.decisions.digests.get(&id).and_then(|d| state.decisions.quarantine.get(d)) {
        let cause = &quarantine.cause;
        return refuse(
            "quarantined",
            format!("{id} is quarantined ({cause}); release it first, with a reason, or retry"),
        );
    }
    if let Some(entry) = state.entry(&id).filter(|e| e.state == VersionState::Failed && e.serving.is_none()) {
        let why = entry.reason.as_ref().map_or("it could not be loaded", |(_, text)| text);
        return refuse("version_not_ready", format!("{id} is not ready: {why}"));
    }
    // Versions that only an experiment, or a rule, sends requests to are in nobody's way.
    let route = state.models.get(name).and_then(|m| m.route.as_ref());
    let takes_share = |arm: &base_routing::Arm| arm.version != stable && arm.weight > 0.0 && !arm.is_redirected;
    let is_split = route.is_some_and(|route| route.split.arms().iter().any(takes_share));
    if is_split && state.rollout(name).is_none() {
        let text = format!("{name} has a version under trial already: promote it or roll it back first");
        return refuse("several_candidates", text);
    }
    Ok(())
}
