//! From state to snapshot: `effective = compile(config, decisions)`, then one swap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base_routing::ModelRoute;
use base_serving::{RetryBudget, ServingModel, Snapshot, Unready};
use base_types::{Generation, ModelName, Stance, Version, VersionState};
use control_config::{Availability, Compiled, compile};
use control_rollout::{Cause, Decision, Guardrail, Mode, Trial, Verdict, decide};

use crate::checkpoint;
use crate::effect::{Effect, RolledBack};
use crate::rollout::Live;
use crate::state::{Model, OpenTrial, State, checkpoint_key};
use crate::traffic::Traffic;
use crate::turn::Core;
use crate::{batching, contract, declare, experiment, provider, published, shelved, steady, watching};

impl Core {
    /// Compiles every model, opens and closes trials to match, and publishes. Call under the lock. For what concerns
    /// all models: routing.toml, and content that several may share.
    pub(crate) fn publish(&self, state: &mut State, effects: &mut Vec<Effect>) {
        let names: BTreeSet<ModelName> = state.models.keys().cloned().collect();
        self.renew(state, &names, effects);
    }

    /// The same for one model; the others are taken over as they are.
    pub(crate) fn publish_model(&self, state: &mut State, name: &ModelName, effects: &mut Vec<Effect>) {
        self.renew(state, &BTreeSet::from([name.clone()]), effects);
    }

    /// The same for several models, all at once; for none, nothing is published.
    pub(crate) fn publish_models(&self, state: &mut State, names: &BTreeSet<ModelName>, effects: &mut Vec<Effect>) {
        if !names.is_empty() {
            self.renew(state, names, effects);
        }
    }

    fn renew(&self, state: &mut State, names: &BTreeSet<ModelName>, effects: &mut Vec<Effect>) {
        for name in names {
            self.route(state, name, effects);
        }
        let mut models = self.cell.load().models.clone();
        for name in names {
            match serving(state, name) {
                Some(model) => models.insert(name.clone(), model),
                None => models.remove(name),
            };
        }
        self.swap(state, (names, models), effects);
    }

    fn swap(
        &self,
        state: &mut State,
        (names, models): (&BTreeSet<ModelName>, HashMap<ModelName, Arc<ServingModel>>),
        effects: &mut Vec<Effect>,
    ) {
        state.generation += 1;
        let snapshot = Arc::new(Snapshot { generation: Generation(state.generation), models });
        let replaced = self.cell.publish(snapshot.clone());
        self.metrics.set_generation(state.generation);
        let moment = (state.generation, self.clock.unix_ms());
        effects.extend(published::news((&replaced.models, &snapshot.models), names, moment));
        effects.push(Effect::Free(replaced));
    }

    /// Settles one model's route, limits and trials. A candidate that is convicted by what is known when its trial
    /// opens, a crash loop, takes no traffic at all.
    fn route(&self, state: &mut State, name: &ModelName, effects: &mut Vec<Effect>) {
        let mut convicted = Vec::new();
        while let Some((version, cause)) = self.compile_and_try(state, name, effects) {
            convicted.extend(self.convict(state, name, version, cause));
        }
        let after = Traffic::of(state, name);
        effects.extend(
            convicted
                .into_iter()
                .map(|rolled_back| Effect::RolledBack(Box::new(RolledBack { after: after.clone(), ..*rolled_back }))),
        );
        effects.push(Effect::ShowShares(name.clone()));
    }

    /// One round of settling. Gives a candidate that is to be taken out before anything is published.
    fn compile_and_try(
        &self,
        state: &mut State,
        name: &ModelName,
        effects: &mut Vec<Effect>,
    ) -> Option<(Version, Cause)> {
        let routing = state.routing.clone();
        // A rollout that goes on after a restart is judged by its own policy from the first.
        let rollout = state.rollout(name).cloned();
        let model = state.models.get_mut(name)?;
        model.live = model.live.take().or_else(|| Live::of(rollout.as_ref()?));
        contract::settle(&routing, name, model);
        declare::settle(model);
        let (compiled, mut notices) = effective(state, name);
        let compiled = compiled.or_else(|| still_good(state, name));
        let is_told = state.is_started;
        let model = state.models.get_mut(name)?;
        let limits = batching::settled(contract::limits(&routing, name), model);
        notices.extend(batching::notices(&limits, model));
        provider::renew(model, &limits);
        if *model.limits != limits {
            model.limits = Arc::new(limits);
        }
        model.route = compiled;
        notices.extend(experiment::settle(self, state, name, effects));
        let model = state.models.get_mut(name)?;
        let is_told_already = |flaw: &String| notices.iter().any(|n| n.contains(flaw.as_str()));
        let flaws: Vec<String> = model.flaws.values().filter(|flaw| !is_told_already(flaw)).cloned().collect();
        notices.extend(flaws);
        if model.notices != notices {
            // While the first versions load, much is not as wished yet.
            let told = notices.iter().filter(|_| is_told);
            effects.extend(told.map(|n| Effect::Notice(name.clone(), n.clone())));
            model.notices = notices;
        }
        let convicted = self.sync_trials(state, name, effects);
        let guardrail = guardrail(state, name);
        steady::settle(state, name, &guardrail);
        watching::renew(state, name, &guardrail, self.clock.unix_ms());
        convicted
    }

