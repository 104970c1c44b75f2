//! What a watch has counted, as plain numbers.

use base_routing::SplitId;
use base_types::Version;

use super::histogram::LatencyCounts;
use super::plan::ArmPlan;

/// What a watch has counted. Of two readings the later one has no smaller number.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchTotals {
    /// By arm, in the order of the plan.
    pub arms: Vec<ArmTotals>,
    /// Of the candidate that gets copies, where there is one.
    pub shadow: Option<ShadowTotals>,
}

/// What one arm did. Only requests drawn at random are in it.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmTotals {
    /// Which one.
    pub plan: ArmPlan,
    /// Requests that fell to it and were tried, the ones still under way included.
    pub assigned: u64,
    /// Of those, requests whose sticky key was counted before: they are no draws of their own.
    pub repeated: u64,
    /// Good answers.
    pub ok: u64,
    /// Faults of its version. A request that stable answered in its place is counted here, and not at stable.
    pub faults: u64,
    /// Of the faults, those that stable failed too at the same input: the input is to blame.
    pub poisoned: u64,
    /// By latency bound: good answers that took no longer.
    pub within: Vec<u64>,
    /// By latency bound: good answers that took longer, and callers who left, or whose time was over, after longer.
    pub slow: Vec<u64>,
    /// As `slow`, each sticky key once for each bound: what two arms may be compared by.
    pub slow_once: Vec<u64>,
    /// Good answers by bin of the output watched for drift, each sticky key once in each.
    pub bins: Vec<u64>,
    /// Times of good answers in queue and run.
    pub latencies: LatencyCounts,
}

/// What the copies showed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShadowTotals {
    /// Answered as stable did.
    pub agreed: u64,
    /// Answered otherwise.
    pub disagreed: u64,
    /// The candidate could not answer what stable could.
    pub faults: u64,
    /// The candidate's run took longer than `run_timeout`. Shadow threads give way to all others, so this may be the
    /// machine's doing.
    pub timeouts: u64,
    /// Copies that never ran, for want of room.
    pub shed: u64,
    /// By latency bound: runs of the candidate that took longer, on threads that give way to all others.
    pub slow: Vec<u64>,
    /// Times of the candidate's runs, on such threads.
    pub latencies: LatencyCounts,
}

impl ShadowTotals {
    /// Copies whose answer could be compared.
    pub fn compared(&self) -> u64 {
        self.agreed + self.disagreed
    }
}

/// A candidate and stable in one split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairTotals<'a> {
    /// The candidate's share among the traffic of the two.
    pub share: f64,
    /// Stable.
    pub stable: &'a ArmTotals,
    /// The candidate.
    pub candidate: &'a ArmTotals,
}

impl WatchTotals {
    /// The arm of a version in a split. Units held out are no arm of their split's.
    pub fn arm(&self, split: SplitId, version: Version) -> Option<&ArmTotals> {
        let is_meant = |arm: &&ArmTotals| arm.plan.split == split && arm.plan.version == version && !arm.is_held_out();
        self.arms.iter().find(is_meant)
    }

    /// A candidate and stable, in each split where both are: what a comparison of the two needs.
    pub fn pairs(&self, candidate: Version, stable: Version) -> Vec<PairTotals<'_>> {
        let mut pairs = Vec::new();
        for arm in self.arms.iter().filter(|arm| arm.plan.version == candidate && !arm.is_held_out()) {
            let Some(other) = self.arm(arm.plan.split, stable) else { continue };
            let sum = arm.plan.share + other.plan.share;
            if sum > 0.0 {
                pairs.push(PairTotals { share: arm.plan.share / sum, stable: other, candidate: arm });
            }
        }
        pairs
    }
}

impl ArmTotals {
    /// Whether these are units that an experiment holds out.
    pub fn is_held_out(&self) -> bool {
        self.plan.experiment.as_ref().is_some_and(|experiment| experiment.arm.is_none())
    }
}
