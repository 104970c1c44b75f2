//! Which version takes traffic when nobody has said: the first stable version of a model, and `--follow-latest`.

use std::time::Duration;

use base_types::{Change, ModelName, Selector, Stance, VersionId};
use control_registry::journal::{Action, Entry as JournalEntry};
use tracing::{info, warn};

use crate::order::{Operation, Order, RolloutOrder};
use crate::publish::is_ready;
use crate::state::{Model, State, is_due};
use crate::turn::Core;

/// A model's first stable version is not chosen while versions are still being copied, for at most this many
/// settling times.
const SETTLE_TIMES_MAX: u32 = 5;

impl Core {
    /// Gives models without a stable version one: the highest that is ready once everything present is loaded.
    pub(crate) fn choose_stables(&self) {
        let state = self.lock();
        let settle = Duration::from_millis(self.settings.scan.settle_ms);
        let now = self.clock.now();
        let mut chosen = Vec::new();
        for (name, model) in &state.models {
            let is_decided = state.stance(name).is_some() || state.routing.meaning(name).is_some();
            let is_waiting = model.is_settling && !is_due(model.first_seen, now, settle * SETTLE_TIMES_MAX);
            let is_short = self.residency().waiting.contains(name);
            if is_decided || is_waiting || is_short || !state.is_settled(name) {
                continue;
            }
            let ready = model.versions.keys().rev().find(|v| is_ready(&state, name, **v));
            chosen
                .extend(ready.map(|version| {
                    (State::id(name, *version), state.new_stance(name, *version, self.clock.unix_ms()))
                }));
        }
        drop(state);
        for (id, stance) in chosen {
            self.adopt(&id, stance);
        }
    }

    fn adopt(&self, id: &VersionId, stance: Stance) {
        let changes = vec![Change::Stance { model: id.model.clone(), stance }, Change::Confirmed { id: id.clone() }];
        let entry = JournalEntry {
            after: Some(format!("{}: 100 %", id.version)),
            reason: Some("the highest version ready when the model was first seen".to_owned()),
            changes: changes.clone(),
            ..self.entry_about("gateway", Action::StableChosen, id)
        };
        if let Err(error) = self.recorder.now(vec![entry], None) {
            // It serves all the same: what is chosen again after a restart is the same rule's choice.
            warn!(%error, version = %id, "the choice of stable could not be recorded");
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        changes.iter().for_each(|change| state.decisions.apply(change));
        self.publish_model(&mut state, &id.model, &mut effects);
        drop(state);
        info!(version = %id, "takes unpinned traffic");
        self.perform(effects);
    }

    /// With `--follow-latest`: a higher version that became ready is put under trial.
    pub(crate) fn follow_all(&self) {
        if self.settings.follow_share.is_none() {
            return;
        }
        let state = self.lock();
        let highest = |(name, model): (&ModelName, &Model)| {
            let version = model.versions.keys().rev().find(|v| is_ready(&state, name, **v))?;
            // Once is enough: a version that a person took out again is not followed a second time.
            (model.followed < Some(*version)).then(|| State::id(name, *version))
        };
        let highest: Vec<VersionId> = state.models.iter().filter_map(highest).collect();
        drop(state);
        highest.iter().for_each(|id| self.follow(id));
    }

    /// By the policy that routing.toml names for the model; without one as a canary of the share that was set.
    fn follow(&self, id: &VersionId) {
        let Some(share) = self.settings.follow_share else { return };
        let state = self.lock();
        let version = Selector::Version(id.version);
        let operation = match state.routing.names_policy(&id.model) {
            true => Operation::Rollout(RolloutOrder::Start { version, policy: None, is_forced: false }),
            false => Operation::Canary { version, share },
        };
        let model = state.models.get(&id.model);
        // A rollout under way has a policy that says what becomes of newcomers.
        let is_rolled_out = state.rollout(&id.model).is_some();
        let is_free = is_rolled_out || model.is_some_and(|m| m.trials.is_empty());
        let is_higher = model.and_then(|m| m.route.as_ref()).is_some_and(|r| r.stable < id.version);
        let is_in_memory = is_ready(&state, &id.model, id.version);
        let is_ours = state.routing.meaning(&id.model).is_none() && state.is_started;
        drop(state);
        if !(is_free && is_higher && is_in_memory && is_ours) {
            return;
        }
        let order = Order {
            model: id.model.clone(),
            operation,
            actor: "follow-latest".to_owned(),
            reason: Some("a higher version became ready".to_owned()),
        };
        if let Some(model) = self.lock().models.get_mut(&id.model) {
            model.followed = Some(id.version);
        }
        if let Err(refused) = self.carry_out(&order) {
            warn!(version = %id, code = refused.code, refused.message, "not followed");
        }
    }
}
