//! Metrics of rollouts, shadows, feedback and experiments.

use base_types::{ModelName, Version};

use crate::Metrics;
use crate::family::Families;
use crate::version::{VersionMetrics, forget};

/// How the copy of a request ended at a candidate that is shadowing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShadowResult {
    /// It answered as stable did.
    Agreed,
    /// It answered otherwise.
    Disagreed,
    /// It could not answer what stable could.
    Fault,
    /// It ran longer than it may.
    Timeout,
    /// It never ran: there was no room, or live requests needed what there was.
    Shed,
}

impl ShadowResult {
    /// Every result.
    pub const ALL: [Self; 5] = [Self::Agreed, Self::Disagreed, Self::Fault, Self::Timeout, Self::Shed];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Disagreed => "disagreed",
            Self::Fault => "fault",
            Self::Timeout => "timeout",
            Self::Shed => "shed",
        }
    }
}

/// What became of one piece of feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FeedbackResult {
    /// It counts.
    Accepted,
    /// No answer of this model had that id.
    Unknown,
    /// Its answer is too old, or from a time that has not come.
    Late,
    /// There was feedback on this answer before.
    Duplicate,
}

impl FeedbackResult {
    /// Every result.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Unknown, Self::Late, Self::Duplicate];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unknown => "unknown",
            Self::Late => "late",
            Self::Duplicate => "duplicate",
        }
    }
}

/// What is counted about an arm of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArmFigure {
    /// Requests that fell to it.
    Assigned,
    /// Good answers.
    Ok,
    /// Faults of its version.
    Fault,
}

impl ArmFigure {
    /// Every figure.
    pub const ALL: [Self; 3] = [Self::Assigned, Self::Ok, Self::Fault];

    fn as_str(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Ok => "ok",
            Self::Fault => "version_fault",
        }
    }
}

impl VersionMetrics {
    /// Counts the copy of a request.
    pub fn shadow(&self, result: ShadowResult) {
        let resolve = || self.families().shadows.with_label_values(&[self.model(), self.version(), result.as_str()]);
        self.shadows[result as usize].get_or_init(resolve).inc();
    }

    /// Counts so many pieces of feedback on this version's answers.
    pub fn feedback(&self, result: FeedbackResult, n_more: u64) {
        let labels = [self.model(), self.version(), result.as_str()];
        self.families().feedback.with_label_values(&labels).inc_by(n_more);
    }

    /// Adds what accepted feedback says about one answer: 1 is as good as can be, 0 as bad.
    pub fn score(&self, score: f64) {
        let resolve = || self.families().feedback_score.with_label_values(&[self.model(), self.version()]);
        self.scores.get_or_init(resolve).observe(score);
    }
}

impl Metrics {
    /// Counts so many pieces of feedback that belong to no version: their ids are unknown, or the version is gone.
    pub fn feedback(&self, model: &ModelName, result: FeedbackResult, n_more: u64) {
        if n_more > 0 {
            self.families.feedback.with_label_values(&[model.as_str(), "", result.as_str()]).inc_by(n_more);
        }
    }

    /// Sets how far a model's rollout has come: the position of its step, counted from 1, and 0 without a rollout.
    pub fn set_rollout_step(&self, model: &ModelName, step: usize) {
        self.families.rollout_step.with_label_values(&[model.as_str()]).set(step as i64);
    }

    /// Sets the share of stable's requests that a candidate gets copies of.
    pub fn set_shadow_share(&self, model: &ModelName, version: Version, share: f64) {
        self.families.shadow_share.with_label_values(&[model.as_str(), &version.to_string()]).set(share);
    }

    /// Adds to a figure of an experiment's arm. `arm` is empty for units that are held out.
    pub fn experiment(&self, experiment: &str, arm: &str, figure: ArmFigure, n_more: u64) {
        self.families.experiments.with_label_values(&[experiment, arm, figure.as_str()]).inc_by(n_more);
    }

    /// Removes every series of an experiment that is over.
    pub fn retire_experiment<'a>(&self, experiment: &str, arms: impl IntoIterator<Item = &'a str>) {
        for arm in arms.into_iter().chain([""]) {
            for figure in ArmFigure::ALL {
                forget(&self.families.experiments, &[experiment, arm, figure.as_str()]);
            }
        }
    }

    /// Counts an exposure: written down, or dropped because it came faster than it can be written.
    pub fn exposure(&self, is_written: bool) {
        let result = if is_written { "written" } else { "dropped" };
        self.families.exposures.with_label_values(&[result]).inc();
    }
}

/// Removes every series of a version.
pub(crate) fn retire(families: &Families, key: [&str; 2]) {
    for result in ShadowResult::ALL {
        forget(&families.shadows, &[key[0], key[1], result.as_str()]);
    }
    for result in FeedbackResult::ALL {
        forget(&families.feedback, &[key[0], key[1], result.as_str()]);
    }
    forget(&families.feedback_score, &key);
    forget(&families.shadow_share, &key);
}
