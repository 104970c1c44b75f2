//! What goes out of memory, and out of sight: once its last request is over, and never on a request's thread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::TrySendError;

use base_serving::ServingVersion;
use base_types::{ModelName, Residence, VersionId, VersionState};
use control_registry::journal::{Action, Entry};
use tracing::{error, info};

use crate::effect::Effect;
use crate::load::LoaderJob;
use crate::reconcile::{UNLOADED, needed};
use crate::state::State;
use crate::turn::Core;

impl Core {
    /// Lets go of versions that are quarantined, or no longer wanted and not needed, once their last request is over.
    pub(crate) fn sweep(&self) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        let names: Vec<ModelName> = state.models.keys().cloned().collect();
        let mut changed = BTreeSet::new();
        for name in &names {
            let needed = needed(&state, name);
            let barred = state.decisions.quarantined_versions(name);
            let State { models, draining, decisions, .. } = &mut *state;
            let is_whole = decisions.residence.get(name).is_some_and(|ordered| ordered.is_unloaded);
            let Some(model) = models.get_mut(name) else { continue };
            for (version, entry) in &mut model.versions {
                let is_barred = barred.contains(version);
                if entry.state == VersionState::Quarantined && !is_barred {
                    (entry.state, entry.stamp) = (VersionState::Registered, None);
                    changed.insert(name.clone());
                }
                let is_ordered_out = decisions.residence(name, *version) == Some(Residence::Unloaded);
                let is_unneeded = !needed.contains(version) && (is_ordered_out || !entry.is_wanted);
                if entry.serving.is_some() && (is_barred || is_unneeded || is_ordered_out && is_whole) {
                    draining.extend(entry.serving.take());
                    if is_ordered_out {
                        entry.reason = Some((UNLOADED.0.to_owned(), UNLOADED.1.to_owned()));
                    }
                    entry.state = if is_barred { VersionState::Quarantined } else { VersionState::Draining };
                    (entry.stamp, entry.shown) = (None, None);
                    changed.insert(name.clone());
                }
            }
        }
        self.publish_models(&mut state, &changed, &mut effects);
        // Nobody holds it, and no run of it outlives its request.
        let is_idle = |v: &Arc<ServingVersion>| Arc::strong_count(v) == 1 && v.lane.is_idle();
        let (idle, busy) = std::mem::take(&mut state.draining).into_iter().partition(is_idle);
        state.draining = busy;
        drop(state);
        self.perform(effects);
        self.free(idle);
        self.forget();
    }

    pub(crate) fn free(&self, versions: Vec<Arc<ServingVersion>>) {
        if versions.is_empty() {
            return;
        }
        self.note_performance(&versions);
        let mut effects = Vec::new();
        for version in &versions {
            info!(version = %version.id, "unloaded");
            let mut state = self.lock();
            let is_barred = state.decisions.quarantine.contains_key(&version.digest);
            if let Some(entry) = state.entry_mut(&version.id).filter(|e| e.state == VersionState::Draining) {
                entry.state = VersionState::Unloaded;
                // Callers see the end of it, too.
                self.publish_model(&mut state, &version.id.model, &mut effects);
            }
            drop(state);
            self.show_state(&version.id);
            let is_ordered_out = self.lock().decisions.residence(&version.id.model, version.id.version);
            let has_made_room = self.residency().out.contains(&version.id);
            let why = match (is_barred, is_ordered_out) {
                (false, None) if has_made_room => "it made room for another version",
                (true, _) => "its content is quarantined",
                (false, Some(Residence::Unloaded)) => UNLOADED.1,
                (false, _) => "no longer wanted",
            };
            let reason = Some(why.to_owned());
            let entry = Entry { reason, ..self.entry_about("gateway", Action::Unloaded, &version.id) };
            effects.push(Effect::Record(Box::new(entry)));
        }
        self.perform(effects);
        match self.loader_jobs.try_send(LoaderJob::Free(versions)) {
            Ok(()) => {}
            // Freed at a later sweep.
            Err(TrySendError::Full(LoaderJob::Free(versions))) => self.lock().draining.extend(versions),
            Err(_) => error!("the loader's thread is gone"),
        }
    }

    /// Forgets versions whose folder is gone and that are out of memory, and their metric series with them.
    fn forget(&self) {
        let mut gone = Vec::new();
        let mut state = self.lock();
        let freeing: BTreeSet<VersionId> = state.draining.iter().map(|v| v.id.clone()).collect();
        for (name, model) in &mut state.models {
            model.versions.retain(|version, entry| {
                let is_idle = matches!(
                    entry.state,
                    VersionState::Unloaded
                        | VersionState::Failed
                        | VersionState::Registered
                        | VersionState::Quarantined
                );
                let id = State::id(name, *version);
                let is_out = entry.serving.is_none() && is_idle && !freeing.contains(&id);
                let is_gone = is_out && !entry.is_wanted && !entry.is_present;
                if is_gone {
                    gone.push(id);
                }
                !is_gone
            });
        }
        let mut effects = Vec::new();
        let changed = gone.iter().map(|id| id.model.clone()).collect();
        self.publish_models(&mut state, &changed, &mut effects);
        drop(state);
        for id in &gone {
            info!(version = %id, "removed");
            self.forget_performance(id);
            self.forget_gates(id);
            self.metrics.retire(&id.model, id.version);
            effects.push(Effect::Record(Box::new(self.entry_about("gateway", Action::Removed, id))));
        }
        self.perform(effects);
    }
}
