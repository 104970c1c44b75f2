//! What callers of the data plane may order where `model_control` is on: have a version or a whole model in memory, or
//! out of it. Answered when the work is done, because callers take the answer for that.
//!
//! An order outlives the process: it is journalled, and holds until the next one about the same thing. A single version
//! that takes traffic, that routing.toml names or that a rollback would go back to is not unloaded. A whole model is,
//! whoever routes to it: that is what Triton's callers mean by it, and an operator who allowed them to has to want it.
//! Only while a version of it is under trial it is refused, because the trial would end without a verdict.

use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use base_serving::{ChangeKind, ChangeRefused};
use base_types::{Change, Decisions, ModelName, Phase, Residence, Version, VersionId, VersionState};
use control_config::versions_wanted;
use control_registry::journal::{Action, Entry};
use tokio::sync::oneshot;
use tracing::info;

use crate::reconcile::needed;
use crate::recorder::Job;
use crate::state::{Model, State, is_due};
use crate::traffic::Traffic;
use crate::turn::Core;

/// Callers waiting for the end of a load or unload.
const WAITING_MAX: usize = 64;
/// How long one is kept waiting. The work goes on.
const PATIENCE: Duration = Duration::from_secs(600);
/// Who gave the order, as the journal has it: the protocols tell no name.
const ACTOR: &str = "model control";

/// A caller's way to hear of the end.
pub(crate) type ChangeReply = oneshot::Sender<Result<(), ChangeRefused>>;

/// What is to be in memory, or out of it.
#[derive(Debug, Clone)]
pub(crate) struct MemoryOrder {
    pub(crate) kind: ChangeKind,
    pub(crate) model: ModelName,
    /// The version; `None` for the whole model.
    pub(crate) version: Option<Version>,
}

/// Orders that are in force and whose work goes on.
#[derive(Default)]
pub(crate) struct Waiting(Vec<(MemoryOrder, ChangeReply, Instant)>);

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts an order in force and remembers who waits for it.
    pub(crate) fn begin(&mut self, core: &Core, order: MemoryOrder, reply: ChangeReply) {
        let begun = match self.0.len() < WAITING_MAX {
            true => core.begin_change(&order),
            false => refuse("too many loads and unloads wait already; try again"),
        };
        match begun {
            Ok(()) => self.0.push((order, reply, core.clock.now())),
            // The one who ordered may have given up waiting.
            Err(refused) => drop(reply.send(Err(refused))),
        }
    }

    /// Answers those whose work is done. Those who left are forgotten.
    pub(crate) fn answer(&mut self, core: &Core) {
        let now = core.clock.now();
        let waiting = std::mem::take(&mut self.0).into_iter();
        self.0 = waiting
            .filter_map(|(order, reply, since)| {
                if reply.is_closed() {
                    return None;
                }
                let late = || {
                    let text = format!("it is not done after {} s, and goes on", PATIENCE.as_secs());
                    is_due(since, now, PATIENCE).then(|| refuse(&text))
                };
                match core.change_end(&order).or_else(late) {
                    None => Some((order, reply, since)),
                    Some(end) => {
                        // The one who ordered may have given up waiting.
                        let _gone = reply.send(end);
                        None
                    }
                }
            })
            .collect();
    }
}

impl Core {
    /// Checks, records and puts in force. The loader and the sweep do the work.
    fn begin_change(&self, order: &MemoryOrder) -> Result<(), ChangeRefused> {
        // What was copied a moment ago is to be found.
        self.look();
        let state = self.lock();
        let is_news = match order.kind {
            ChangeKind::Load => check_load(&state, order)?,
            ChangeKind::Unload => check_unload(&state, order)?,
        };
        let entry = is_news.then(|| self.row(&state, order));
        let epoch = state.epoch(&order.model);
        drop(state);
        if let Some(entry) = &entry
            && let Err(error) = self.recorder.now(vec![entry.clone()], None)
        {
            return refuse(&format!("nothing was changed, because it could not be recorded: {error}"));
        }
        let mut state = self.lock();
        if state.epoch(&order.model) != epoch && order.kind == ChangeKind::Unload {
            if entry.is_some() {
                self.undo(state, order);
            }
            return refuse("a rollback came first, so nothing was changed; look again, then order again");
        }
        entry.iter().flat_map(|e| &e.changes).for_each(|change| state.decisions.apply(change));
        if order.kind == ChangeKind::Load {
            retry(&mut state, order);
        }
        drop(state);
        if entry.is_some() {
            let version = order.version.map(Version::get);
            info!(model = %order.model, version, kind = ?order.kind, "ordered by a caller");
        }
        self.look();
        Ok(())
    }

