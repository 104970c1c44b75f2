//! The repository and the store as they are against what is in memory: what to load, what to check again.

use std::collections::BTreeSet;
use std::sync::Arc;

use base_types::{ModelName, Residence, Version, VersionId, VersionState};
use control_config::versions_wanted;
use control_registry::model_config::ModelConfig;
use control_registry::repository::{ConfigEntry, ModelEntry, Scan, scan};
use control_registry::{Refusal, RefusalCode};
use tracing::{error, warn};

use crate::contract;
use crate::load::{LoadRequest, LoaderJob};
use crate::publish::is_ready;
use crate::shelf::{Holdings, ShelfModel};
use crate::shelved::{NOT_LOADED, Wants, take_labels};
use crate::source::{Known, Seen, Source, sightings};
use crate::state::{Entry, Model, State};
use crate::turn::Core;

/// Refused folders that are remembered as told.
const TOLD_REFUSALS_MAX: usize = 10_000;
/// Code and text of a version that is out of memory by order.
pub(crate) const UNLOADED: (&str, &str) = ("unloaded", "unloaded by order; load it to have it back");

/// The places where versions of one model may lie.
pub(crate) struct Places<'a> {
    folder: &'a ModelEntry,
    shelf: Option<&'a ShelfModel>,
}

impl Core {
    /// Looks at the repository and the store and acts on what it sees. A repository that cannot be read changes nothing.
    pub(crate) fn look(&self) {
        let options = self.settings.scan;
        let root = self.settings.repository.as_deref();
        match root.map_or_else(|| Ok(Scan::default()), |root| scan(root, &options, self.clock.unix_ms())) {
            Ok(found) => self.reconcile(&found, &self.holdings()),
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                error!(%error, source, "what is in memory goes on serving");
            }
        }
        self.sweep();
        self.choose_stables();
    }

    fn reconcile(&self, found: &Scan, shelf: &Holdings) {
        let mut effects = Vec::new();
        let (mut requests, mut changed) = (Vec::new(), BTreeSet::new());
        let mut state = self.lock();
        for (folder, refusal) in &found.refused {
            self.tell_refusal(&mut state, folder, refusal);
        }
        let known: Vec<ModelName> = state.models.keys().cloned().collect();
        for name in known.iter().filter(|n| !found.models.contains_key(*n) && !shelf.contains_key(*n)) {
            let Some(model) = state.models.get_mut(name) else { continue };
            model.shelf_labels.clear();
            model.versions.values_mut().for_each(|e| (e.is_wanted, e.is_present) = (false, false));
        }
        let in_store_alone = ModelEntry::default();
        let names: BTreeSet<&ModelName> = found.models.keys().chain(shelf.keys()).collect();
        for name in names {
            let places = Places { folder: found.models.get(name).unwrap_or(&in_store_alone), shelf: shelf.get(name) };
            let mut is_changed = self.take_config(&mut state, name, &places);
            is_changed |= self.see_versions(&mut state, name, &places, &mut requests);
            if is_changed {
                changed.insert(name.clone());
            }
        }
        let requests = self.admit(&mut state, requests, &mut changed);
        self.publish_models(&mut state, &changed, &mut effects);
        drop(state);
        self.perform(effects);
        for request in requests {
            self.load(request);
        }
    }

    /// Takes a model's config.pbtxt over. Says whether the snapshot has to be made anew.
    fn take_config(&self, state: &mut State, name: &ModelName, places: &Places<'_>) -> bool {
        let now = self.clock.now();
        let model = state.models.entry(name.clone()).or_insert_with(|| Model::new(now));
        let (config, refusal) = match &places.folder.config {
            ConfigEntry::Absent => (places.shelf.and_then(ShelfModel::config).cloned(), None),
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
        if is_news {
            // What did not fit the file before may fit it now.
            model.versions.values_mut().for_each(try_again);
        }
        is_news
    }

    /// Compares a model's folders with what is known. Says whether the snapshot has to be made anew.
    fn see_versions(
        &self,
        state: &mut State,
        name: &ModelName,
        places: &Places<'_>,
        requests: &mut Vec<LoadRequest>,
    ) -> bool {
        let Places { folder: found, shelf } = places;
        self.tell_folders(state, name, places);
        let needed = needed(state, name);
        let State { models, decisions, .. } = state;
        let Some(model) = models.get_mut(name) else { return false };
        let known = |v| Known::of(model.versions.get(&v), decisions.digests.get(&State::id(name, v)).copied());
        let sightings = sightings(&found.versions, *shelf, known);
        let left_out = self.left_out(name, &needed);
        let wants = Wants::new(model.config.as_ref(), &sightings, (needed, self.shelf_versions()));
        let ordered = |v: &Version| decisions.residence(name, *v);
        let is_wanted = |v: &Version, is_in_memory: bool| match ordered(v) {
            Some(residence) => residence == Residence::Loaded,
            None => wants.is_wanted(v) && !left_out.has(*v, is_in_memory),
        };
        // A version is not taken up before the config that says how.
        let is_config_settling = matches!(found.config, ConfigEntry::Settling);
        model.is_settling = is_config_settling || sightings.values().any(|s| s.seen == Seen::Settling);
        // Of the folder alone: what was pushed with one version says nothing about others.
        let shared = model.config.clone().filter(|_| !matches!(found.config, ConfigEntry::Absent));
        let mut is_changed = take_labels(model, *shelf);
        for (version, entry) in &mut model.versions {
            // A folder that could not be read to the end says nothing about what is missing.
            entry.is_present = sightings.contains_key(version) || found.incomplete.is_some() && entry.is_present;
            entry.is_wanted = entry.is_present && is_wanted(version, entry.serving.is_some());
        }
        for (version, sighting) in &sightings {
            let is_new = !model.versions.contains_key(version);
            let entry = model.versions.entry(*version).or_insert_with(Entry::new);
            is_changed |= is_new;
            (entry.is_present, entry.is_wanted) = (true, is_wanted(version, entry.serving.is_some()));
            entry.pushed.clone_from(&sighting.pushed);
            let id = State::id(name, *version);
            if ordered(version) == Some(Residence::Unloaded) {
                is_changed |= keep_out(entry);
                continue;
            }
            is_changed |= self.note_conflict(entry, &id, sighting.conflict.as_deref());
            match &sighting.seen {
                Seen::Settling => {}
                Seen::Refused(refusal) if entry.serving.is_none() => {
                    let is_news = refuse(entry, &refusal.code.to_string(), &refusal.text, None);
                    is_changed |= is_news;
                    if is_news {
                        warn!(version = %id, code = %refusal.code, text = refusal.text, "version refused");
                        self.metrics.version_refused(name.as_str(), refusal.code.as_str());
                    }
                }
                Seen::Refused(_) => {}
                Seen::At(_) if is_config_settling && entry.serving.is_none() => {}
                Seen::At(source) if entry.is_wanted => {
                    if let Some(refusal) = model.refusal.as_ref().filter(|_| entry.serving.is_none()) {
                        is_changed |= refuse(entry, "config", refusal, None);
                        continue;
                    }
                    requests.extend(request(entry, id, source, shared.as_ref()));
                }
                Seen::At(source) => is_changed |= wants.leave(entry, source, &id) | left_out.show(entry, *version),
            }
        }
        is_changed
    }

    /// Tells of a model's folders that are no versions.
    fn tell_folders(&self, state: &mut State, name: &ModelName, places: &Places<'_>) {
        for (folder, refusal) in &places.folder.refused {
            // A folder with nothing but a config.pbtxt is no mistake where the versions lie in the store.
            if places.shelf.is_none() || refusal.code != RefusalCode::NoVersions {
                self.tell_refusal(state, &format!("{name}/{folder}"), refusal);
            }
        }
    }

    fn tell_refusal(&self, state: &mut State, what: &str, refusal: &Refusal) {
        let text = format!("{}: {}", refusal.code, refusal.text);
        if state.told_refusals.get(what) != Some(&text) {
            warn!(folder = what, code = %refusal.code, text = refusal.text, "refused");
            let model = what.split('/').next().unwrap_or_default();
            let known = if ModelName::new(model).is_ok() { model } else { "" };
            self.metrics.version_refused(known, refusal.code.as_str());
            // Forgetting means telling again, nothing worse.
            if state.told_refusals.len() >= TOLD_REFUSALS_MAX {
                state.told_refusals.clear();
            }
            state.told_refusals.insert(what.to_owned(), text);
        }
    }

    fn load(&self, mut request: LoadRequest) {
        {
            let mut state = self.lock();
            let VersionId { model, version } = &request.id;
            request.registered = state.decisions.digests.get(&request.id).copied();
            request.names = state.routing.names(model, *version).cloned().unwrap_or_default();
            request.limits = Arc::new(contract::limits(&state.routing, model));
            if let Some(entry) = state.entry_mut(&request.id).filter(|e| e.state == VersionState::Gating) {
                entry.state = VersionState::Loading;
            }
        }
        self.show_state(&request.id);
        let id = request.id.clone();
        if let Err(refused) = self.loader_jobs.try_send(LoaderJob::Load(Box::new(request))) {
            warn!(version = %id, %refused, "cannot be loaded now: asked for again at the next look");
            self.is_back(&id);
            if let Some(entry) = self.lock().entry_mut(&id) {
                entry.stamp = None;
                if entry.serving.is_none() {
                    entry.state = VersionState::Registered;
                }
            }
        }
    }
}

