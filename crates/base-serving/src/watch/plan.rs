//! What a watch looks at.

use std::sync::Arc;
use std::time::Duration;

use base_routing::{Assignment, Experiment, ModelRoute, Split, SplitId, Target};
use base_types::{Comparison, Version};

use super::DriftPlan;
use crate::prediction::{ExperimentMark, experiment_tag};

/// Most arms of one watch.
pub const ARMS_MAX: usize = 64;
/// Most latency bounds of one watch: a limit, and three quantiles of stable.
pub const LATENCY_BOUNDS_MAX: usize = 4;

/// What is looked at. Made by the control plane with the snapshot it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchPlan {
    /// The version that candidates are compared with.
    pub stable: Version,
    /// The arms; [`WatchPlan::of`] finds them in a routing table.
    pub arms: Vec<ArmPlan>,
    /// An answer that takes longer than one of these is counted as slow by it: time in queue and run.
    pub latency_bounds: Vec<Duration>,
    /// The output whose distribution is watched.
    pub drift: Option<DriftPlan>,
    /// Who gets copies of stable's requests.
    pub shadow: Option<ShadowPlan>,
}

/// One arm: what one draw of one split leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmPlan {
    /// The split.
    pub split: SplitId,
    /// The version that answers.
    pub version: Version,
    /// Its share of the split's traffic, 0 to 1. Of units held out the share is 0: they are outside the split.
    pub share: f64,
    /// The experiment whose split it is. Outside experiments arms of the same version are one.
    pub experiment: Option<ExperimentArm>,
}

/// What an arm is within its experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentArm {
    /// The experiment.
    pub experiment: Arc<str>,
    /// The arm's name; `None` for units that are held out.
    pub arm: Option<Arc<str>>,
    /// The arm's position in its split; `None` for units that are held out.
    pub position: Option<usize>,
}

/// Copies of stable's requests for a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowPlan {
    /// The candidate. It must be in the snapshot's versions.
    pub candidate: Version,
    /// The share of stable's good answers that it gets copies of, 0 to 1.
    pub share: f64,
    /// When its answer is the same as stable's.
    pub comparison: Comparison,
    /// Whether examples of disagreement show shapes alone and no values.
    pub is_redacted: bool,
}

impl WatchPlan {
    /// The arms of a routing table, of every split that is drawn at random, and nothing else to look at.
    pub fn of(route: &ModelRoute) -> Self {
        let mut arms = Vec::new();
        split_arms(&mut arms, route, (SplitId::Default, &route.split));
        for (index, rule) in route.rules.iter().enumerate() {
            if let Target::Split(split) = &rule.then {
                split_arms(&mut arms, route, (SplitId::Rule(index), split));
            }
        }
        for (index, experiment) in route.experiments.iter().enumerate() {
            experiment_arms(&mut arms, route, (SplitId::Experiment(index), experiment));
        }
        Self { stable: route.stable, arms, latency_bounds: Vec::new(), drift: None, shadow: None }
    }

    /// The share of the candidate of an arm's split among the candidate's and stable's traffic there. 0 where the split
    /// has not exactly one candidate beside stable: then no pair is compared.
    pub fn pair_share(&self, arm: &ArmPlan) -> f64 {
        // What an experiment holds out has no share.
        let of_split = self.arms.iter().filter(|a| a.split == arm.split && a.share > 0.0);
        let (mut stable, mut candidate, mut n_candidates) = (0.0, 0.0, 0);
        for arm in of_split {
            if arm.version == self.stable {
                stable += arm.share;
            } else {
                candidate += arm.share;
                n_candidates += 1;
            }
        }
        if n_candidates == 1 { candidate / (candidate + stable) } else { 0.0 }
    }
}

/// The arms of a split that take traffic, by the version that answers. Redirected arms are stable's.
fn split_arms(arms: &mut Vec<ArmPlan>, route: &ModelRoute, (id, split): (SplitId, &Split)) {
    let mut versions = vec![route.stable];
    for arm in split.arms().iter().filter(|arm| arm.weight > 0.0 && !arm.is_redirected) {
        if !versions.contains(&arm.version) {
            versions.push(arm.version);
        }
    }
    let plan = |version| ArmPlan { split: id, version, share: split.share(version, route.stable), experiment: None };
    arms.extend(versions.into_iter().map(plan));
}

/// The arms of an experiment one by one, because an A/A test has two of the same version, and the units held out.
/// Redirected arms are left out: what stable answers for them shows nothing about any arm.
fn experiment_arms(arms: &mut Vec<ArmPlan>, route: &ModelRoute, (split, of): (SplitId, &Experiment)) {
    let total: f64 = of.split.arms().iter().map(|arm| arm.weight).sum();
    for (position, arm) in of.split.arms().iter().enumerate().filter(|(_, arm)| arm.weight > 0.0 && !arm.is_redirected)
    {
        let within =
            ExperimentArm { experiment: of.name.clone(), arm: Some(arm.name.clone()), position: Some(position) };
        let (version, share) = (arm.version, arm.weight / total);
        arms.push(ArmPlan { split, version, share, experiment: Some(within) });
    }
    if of.holdout > 0.0 {
        let within = ExperimentArm { experiment: of.name.clone(), arm: None, position: None };
        arms.push(ArmPlan { split, version: route.stable, share: 0.0, experiment: Some(within) });
    }
}

impl ArmPlan {
    /// Whether an assignment drawn in `split` fell to this arm.
    pub(super) fn is_of(&self, split: SplitId, assignment: &Assignment) -> bool {
        let is_place = match &self.experiment {
            None => true,
            Some(within) => within.arm.is_none() == assignment.is_held_out && within.position == assignment.arm,
        };
        self.split == split && self.version == assignment.version && is_place
    }

    pub(super) fn mark(&self) -> Option<ExperimentMark> {
        let ExperimentArm { experiment, position, .. } = self.experiment.as_ref()?;
        // A split beyond 255 arms has more of them than a watch.
        let arm = position.map(|position| u8::try_from(position).unwrap_or(u8::MAX));
        Some(ExperimentMark { tag: experiment_tag(experiment), arm })
    }
}
