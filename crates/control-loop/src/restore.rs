//! The split of one or all models as it was at an earlier time: all of them in one transaction and one publication, or
//! none, with every obstacle named. Toward risk: durable first, then in force.
//!
//! Only who answers which share is brought back. Rules, labels and experiments are routing.toml's, which the gateway never
//! writes: where they were others then, that is said.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{Candidate, Change, Digest, ModelName, Phase, Stance, Version};
use control_registry::journal::{Action, Entry, Moment, Served, Standing, Table};
use serde_json::json;

use crate::admissible::check_candidate;
use crate::control::Control;
use crate::order::{Refused, refuse};
use crate::publish::is_ready;
use crate::published;
use crate::recorder::Job;
use crate::state::State;
use crate::traffic::{Traffic, percent};
use crate::turn::{Core, Event};

/// Shares closer than this are the same.
const SHARE_STEP: f64 = 1e-9;

/// What is to be brought back.
#[derive(Debug, Clone, PartialEq)]
pub struct Restore {
    /// The moment, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The model; `None` for all.
    pub model: Option<ModelName>,
    /// Only says what would be done.
    pub is_dry_run: bool,
    /// Who orders it.
    pub actor: String,
    /// Why. Needed unless it is a dry run.
    pub reason: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// Whether anything was changed.
    pub is_done: bool,
    /// The generation in force.
    pub generation: u64,
    /// What is otherwise than it was then, by model.
    pub differences: Vec<Difference>,
    /// Why it cannot be done, every reason; nothing is changed then.
    pub obstacles: Vec<Obstacle>,
    /// What is not brought back, one sentence each.
    pub remarks: Vec<String>,
}

/// One model whose split is otherwise than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The model.
    pub model: ModelName,
    /// Its shares now.
    pub now: String,
    /// Its shares then.
    pub then: String,
}

/// Why one model cannot be brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// The model.
    pub model: ModelName,
    /// Stable code.
    pub code: &'static str,
    /// In a sentence, with the remedy.
    pub text: String,
}

/// How one model is brought back.
struct Step {
    difference: Difference,
    entry: Entry,
    epoch: u64,
}

impl Control {
    /// Brings back what served at a moment, or says what that would mean.
    pub async fn restore(&self, order: Restore) -> Result<Restored, Refused> {
        if !order.is_dry_run && order.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            return refuse("reason_missing", "what is brought back needs a reason");
        }
        let core = self.core.clone();
        let wanted = order.clone();
        let read =
            tokio::task::spawn_blocking(move || core.recorder.reader()?.at(wanted.at_unix_ms, wanted.model.as_ref()));
        let moment =
            read.await.map_err(|_| Refused { code: "internal", message: "the reading broke off".to_owned() })?;
        let moment = moment.map_err(|error| Refused { code: "journal", message: error.to_string() })?;
        let (reply, answer) = tokio::sync::oneshot::channel();
        match self.events().try_send(Event::Restore(Box::new((order, moment)), reply)) {
            Ok(()) => {}
            Err(std::sync::mpsc::TrySendError::Full(_)) => {
                return refuse("busy", "too many orders wait already; try again");
            }
            Err(std::sync::mpsc::TrySendError::Disconnected(_)) => {
                return refuse("stopping", "the gateway is stopping");
            }
        }
        answer.await.unwrap_or_else(|_| refuse("stopping", "the gateway is stopping"))
    }
}

impl Core {
    /// Carries it out, or refuses it as a whole. Control thread only.
    pub(crate) fn restore(&self, (order, moment): &(Restore, Moment)) -> Result<Restored, Refused> {
        if moment.models.is_empty() {
            return refuse("nothing_served", nothing_served(order, moment));
        }
        let (steps, mut restored) = self.plan_restore(order, moment);
        if order.is_dry_run || !restored.obstacles.is_empty() || steps.is_empty() {
            return Ok(restored);
        }
        restored.generation = self.enact_restore(steps)?;
        restored.is_done = true;
        Ok(restored)
    }

    fn plan_restore(&self, order: &Restore, moment: &Moment) -> (Vec<Step>, Restored) {
        let state = self.lock();
        let (mut steps, mut obstacles, mut remarks) = (Vec::new(), Vec::new(), Vec::new());
        if let Standing::Unknown { .. } = moment.standing {
            remarks
                .push("the gateway ended without saying so at about that time: this is what it served last".to_owned());
        }
        for served in &moment.models {
            remarks.extend(unrestored(&state, served));
            match self.plan_model(&state, order, served) {
                Ok(step) => steps.extend(step),
                Err(found) => obstacles.extend(found),
            }
        }
        let was_served: BTreeSet<&ModelName> = moment.models.iter().map(|served| &served.model).collect();
        let is_new = |name: &&ModelName| order.model.is_none() && !was_served.contains(*name);
        remarks.extend(
            state.models.keys().filter(is_new).map(|name| format!("{name} was not served then and stays as it is")),
        );
        let differences = steps.iter().map(|step| step.difference.clone()).collect();
        let generation = state.generation;
        (steps, Restored { is_done: false, generation, differences, obstacles, remarks })
    }