    /// A rollback came while an order to unload was being recorded, and may need what was to go: it is ordered back.
    fn undo(&self, mut state: MutexGuard<'_, State>, order: &MemoryOrder) {
        let back = MemoryOrder { kind: ChangeKind::Load, ..order.clone() };
        let reason = Some("a rollback came while an order to unload was being recorded".to_owned());
        let row = Entry { reason, ..self.row(&state, &back) };
        row.changes.iter().for_each(|change| state.decisions.apply(change));
        drop(state);
        self.recorder.later(Job::Append(Box::new(row)));
    }

    fn row(&self, state: &State, MemoryOrder { kind, model, version }: &MemoryOrder) -> Entry {
        let (action, residence) = match kind {
            ChangeKind::Load => (Action::LoadOrdered, Residence::Loaded),
            ChangeKind::Unload => (Action::UnloadOrdered, Residence::Unloaded),
        };
        let id = version.map(|version| State::id(model, version));
        Entry {
            model: Some(model.clone()),
            version: *version,
            digest: id.and_then(|id| state.entry(&id)?.digest),
            before: Some(Traffic::of(state, model).to_string()),
            changes: vec![Change::Residence { model: model.clone(), version: *version, residence }],
            ..Entry::new(self.clock.unix_ms(), ACTOR, action)
        }
    }

    /// How the work of an order ended; `None` while it goes on.
    fn change_end(&self, order: &MemoryOrder) -> Option<Result<(), ChangeRefused>> {
        let state = self.lock();
        let Some(model) = state.models.get(&order.model) else { return Some(unknown(order)) };
        if is_overtaken(&state.decisions, order) {
            return Some(refuse("a later order took its place"));
        }
        match (order.kind, order.version) {
            (ChangeKind::Load, Some(version)) => version_loaded(&state, model, &State::id(&order.model, version)),
            (ChangeKind::Load, None) => model_loaded(&state, model, &order.model),
            (ChangeKind::Unload, version) => {
                let is_meant = |v: &Version| version.is_none_or(|only| only == *v);
                let mut meant = model.versions.iter().filter(|(v, _)| is_meant(v));
                let is_in = |s: VersionState| {
                    use VersionState::{Draining, Gating, Loading};
                    matches!(s, Gating | Loading | Draining)
                };
                let is_going = meant.any(|(_, e)| e.serving.is_some() || is_in(e.state));
                (!is_going).then_some(Ok(()))
            }
        }
    }
}

/// Whether a later order wants the opposite, so that the work of this one never ends.
fn is_overtaken(decisions: &Decisions, MemoryOrder { kind, model, version }: &MemoryOrder) -> bool {
    let whole = decisions.residence.get(model);
    match (kind, version) {
        (ChangeKind::Load, Some(version)) => decisions.residence(model, *version) == Some(Residence::Unloaded),
        (ChangeKind::Load, None) => whole.is_some_and(|ordered| ordered.is_unloaded),
        (ChangeKind::Unload, Some(version)) => decisions.residence(model, *version) != Some(Residence::Unloaded),
        // One version ordered back is enough: the model does not go out of memory then.
        (ChangeKind::Unload, None) => whole.is_none_or(|ordered| {
            !ordered.is_unloaded || ordered.versions.values().any(|residence| *residence == Residence::Loaded)
        }),
    }
}

/// Why a caller's order is not carried out.
pub(crate) fn refuse<T>(text: &str) -> Result<T, ChangeRefused> {
    Err(ChangeRefused { text: text.to_owned(), is_unknown: false })
}

fn unknown<T>(MemoryOrder { model, version, .. }: &MemoryOrder) -> Result<T, ChangeRefused> {
    let text = match version {
        Some(version) => format!("there is no version {version} of model {:?} in the repository", model.as_str()),
        None => format!("there is no model {:?} in the repository", model.as_str()),
    };
    Err(ChangeRefused { text, is_unknown: true })
}

/// Whether a load may be ordered, and whether it changes what was ordered before.
fn check_load(state: &State, order: &MemoryOrder) -> Result<bool, ChangeRefused> {
    let Some(model) = state.models.get(&order.model).filter(|m| !m.versions.is_empty()) else { return unknown(order) };
    let Some(version) = order.version else { return Ok(state.decisions.residence.contains_key(&order.model)) };
    let Some(entry) = model.versions.get(&version) else { return unknown(order) };
    let id = State::id(&order.model, version);
    if let Some(quarantine) = entry.digest.and_then(|d| state.decisions.quarantine.get(&d)) {
        return refuse(&format!("{id} is quarantined ({}); release it first, with a reason", quarantine.cause));
    }
    if !entry.is_present && entry.serving.is_none() {
        return unknown(order);
    }
    let is_ordered = state.decisions.residence(&order.model, version) == Some(Residence::Loaded);
    let is_as_wished = state.decisions.residence(&order.model, version).is_none() && entry.is_wanted;
    Ok(!is_ordered && !is_as_wished)
}

