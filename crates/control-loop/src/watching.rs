//! What the data plane counts, and what becomes of it: which watch a publication gets, and from the watches of a trial to
//! the totals that its rules judge.

use std::sync::Arc;
use std::time::Duration;

use base_routing::ModelRoute;
use base_serving::watch::{
    ArmTotals as ArmCounts, DECILE_EDGES, DriftBins, DriftPlan, Example, LatencyCounts, ShadowPlan,
};
use base_serving::{Watch, WatchPlan};
use base_types::{ModelName, Version};
use control_rollout::{
    ArmTotals, Bins, Drift, Frozen, Guardrail, LATENCY_QUANTILES_MAX, Observed, SHARES_MAX, ShareTotals, decile_edges,
};

use crate::state::{Labels, Model, OpenTrial, State};
use crate::turn::Core;

/// Watches of one trial. The shares of a rollout are fewer; of more the oldest count no longer.
const WATCHES_MAX: usize = 32;
/// Values of stable that deciles are taken from, at least.
const DECILE_SAMPLE_MIN: usize = 200;
/// How far beyond stable's quantiles an answer must be to be slow. A version that is asked less often finds colder
/// caches, and that is no property of the version.
const LATENCY_SLACK_SECONDS: f64 = 0.000_2;

/// The watch that a model's next publication gets: the one it has where nothing to look at has changed, so that counts go
/// on in it. A trial that opened needs a new one, because it must not count what came before it.
pub(crate) fn renew(state: &mut State, name: &ModelName, guardrail: &Guardrail, now_unix_ms: u64) {
    let plan = plan(state, name, guardrail);
    let Some(model) = state.models.get_mut(name) else { return };
    let Some(plan) = plan else {
        model.watch = None;
        return;
    };
    let is_new_to = |open: &OpenTrial| open.watches.is_empty();
    let is_kept = model.watch.as_ref().filter(|watch| *watch.plan() == plan && !model.trials.values().any(is_new_to));
    let before = model.watch.as_ref().filter(|_| !model.trials.values().any(is_new_to));
    let watch = is_kept.cloned().unwrap_or_else(|| {
        Arc::new(before.map_or_else(|| Watch::new(plan.clone()), |before| Watch::after(before, plan.clone())))
    });
    for open in model.trials.values_mut() {
        if !open.watches.iter().any(|known| Arc::ptr_eq(known, &watch)) {
            open.watches.push(watch.clone());
        }
        if open.watches.len() > WATCHES_MAX {
            open.settle_oldest();
        }
    }
    crate::experiment::watch(model, &watch, now_unix_ms);
    model.watch = Some(watch);
}

/// What there is to look at; `None` where there is nothing.
fn plan(state: &State, name: &ModelName, guardrail: &Guardrail) -> Option<WatchPlan> {
    let model = state.models.get(name)?;
    let route: &ModelRoute = model.route.as_ref()?;
    if model.trials.is_empty() && route.experiments.is_empty() {
        return None;
    }
    let frozen =
        model.trials.values().map(|open| open.trial.frozen()).find(|frozen| !frozen.latency_seconds.is_empty());
    let bounds = guardrail.latency.iter().map(|latency| latency.slower_than_seconds);
    let bounds = bounds.chain(frozen.iter().flat_map(|frozen| frozen.latency_seconds.iter().copied()));
    let mut plan = WatchPlan::of(route);
    plan.latency_bounds = bounds.map(Duration::from_secs_f64).collect();
    plan.drift = guardrail.drift.as_ref().and_then(|drift| drift_plan(model, route.stable, drift));
    plan.shadow = shadow_plan(state, name, guardrail);
    Some(plan)
}

