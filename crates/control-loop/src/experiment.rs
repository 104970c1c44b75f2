//! A/B tests under way: what was counted goes from the watches into each experiment's totals, shares move where the file
//! wants that, and the end is recorded with what the numbers say.
//!
//! An experiment begins when routing.toml names it and ends when the file names it no more, when it means something
//! else, or when its time is over; then its units go back to the model's own split.

mod running;

use std::collections::BTreeMap;
use std::sync::Arc;

use base_routing::ModelRoute;
use base_serving::{Feedback, Watch};
use base_types::ModelName;
use control_config::ExperimentBlock;
use control_registry::journal::{Action, Entry};
use tracing::info;

use crate::effect::Effect;
use crate::recorder::Job;
use crate::state::{Model, State};
use crate::turn::Core;
use crate::view::experiment as view;

use running::called;
pub(crate) use running::{Running, Shown};

/// Has the experiments of a model count by the watch of its next publication.
pub(crate) fn watch(model: &mut Model, watch: &Arc<Watch>, now_unix_ms: u64) {
    model.experiments.values_mut().for_each(|running| running.count_by(watch, now_unix_ms));
}

/// Feedback on an answer that was part of an experiment.
pub(crate) fn feedback(model: &mut Model, feedback: &Feedback) {
    let Some(mark) = feedback.prediction.experiment else { return };
    if let Some(running) = model.experiments.values_mut().find(|running| running.tag == mark.tag) {
        running.take_feedback(feedback, mark.arm);
    }
}

/// Brings the experiments under way in line with routing.toml, and the route with the experiments: what is over takes no
/// units, and shares that were moved hold. Gives what cannot be done as the file wishes.
pub(crate) fn settle(core: &Core, state: &mut State, name: &ModelName, effects: &mut Vec<Effect>) -> Vec<String> {
    let now = core.clock.unix_ms();
    let wanted: BTreeMap<Arc<str>, ExperimentBlock> =
        state.routing.experiments(name).map(|(name, block)| (Arc::from(name), block.clone())).collect();
    let mut notices = Vec::new();
    let Some(model) = state.models.get_mut(name) else { return notices };
    let Some(stable) = model.route.as_ref().map(|route| route.stable) else { return notices };
    let is_gone =
        |(key, running): &(&Arc<str>, &Running)| wanted.get(*key) != Some(&running.block) || running.stable != stable;
    let gone: Vec<Arc<str>> = model.experiments.iter().filter(is_gone).map(|(key, _)| key.clone()).collect();
    for key in gone {
        if let Some(running) = model.experiments.remove(&key).filter(|running| !running.is_over) {
            effects.push(ended(core, name, &key, &running, "routing.toml names it no more, or means something else"));
        }
    }
    for (key, block) in &wanted {
        if model.experiments.contains_key(key) {
            continue;
        }
        let Some(mut running) = Running::new(key, block, stable, now) else {
            notices.push(format!("experiment {key} waits: no arm of it is stable version {stable}"));
            continue;
        };
        let stored = state.experiment_checkpoints.remove(&checkpoint_key(name, key));
        if stored.and_then(|json| view::restore(&mut running, &json)).is_some() {
            info!(model = %name, experiment = &**key, "experiment goes on");
            model.experiments.insert(key.clone(), running);
            continue;
        }
        info!(model = %name, experiment = &**key, "experiment begins");
        let entry = Entry {
            model: Some(name.clone()),
            reason: Some(format!("experiment {key} begins, decided by {}", running.totals.primary.as_str())),
            after: Some(arms_text(&running)),
            ..Entry::new(now, "routing.toml", Action::ExperimentStarted)
        };
        effects.push(Effect::Record(Box::new(entry)));
        model.experiments.insert(key.clone(), running);
    }
    if let Some(route) = model.route.as_mut() {
        apply(route, &model.experiments);
    }
    notices
}

