//! A/B tests under way: what was counted goes from the watches into each experiment's totals, shares move where the file
//! wants that, and the end is recorded with what the numbers say.
//!
//! An experiment begins when routing.toml names it and ends when the file names it no more, when it means something
//! else, or when its time is over; then its units go back to the model's own split.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base_metrics::{ArmFigure, Metrics};
use base_routing::{ModelRoute, Split};
use base_serving::watch::{ArmTotals as ArmCounts, LatencyCounts};
use base_serving::{Feedback, FeedbackValue, Watch, experiment_tag};
use base_types::{ModelName, Version};
use control_config::{Allocation, ExperimentBlock};
use control_registry::journal::{Action, Entry};
use control_rollout::experiment::{
    ArmRole, BanditArm, Counted, ExperimentTotals, Latency, Primary, Report, ReportRequest, ScoreSums, ShareHistory,
    Tally, report, thompson,
};
use tracing::{info, warn};

use crate::effect::Effect;
use crate::recorder::Job;
use crate::state::{Model, State};
use crate::turn::Core;
use crate::view::experiment as view;

/// Watches of one experiment that still count; of more the oldest count no longer.
const SOURCES_MAX: usize = 32;
/// The traffic of today is that of the last so many looks.
const PACE_LOOKS: usize = 240;
/// No arm gets more than this by what came back.
const SHARE_MAX: f64 = 0.95;

/// An experiment under way.
pub(crate) struct Running {
    pub(crate) block: ExperimentBlock,
    pub(crate) since_unix_ms: u64,
    pub(crate) totals: ExperimentTotals,
    /// Who the arms of the totals are, in their order.
    arms: Vec<Arm>,
    tag: u32,
    sources: Vec<Source>,
    /// Times and totals of assigned requests, for the pace.
    pace: VecDeque<(u64, u64)>,
    /// Which shares held when, for feedback that comes later.
    history: ShareHistory,
    /// Shares that were moved by what came back, by arm; `None` while those of the file hold.
    pub(crate) weights: Option<Vec<f64>>,
    allocated_unix_ms: u64,
    /// Its time is over.
    pub(crate) is_over: bool,
}

/// An experiment as it stood at one moment.
pub(crate) struct Shown {
    pub(crate) name: Arc<str>,
    pub(crate) model: ModelName,
    pub(crate) block: ExperimentBlock,
    pub(crate) since_unix_ms: u64,
    totals: ExperimentTotals,
    requests_per_second: f64,
    pub(crate) is_over: bool,
}

impl Shown {
    /// What its numbers say.
    pub(crate) fn report(&self) -> Report {
        let Self { block, requests_per_second, .. } = self;
        let (alpha, requests_per_second) = (block.alpha, *requests_per_second);
        report(&self.totals, &ReportRequest { alpha, tolerance: block.tolerance, requests_per_second })
    }
}

/// An arm of the totals.
#[derive(Debug, Clone, PartialEq)]
struct Arm {
    /// Its name in routing.toml; `None` for units held out.
    name: Option<Arc<str>>,
    version: Version,
}

/// A watch that counts for the experiment, and what was taken of it already.
struct Source {
    watch: Arc<Watch>,
    /// The arms' shares of the units in the publications that count by it.
    shares: Vec<f64>,
    taken: Vec<Tally>,
}

impl Running {
    fn new(name: &str, block: &ExperimentBlock, stable: Version, now_unix_ms: u64) -> Option<Self> {
        let mut arms: Vec<Arm> = Vec::new();
        for arm in block.routing.split.arms() {
            arms.push(Arm { name: Some(arm.name.clone()), version: arm.version });
        }
        if block.routing.holdout > 0.0 {
            arms.push(Arm { name: None, version: stable });
        }
        let first_stable = arms.iter().position(|arm| arm.name.is_some() && arm.version == stable)?;
        let roles = arms.iter().enumerate().map(|(at, arm)| match &arm.name {
            None => ("held out".into(), ArmRole::HoldOut),
            Some(_) if at == first_stable => (called(arm), ArmRole::Stable),
            Some(_) => (called(arm), ArmRole::Candidate),
        });
        let totals = ExperimentTotals::new(block.primary, Counted::Requests, roles).ok()?;
        Some(Self {
            block: block.clone(),
            since_unix_ms: now_unix_ms,
            totals,
            arms,
            tag: experiment_tag(name),
            sources: Vec::new(),
            pace: VecDeque::new(),
            history: ShareHistory::default(),
            weights: None,
            allocated_unix_ms: now_unix_ms,
            is_over: false,
        })
    }