    /// How one model is brought back, `None` where it is as it was; or everything that stands against it.
    fn plan_model(&self, state: &State, order: &Restore, served: &Served) -> Result<Option<Step>, Vec<Obstacle>> {
        let name = &served.model;
        let (then, now) = (served.table.shares(), shares_now(state, name));
        if is_same(&then, &now) && served.table.stable == stable_now(state, name) {
            return Ok(None);
        }
        let difference =
            Difference { model: name.clone(), now: Traffic::of(state, name).to_string(), then: words(&then) };
        let against = obstacles(state, served, &then);
        if !against.is_empty() {
            let obstacle = |(code, text)| Obstacle { model: name.clone(), code, text };
            return Err(against.into_iter().map(obstacle).collect());
        }
        let now_unix_ms = self.clock.unix_ms();
        let Some(stance) = stance(state, served, &then, now_unix_ms) else {
            return Err(vec![many(name, &then)]);
        };
        let (stable, candidate) = (stance.stable, stance.candidate);
        let mut changes = vec![Change::Stance { model: name.clone(), stance }];
        if candidate.is_none() {
            changes.push(Change::Confirmed { id: State::id(name, stable) });
        }
        let evidence = json!({ "restored_at_unix_ms": order.at_unix_ms, "restored_seq": served.seq,
            "restored_generation": served.generation });
        let version = candidate.map_or(stable, |candidate| candidate.version);
        let entry = Entry {
            model: Some(name.clone()),
            version: Some(version),
            digest: state.entry(&State::id(name, version)).and_then(|entry| entry.digest),
            before: Some(difference.now.clone()),
            after: Some(difference.then.clone()),
            reason: order.reason.clone(),
            evidence_json: Some(evidence.to_string()),
            changes,
            ..Entry::new(now_unix_ms, order.actor.clone(), Action::Restored)
        };
        Ok(Some(Step { difference, entry, epoch: state.epoch(name) }))
    }

    /// One transaction, one publication.
    fn enact_restore(&self, steps: Vec<Step>) -> Result<u64, Refused> {
        let generation = Some(base_types::Generation(self.lock().generation + 1));
        let epochs: Vec<(ModelName, u64)> =
            steps.iter().map(|step| (step.difference.model.clone(), step.epoch)).collect();
        let entries: Vec<Entry> = steps.into_iter().map(|step| Entry { generation, ..step.entry }).collect();
        if let Err(error) = self.recorder.now(entries.clone(), None) {
            return refuse("journal", format!("nothing was changed, because it could not be recorded: {error}"));
        }
        let mut effects = Vec::new();
        let mut state = self.lock();
        if epochs.iter().any(|(name, epoch)| state.epoch(name) != *epoch) {
            let taken_back = self.take_back(&state, &entries);
            drop(state);
            taken_back.into_iter().for_each(|entry| self.recorder.later(Job::Append(Box::new(entry))));
            return refuse("superseded", "a rollback came first, so nothing was changed; look again, then order again");
        }
        entries.iter().flat_map(|entry| &entry.changes).for_each(|change| state.decisions.apply(change));
        let names: BTreeSet<ModelName> = epochs.into_iter().map(|(name, _)| name).collect();
        for name in &names {
            if let Some(model) = state.models.get_mut(name) {
                model.is_rolled_back = false;
            }
        }
        self.publish_models(&mut state, &names, &mut effects);
        let generation = state.generation;
        drop(state);
        for entry in &entries {
            let model = entry.model.as_ref().map(ModelName::as_str);
            tracing::info!(
                model,
                before = entry.before,
                after = entry.after,
                actor = entry.actor,
                reason = entry.reason,
                generation,
                "restored"
            );
            self.notify(json!({ "event": entry.action.as_str(), "model": model,
                "version": entry.version.map(Version::get), "before": entry.before, "after": entry.after,
                "actor": entry.actor, "reason": entry.reason, "generation": generation }));
        }
        self.perform(effects);
        Ok(generation)
    }
}

fn nothing_served(order: &Restore, moment: &Moment) -> String {
    match (&moment.standing, &order.model) {
        (Standing::Unborn, _) => "nothing had been recorded yet at that time".to_owned(),
        (Standing::Down { .. }, _) => "the gateway was not running at that time".to_owned(),
        (_, Some(model)) => format!("{model} was not served at that time"),
        (_, None) => "no model was served at that time".to_owned(),
    }
}