/// What the experiments under way make of a route.
fn apply(route: &mut ModelRoute, running: &BTreeMap<Arc<str>, Running>) {
    let is_under_way = |name: &Arc<str>| running.get(name).is_some_and(|running| !running.is_over);
    route.experiments.retain(|experiment| is_under_way(&experiment.name));
    for experiment in &mut route.experiments {
        if let Some(running) = running.get(&experiment.name).filter(|running| running.weights.is_some()) {
            experiment.split = running.split();
            let barred = &route.barred;
            experiment.split.redirect(|version| barred.contains(&version));
        }
    }
}

impl Core {
    /// Takes every experiment on. Control thread only.
    pub(crate) fn look_at_experiments(&self) {
        let now = self.clock.unix_ms();
        let mut effects = Vec::new();
        let mut state = self.lock();
        let names: Vec<ModelName> =
            state.models.iter().filter(|(_, m)| !m.experiments.is_empty()).map(|(name, _)| name.clone()).collect();
        for name in &names {
            let barred = state.decisions.quarantined_versions(name);
            let Some(model) = state.models.get_mut(name) else { continue };
            let mut is_moved = false;
            for (key, running) in &mut model.experiments {
                if running.is_over {
                    continue;
                }
                running.look(now, &self.metrics);
                let age = now.saturating_sub(running.since_unix_ms);
                if age >= running.block.max_duration.as_millis() as u64 {
                    running.is_over = true;
                    is_moved = true;
                    effects.push(ended(self, name, key, running, "its time is over"));
                } else if running.reallocate(now, &|version| !barred.contains(&version)) {
                    is_moved = true;
                    effects.push(reallocated(now, name, key, running));
                }
            }
            if is_moved {
                self.publish_model(&mut state, name, &mut effects);
            }
        }
        drop(state);
        self.perform(effects);
    }

    /// Stores what every experiment has learned, at fixed times.
    pub(crate) fn checkpoint_experiments(&self) {
        for (name, model) in &self.lock().models {
            for (key, running) in &model.experiments {
                let key = checkpoint_key(name, key);
                self.recorder.later(Job::Checkpoint { key, json: view::stored(running) });
            }
        }
    }
}

/// The key an experiment's totals are stored under.
pub(crate) fn checkpoint_key(model: &ModelName, experiment: &str) -> String {
    format!("experiment/{model}/{experiment}")
}

fn ended(core: &Core, name: &ModelName, key: &Arc<str>, running: &Running, why: &str) -> Effect {
    // Once in its life: the lock is held for it.
    let shown = running.shown(key, name);
    let report = shown.report();
    info!(model = %name, experiment = &**key, why, sentence = report.sentence, "experiment ended");
    core.recorder.later(Job::Checkpoint { key: checkpoint_key(name, key), json: None });
    core.metrics.retire_experiment(key, running.arms.iter().filter_map(|arm| arm.name.as_deref()));
    Effect::Record(Box::new(Entry {
        model: Some(name.clone()),
        reason: Some(format!("experiment {key} ended, {why}: {}", report.sentence)),
        before: Some(arms_text(running)),
        evidence_json: Some(view::report_json(&shown, &report).to_string()),
        ..Entry::new(core.clock.unix_ms(), "gateway", Action::ExperimentEnded)
    }))
}

fn reallocated(now_unix_ms: u64, name: &ModelName, key: &str, running: &Running) -> Effect {
    Effect::Record(Box::new(Entry {
        model: Some(name.clone()),
        reason: Some(format!("experiment {key}: shares by the probability to be best")),
        after: Some(arms_text(running)),
        ..Entry::new(now_unix_ms, "gateway", Action::ExperimentReallocated)
    }))
}

fn arms_text(running: &Running) -> String {
    let parts = running.arms.iter().zip(running.shares());
    let parts = parts.map(|(arm, share)| format!("{}: {}", called(arm), crate::traffic::percent(share)));
    parts.collect::<Vec<_>>().join(", ")
}
