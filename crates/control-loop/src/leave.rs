//! The way back: versions are left for one that serves. Toward safety: in force first, then recorded.

use base_types::{Change, OPERATOR, Selector, Version};
use control_registry::journal::{Action, Entry};
use serde_json::Value;

use crate::admissible::{confirmed_before, leaving, resolve, stable_of};
use crate::effect::{Effect, RolledBack, Why};
use crate::evidence::Shown;
use crate::order::{Done, Order, Refused, refuse};
use crate::publish::is_ready;
use crate::rollout::Ended;
use crate::state::State;
use crate::traffic::Traffic;
use crate::turn::Core;

/// How the versions in traffic are left.
pub(crate) struct Leave<'a> {
    /// The version to go back to.
    pub(crate) to: Option<&'a Selector>,
    /// Whether the versions left are quarantined.
    pub(crate) is_quarantined: bool,
    /// Which rule or person, in a word.
    pub(crate) cause: &'a str,
    /// What there is to show where no trial was open.
    pub(crate) evidence: Value,
}

impl Core {
    /// Toward safety: in force first, then recorded.
    pub(crate) fn rollback(&self, order: &Order, to: Option<&Selector>, is_quarantined: bool) -> Result<Done, Refused> {
        let mut effects = Vec::new();
        let mut state = self.lock();
        let leave = Leave { to, is_quarantined, cause: OPERATOR, evidence: Value::Null };
        let done = self.leave(&mut state, order, leave, &mut effects);
        drop(state);
        self.perform(effects);
        let mut done = done?;
        if let Err(error) = self.recorder.settle() {
            done.message.push_str(&format!("; this is in force, but not on disk yet: {error}"));
            done.is_provisional = true;
        }
        Ok(done)
    }

    /// Takes candidates out, or stable itself where there are none. Under the lock.
    pub(crate) fn leave(
        &self,
        state: &mut State,
        order: &Order,
        Leave { to, is_quarantined, cause, evidence: shown }: Leave<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<Done, Refused> {
        let model = &order.model;
        let stable = stable_of(state, model)?;
        let leaving = leaving(state, model, stable);
        let target = match to {
            Some(to) => resolve(state, model, to)?,
            None if !leaving.is_empty() => stable,
            None => confirmed_before(state, model, stable)?,
        };
        if !is_ready(state, model, target) {
            return refuse(
                "target_not_ready",
                format!("version {target} of {model} is not ready, so nothing can go back to it"),
            );
        }
        let leaving: Vec<Version> = if leaving.is_empty() { vec![stable] } else { leaving };
        let leaving: Vec<Version> = leaving.into_iter().filter(|v| *v != target).collect();
        let before = Traffic::of(state, model);
        let reason = order.reason.clone().unwrap_or_else(|| "ordered".to_owned());
        let mut rolled_back = Vec::new();
        for version in &leaving {
            let id = State::id(model, *version);
            let Some(digest) = state.entry(&id).and_then(|e| e.digest) else { continue };
            let open = state.models.get(model).and_then(|m| m.trials.get(version));
            let evidence = open.map_or_else(|| Shown::Written(shown.clone()), |open| Shown::of_trial(open, None));
            let mut changes = if is_quarantined { self.bar(state, &id, digest, cause) } else { Vec::new() };
            let ended = Ended::Order { by: &order.actor, reason: &reason };
            let rollout = self.end_rollout(state, (model, *version), ended, &mut changes);
            rolled_back.push(RolledBack {
                id,
                digest,
                stable: target,
                cause: cause.to_owned(),
                reason: Why::Said(reason.clone()),
                evidence,
                before: before.clone(),
                after: Traffic::default(),
                generation: 0,
                changes,
                actor: order.actor.clone(),
                rollout,
            });
        }
        // Durable whatever is left behind: the new stance, and that its version is one to come back to.
        let stance = state.new_stance(model, target, self.clock.unix_ms());
        let target_id = State::id(model, target);
        let changes =
            vec![Change::Stance { model: model.clone(), stance }, Change::Confirmed { id: target_id.clone() }];
        changes.iter().for_each(|change| state.decisions.apply(change));
        state.end_epoch(model);
        if let Some(model) = state.models.get_mut(model) {
            model.is_rolled_back = true;
        }
        let at = effects.len();
        self.publish(state, effects);
        let after = Traffic::of(state, model);
        let row = Entry {
            model: Some(model.clone()),
            version: Some(target),
            generation: Some(base_types::Generation(state.generation)),
            before: Some(before.to_string()),
            after: Some(after.to_string()),
            reason: Some(reason),
            changes,
            ..Entry::new(self.clock.unix_ms(), order.actor.clone(), Action::RolledBackTo)
        };
        effects.insert(at, Effect::Record(Box::new(row)));
        for each in rolled_back {
            let generation = state.generation;
            effects.insert(at, Effect::RolledBack(Box::new(RolledBack { after: after.clone(), generation, ..each })));
        }
        let left: Vec<String> = leaving.iter().map(Version::to_string).collect();
        let fate = if is_quarantined { "quarantined" } else { "still addressable by pin" };
        let message = format!("version {target} of {model} takes all traffic; left: {} ({fate})", left.join(", "));
        Ok(Done { message, generation: state.generation, is_provisional: false })
    }
}
