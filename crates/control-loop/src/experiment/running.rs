//! One experiment: its arms, what was counted of them, and how its shares move.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base_metrics::{ArmFigure, Metrics};
use base_routing::Split;
use base_serving::watch::{ArmTotals as ArmCounts, LatencyCounts};
use base_serving::{Feedback, FeedbackValue, Watch, experiment_tag};
use base_types::{ModelName, Version};
use control_config::{Allocation, ExperimentBlock};
use control_rollout::experiment::{
    ArmRole, BanditArm, Counted, ExperimentTotals, Latency, Primary, Report, ReportRequest, ScoreSums, ShareHistory,
    Tally, report, thompson,
};
use tracing::warn;

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
    pub(super) arms: Vec<Arm>,
    /// The version the others are compared with.
    pub(super) stable: Version,
    pub(super) tag: u32,
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
pub(super) struct Arm {
    /// Its name in routing.toml; `None` for units held out.
    pub(super) name: Option<Arc<str>>,
    pub(super) version: Version,
}

/// A watch that counts for the experiment, and what was taken of it already.
struct Source {
    watch: Arc<Watch>,
    /// The arms' shares of the units in the publications that count by it.
    shares: Vec<f64>,
    taken: Vec<Tally>,
}

impl Running {
    pub(super) fn new(name: &str, block: &ExperimentBlock, stable: Version, now_unix_ms: u64) -> Option<Self> {
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
            stable,
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
    pub(super) fn shares(&self) -> Vec<f64> {
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
    pub(super) fn split(&self) -> Split {
        let arms = self.block.routing.split.arms();
        let Some(weights) = &self.weights else { return self.block.routing.split.clone() };
        let moved = arms.iter().zip(weights).map(|(arm, weight)| (arm.name.clone(), arm.version, *weight));
        Split::new(moved).unwrap_or_else(|_| self.block.routing.split.clone())
    }

    /// Takes what was counted since the last look.
    pub(super) fn look(&mut self, now_unix_ms: u64, metrics: &Metrics) {
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

    /// Counts by a watch from now on, too.
    pub(super) fn count_by(&mut self, watch: &Arc<Watch>, now_unix_ms: u64) {
        if self.sources.iter().any(|source| Arc::ptr_eq(&source.watch, watch)) {
            return;
        }
        let (taken, shares) = (vec![Tally::default(); self.arms.len()], self.shares());
        self.history.note(now_unix_ms, shares.clone());
        self.sources.push(Source { watch: watch.clone(), shares, taken });
        if self.sources.len() > SOURCES_MAX {
            self.sources.remove(0);
        }
    }

    /// Takes feedback on an answer of the arm at this position of the split, `None` for who was held out.
    pub(super) fn take_feedback(&mut self, feedback: &Feedback, arm: Option<u8>) {
        let prediction = feedback.prediction;
        // The arms stand in the order of the split; those held out come last.
        let is_it = |(at, known): (usize, &Arm)| arm.map(usize::from) == known.name.as_ref().map(|_| at);
        let Some(at) = self.arms.iter().enumerate().position(is_it) else { return };
        // From before what is remembered, as from before a restart: the wrong shares would bend the comparison.
        let shares = self.history.at(prediction.unix_ms).map(<[f64]>::to_vec);
        let Some(shares) = shares.filter(|_| prediction.unix_ms >= self.since_unix_ms) else { return };
        let mut portion = vec![Tally::default(); self.arms.len()];
        let loss = feedback.value.loss();
        portion[at].losses = ScoreSums { n: 1, sum: loss, sum_squares: loss * loss };
        if let FeedbackValue::Correct(is_correct) = feedback.value {
            portion[at].right = u64::from(is_correct);
            portion[at].mistakes = u64::from(!is_correct);
        }
        if let Err(problem) = self.totals.take(&shares, &portion) {
            warn!(?problem, "feedback on an experiment was left out");
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
    pub(super) fn reallocate(&mut self, now_unix_ms: u64, passes: &dyn Fn(Version) -> bool) -> bool {
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

/// What an arm is called in sentences.
pub(super) fn called(arm: &Arm) -> Box<str> {
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
        slow: bound.map_or(0, |bound| counts.latencies.slower_than(Duration::from_secs_f64(bound))),
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