/// Whether an unload may be ordered, and whether it changes what was ordered before.
fn check_unload(state: &State, order: &MemoryOrder) -> Result<bool, ChangeRefused> {
    let Some(model) = state.models.get(&order.model).filter(|m| !m.versions.is_empty()) else { return unknown(order) };
    let Some(version) = order.version else {
        let is_provisional = state.stance(&order.model).is_some_and(|s| s.phase == Phase::Provisional);
        if let Some(candidate) = model.trials.keys().next() {
            return refuse(&format!(
                "version {candidate} of model {} is under trial, which would end without a verdict: confirm it or roll it back first",
                order.model
            ));
        }
        if is_provisional {
            return refuse("a promotion waits to be confirmed: confirm it or roll it back first");
        }
        let ordered = state.decisions.residence.get(&order.model);
        return Ok(ordered.is_none_or(|o| !o.is_unloaded || !o.versions.is_empty()));
    };
    if !model.versions.contains_key(&version) {
        return unknown(order);
    }
    if let Some(need) = need(state, &order.model, version) {
        return refuse(&format!("version {version} of model {} is not unloaded: {need}", order.model));
    }
    Ok(state.decisions.residence(&order.model, version) != Some(Residence::Unloaded))
}

/// What a version is needed for, and what to do about it.
fn need(state: &State, name: &ModelName, version: Version) -> Option<String> {
    if !needed(state, name).contains(&version) {
        return None;
    }
    let route = state.models.get(name).and_then(|m| m.route.as_ref());
    if route.is_some_and(|r| r.stable == version) {
        return Some("it is the stable version; promote another one first, or unload the whole model".to_owned());
    }
    if route.is_some_and(|r| r.routed_versions().contains(&version)) {
        return Some("it takes traffic; take it out of the split first".to_owned());
    }
    if versions_wanted(&state.routing, name, None).contains(&version) {
        return Some("routing.toml names it; take it out there first".to_owned());
    }
    if state.stance(name).is_some_and(|s| s.stable == version || s.candidate.is_some_and(|c| c.version == version)) {
        return Some("a rollout in progress names it; confirm it or roll it back first".to_owned());
    }
    Some("it is the version a rollback would go back to".to_owned())
}

/// What failed before, or is out by order, is tried again.
fn retry(state: &mut State, order: &MemoryOrder) {
    let Some(model) = state.models.get_mut(&order.model) else { return };
    let meant = model.versions.iter_mut().filter(|(v, _)| order.version.is_none_or(|only| only == **v));
    for (_, entry) in meant.filter(|(_, e)| e.serving.is_none()) {
        if matches!(entry.state, VersionState::Failed | VersionState::Unloaded | VersionState::Registered) {
            (entry.state, entry.reason, entry.stamp) = (VersionState::Registered, None, None);
        }
    }
}

fn version_loaded(state: &State, model: &Model, id: &VersionId) -> Option<Result<(), ChangeRefused>> {
    let Some(entry) = model.versions.get(&id.version) else {
        return Some(refuse(&format!("the folder of {id} is gone")));
    };
    if state.decisions.is_quarantined(id) {
        return Some(refuse(&format!("{id} is quarantined; release it first, with a reason")));
    }
    match (entry.state, &entry.reason) {
        (VersionState::Ready, _) if entry.serving.is_some() => Some(Ok(())),
        (VersionState::Failed, reason) => {
            let text = reason.as_ref().map_or("it failed", |(_, text)| text.as_str());
            Some(refuse(&format!("{id} is not loaded: {text}")))
        }
        _ => None,
    }
}

/// Done when everything the policy wants is loaded or refused; good if nothing was refused.
fn model_loaded(state: &State, model: &Model, name: &ModelName) -> Option<Result<(), ChangeRefused>> {
    let wanted = || model.versions.iter().filter(|(_, e)| e.is_wanted);
    let ends: Vec<_> = wanted()
        .filter(|(v, _)| !state.decisions.is_quarantined(&State::id(name, **v)))
        .map(|(v, _)| version_loaded(state, model, &State::id(name, *v)))
        .collect::<Option<_>>()?;
    if model.is_settling {
        return None;
    }
    let failed: Vec<String> = ends.iter().filter_map(|end| end.as_ref().err()).map(|r| r.text.clone()).collect();
    let n_ready = ends.len() - failed.len();
    Some(match (failed.is_empty(), n_ready) {
        (true, 0) => refuse(&format!(
            "no version of {name} may be loaded: all of them are quarantined or not wanted by its version_policy"
        )),
        (true, _) => Ok(()),
        (false, n) => refuse(&format!("{}; {n} other versions of {name} are ready", failed.join("; "))),
    })
}
