//! Memory kept within its bounds: loads let through or held back, versions sent out to make room, versions left where they
//! lie until somebody asks. What is decided, `residency` decides.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use base_serving::ServingVersion;
use base_types::{ModelName, Residence, Version, VersionId, VersionState};
use tracing::{info, warn};

use crate::load::LoadRequest;
use crate::reconcile::{needed, refuse};
use crate::residency::{Coming, Held, Need, Residency, Verdict, Want, decide};
use crate::shelved::NOT_LOADED;
use crate::source::Source;
use crate::state::{Entry, State};
use crate::turn::Core;

/// The code of a version that is not loaded for want of memory.
pub(crate) const MEMORY_BUDGET: &str = "memory_budget";

/// Which versions of a model are left out of memory until they are needed or asked for.
pub(crate) struct LeftOut {
    out: BTreeSet<Version>,
    /// Where versions are loaded on demand: those that were asked for.
    asked: Option<BTreeSet<Version>>,
    needed: BTreeSet<Version>,
}

impl LeftOut {
    /// Whether a version stays where it lies.
    pub(crate) fn has(&self, version: Version, is_in_memory: bool) -> bool {
        let is_unasked = self.asked.as_ref().is_some_and(|asked| !asked.contains(&version) && !is_in_memory);
        !self.needed.contains(&version) && (is_unasked || self.out.contains(&version))
    }

    /// Shows why a version is not loaded. Says whether that is news.
    pub(crate) fn show(&self, entry: &mut Entry, version: Version) -> bool {
        let is_idle = entry.serving.is_none()
            && matches!(entry.state, VersionState::Registered | VersionState::Unloaded | VersionState::Failed);
        let is_told = entry.reason.as_ref().is_some_and(|(code, _)| code != MEMORY_BUDGET);
        if !is_idle || is_told || !self.has(version, false) {
            return false;
        }
        let text = match self.asked {
            Some(_) => "on demand: ask for it by its number, or route to it, to have it in memory",
            None => "it made room for another version: route to it, or order it loaded, to have it back in memory",
        };
        (entry.state, entry.stamp) = (VersionState::Registered, None);
        entry.reason = Some((NOT_LOADED.to_owned(), text.to_owned()));
        true
    }
}

impl Core {
    pub(crate) fn residency(&self) -> MutexGuard<'_, Residency> {
        self.residency.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// What of a model stays out of memory unless it is needed.
    pub(crate) fn left_out(&self, name: &ModelName, needed: &BTreeSet<Version>) -> LeftOut {
        let residency = self.residency();
        let of_model = |ids: &BTreeSet<VersionId>| -> BTreeSet<Version> {
            ids.iter().filter(|id| id.model == *name).map(|id| id.version).collect()
        };
        let asked = self.settings.memory.on_demand.then(|| of_model(&residency.asked));
        LeftOut { out: of_model(&residency.out), asked, needed: needed.clone() }
    }

    /// Lets through those of the loads for which there is memory. Models whose versions were refused or sent out are
    /// added to `changed`.
    pub(crate) fn admit(
        &self,
        state: &mut State,
        requests: Vec<LoadRequest>,
        changed: &mut BTreeSet<ModelName>,
    ) -> Vec<LoadRequest> {
        let bounds = self.settings.memory;
        if bounds.budget_bytes.is_none() {
            return requests;
        }
        self.residency().waiting.clear();
        let (mut checks, mut loads): (Vec<_>, Vec<_>) = requests.into_iter().partition(|request| request.is_check);
        if loads.is_empty() {
            return checks;
        }
        let mut residency = self.residency();
        let mut held = held(state, &residency);
        let want = |state: &State, id: &VersionId| want(state, &residency.asked, id);
        let mut coming: Vec<(Want, LoadRequest)> = loads.drain(..).map(|r| (want(state, &r.id), r)).collect();
        // Who needs memory most gets it first; of two alike the newer.
        coming.sort_by(|(a, x), (b, y)| b.cmp(a).then(y.id.version.cmp(&x.id.version)));
        for (want, request) in coming {
            let id = request.id.clone();
            let need = Need::of(file_bytes(&request.stamp), residency.measured.get(&id).copied());
            match decide(&Coming { id: id.clone(), need, want }, &held, &residency.underway, &bounds) {
                Verdict::Load => {
                    residency.underway.insert(id, need);
                    checks.push(request);
                }
                Verdict::After(going) => {
                    for victim in going {
                        info!(version = %victim, makes_room_for = %id, "goes out of memory");
                        held.iter_mut().filter(|held| held.id == victim).for_each(|held| held.is_leaving = true);
                        residency.asked.remove(&victim);
                        if let Some(entry) = state.entry_mut(&victim) {
                            // The sweep that follows the look takes it out.
                            entry.is_wanted = false;
                        }
                        residency.out.insert(victim);
                    }
                    hold_back(state, &id);
                    residency.waiting.insert(id.model.clone());
                }
                Verdict::Refuse(text) => {
                    let is_news = state.entry_mut(&id).is_some_and(|entry| refuse(entry, MEMORY_BUDGET, &text, None));
                    if is_news {
                        warn!(version = %id, code = MEMORY_BUDGET, text, "version not loaded");
                        self.metrics.version_refused(id.model.as_str(), MEMORY_BUDGET);
                        changed.insert(id.model.clone());
                    }
                }
            }
        }
        checks
    }