/// A version that is out of memory by order is shown as that. Says whether that is news.
fn keep_out(entry: &mut Entry) -> bool {
    let is_idle = matches!(entry.state, VersionState::Registered | VersionState::Failed | VersionState::Unloaded);
    let is_news = is_idle && entry.reason.as_ref().is_none_or(|(code, _)| code != UNLOADED.0);
    if is_news {
        (entry.state, entry.stamp) = (VersionState::Unloaded, None);
        entry.reason = Some((UNLOADED.0.to_owned(), UNLOADED.1.to_owned()));
    }
    is_news
}

/// Has a version that did not fit its config.pbtxt, or the names in routing.toml, taken up again at the next look.
pub(crate) fn try_again(entry: &mut Entry) {
    let is_misfit = |(code, _): &(String, String)| matches!(code.as_str(), "config_mismatch" | "warm_up_failed");
    if entry.state == VersionState::Failed && entry.reason.as_ref().is_some_and(is_misfit) {
        entry.stamp = None;
    }
}

/// Versions that must stay in memory whatever the folder says.
pub(crate) fn needed(state: &State, name: &ModelName) -> BTreeSet<Version> {
    let mut needed = versions_wanted(&state.routing, name, state.decisions.stances.get(name));
    let route = state.models.get(name).and_then(|m| m.route.as_ref());
    needed.extend(route.into_iter().flat_map(|r| r.routed_versions()));
    needed.extend(state.rollout(name).map(|rollout| rollout.candidate));
    needed.extend(state.models.get(name).into_iter().flat_map(|m| m.shelf_labels.values()));
    // The version a rollback would go back to.
    let stable = route.map(|r| r.stable);
    let confirmed = state.decisions.confirmed.get(name).map(Vec::as_slice).unwrap_or_default();
    needed.extend(confirmed.iter().rev().find(|v| Some(**v) != stable && is_ready(state, name, **v)));
    needed
}

