//! What goes out of memory, and out of sight: once its last request is over, and never on a request's thread.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::TrySendError;

use base_serving::ServingVersion;
use base_types::{ModelName, VersionId, VersionState};
use control_registry::journal::{Action, Entry};
use tracing::{error, info};

use crate::effect::Effect;
use crate::load::LoaderJob;
use crate::reconcile::needed;
use crate::state::State;
use crate::turn::Core;

impl Core {
    /// Lets go of versions that are quarantined, or no longer wanted and not needed, once their last request is over.
    pub(crate) fn sweep(&self) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        let names: Vec<ModelName> = state.models.keys().cloned().collect();
        let mut is_changed = false;
        for name in &names {
            let needed = needed(&state, name);
            let barred = state.decisions.quarantined_versions(name);
            let State { models, draining, .. } = &mut *state;
            let Some(model) = models.get_mut(name) else { continue };
            for (version, entry) in &mut model.versions {
                let is_barred = barred.contains(version);
                if entry.state == VersionState::Quarantined && !is_barred {
                    (entry.state, entry.stamp) = (VersionState::Registered, None);
                    is_changed = true;
                }
                if entry.serving.is_some() && (is_barred || !entry.is_wanted && !needed.contains(version)) {
                    draining.extend(entry.serving.take());
                    entry.state = if is_barred { VersionState::Quarantined } else { VersionState::Draining };
                    entry.stamp = None;
                    is_changed = true;
                }
            }
        }
        if is_changed {
            self.publish(&mut state, &mut effects);
        }
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
        let mut effects = Vec::new();
        for version in &versions {
            info!(version = %version.id, "unloaded");
            let mut state = self.lock();
            let is_barred = state.decisions.quarantine.contains_key(&version.digest);
            if let Some(entry) = state.entry_mut(&version.id).filter(|e| e.state == VersionState::Draining) {
                entry.state = VersionState::Unloaded;
            }
            drop(state);
            self.show_state(&version.id);
            let why = if is_barred { "its content is quarantined" } else { "no longer wanted" };
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
        if !gone.is_empty() {
            self.publish(&mut state, &mut effects);
        }
        drop(state);
        for id in &gone {
            info!(version = %id, "removed");
            self.metrics.retire(&id.model, id.version);
            effects.push(Effect::Record(Box::new(self.entry_about("gateway", Action::Removed, id))));
        }
        self.perform(effects);
    }
}