    /// Opens a trial for every version that takes a share beside stable, and closes the others. Gives the first
    /// candidate that is convicted by the crashes it is charged with.
    fn sync_trials(&self, state: &mut State, name: &ModelName, effects: &mut Vec<Effect>) -> Option<(Version, Cause)> {
        let rolled_out = state.rollout(name).map(|rollout| rollout.candidate);
        let guardrail = guardrail(state, name);
        let State { models, checkpoints, crashes, .. } = state;
        let model = models.get_mut(name)?;
        let wanted = match &model.route {
            Some(route) if guardrail.mode != Mode::Off => {
                // A candidate that only gets copies is judged by what they show.
                let mut wanted = route.candidates();
                wanted.extend(rolled_out.filter(|version| *version != route.stable));
                wanted
            }
            _ => BTreeSet::new(),
        };
        let stable = model.route.as_ref().and_then(|r| model.serving(r.stable).cloned());
        let is_current = |open: &OpenTrial, version: Version| {
            let is_same = |a: &Arc<_>, b: Option<&Arc<_>>| b.is_some_and(|b| Arc::ptr_eq(a, b));
            wanted.contains(&version)
                && is_same(&open.stable, stable.as_ref())
                && is_same(&open.candidate, model.serving(version))
        };
        let closed: Vec<Version> =
            model.trials.iter().filter(|(v, open)| !is_current(open, **v)).map(|(v, _)| *v).collect();
        for version in closed {
            if let Some(open) = model.trials.remove(&version) {
                model.examples = open.examples();
                let digest = open.candidate.digest;
                crashes.remove(&digest);
                effects.push(Effect::TrialClosed { model: name.clone(), version, digest });
            }
        }
        for open in model.trials.values_mut().filter(|open| *open.trial.guardrail() != guardrail) {
            open.judge_by(&guardrail);
        }
        let mut convicted = None;
        for version in wanted {
            let (Some(candidate), Some(stable)) = (model.serving(version).cloned(), stable.clone()) else { continue };
            if model.trials.contains_key(&version) {
                continue;
            }
            let digest = candidate.digest;
            let stored = checkpoints.remove(&checkpoint_key(name, digest)).filter(|s| s.stable == stable.digest);
            let restored =
                stored.and_then(|s| Some((Trial::restore(guardrail.clone(), &s.checkpoint).ok()?, s.since_unix_ms)));
            let fresh = || Trial::new(guardrail.clone()).ok().map(|trial| (trial, self.clock.unix_ms()));
            // A guardrail that judges nothing was refused when it was read.
            let Some((trial, since)) = restored.or_else(fresh) else { continue };
            let mut open = OpenTrial::new(trial, candidate, stable, since);
            let verdict = charge(&mut open, crashes.get(&digest).map(Vec::as_slice).unwrap_or_default());
            if let Decision::RollBack(cause) = decide(verdict, &guardrail) {
                convicted = convicted.or(Some((version, cause)));
            }
            let limits = &model.limits;
            model.budget = Arc::new(RetryBudget::new(limits.retry_ratio, limits.retry_reserve));
            let checkpoint = checkpoint::json(&open);
            model.trials.insert(version, open);
            effects.push(Effect::TrialOpened { model: name.clone(), version, digest, checkpoint });
        }
        convicted
    }

    /// Metrics of shares; after the swap, because looking their labels up takes longer than all else on the way there.
    pub(crate) fn show_shares(&self, name: &ModelName) {
        let state = self.lock();
        let Some(model) = state.models.get(name) else { return };
        for version in model.versions.keys() {
            let share = model.route.as_ref().map_or(0.0, |r| r.split.share(*version, r.stable));
            self.metrics.set_share_wanted(name, *version, share);
        }
    }
}

/// What candidates of a model are judged by: the policy of the rollout under way where it has a guardrail of its own,
/// else the model's.
fn guardrail(state: &State, name: &ModelName) -> Guardrail {
    let live = state.models.get(name).and_then(|m| m.live.as_ref()).filter(|_| state.rollout(name).is_some());
    let of_policy = live.and_then(|live| live.policy.guardrail.as_ref());
    of_policy.unwrap_or_else(|| state.routing.guardrail(name)).clone()
}

/// Charges a trial with the crashes it has not been charged with yet.
fn charge(open: &mut OpenTrial, crashes: &[u64]) -> Verdict {
    let n_charged = open.trial.evidence(open.successes()).crashes.exits as usize;
    let fresh = crashes.iter().skip(n_charged);
    fresh.fold(Verdict::None, |_, n_requests| open.trial.on_crash(*n_requests))
}