    /// The arms' shares of the experiment's units, those held out with their own.
    fn shares(&self) -> Vec<f64> {
        let split = self.split();
        let drawn = 1.0 - self.block.routing.holdout;
        let total: f64 = split.arms().iter().map(|arm| arm.weight).sum();
        let of = |arm: &Arm| match &arm.name {
            None => self.block.routing.holdout,
            Some(name) => {
                let weight = split.arms().iter().find(|a| a.name == *name).map_or(0.0, |a| a.weight);
                drawn * weight / total
            }
        };
        self.arms.iter().map(of).collect()
    }

    /// The split in force: that of the file, with the weights that were moved.
    fn split(&self) -> Split {
        let arms = self.block.routing.split.arms();
        let Some(weights) = &self.weights else { return self.block.routing.split.clone() };
        let moved = arms.iter().zip(weights).map(|(arm, weight)| (arm.name.clone(), arm.version, *weight));
        Split::new(moved).unwrap_or_else(|_| self.block.routing.split.clone())
    }

    /// Takes what was counted since the last look.
    fn look(&mut self, now_unix_ms: u64, metrics: &Metrics) {
        let bound = self.block.slower_than_seconds;
        let mut latencies = vec![LatencyCounts::default(); self.arms.len()];
        for source in &mut self.sources {
            let counts = source.watch.totals().arms;
            let mut portion = vec![Tally::default(); self.arms.len()];
            for (at, arm) in self.arms.iter().enumerate() {
                let Some(counted) = counts.iter().find(|counts| is_of(counts, &self.block, arm)) else { continue };
                latencies[at].add(&counted.latencies);
                let now = tally(counted, bound);
                portion[at] = since(&now, &source.taken[at]);
                source.taken[at] = now;
            }
            for (arm, tally) in self.arms.iter().zip(&portion) {
                show(metrics, &self.block.routing.name, arm, tally);
            }
            if let Err(problem) = self.totals.take(&source.shares, &portion) {
                warn!(?problem, "counts of an experiment were left out");
            }
        }
        for (at, latencies) in latencies.iter().enumerate() {
            let q = |quantile| latencies.quantile(quantile).map(|bound| bound.as_secs_f64());
            if let (Some(p50), Some(p90), Some(p99)) = (q(0.5), q(0.9), q(0.99)) {
                self.totals.set_latency(at, Latency { p50, p90, p99 });
            }
        }
        let assigned = self.totals.arms().iter().map(|arm| arm.tally.assigned).sum();
        self.pace.push_back((now_unix_ms, assigned));
        if self.pace.len() > PACE_LOOKS {
            self.pace.pop_front();
        }
    }

    /// Requests a second that the experiment gets today.
    fn requests_per_second(&self) -> f64 {
        match (self.pace.front(), self.pace.back()) {
            (Some((from, few)), Some((to, many))) if to > from => {
                many.saturating_sub(*few) as f64 * 1000.0 / (to - from) as f64
            }
            _ => 0.0,
        }
    }

    /// What is needed to say what its numbers say, which takes longer than a lock should be held.
    pub(crate) fn shown(&self, name: &Arc<str>, model: &ModelName) -> Shown {
        Shown {
            name: name.clone(),
            model: model.clone(),
            block: self.block.clone(),
            since_unix_ms: self.since_unix_ms,
            totals: self.totals.clone(),
            requests_per_second: self.requests_per_second(),
            is_over: self.is_over,
        }
    }

    /// Moves shares by what came back, where the file wants that and it is time. Says whether they moved.
    fn reallocate(&mut self, now_unix_ms: u64, passes: &dyn Fn(Version) -> bool) -> bool {
        let Allocation::Thompson { floor, update } = self.block.allocation else { return false };
        let is_due = now_unix_ms.saturating_sub(self.allocated_unix_ms) >= update.as_millis() as u64;
        if !is_due || self.is_over {
            return false;
        }
        self.allocated_unix_ms = now_unix_ms;
        let arms: Vec<BanditArm> = self
            .arms
            .iter()
            .zip(self.totals.arms())
            .filter(|(arm, _)| arm.name.is_some())
            .map(|(arm, totals)| bandit_arm(self.totals.primary, &totals.tally, passes(arm.version)))
            .collect();
        let weights = thompson(&arms, floor, SHARE_MAX, &mut || fastrand::f64());
        if weights.iter().sum::<f64>() <= 0.0 || self.weights.as_ref() == Some(&weights) {
            return false;
        }
        self.weights = Some(weights);
        true
    }
}

