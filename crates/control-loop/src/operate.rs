//! What operators order: canary, promote, confirm, roll back, release. Each order is checked, recorded and put in
//! force by the control thread, one at a time.

use base_types::{Candidate, Change, Digest, ModelName, Phase, Rollout, RolloutStatus, Selector, Stance, Version};
use control_registry::journal::{Action, Entry};
use serde_json::json;

use crate::admissible::{check_candidate, only_candidate, resolve, stable_of};
use crate::evidence;
use crate::order::{Done, Operation, Order, Refused, RolloutOrder, refuse};
use crate::publish::is_ready;
use crate::recorder::Job;
use crate::state::State;
use crate::traffic::{Traffic, percent};
use crate::turn::Core;

/// A change that is checked and waits to be recorded and put in force.
pub(crate) struct Plan {
    pub(crate) entries: Vec<Entry>,
    pub(crate) message: String,
    /// The epoch of its model that it was made in.
    pub(crate) epoch: u64,
}

impl Core {
    /// Carries out an order. Control thread only.
    pub(crate) fn carry_out(&self, order: &Order) -> Result<Done, Refused> {
        // While a rollout is under way, promotion and rollback are orders to it.
        let is_under_way = self.lock().rollout(&order.model).is_some();
        match &order.operation {
            Operation::Rollout(asked) => self.order_rollout(order, asked),
            Operation::Promote { version, is_confirmed, is_forced } if is_under_way => {
                self.promote_rollout(order, version.as_ref(), (*is_confirmed, *is_forced))
            }
            Operation::Canary { .. } if is_under_way => {
                refuse("rollout_under_way", "a rollout gives the shares of this model; pause, promote or abort it")
            }
            Operation::Rollback { to: None, is_quarantined } if is_under_way => {
                let had_traffic = self.lock().rollout(&order.model).is_some_and(|rollout| rollout.share > 0.0);
                let mut done = self.order_rollout(order, &RolloutOrder::Abort { is_quarantined: *is_quarantined })?;
                if !had_traffic {
                    done.message.push_str("; it had no traffic, and stable was not left: for that, roll back again");
                }
                Ok(done)
            }
            Operation::Rollback { to, is_quarantined } => self.rollback(order, to.as_ref(), *is_quarantined),
            Operation::Canary { version, share } => {
                let plan = self.plan_canary(order, version, *share)?;
                self.record_and_apply(plan, true)
            }
            Operation::Promote { version, is_confirmed: true, .. } if self.is_provisional(order, version.as_ref()) => {
                self.confirm(&order.model, &order.actor)
            }
            Operation::Promote { version, is_confirmed, is_forced } => {
                let plan = self.plan_promotion(order, version.as_ref(), *is_forced)?;
                let done = self.record_and_apply(plan, !is_confirmed)?;
                if *is_confirmed { self.confirm(&order.model, &order.actor) } else { Ok(done) }
            }
            Operation::Override { version, gate } => self.override_gate(order, *version, *gate),
            Operation::Release { version } => {
                let plan = self.plan_release(order, *version)?;
                self.record_and_apply(plan, false)
            }
        }
    }

    /// Whether the version meant has been promoted already and waits to be confirmed.
    fn is_provisional(&self, order: &Order, version: Option<&Selector>) -> bool {
        let state = self.lock();
        let stance = state.stance(&order.model).filter(|s| s.phase == Phase::Provisional);
        let promoted = stance.and_then(|s| s.candidate).map(|c| c.version);
        let meant = version.map_or(promoted, |v| resolve(&state, &order.model, v).ok());
        promoted.is_some() && meant == promoted
    }