/// The route of a model by config and decisions, and what there is to say about it.
fn effective(state: &State, name: &ModelName) -> (Option<ModelRoute>, Vec<String>) {
    let block = state.routing.models.get(name);
    let Some(model) = state.models.get(name) else { return (None, Vec::new()) };
    let stance = state.stance(name);
    let compiled = compile_checked(state, name, model, stance);
    let error = match compiled {
        Ok(Compiled { mut route, mut notices }) => {
            notices.extend(shelved::label(&mut route, &model.shelf_labels));
            return (Some(route), notices);
        }
        Err(error) => error,
    };
    // Stable is out: failed, quarantined or gone. The last confirmed version that is ready serves, and that is said;
    // while stable is still on its way, it is waited for.
    let wanted = stance.map(|s| s.stable).or_else(|| block.and_then(|b| b.stable));
    let is_underway = wanted
        .and_then(|v| model.versions.get(&v))
        .is_some_and(|e| matches!(e.state, VersionState::Registered | VersionState::Gating | VersionState::Loading));
    let confirmed = state.decisions.confirmed.get(name).map(Vec::as_slice).unwrap_or_default();
    let stand_in = confirmed.iter().rev().find(|v| is_ready(state, name, **v));
    match stand_in {
        Some(version) if !is_underway => {
            let notice = format!("{error}; version {version}, confirmed earlier, stands in");
            let route = ModelRoute::to_one(name.clone(), *version);
            (Some(route), vec![notice])
        }
        _ => (None, vec![error]),
    }
}

/// Compiles, and keeps versions whose signature cannot succeed stable's out of unpinned traffic.
fn compile_checked(
    state: &State,
    name: &ModelName,
    model: &Model,
    stance: Option<&Stance>,
) -> Result<Compiled, String> {
    let availability = |misfits: &BTreeMap<Version, String>, version: Version| {
        let Some(entry) = model.versions.get(&version) else { return Availability::Unknown };
        if state.decisions.is_quarantined(&State::id(name, version)) {
            Availability::Quarantined
        } else if entry.serving.is_some() && !misfits.contains_key(&version) {
            Availability::Ready
        } else {
            Availability::NotReady
        }
    };
    let none = BTreeMap::new();
    let config = &state.routing;
    let first = compile(config, name, stance, &|v| availability(&none, v)).map_err(|e| e.to_string())?;
    let misfits = misfits(name, model, &first.route);
    if misfits.is_empty() {
        return Ok(first);
    }
    let mut second = compile(config, name, stance, &|v| availability(&misfits, v)).map_err(|e| e.to_string())?;
    second.notices.extend(misfits.into_values());
    Ok(second)
}

fn misfits(name: &ModelName, model: &Model, route: &ModelRoute) -> BTreeMap<Version, String> {
    let digest = |version| model.serving(version).map(|s| s.digest);
    let check = |version: Version| {
        if digest(version) == digest(route.stable) {
            return Some((version, format!("version {version} has the same content as version {}", route.stable)));
        }
        contract::misfit(model, (name, version), route.stable).map(|text| (version, text))
    };
    route.candidates().into_iter().filter_map(check).collect()
}

/// Whether a version is in memory and may be routed.
pub(crate) fn is_ready(state: &State, model: &ModelName, version: Version) -> bool {
    let id = State::id(model, version);
    state.entry(&id).is_some_and(|e| e.serving.is_some()) && !state.decisions.is_quarantined(&id)
}

/// The route in force, if what it needs is still in memory: better than none while the new one cannot be made.
fn still_good(state: &State, name: &ModelName) -> Option<ModelRoute> {
    let route = state.models.get(name)?.route.clone()?;
    let is_whole = route.routed_versions().iter().all(|v| is_ready(state, name, *v));
    is_whole.then_some(route)
}

/// The snapshot's view of a model; `None` for one that has no versions left.
fn serving(state: &State, name: &ModelName) -> Option<Arc<ServingModel>> {
    let model = state.models.get(name)?;
    let mut versions = BTreeMap::new();
    let mut unready = BTreeMap::new();
    for (version, entry) in &model.versions {
        let is_quarantined = state.decisions.is_quarantined(&State::id(name, *version));
        match &entry.serving {
            Some(serving) if !is_quarantined => {
                versions.insert(*version, serving.clone());
            }
            _ => {
                let state = if is_quarantined { VersionState::Quarantined } else { entry.state };
                let reason = entry.reason.as_ref().map_or(String::new(), |(_, text)| text.clone());
                unready.insert(*version, Unready { state, reason });
            }
        }
    }
    if versions.is_empty() && unready.is_empty() {
        return None;
    }
    Some(Arc::new(ServingModel {
        name: name.clone(),
        route: model.route.clone(),
        versions,
        unready,
        limits: model.limits.clone(),
        budget: model.budget.clone(),
        is_judged: !model.trials.is_empty() || model.steady.is_some(),
        declared: model.declared.clone(),
        contracts: model.contracts.clone(),
        watch: model.watch.clone(),
    }))
}