fn drift_plan(model: &Model, stable: Version, drift: &Drift) -> Option<DriftPlan> {
    let first = || model.signature(stable)?.outputs.first().map(|output| output.name.clone().into());
    let output = drift.output.clone().or_else(first)?;
    let edges = model.trials.values().map(|open| &open.trial.frozen().decile_edges).find(|edges| !edges.is_empty());
    let edges: Option<[f64; DECILE_EDGES]> = edges.and_then(|edges| edges.as_slice().try_into().ok());
    let bins = match (drift.bins, edges) {
        (Bins::Classes, _) => DriftBins::Classes,
        (Bins::Deciles, Some(edges)) => DriftBins::Deciles(edges),
        (Bins::Deciles, None) => DriftBins::Gather,
    };
    Some(DriftPlan { output, bins })
}

fn shadow_plan(state: &State, name: &ModelName, guardrail: &Guardrail) -> Option<ShadowPlan> {
    let rollout = state.rollout(name).filter(|rollout| rollout.shadow_share > 0.0)?;
    state.models.get(name)?.serving(rollout.candidate)?;
    let rule = guardrail.disagreement.as_ref();
    Some(ShadowPlan {
        candidate: rollout.candidate,
        share: rollout.shadow_share,
        comparison: rule.map(|rule| rule.compare.clone()).unwrap_or_default(),
        is_redacted: rule.is_some_and(|rule| rule.is_redacted),
    })
}

impl OpenTrial {
    /// Everything counted since the trial opened, or was restored.
    pub(crate) fn observed(&self) -> Observed {
        let mut observed = Observed { successes: self.successes(), ..self.settled.clone() };
        self.watches.iter().for_each(|watch| self.add_watch(&mut observed, watch));
        for (share, Labels { candidate, stable }) in &self.labels {
            let of_share = share_of(&mut observed.shares, *share);
            (of_share.candidate.labels, of_share.candidate.mistakes) = *candidate;
            (of_share.stable.labels, of_share.stable.mistakes) = *stable;
        }
        // The shares of the longest past go first.
        let surplus = observed.shares.len().saturating_sub(SHARES_MAX);
        observed.shares.drain(..surplus);
        observed
    }

    /// Takes what the oldest watch holds for the last that it will, and lets go of it. What requests still under way would
    /// have counted there is lost.
    fn settle_oldest(&mut self) {
        let oldest = self.watches.remove(0);
        let mut settled = std::mem::take(&mut self.settled);
        self.add_watch(&mut settled, &oldest);
        // Those of the longest past go first.
        let surplus = settled.shares.len().saturating_sub(SHARES_MAX);
        settled.shares.drain(..surplus);
        self.settled = settled;
    }

    fn add_watch(&self, sum: &mut Observed, watch: &Watch) {
        let (candidate, stable) = (self.candidate.id.version, self.stable.id.version);
        let has_limit = self.trial.guardrail().latency.is_some();
        let totals = watch.totals();
        for pair in totals.pairs(candidate, stable) {
            let of_share = share_of(&mut sum.shares, pair.share);
            add(&mut of_share.candidate, pair.candidate, has_limit);
            add(&mut of_share.stable, pair.stable, has_limit);
        }
        let is_ours = watch.plan().shadow.as_ref().is_some_and(|shadow| shadow.candidate == candidate);
        if let Some(shadow) = totals.shadow.filter(|_| is_ours) {
            sum.shadow.compared += shadow.compared();
            sum.shadow.disagreed += shadow.disagreed;
            sum.shadow.faults += shadow.faults;
        }
    }

    /// Requests that the candidate answered otherwise than stable, oldest first.
    pub(crate) fn examples(&self) -> Vec<Example> {
        self.watches.iter().flat_map(|watch| watch.examples()).collect()
    }

    /// Copies that the candidate has answered or failed at.
    pub(crate) fn n_shadowed(&self) -> u64 {
        let shadow = self.observed().shadow;
        shadow.compared + shadow.faults
    }

