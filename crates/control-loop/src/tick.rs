//! What is due by time: metrics of evidence and shares, checkpoints, classic windows, confirmations.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{Generation, ModelName, Phase, Version};
use tracing::info;

use crate::recorder::Job;
use crate::state::{Model, State, checkpoint_key, is_due};
use crate::turn::Core;
use crate::{checkpoint, evidence};

/// Seconds over which the actual share is measured.
const SHARE_SECONDS: usize = 10;
/// Generations reserved ahead: publications that may happen while the disk is away.
pub(crate) const RESERVE: u64 = 1024;
/// The words of a rollout's phase in metrics.
const PHASES: [&str; 4] = ["canary", "provisional", "interrupted", "settled"];

impl Core {
    /// Once a second.
    pub(crate) fn tick(&self) {
        let mut state = self.lock();
        if state.generation + RESERVE / 2 > self.recorder.reserved() {
            self.recorder.later(Job::Reserve(Generation(state.generation + RESERVE)));
        }
        let names: Vec<ModelName> = state.models.keys().cloned().collect();
        let mut loaded = Vec::new();
        for name in &names {
            self.show(&mut state, name);
            let model = state.models.get(name);
            loaded.extend(model.into_iter().flat_map(|m| m.versions.values()).filter_map(|e| e.serving.clone()));
        }
        drop(state);
        self.note_use(&loaded);
        // The runtime is asked without the lock: it may be busy.
        for version in loaded {
            version.metrics.set_memory(version.runner.memory());
            version.metrics.set_queue_depth(version.lane.waiting());
        }
        self.checkpoint();
        self.checkpoint_experiments();
        self.checkpoint_steady();
        self.judge_windows();
        self.confirm_due();
        self.follow_all();
        self.retry_routing();
        self.note_performance_when_due();
    }

    /// Stores the evidence of every trial. At fixed times and at the end, so that what a crash loses does not depend
    /// on how requests ended.
    pub(crate) fn checkpoint(&self) {
        for (name, model) in &self.lock().models {
            for open in model.trials.values() {
                let key = checkpoint_key(name, open.candidate.digest);
                self.recorder.later(Job::Checkpoint { key, json: Some(checkpoint::json(open)) });
            }
        }
    }

    /// Sets the gauges of one model.
    fn show(&self, state: &mut State, name: &ModelName) {
        let phase = phase(state, name);
        self.metrics.set_rollout_state(name, &PHASES, phase);
        let rollout = state.rollout(name);
        self.metrics.set_rollout_step(name, rollout.map_or(0, |rollout| rollout.step + 1));
        if let Some(rollout) = state.decisions.rollouts.get(name) {
            self.metrics.set_shadow_share(name, rollout.candidate, rollout.shadow_share);
        }
        let Some(model) = state.models.get_mut(name) else { return };
        for (version, entry) in &model.versions {
            self.metrics.set_version_state(name, *version, entry.state);
        }
        for (version, open) in &model.trials {
            let evidence = open.trial.evidence(open.successes());
            for (rule, log_e, threshold) in evidence::rules(&evidence) {
                self.metrics.set_rule(name, *version, rule, log_e, threshold);
            }
        }
        measure_shares(model);
        for (version, share) in &model.shares.actual {
            self.metrics.set_share_actual(name, *version, *share);
        }
    }

    /// Classic windows are read at each bad event and, because latency needs no fault to be bad, once a second.
    fn judge_windows(&self) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        let mut verdicts = Vec::new();
        for (name, model) in &state.models {
            for (version, open) in &model.trials {
                verdicts.push((name.clone(), *version, self.window_verdict(open)));
            }
        }
        for (name, version, verdict) in verdicts {
            self.act(&mut state, &name, version, verdict, &mut effects);
        }
        drop(state);
        self.perform(effects);
    }

    /// Confirms promotions that have held long enough.
    fn confirm_due(&self) {
        let now = self.clock.now();
        let mut state = self.lock();
        // A rollout's promotion is confirmed when its bake is over, which the rollout sees to itself.
        let is_provisional = |name: &ModelName| {
            state.rollout(name).is_none() && state.stance(name).is_some_and(|s| s.phase == Phase::Provisional)
        };
        let provisional: BTreeSet<ModelName> = state.models.keys().filter(|n| is_provisional(n)).cloned().collect();
        let mut due = Vec::new();
        for (name, model) in &mut state.models {
            model.provisional_since = match model.provisional_since {
                _ if !provisional.contains(name) => None,
                None => Some(now),
                since => since,
            };
            if model.provisional_since.is_some_and(|since| is_due(since, now, self.settings.confirm_after)) {
                due.push(name.clone());
            }
        }
        drop(state);
        for name in due {
            match self.confirm(&name, "gateway") {
                Ok(done) => info!(model = %name, done.message, "confirmed"),
                Err(refused) => tracing::warn!(model = %name, refused.message, "not confirmed"),
            }
        }
    }
}

/// The phase a model is in: that of its decision, or of its table.
pub(crate) fn phase(state: &State, name: &ModelName) -> &'static str {
    let has_trial = state.models.get(name).is_some_and(|m| !m.trials.is_empty());
    match state.stance(name).map(|s| s.phase) {
        Some(phase @ (Phase::Provisional | Phase::Interrupted)) => phase.as_str(),
        _ if has_trial => Phase::Canary.as_str(),
        _ => Phase::Settled.as_str(),
    }
}

fn measure_shares(model: &mut Model) {
    let mut second = BTreeMap::new();
    for (version, entry) in &model.versions {
        let total = entry.serving.as_ref().map_or(0, |s| s.tally.drawn());
        let before = model.shares.drawn.insert(*version, total).unwrap_or(0);
        second.insert(*version, total.saturating_sub(before));
    }
    // A quiet second says nothing about shares.
    if second.values().sum::<u64>() == 0 {
        return;
    }
    model.shares.seconds.push_back(second);
    if model.shares.seconds.len() > SHARE_SECONDS {
        model.shares.seconds.pop_front();
    }
    let mut sums: BTreeMap<Version, u64> = BTreeMap::new();
    for (version, n) in model.shares.seconds.iter().flatten() {
        *sums.entry(*version).or_default() += n;
    }
    let total: u64 = sums.values().sum();
    model.shares.actual = sums.into_iter().map(|(v, n)| (v, n as f64 / total as f64)).collect();
}