/// Marks an entry refused. Says whether that is news.
pub(crate) fn refuse(entry: &mut Entry, code: &str, text: &str, stamp: Option<Source>) -> bool {
    let reason = Some((code.to_owned(), text.to_owned()));
    let is_news = entry.reason != reason;
    (entry.state, entry.reason, entry.stamp) = (VersionState::Failed, reason, stamp);
    is_news
}

/// What to ask of the loader about a version that may be read, if anything.
fn request(entry: &mut Entry, id: VersionId, stamp: &Source, shared: Option<&ModelConfig>) -> Option<LoadRequest> {
    let is_underway = matches!(entry.state, VersionState::Gating | VersionState::Loading | VersionState::Draining);
    if is_underway || entry.stamp.as_ref() == Some(stamp) {
        return None;
    }
    let is_check = entry.serving.is_some();
    // Taken up now: the next scan must not ask again.
    entry.stamp = Some(stamp.clone());
    entry.is_stored = matches!(stamp, Source::Store(_));
    if entry.reason.as_ref().is_some_and(|(code, _)| code == NOT_LOADED) {
        entry.reason = None;
    }
    // What was refused before stays refused while it is read again: nobody waits for it.
    if !is_check && entry.reason.is_none() {
        entry.state = VersionState::Gating;
    }
    let (stamp, config) = (stamp.clone(), stamp.config().or(shared).cloned());
    // What else there is to know is filled in when the request is handed over.
    let (names, limits, registered) = Default::default();
    Some(LoadRequest { id, stamp, config, names, limits, registered, is_check })
}