    /// Bounds to count by from now on, once stable has shown enough to take them from. Gives whether there are new ones.
    pub(crate) fn freeze(&mut self) -> bool {
        let guardrail = self.trial.guardrail();
        let mut bounds = Frozen::default();
        if let Some(rule) =
            guardrail.latency_vs_stable.as_ref().filter(|_| self.trial.frozen().latency_seconds.is_empty())
        {
            let latencies = self.stable_latencies();
            if latencies.count() >= rule.freeze_after {
                let at = |q: &f64| Some(latencies.quantile(*q)?.as_secs_f64() + LATENCY_SLACK_SECONDS);
                bounds.latency_quantiles = rule.quantiles.clone();
                bounds.latency_seconds = rule.quantiles.iter().filter_map(at).collect();
            }
        }
        let wants_deciles = guardrail.drift.as_ref().is_some_and(|drift| drift.bins == Bins::Deciles);
        if wants_deciles && self.trial.frozen().decile_edges.is_empty() {
            let sample = self.watches.iter().map(|watch| watch.sample()).max_by_key(Vec::len).unwrap_or_default();
            if sample.len() >= DECILE_SAMPLE_MIN {
                bounds.decile_edges = decile_edges(&sample).unwrap_or_default();
            }
        }
        let is_news = !bounds.latency_seconds.is_empty() || !bounds.decile_edges.is_empty();
        if is_news {
            self.trial.freeze(bounds);
        }
        is_news
    }

    fn stable_latencies(&self) -> LatencyCounts {
        let mut latencies = LatencyCounts::default();
        for watch in &self.watches {
            let arms = watch.totals().arms;
            let of_stable = arms.iter().filter(|arm| arm.plan.version == self.stable.id.version);
            of_stable.for_each(|arm| latencies.add(&arm.latencies));
        }
        latencies
    }
}

impl Core {
    /// Judges every trial by what was counted, and takes bounds from stable where they are due. Control thread only.
    pub(crate) fn judge_totals(&self) {
        let mut effects = Vec::new();
        let mut state = self.lock();
        let names: Vec<ModelName> = state.models.keys().cloned().collect();
        for name in &names {
            let Some(model) = state.models.get_mut(name) else { continue };
            let (mut verdicts, mut has_news) = (Vec::new(), false);
            for (version, open) in &mut model.trials {
                let observed = open.observed();
                verdicts.extend(open.trial.observe(&observed).into_iter().map(|verdict| (*version, verdict)));
                has_news |= open.freeze();
            }
            for (version, verdict) in verdicts {
                self.act(&mut state, name, version, verdict, &mut effects);
            }
            if has_news {
                self.publish_model(&mut state, name, &mut effects);
            }
        }
        drop(state);
        self.perform(effects);
    }
}

/// Examples of disagreement on a model: of the trials that are open, else of the one that closed last.
pub(crate) fn examples(model: &Model) -> Vec<Example> {
    match model.trials.is_empty() {
        true => model.examples.clone(),
        false => model.trials.values().flat_map(OpenTrial::examples).collect(),
    }
}

/// The totals under a share, to add to.
fn share_of(shares: &mut Vec<ShareTotals>, share: f64) -> &mut ShareTotals {
    // Ids carry shares in 24 bits.
    let is_it = |known: &ShareTotals| (known.share - share).abs() < 1e-6;
    let at = shares.iter().position(is_it).unwrap_or_else(|| {
        shares.push(ShareTotals { share, ..ShareTotals::default() });
        shares.len() - 1
    });
    &mut shares[at]
}

fn add(sum: &mut ArmTotals, counts: &ArmCounts, has_limit: bool) {
    // Requests of one sticky key fall together: for comparisons they are one draw.
    sum.assigned += counts.assigned.saturating_sub(counts.repeated);
    sum.ok += counts.ok;
    sum.faults += counts.faults.saturating_sub(counts.poisoned);
    let n_before = usize::from(has_limit);
    if let (true, Some(within), Some(slow)) = (has_limit, counts.within.first(), counts.slow.first()) {
        sum.timed += within + slow;
        sum.slow += slow;
    }
    for (at, slow) in counts.slow_once.iter().skip(n_before).take(LATENCY_QUANTILES_MAX).enumerate() {
        sum.slow_at[at] += slow;
    }
    for (sum, count) in sum.bins.iter_mut().zip(&counts.bins) {
        *sum += count;
    }
}