/// Everything that stands against a version's return, as code and text.
fn obstacles(state: &State, served: &Served, then: &BTreeMap<u64, f64>) -> Vec<(&'static str, String)> {
    let name = &served.model;
    if !state.models.contains_key(name) {
        return vec![("model_gone", format!("{name} is gone: publish it again"))];
    }
    let mut against = Vec::new();
    if let Some(rollout) = state.rollout(name) {
        let text = format!("version {} of {name} is being rolled out: abort that first", rollout.candidate);
        against.push(("rollout_under_way", text));
    }
    let stable = served.table.stable;
    let meant: BTreeSet<u64> = then.keys().copied().chain(stable).collect();
    for number in meant {
        let Some(version) = Version::new(number) else { continue };
        let id = State::id(name, version);
        let content = served.digest(version).and_then(|text| text.parse::<Digest>().ok());
        let known = state.decisions.digests.get(&id).copied();
        let entry = state.entry(&id);
        if entry.is_none() {
            against.push(("version_gone", format!("{id} is gone: publish it again")));
        } else if state.decisions.is_quarantined(&id) {
            let cause = known.and_then(|digest| state.decisions.quarantine.get(&digest)).map(|q| q.cause.as_str());
            let text = format!("{id} is quarantined ({}): release it first", cause.unwrap_or("unknown"));
            against.push(("quarantined", text));
        } else if content.is_some() && content != known {
            against.push(("content_changed", format!("{id} had other content then")));
        } else if !is_ready(state, name, version) {
            let why = entry.and_then(|entry| entry.reason.as_ref()).map(|(_, text)| format!(": {text}"));
            let text = format!("{id} is not in memory{}: have it loaded first", why.unwrap_or_default());
            against.push(("version_not_ready", text));
        }
    }
    let signature = |stable: Version| {
        let others = then.keys().filter_map(|number| Version::new(*number)).filter(|version| *version != stable);
        let checked = others.filter_map(|version| check_candidate(state, name, version, stable).err());
        checked.map(|refused| (refused.code, refused.message)).collect::<Vec<_>>()
    };
    if against.is_empty() {
        against.extend(stable.and_then(Version::new).map(signature).unwrap_or_default());
    }
    against
}

/// The stance that gives these shares; `None` where none can.
fn stance(state: &State, served: &Served, then: &BTreeMap<u64, f64>, now_unix_ms: u64) -> Option<Stance> {
    let name = &served.model;
    let stable = Version::new(served.table.stable?)?;
    let others: Vec<(Version, f64)> = then
        .iter()
        .filter_map(|(number, share)| Some((Version::new(*number)?, *share)))
        .filter(|(version, _)| *version != stable)
        .collect();
    let settled = |version| Some(state.new_stance(name, version, now_unix_ms));
    match others.as_slice() {
        [] => settled(stable),
        // Promoted then and confirmed since: there is nothing left to confirm.
        [(only, share)] if *share > 1.0 - SHARE_STEP && is_confirmed(state, name, *only) => settled(*only),
        [(only, share)] => {
            let is_all = *share > 1.0 - SHARE_STEP;
            let phase = if is_all { Phase::Provisional } else { Phase::Canary };
            let candidate = Some(Candidate { version: *only, share: if is_all { 1.0 } else { *share } });
            Some(Stance { candidate, phase, ..state.new_stance(name, stable, now_unix_ms) })
        }
        _ => None,
    }
}

fn is_confirmed(state: &State, model: &ModelName, version: Version) -> bool {
    state.decisions.confirmed.get(model).is_some_and(|known| known.contains(&version))
}

fn many(model: &ModelName, then: &BTreeMap<u64, f64>) -> Obstacle {
    let text = format!(
        "{} is a split of several candidates, which only routing.toml can ask for: put the text of then back",
        words(then)
    );
    Obstacle { model: model.clone(), code: "split_of_the_file", text }
}

/// What was otherwise then and is not brought back.
fn unrestored(state: &State, served: &Served) -> Vec<String> {
    let now = table_now(state, &served.model);
    let (then, now) = (&served.table, now.unwrap_or_default());
    let parts = [
        (then.rules != now.rules, "rules"),
        (then.experiments != now.experiments, "experiments"),
        (then.sticky != now.sticky, "sticky keys"),
        (!own_labels(then).eq(own_labels(&now)), "labels"),
    ];
    let differ = parts.into_iter().filter(|(differs, _)| *differs);
    differ
        .map(|(_, what)| format!("{}: its {what} were others then; they are routing.toml's and stay", served.model))
        .collect()
}

/// The labels that somebody chose: `stable` and `canary` follow the shares where nobody did.
fn own_labels(table: &Table) -> impl Iterator<Item = (&String, &u64)> {
    table.labels.iter().filter(|(label, _)| !matches!(label.as_str(), "stable" | "canary"))
}

/// The table in force of a model.
fn table_now(state: &State, name: &ModelName) -> Option<Table> {
    let route = state.models.get(name)?.route.as_ref()?;
    Some(published::of_route(route))
}

fn shares_now(state: &State, name: &ModelName) -> BTreeMap<u64, f64> {
    table_now(state, name).map(|table| table.shares()).unwrap_or_default()
}

fn stable_now(state: &State, name: &ModelName) -> Option<u64> {
    table_now(state, name).and_then(|table| table.stable)
}

fn is_same(then: &BTreeMap<u64, f64>, now: &BTreeMap<u64, f64>) -> bool {
    let is_near = |((a, x), (b, y)): ((&u64, &f64), (&u64, &f64))| a == b && (x - y).abs() < SHARE_STEP;
    then.len() == now.len() && then.iter().zip(now).all(is_near)
}

fn words(shares: &BTreeMap<u64, f64>) -> String {
    let shares = shares.iter().map(|(version, share)| format!("{version}: {}", percent(*share)));
    shares.collect::<Vec<_>>().join(", ")
}