    /// A load is over, or was never begun.
    pub(crate) fn is_back(&self, id: &VersionId) {
        self.residency().underway.remove(id);
    }

    /// Notes what a version that was just loaded takes.
    pub(crate) fn note_memory(&self, version: &ServingVersion) {
        if self.settings.memory.budget_bytes.is_some() {
            self.residency().measured.insert(version.id.clone(), bytes_of(version));
        }
    }

    /// Notes which versions were used since the last tick, and forgets those that are no more.
    pub(crate) fn note_use(&self, loaded: &[Arc<ServingVersion>]) {
        if self.settings.memory.budget_bytes.is_none() && !self.settings.memory.on_demand {
            return;
        }
        let known: BTreeSet<VersionId> = {
            let state = self.lock();
            let of = |(name, model): (&ModelName, &crate::state::Model)| -> Vec<VersionId> {
                model.versions.keys().map(|version| State::id(name, *version)).collect()
            };
            state.models.iter().flat_map(of).collect()
        };
        let now = self.clock.unix_ms();
        let mut residency = self.residency();
        for version in loaded {
            let stats = version.stats.read();
            residency.note_use(&version.id, stats.success.count + stats.fail.count, now);
        }
        residency.forget(|id| known.contains(id));
    }
}

/// What is in memory, and on its way out of it.
fn held(state: &State, residency: &Residency) -> Vec<Held> {
    let one = |version: &ServingVersion, want, is_leaving| Held {
        id: version.id.clone(),
        bytes: bytes_of(version),
        want,
        last_used: residency.last_used(&version.id),
        is_leaving,
    };
    let mut held: Vec<Held> = state.draining.iter().map(|version| one(version, Want::Present, true)).collect();
    for (name, model) in &state.models {
        let needed = needed(state, name);
        for (version, entry) in &model.versions {
            let Some(serving) = &entry.serving else { continue };
            let is_needed = needed.contains(version) || is_ordered(state, &serving.id);
            let want = if is_needed { Want::Needed } else { Want::Present };
            held.push(one(serving, want, false));
        }
    }
    held
}

fn want(state: &State, asked: &BTreeSet<VersionId>, id: &VersionId) -> Want {
    let is_newest = |model: &crate::state::Model| {
        let wanted = model.versions.iter().filter(|(_, entry)| entry.is_present);
        wanted.map(|(version, _)| *version).max() == Some(id.version)
    };
    if needed(state, &id.model).contains(&id.version) || is_ordered(state, id) {
        Want::Needed
    } else if asked.contains(id) {
        Want::Asked
    } else if state.models.get(&id.model).is_some_and(is_newest) {
        Want::Newest
    } else {
        Want::Present
    }
}

/// Whether somebody ordered a version to be in memory.
fn is_ordered(state: &State, id: &VersionId) -> bool {
    state.decisions.residence(&id.model, id.version) == Some(Residence::Loaded)
}

/// Has a version asked for again at the next look.
fn hold_back(state: &mut State, id: &VersionId) {
    if let Some(entry) = state.entry_mut(id) {
        entry.stamp = None;
        if entry.state == VersionState::Gating {
            entry.state = VersionState::Registered;
        }
    }
}

fn bytes_of(version: &ServingVersion) -> u64 {
    let memory = version.runner.memory();
    memory.arena_bytes + memory.mapped_bytes
}

/// The size of a version's files.
pub(crate) fn file_bytes(source: &Source) -> u64 {
    match source {
        Source::Folder(stamp) => stamp.bytes(),
        Source::Store(pushed) => pushed.record.bytes(),
    }
}
