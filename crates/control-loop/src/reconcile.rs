//! The repository as it is against what is in memory: what to load, what to check again, what to let go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base_serving::ServingVersion;
use base_types::{Change, Digest, ModelName, Stance, Version, VersionId, VersionState};
use control_config::versions_wanted;
use control_registry::journal::{Action, Entry as JournalEntry};
use control_registry::repository::{ConfigEntry, ModelEntry, Scan, Stamp, VersionEntry, scan};
use control_registry::Refusal;
use tracing::{error, info, warn};

use crate::effect::Effect;
use crate::load::{LoadRequest, LoadResult, LoaderJob};
use crate::operate::{Operation, Order};
use crate::state::{Entry, Model, State, is_due};
use crate::turn::Core;

/// A model's first stable version is not chosen while versions are still being copied, for at most this many
/// settling times.
const SETTLE_TIMES_MAX: u32 = 5;

impl Core {
    /// Looks at the repository and acts on what it sees. A repository that cannot be read changes nothing.
    pub(crate) fn look(&self) {
        let options = self.settings.scan;
        match scan(&self.settings.repository, &options, self.clock.unix_ms()) {
            Ok(found) => self.reconcile(&found),
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                error!(%error, source, "what is in memory goes on serving");
            }
        }
        self.sweep();
        self.choose_stables();
    }

    fn reconcile(&self, found: &Scan) {
        let mut effects = Vec::new();
        let mut requests = Vec::new();
        let mut state = self.lock();
        for (folder, refusal) in &found.refused {
            self.tell_refusal(&mut state, folder, refusal);
        }
        let known: Vec<ModelName> = state.models.keys().cloned().collect();
        for name in known.iter().filter(|n| !found.models.contains_key(*n)) {
            let Some(model) = state.models.get_mut(name) else { continue };
            model.versions.values_mut().for_each(|e| (e.is_wanted, e.is_present) = (false, false));
        }
        for (name, entry) in &found.models {
            let mut is_changed = self.take_config(&mut state, name, entry);
            is_changed |= self.see_versions(&mut state, name, entry, &mut requests);
            if is_changed {
                self.publish(&mut state, &mut effects);
            }
        }
        drop(state);
        self.perform(effects);
        for request in requests {
            self.load(request);
        }
    }

    /// Takes a model's config.pbtxt over. Says whether the snapshot has to be made anew.
    fn take_config(&self, state: &mut State, name: &ModelName, entry: &ModelEntry) -> bool {
        let now = self.clock.now();
        let model = state.models.entry(name.clone()).or_insert_with(|| Model::new(now));
        let (config, refusal) = match &entry.config {
            ConfigEntry::Absent => (None, None),
            ConfigEntry::Settling => return false,
            ConfigEntry::Valid(config) => (Some(config.clone()), None),
            ConfigEntry::Refused(refusal) => (None, Some(refusal.text.clone())),
        };
        let is_news = model.refusal != refusal || model.config != config;
        if let Some(text) = refusal.as_ref().filter(|_| is_news) {
            warn!(model = %name, text, "config.pbtxt refused: versions not yet in memory are not loaded");
            self.metrics.version_refused(name.as_str(), "config");
        }
        if is_news {
            for warning in config.iter().flat_map(|c| &c.warnings) {
                warn!(model = %name, warning, "config.pbtxt");
            }
        }
        model.refusal = refusal;
        if model.refusal.is_none() {
            model.config = config;
        }
        is_news
    }

    /// Compares a model's folders with what is known. Says whether the snapshot has to be made anew.
    fn see_versions(
        &self,
        state: &mut State,
        name: &ModelName,
        found: &ModelEntry,
        requests: &mut Vec<LoadRequest>,
    ) -> bool {
        for (folder, refusal) in &found.refused {
            self.tell_refusal(state, &format!("{name}/{folder}"), refusal);
        }
        let settled = found.versions.iter().filter(|(_, e)| !matches!(e, VersionEntry::Refused(_)));
        let present: BTreeSet<Version> = settled.map(|(v, _)| *v).collect();
        let needed = needed(state, name);
        let Some(model) = state.models.get_mut(name) else { return false };
        let policy = model.config.as_ref().and_then(|c| Some(c.version_policy.as_ref()?.select(&present)));
        let is_wanted = |v: &Version| policy.as_ref().is_none_or(|p| p.contains(v)) || needed.contains(v);
        model.is_settling = found.versions.values().any(|e| matches!(e, VersionEntry::Settling));
        let mut is_changed = false;
        for (version, entry) in &mut model.versions {
            // A folder that could not be read to the end says nothing about what is missing.
            entry.is_present = found.versions.contains_key(version) || found.incomplete.is_some() && entry.is_present;
            entry.is_wanted = entry.is_present && is_wanted(version);
        }
        for (version, seen) in &found.versions {
            let is_new = !model.versions.contains_key(version);
            let entry = model.versions.entry(*version).or_insert_with(Entry::new);
            is_changed |= is_new;
            (entry.is_present, entry.is_wanted) = (true, is_wanted(version));
            let id = State::id(name, *version);
            match seen {
                VersionEntry::Settling => {}
                VersionEntry::Refused(refusal) if entry.serving.is_none() => {
                    is_changed |= refuse(entry, &refusal.code.to_string(), &refusal.text, None);
                    if is_changed {
                        warn!(version = %id, code = %refusal.code, text = refusal.text, "version refused");
                        self.metrics.version_refused(name.as_str(), refusal.code.as_str());
                    }
                }
                VersionEntry::Refused(_) => {}
                VersionEntry::Settled(stamp) if entry.is_wanted => {
                    if let Some(refusal) = model.refusal.as_ref().filter(|_| entry.serving.is_none()) {
                        is_changed |= refuse(entry, "config", refusal, None);
                        continue;
                    }
                    requests.extend(request(entry, id, stamp, &model.config, &model.limits));
                }
                VersionEntry::Settled(_) => {}
            }
        }
        is_changed
    }

    fn tell_refusal(&self, state: &mut State, what: &str, refusal: &Refusal) {
        let text = format!("{}: {}", refusal.code, refusal.text);
        if state.told_refusals.get(what) != Some(&text) {
            warn!(folder = what, code = %refusal.code, text = refusal.text, "refused");
            let model = what.split('/').next().unwrap_or_default();
            let known = if ModelName::new(model).is_ok() { model } else { "" };
            self.metrics.version_refused(known, refusal.code.as_str());
            state.told_refusals.insert(what.to_owned(), text);
        }
    }

    fn load(&self, mut request: LoadRequest) {
        {
            let mut state = self.lock();
            request.registered = state.decisions.digests.get(&request.id).copied();
            let next = if request.is_check { None } else { Some(VersionState::Loading) };
            if let (Some(next), Some(entry)) = (next, state.entry_mut(&request.id)) {
                entry.state = next;
            }
        }
        self.metrics.set_version_state(&request.id.model, request.id.version, VersionState::Loading);
        if self.loader_jobs.send(LoaderJob::Load(Box::new(request))).is_err() {
            error!("the loader's thread is gone: no version can be loaded");
        }
    }

    /// Takes the loader's answer.
    pub(crate) fn loaded(&self, id: &VersionId, stamp: Stamp, result: LoadResult) {
        match result {
            LoadResult::Loaded { version, took } => self.install(id, stamp, version, took),
            LoadResult::Same(digest) => self.same(id, stamp, digest),
            LoadResult::Changed(digest) => self.content_changed(id, stamp, digest),
            LoadResult::Refused { code, text, digest, is_transient } => {
                let mut effects = Vec::new();
                let mut state = self.lock();
                let is_news = state.entry_mut(id).is_some_and(|entry| {
                    entry.digest = entry.digest.or(digest);
                    refuse(entry, &code, &text, (!is_transient).then_some(stamp))
                });
                if !is_news {
                    return;
                }
                self.publish(&mut state, &mut effects);
                drop(state);
                warn!(version = %id, code, text, "version refused");
                self.metrics.version_refused(id.model.as_str(), &code);
                let entry = JournalEntry {
                    reason: Some(format!("{code}: {text}")),
                    digest,
                    ..self.entry_about("gateway", Action::LoadRefused, id)
                };
                effects.push(Effect::Record(Box::new(entry)));
                self.perform(effects);
            }
        }
        self.show_state(id);
        self.choose_stables();
        self.follow(id);
    }

    /// Makes a loaded version addressable: its number is bound to its content first.
    fn install(&self, id: &VersionId, stamp: Stamp, version: Arc<ServingVersion>, took: Duration) {
        let digest = version.digest;
        if let Err(error) = self.register(id, digest, Action::Loaded) {
            let mut state = self.lock();
            if let Some(entry) = state.entry_mut(id) {
                refuse(entry, "journal", &format!("could not be recorded: {error}"), None);
            }
            drop(state);
            self.free(vec![version]);
            return;
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        if let Some(entry) = state.entry_mut(id) {
            entry.state = VersionState::Ready;
            entry.reason = None;
            entry.digest = Some(digest);
            entry.stamp = Some(stamp);
            entry.load = Some(took);
            entry.serving = Some(version.clone());
        }
        self.publish(&mut state, &mut effects);
        drop(state);
        self.perform(effects);
        version.metrics.set_memory(version.runner.memory());
        self.metrics.set_load_seconds(&id.model, id.version, took.as_secs_f64());
        info!(version = %id, digest = digest.short(), took_ms = took.as_millis() as u64, "version ready");
    }

    /// Binds a number to content, durably, if it is not bound yet.
    fn register(
        &self,
        id: &VersionId,
        digest: Digest,
        action: Action,
    ) -> Result<(), control_registry::journal::JournalError> {
        let is_known = self.lock().decisions.digests.contains_key(id);
        let change = Change::Registered { id: id.clone(), digest };
        let mut entry = JournalEntry { digest: Some(digest), ..self.entry_about("gateway", action, id) };
        if is_known {
            self.perform(vec![Effect::Record(Box::new(entry))]);
            return Ok(());
        }
        entry.changes.push(change.clone());
        self.recorder.now(vec![entry], None)?;
        self.lock().decisions.apply(&change);
        Ok(())
    }

    fn same(&self, id: &VersionId, stamp: Stamp, digest: Digest) {
        if let Err(error) = self.register(id, digest, Action::Registered) {
            warn!(version = %id, %error, "could not be recorded");
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        let is_barred = state.decisions.quarantine.contains_key(&digest);
        if let Some(entry) = state.entry_mut(id) {
            entry.stamp = Some(stamp);
            entry.digest = Some(digest);
            if entry.reason.as_ref().is_some_and(|(code, _)| code == "content_changed") {
                entry.reason = None;
            }
            if entry.serving.is_none() {
                entry.state = if is_barred { VersionState::Quarantined } else { VersionState::Registered };
            }
        }
        self.publish(&mut state, &mut effects);
        drop(state);
        self.perform(effects);
    }

    /// Other content under a known number: refused. What is loaded goes on serving.
    fn content_changed(&self, id: &VersionId, stamp: Stamp, digest: Digest) {
        let text = format!(
            "the folder now holds other content ({}) than this version number stands for; publish it under a new number",
            digest.short()
        );
        let mut effects = Vec::new();
        let mut state = self.lock();
        if let Some(entry) = state.entry_mut(id) {
            entry.stamp = Some(stamp);
            if entry.serving.is_some() {
                entry.reason = Some(("content_changed".to_owned(), text.clone()));
            } else {
                entry.fail("content_changed", text.clone());
            }
        }
        self.publish(&mut state, &mut effects);
        drop(state);
        warn!(version = %id, text, "content changed");
        self.metrics.version_refused(id.model.as_str(), "content_changed");
        let entry =
            JournalEntry { reason: Some(text), ..self.entry_about("gateway", Action::ContentChanged, id) };
        effects.push(Effect::Record(Box::new(entry)));
        self.perform(effects);
    }

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
        let (idle, busy) = std::mem::take(&mut state.draining).into_iter().partition(|v| Arc::strong_count(v) == 1);
        state.draining = busy;
        drop(state);
        self.perform(effects);
        self.free(idle);
        self.forget();
    }

    fn free(&self, versions: Vec<Arc<ServingVersion>>) {
        if versions.is_empty() {
            return;
        }
        let mut effects = Vec::new();
        for version in &versions {
            info!(version = %version.id, "unloaded");
            let mut state = self.lock();
            if let Some(entry) = state.entry_mut(&version.id).filter(|e| e.state == VersionState::Draining) {
                entry.state = VersionState::Unloaded;
            }
            drop(state);
            self.show_state(&version.id);
            let entry = self.entry_about("gateway", Action::Unloaded, &version.id);
            effects.push(Effect::Record(Box::new(entry)));
        }
        self.perform(effects);
        if self.loader_jobs.send(LoaderJob::Free(versions)).is_err() {
            error!("the loader's thread is gone");
        }
    }

    /// Forgets versions whose folder is gone and that are out of memory, and their metric series with them.
    fn forget(&self) {
        let mut gone = Vec::new();
        let mut state = self.lock();
        for (name, model) in &mut state.models {
            model.versions.retain(|version, entry| {
                let is_idle = matches!(entry.state, VersionState::Unloaded | VersionState::Failed | VersionState::Registered | VersionState::Quarantined);
                let is_gone = !entry.is_wanted && entry.serving.is_none() && is_idle && !entry.is_present;
                if is_gone {
                    gone.push(State::id(name, *version));
                }
                !is_gone
            });
        }
        let still_freeing: BTreeSet<VersionId> = state.draining.iter().map(|v| v.id.clone()).collect();
        let mut effects = Vec::new();
        if !gone.is_empty() {
            self.publish(&mut state, &mut effects);
        }
        drop(state);
        for id in gone.iter().filter(|id| !still_freeing.contains(id)) {
            info!(version = %id, "removed");
            self.metrics.retire(&id.model, id.version);
            effects.push(Effect::Record(Box::new(self.entry_about("gateway", Action::Removed, id))));
        }
        self.perform(effects);
    }

    /// Gives models without a stable version one: the highest that is ready once everything present is loaded.
    pub(crate) fn choose_stables(&self) {
        let state = self.lock();
        let settle = Duration::from_millis(self.settings.scan.settle_ms);
        let now = self.clock.now();
        let mut chosen = Vec::new();
        for (name, model) in &state.models {
            let is_decided = state.stance(name).is_some() || state.routing.meaning(name).is_some();
            let is_waiting = model.is_settling && !is_due(model.first_seen, now, settle * SETTLE_TIMES_MAX);
            if is_decided || is_waiting || !state.is_settled(name) {
                continue;
            }
            let ready = model.versions.keys().rev().find(|v| crate::publish::is_ready(&state, name, **v));
            chosen.extend(ready.map(|version| (State::id(name, *version), self.first_stance(&state, name, *version))));
        }
        drop(state);
        for (id, stance) in chosen {
            self.adopt(&id, stance);
        }
    }

    fn first_stance(&self, state: &State, name: &ModelName, version: Version) -> Stance {
        state.new_stance(name, version, self.clock.unix_ms())
    }

    fn adopt(&self, id: &VersionId, stance: Stance) {
        let changes =
            vec![Change::Stance { model: id.model.clone(), stance }, Change::Confirmed { id: id.clone() }];
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
        self.publish(&mut state, &mut effects);
        drop(state);
        info!(version = %id, "takes unpinned traffic");
        self.perform(effects);
    }

    /// With `--follow-latest`: a higher version that became ready is put under trial.
    fn follow(&self, id: &VersionId) {
        let Some(share) = self.settings.follow_share else { return };
        let state = self.lock();
        let model = state.models.get(&id.model);
        let is_free = model.is_some_and(|m| m.trials.is_empty());
        let is_higher = model.and_then(|m| m.route.as_ref()).is_some_and(|r| r.stable < id.version);
        let is_ready = crate::publish::is_ready(&state, &id.model, id.version);
        let is_ours = state.routing.meaning(&id.model).is_none() && state.is_started;
        drop(state);
        if !(is_free && is_higher && is_ready && is_ours) {
            return;
        }
        let order = Order {
            model: id.model.clone(),
            operation: Operation::Canary { version: base_types::Selector::Version(id.version), share },
            actor: "follow-latest".to_owned(),
            reason: Some("a higher version became ready".to_owned()),
        };
        if let Err(refused) = self.carry_out(&order) {
            warn!(version = %id, code = refused.code, refused.message, "not followed");
        }
    }

    fn show_state(&self, id: &VersionId) {
        let state = self.lock().entry(id).map(|e| e.state);
        if let Some(state) = state {
            self.metrics.set_version_state(&id.model, id.version, state);
        }
    }
}

