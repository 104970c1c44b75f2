//! What is counted while a candidate is under trial, shadowed, or part of an experiment.
//!
//! A [`Watch`] belongs to one publication of a model: a plan that never changes, and counters. A request counts in the
//! watch of the snapshot it was routed by, so the share of each arm is exact for everything that is counted, however
//! often shares change. The control plane keeps the watches of a trial and adds up what they hold ([`WatchTotals`]).
//! Without anything to watch a model has none, and a request pays for one look at that.

mod arm;
mod drift;
mod histogram;
mod once;
mod plan;
mod shadow;
mod totals;

use std::sync::Arc;
use std::time::Duration;

use base_routing::Assignment;
use base_types::{Outcome, OutcomeClass};

use crate::Rerun;
use crate::prediction::ExperimentMark;
use arm::ArmCounters;
use once::Once;

pub use drift::{BINS_MAX, DECILE_EDGES, DECILE_SAMPLE_MAX, DriftBins, DriftPlan};
pub use histogram::LatencyCounts;
pub use plan::{ARMS_MAX, ArmPlan, ExperimentArm, LATENCY_BOUNDS_MAX, ShadowPlan, WatchPlan};
pub use shadow::{EXAMPLE_VALUES_MAX, EXAMPLES_MAX, Example, ExampleTensor, OutputDifference, ShadowResult};
pub use totals::{ArmTotals, PairTotals, ShadowTotals, WatchTotals};

/// What is counted about one publication of a model.
pub struct Watch {
    plan: WatchPlan,
    arms: Vec<ArmCounters>,
    /// What stands for each arm in the ids of its answers.
    marks: Vec<(f32, Option<ExperimentMark>)>,
    sample: drift::Sample,
    shadow: shadow::ShadowCounters,
    /// Shared with the watches of the same trial.
    once: Arc<Once>,
}

/// Events that count once for each sticky key: being assigned, each latency bound, each bin.
const ASSIGNED: u64 = 0;
const SLOW: u64 = 1;
const BINNED: u64 = SLOW + LATENCY_BOUNDS_MAX as u64;

impl Watch {
    /// Starts to count by a plan. Of its arms the first [`ARMS_MAX`] are kept, of its bounds the first
    /// [`LATENCY_BOUNDS_MAX`].
    pub fn new(mut plan: WatchPlan) -> Self {
        plan.arms.truncate(ARMS_MAX);
        plan.latency_bounds.truncate(LATENCY_BOUNDS_MAX);
        let arms = plan.arms.iter().map(|_| ArmCounters::default()).collect();
        let marks = plan.arms.iter().map(|arm| (plan.pair_share(arm) as f32, arm.mark())).collect();
        let (sample, shadow) = (drift::Sample::default(), shadow::ShadowCounters::default());
        Self { plan, arms, marks, sample, shadow, once: Arc::default() }
    }

    /// Starts to count by another plan of the same trial as `before`: sticky keys that were counted there have been.
    pub fn after(before: &Self, plan: WatchPlan) -> Self {
        Self { once: before.once.clone(), ..Self::new(plan) }
    }

    /// What is looked at.
    pub fn plan(&self) -> &WatchPlan {
        &self.plan
    }

    /// The arm that an assignment fell to. `None` where it was not drawn at random, or its arm is not watched.
    pub fn arm(&self, assignment: &Assignment) -> Option<usize> {
        if !assignment.reason.is_random() {
            return None;
        }
        let split = assignment.split?;
        self.plan.arms.iter().position(|arm| arm.is_of(split, assignment))
    }

    /// What the ids of an arm's answers say: the candidate's share of its pair, and the experiment.
    pub fn mark(&self, arm: usize) -> (f32, Option<ExperimentMark>) {
        self.marks.get(arm).copied().unwrap_or_default()
    }

    /// A request fell to an arm and is about to be tried. `key`: the sticky key it was drawn by, if it was.
    pub fn assigned(&self, arm: usize, key: Option<u64>) {
        if let Some(arm) = self.arms.get(arm) {
            arm.count_assigned(self.once.is_own(key, ASSIGNED));
        }
    }

    /// An attempt at an arm ended. `key` as it was when it was assigned.
    pub fn attempted(&self, (arm, key): (usize, Option<u64>), outcome: &Outcome, rerun: Rerun) {
        let Some(counters) = self.arms.get(arm) else { return };
        let bounds = &self.plan.latency_bounds;
        let is_own = |bound: usize| self.once.is_own(key, SLOW + bound as u64);
        match outcome.class {
            OutcomeClass::Ok => counters.count_ok(outcome.queue + outcome.run, bounds, is_own),
            OutcomeClass::VersionFault => counters.count_fault(rerun == Rerun::Failed),
            // Those who leave are mostly those who waited long: without them the slowest answers would not be seen.
            OutcomeClass::Cancelled | OutcomeClass::CallerDeadline | OutcomeClass::Saturation => {
                counters.count_left(outcome.total, bounds, is_own);
            }
            _ => {}
        }
    }

    /// A good answer of an arm fell into a bin of the output that is watched for drift. A sticky key counts once in each.
    pub fn binned(&self, (arm, key): (usize, Option<u64>), bin: usize) {
        // What lies beyond the last bin shares it.
        let bin = bin.min(BINS_MAX - 1);
        if let Some(counters) = self.arms.get(arm).filter(|_| self.once.is_own(key, BINNED + bin as u64)) {
            counters.count_bin(bin);
        }
    }

    /// The first value of an answer of stable, for its deciles. Beyond [`DECILE_SAMPLE_MAX`] values it is dropped.
    pub fn sampled(&self, value: f64) {
        self.sample.add(value);
    }

    /// Whether more values are wanted for the deciles.
    pub fn wants_sample(&self) -> bool {
        self.sample.is_open()
    }

    /// The values seen so far, for deciles; at most [`DECILE_SAMPLE_MAX`].
    pub fn sample(&self) -> Vec<f64> {
        self.sample.read()
    }

    /// The copy of a request ended. `took` is the candidate's time in the runtime, where it ran.
    pub fn shadowed(&self, result: ShadowResult, took: Option<Duration>) {
        self.shadow.count(result, took, &self.plan.latency_bounds);
    }

    /// Keeps an example of a disagreement; of more than [`EXAMPLES_MAX`] the oldest goes.
    pub fn keep_example(&self, example: Example) {
        self.shadow.keep(example);
    }

    /// The examples kept, oldest first.
    pub fn examples(&self) -> Vec<Example> {
        self.shadow.examples()
    }

    /// Everything counted so far. Numbers only grow from one reading to the next.
    pub fn totals(&self) -> WatchTotals {
        let n_bounds = self.plan.latency_bounds.len();
        let arms = self.plan.arms.iter().zip(&self.arms);
        let arms = arms.map(|(plan, counters)| counters.read(plan.clone(), n_bounds)).collect();
        WatchTotals { arms, shadow: self.plan.shadow.as_ref().map(|_| self.shadow.read(n_bounds)) }
    }
}

#[cfg(test)]
mod tests;