    /// The order to promote, given to the rollout under way.
    fn promote_rollout(
        &self,
        order: &Order,
        version: Option<&Selector>,
        (is_confirmed, is_forced): (bool, bool),
    ) -> Result<Done, Refused> {
        let (candidate, is_baking) = {
            let state = self.lock();
            let Some(rollout) = state.rollout(&order.model) else {
                return refuse("no_rollout", "the rollout has just ended; look again");
            };
            let meant = version.map(|v| resolve(&state, &order.model, v)).transpose()?;
            if let Some(other) = meant.filter(|v| *v != rollout.candidate) {
                let text = format!("version {} is being rolled out, not {other}; abort that first", rollout.candidate);
                return refuse("rollout_under_way", text);
            }
            (rollout.candidate, rollout.status == RolloutStatus::Baking)
        };
        if is_baking && is_confirmed {
            return self.order_rollout(order, &RolloutOrder::Confirm);
        }
        let done = self.order_rollout(order, &RolloutOrder::Promote { is_forced })?;
        if !is_confirmed {
            return Ok(done);
        }
        tracing::debug!(model = %order.model, %candidate, "promoted, and confirmed at once");
        self.order_rollout(order, &RolloutOrder::Confirm)
    }

    /// Toward risk: durable first, then in force.
    pub(crate) fn record_and_apply(&self, plan: Plan, is_provisional: bool) -> Result<Done, Refused> {
        let Plan { mut entries, message, epoch } = plan;
        let generation = self.lock().generation + 1;
        for entry in &mut entries {
            entry.generation = Some(base_types::Generation(generation));
        }
        if let Err(error) = self.recorder.now(entries.clone(), None) {
            return refuse("journal", format!("nothing was changed, because it could not be recorded: {error}"));
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        let is_overtaken = |name: &ModelName| state.epoch(name) != epoch;
        if entries.iter().filter_map(|e| e.model.as_ref()).any(is_overtaken) {
            let taken_back = self.take_back(&state, &entries);
            drop(state);
            taken_back.into_iter().for_each(|entry| self.recorder.later(Job::Append(Box::new(entry))));
            return refuse("superseded", "a rollback came first, so nothing was changed; look again, then order again");
        }
        for change in entries.iter().flat_map(|e| &e.changes) {
            state.decisions.apply(change);
        }
        let moved = entries.iter().filter(|e| e.action != Action::Released).filter_map(|e| e.model.as_ref());
        for name in moved {
            if let Some(model) = state.models.get_mut(name) {
                model.is_rolled_back = false;
            }
        }
        // A release concerns every model that has the same content.
        let released = entries.iter().flat_map(|e| &e.changes).any(|c| matches!(c, Change::Released { .. }));
        let concerned = entries.iter().filter_map(|e| e.model.clone()).collect();
        match released {
            true => self.publish(&mut state, &mut effects),
            false => self.publish_models(&mut state, &concerned, &mut effects),
        }
        let generation = state.generation;
        drop(state);
        for entry in &entries {
            let version = entry.version.map(Version::get);
            tracing::info!(
                model = entry.model.as_ref().map(ModelName::as_str),
                version,
                action = entry.action.as_str(),
                actor = entry.actor,
                reason = entry.reason,
                generation,
                "decided"
            );
            // What becomes of a rollout is told by whoever takes it on, and once is enough.
            if entry.changes.iter().any(|change| matches!(change, Change::Rollout { .. })) {
                continue;
            }
            self.notify(json!({ "event": entry.action.as_str(), "model": entry.model.as_ref().map(ModelName::as_str),
                "version": version, "actor": entry.actor, "reason": entry.reason, "generation": generation }));
        }
        self.perform(effects);
        Ok(Done { message, generation, is_provisional })
    }

    /// Rows that undo rows already on disk: a verdict came while they were being written.
    pub(crate) fn take_back(&self, state: &State, entries: &[Entry]) -> Vec<Entry> {
        let models = entries.iter().filter_map(|e| e.model.as_ref());
        let undo = |model: &ModelName| {
            let stance = match state.decisions.stances.get(model) {
                Some(stance) => Change::Stance { model: model.clone(), stance: stance.clone() },
                None => Change::StanceCleared { model: model.clone() },
            };
            let of_model = entries.iter().filter(|e| e.model.as_ref() == Some(model)).flat_map(|e| &e.changes);
            std::iter::once(stance).chain(of_model.filter_map(|change| reverse(state, change))).collect()
        };
        let row = |model: &ModelName| Entry {
            model: Some(model.clone()),
            reason: Some("a rollback came while this order was being recorded".to_owned()),
            changes: undo(model),
            ..Entry::new(self.clock.unix_ms(), "gateway", Action::StanceSuperseded)
        };
        models.map(row).collect()
    }

    fn entry(&self, order: &Order, action: Action, version: Version, digest: Option<Digest>) -> Entry {
        Entry {
            model: Some(order.model.clone()),
            version: Some(version),
            digest,
            reason: order.reason.clone(),
            ..Entry::new(self.clock.unix_ms(), order.actor.clone(), action)
        }
    }

    fn plan_canary(&self, order: &Order, version: &Selector, share: f64) -> Result<Plan, Refused> {
        let state = self.lock();
        let (model, now) = (&order.model, self.clock.unix_ms());
        if !(share > 0.0 && share < 1.0) {
            return refuse("share", "a canary's share lies between 0 and 1; to give it everything, promote it");
        }
        let version = resolve(&state, model, version)?;
        let stable = stable_of(&state, model)?;
        check_candidate(&state, model, version, stable)?;
        let candidate = Some(Candidate { version, share });
        let stance = Stance { candidate, phase: Phase::Canary, ..state.new_stance(model, stable, now) };
        let digest = state.entry(&State::id(model, version)).and_then(|e| e.digest);
        let is_resized = state.models.get(model).is_some_and(|m| m.trials.contains_key(&version));
        let action = if is_resized { Action::CanaryResized } else { Action::CanaryStarted };
        let after = format!("{stable}: {}, {version}: {}", percent(1.0 - share), percent(share));
        let entry = Entry {
            before: Some(Traffic::of(&state, model).to_string()),
            after: Some(after),
            changes: vec![Change::Stance { model: model.clone(), stance }],
            ..self.entry(order, action, version, digest)
        };
        let message =
            format!("version {version} of {model} takes {} of the traffic, judged against {stable}", percent(share));
        Ok(Plan { entries: vec![entry], message, epoch: state.epoch(&order.model) })
    }

    fn plan_promotion(&self, order: &Order, version: Option<&Selector>, is_forced: bool) -> Result<Plan, Refused> {
        let state = self.lock();
        let (model, now) = (&order.model, self.clock.unix_ms());
        let stable = stable_of(&state, model)?;
        let version = match version {
            Some(version) => resolve(&state, model, version)?,
            None => only_candidate(&state, model)?,
        };
        check_candidate(&state, model, version, stable)?;
        let open = state.models.get(model).and_then(|m| m.trials.get(&version));
        let proof = open.map(|open| open.trial.evidence(open.successes()).proof);
        let lacking = match proof {
            Some(proof) if proof.is_proven => None,
            Some(proof) => {
                Some(format!("it lacks proof: {} more requests without a fault", proof.clean_requests_needed))
            }
            None => Some("it has not been a canary, so nothing is known about it".to_owned()),
        };
        if let Some(lacking) = lacking.filter(|_| !is_forced) {
            return refuse(
                "not_proven",
                format!(
                    "version {version} of {model} is not promoted: {lacking}; wait, or override with --force and a --reason"
                ),
            );
        }
        if is_forced && order.reason.is_none() {
            return refuse("reason_missing", "an override needs a reason");
        }
        let candidate = Some(Candidate { version, share: 1.0 });
        let stance = Stance { candidate, phase: Phase::Provisional, ..state.new_stance(model, stable, now) };
        let entry = Entry {
            before: Some(Traffic::of(&state, model).to_string()),
            after: Some(format!("{version}: 100 %, fallback {stable}")),
            evidence_json: open.map(|open| evidence::of_trial(open).to_string()),
            changes: vec![Change::Stance { model: model.clone(), stance }],
            ..self.entry(
                order,
                Action::Promoted,
                version,
                state.entry(&State::id(model, version)).and_then(|e| e.digest),
            )
        };
        let wait = self.settings.confirm_after.as_secs();
        let message = format!(
            "version {version} of {model} takes all traffic; version {stable} stays ready until that is confirmed, in {wait} s or by promote --confirm"
        );
        Ok(Plan { entries: vec![entry], message, epoch: state.epoch(&order.model) })
    }

    /// Makes a provisional promotion final.
    pub(crate) fn confirm(&self, model: &ModelName, actor: &str) -> Result<Done, Refused> {
        let state = self.lock();
        let now = self.clock.unix_ms();
        let provisional = state.stance(model).filter(|s| s.phase == Phase::Provisional);
        let Some(version) = provisional.and_then(|s| s.candidate).map(|c| c.version) else {
            return refuse("nothing_to_confirm", format!("no promotion of {model} waits to be confirmed"));
        };
        let id = State::id(model, version);
        if !is_ready(&state, model, version) {
            return refuse("version_not_ready", format!("{id} is not ready, so it cannot be confirmed"));
        }
        let stance = state.new_stance(model, version, now);
        let entry = Entry {
            model: Some(model.clone()),
            version: Some(version),
            digest: state.entry(&id).and_then(|e| e.digest),
            before: Some(Traffic::of(&state, model).to_string()),
            after: Some(format!("{version}: 100 %")),
            changes: vec![Change::Stance { model: model.clone(), stance }, Change::Confirmed { id }],
            ..Entry::new(now, actor, Action::Confirmed)
        };
        let epoch = state.epoch(model);
        drop(state);
        let message = format!("version {version} of {model} is confirmed as stable");
        self.record_and_apply(Plan { entries: vec![entry], message, epoch }, false)
    }

    fn plan_release(&self, order: &Order, version: Version) -> Result<Plan, Refused> {
        let state = self.lock();
        let id = State::id(&order.model, version);
        let Some(digest) = state.decisions.digests.get(&id).filter(|d| state.decisions.quarantine.contains_key(*d))
        else {
            return refuse("not_quarantined", format!("{id} is not quarantined"));
        };
        if order.reason.as_ref().is_none_or(|r| r.trim().is_empty()) {
            return refuse("reason_missing", "a release needs a reason");
        }
        let entry = Entry {
            changes: vec![Change::Released { digest: *digest }],
            ..self.entry(order, Action::Released, version, Some(*digest))
        };
        let message = format!("{id} is released; it is loaded again and takes traffic only by a further decision");
        Ok(Plan { entries: vec![entry], message, epoch: state.epoch(&order.model) })
    }
}

/// What puts back on disk what a change made of it; `None` where nothing is to be put back, or the caller does it.
fn reverse(state: &State, change: &Change) -> Option<Change> {
    let decisions = &state.decisions;
    match change {
        Change::Rollout { model, rollout } => {
            let ended =
                || Rollout { status: RolloutStatus::Aborted, share: 0.0, shadow_share: 0.0, ..*rollout.clone() };
            let rollout = decisions.rollouts.get(model).cloned().unwrap_or_else(ended);
            Some(Change::Rollout { model: model.clone(), rollout: Box::new(rollout) })
        }
        Change::Released { digest } => {
            let quarantine = decisions.quarantine.get(digest)?.clone();
            Some(Change::Quarantined { digest: *digest, quarantine })
        }
        Change::Confirmed { id } => {
            let is_confirmed = decisions.confirmed.get(&id.model).is_some_and(|known| known.contains(&id.version));
            (!is_confirmed).then(|| Change::Unconfirmed { id: id.clone() })
        }
        _ => None,
    }
}