/// Has the experiments of a model count by the watch of its next publication.
pub(crate) fn watch(model: &mut Model, watch: &Arc<Watch>, now_unix_ms: u64) {
    for running in model.experiments.values_mut() {
        if running.sources.iter().any(|source| Arc::ptr_eq(&source.watch, watch)) {
            continue;
        }
        let (taken, shares) = (vec![Tally::default(); running.arms.len()], running.shares());
        running.history.note(now_unix_ms, shares.clone());
        running.sources.push(Source { watch: watch.clone(), shares, taken });
        if running.sources.len() > SOURCES_MAX {
            running.sources.remove(0);
        }
    }
}

/// Feedback on an answer that was part of an experiment.
pub(crate) fn feedback(model: &mut Model, feedback: &Feedback) {
    let prediction = feedback.prediction;
    let Some(mark) = prediction.experiment else { return };
    let Some(running) = model.experiments.values_mut().find(|running| running.tag == mark.tag) else { return };
    if prediction.unix_ms < running.since_unix_ms {
        return;
    }
    // The arms stand in the order of the split; those held out come last.
    let is_it = |(at, arm): (usize, &Arm)| mark.arm.map(usize::from) == arm.name.as_ref().map(|_| at);
    let Some(at) = running.arms.iter().enumerate().position(is_it) else { return };
    let mut portion = vec![Tally::default(); running.arms.len()];
    let loss = feedback.value.loss();
    portion[at].losses = ScoreSums { n: 1, sum: loss, sum_squares: loss * loss };
    if let FeedbackValue::Correct(is_correct) = feedback.value {
        portion[at].right = u64::from(is_correct);
        portion[at].mistakes = u64::from(!is_correct);
    }
    // From before what is remembered, as from before a restart: the wrong shares would bend the comparison.
    let Some(shares) = running.history.at(prediction.unix_ms).map(<[f64]>::to_vec) else { return };
    if let Err(problem) = running.totals.take(&shares, &portion) {
        warn!(?problem, "feedback on an experiment was left out");
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
    let is_gone = |(key, running): &(&Arc<str>, &Running)| {
        wanted.get(*key) != Some(&running.block) || !running.arms.iter().any(|arm| arm.version == stable)
    };
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
    let parts = parts.map(|(arm, share)| format!("{}: {}", called(arm), crate::judge::percent(share)));
    parts.collect::<Vec<_>>().join(", ")
}

/// What an arm is called in sentences.
fn called(arm: &Arm) -> Box<str> {
    let version = arm.version;
    match &arm.name {
        None => "held out".into(),
        Some(name) if **name == *version.to_string() => format!("version {version}").into(),
        Some(name) => format!("{name} (version {version})").into(),
    }
}

fn is_of(counts: &ArmCounts, block: &ExperimentBlock, arm: &Arm) -> bool {
    let Some(plan) = &counts.plan.experiment else { return false };
    plan.experiment == block.routing.name && plan.arm == arm.name && counts.plan.version == arm.version
}

fn tally(counts: &ArmCounts, bound: Option<f64>) -> Tally {
    Tally {
        assigned: counts.assigned,
        ok: counts.ok,
        faults: counts.faults.saturating_sub(counts.poisoned),
        slow: bound.map_or(0, |bound| counts.latencies.slower_than(std::time::Duration::from_secs_f64(bound))),
        ..Tally::default()
    }
}

fn show(metrics: &Metrics, experiment: &str, arm: &Arm, tally: &Tally) {
    let arm = arm.name.as_deref().unwrap_or_default();
    for (figure, n) in
        [(ArmFigure::Assigned, tally.assigned), (ArmFigure::Ok, tally.ok), (ArmFigure::Fault, tally.faults)]
    {
        metrics.experiment(experiment, arm, figure, n);
    }
}

fn since(now: &Tally, before: &Tally) -> Tally {
    Tally {
        assigned: now.assigned.saturating_sub(before.assigned),
        ok: now.ok.saturating_sub(before.ok),
        faults: now.faults.saturating_sub(before.faults),
        slow: now.slow.saturating_sub(before.slow),
        ..Tally::default()
    }
}

fn bandit_arm(primary: Primary, tally: &Tally, is_passing: bool) -> BanditArm {
    let (successes, failures) = match primary {
        Primary::Errors => (tally.ok as f64, tally.faults as f64),
        Primary::Latency => (tally.ok.saturating_sub(tally.slow) as f64, tally.slow as f64),
        Primary::Mistakes => (tally.right as f64, tally.mistakes as f64),
        Primary::Loss => (tally.losses.n as f64 - tally.losses.sum, tally.losses.sum),
    };
    BanditArm { successes, failures, is_passing }
}