/// Versions that must stay in memory whatever the folder says.
fn needed(state: &State, name: &ModelName) -> BTreeSet<Version> {
    let mut needed = versions_wanted(&state.routing, name, state.decisions.stances.get(name));
    let route = state.models.get(name).and_then(|m| m.route.as_ref());
    needed.extend(route.into_iter().flat_map(|r| r.routed_versions()));
    needed
}

/// Marks an entry refused. Says whether that is news.
fn refuse(entry: &mut Entry, code: &str, text: &str, stamp: Option<Stamp>) -> bool {
    let reason = Some((code.to_owned(), text.to_owned()));
    let is_news = entry.reason != reason;
    (entry.state, entry.reason, entry.stamp) = (VersionState::Failed, reason, stamp);
    is_news
}

/// What to ask of the loader about a settled folder, if anything.
fn request(
    entry: &mut Entry,
    id: VersionId,
    stamp: &Stamp,
    config: &Option<control_registry::model_config::ModelConfig>,
    limits: &Arc<base_serving::ModelLimits>,
) -> Option<LoadRequest> {
    let is_underway = matches!(entry.state, VersionState::Gating | VersionState::Loading | VersionState::Draining);
    if is_underway || entry.stamp.as_ref() == Some(stamp) {
        return None;
    }
    let is_check = entry.serving.is_some();
    // Taken up now: the next scan must not ask again.
    entry.stamp = Some(stamp.clone());
    if !is_check {
        entry.state = VersionState::Gating;
    }
    let (stamp, config, limits) = (stamp.clone(), config.clone(), limits.clone());
    Some(LoadRequest { id, stamp, config, limits, registered: None, is_check })
}
