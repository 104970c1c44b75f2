//! Which version a given request would get, and why: the decision of `assign` with everything it looked at.

use std::sync::Arc;

use base_routing::{
    Arm, Assignment, Experiment, Facts, Membership, ModelRoute, NoSuchLabel, Rule, Source, SplitId, assign,
};
use base_types::{Pin, Version};

use crate::compile::percent;
use crate::difference::{VALUES_SHOWN, condition_text, target_text};

/// A decision laid open.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What the request path would decide.
    pub assignment: Result<Assignment, NoSuchLabel>,
    /// The rules in order; empty for a pinned request, which meets none.
    pub rules: Vec<RuleCheck>,
    /// The experiments in order; empty for a pinned request.
    pub experiments: Vec<ExperimentCheck>,
    /// The sticky key that was found, and where.
    pub sticky: Option<(Source, String)>,
    /// The arms of the split that was drawn from; empty when there was no draw.
    pub arms: Vec<ArmShare>,
}

/// What became of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCheck {
    /// Its name.
    pub name: Arc<str>,
    /// What it does, in words.
    pub then: String,
    /// Whether it matched.
    pub outcome: RuleOutcome,
    /// Its conditions.
    pub conditions: Vec<ConditionCheck>,
}

/// Whether a rule matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleOutcome {
    /// It decided.
    Matched,
    /// A condition failed.
    Failed,
    /// An earlier rule had decided.
    NotReached,
}

/// What became of one condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionCheck {
    /// The condition, in words.
    pub text: String,
    /// The value the request has there.
    pub value: Option<String>,
    /// Whether the condition holds.
    pub holds: bool,
}

/// What became of one experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExperimentCheck {
    /// Its name.
    pub name: Arc<str>,
    /// Its layer.
    pub layer: Arc<str>,
    /// Whether the request is in it.
    pub outcome: ExperimentOutcome,
}

/// Whether a request is in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExperimentOutcome {
    /// It is, and the experiment's arms decide.
    Inside,
    /// It is held out: stable answers.
    HeldOut,
    /// Its sticky key is not among the experiment's units.
    Outside,
    /// It has no sticky key.
    NoKey,
    /// A rule or an earlier experiment had decided.
    NotReached,
}

/// One arm of the split that was drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmShare {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Version,
    /// Its share of the draws.
    pub share: f64,
    /// Stable answers for it.
    pub is_redirected: bool,
    /// The draw fell to it.
    pub is_drawn: bool,
}

/// Explains what the table does with a request. `draw` stands in for the random number of a request without a
/// sticky key.
pub fn explain(route: &ModelRoute, pin: Option<&Pin>, facts: &dyn Facts, draw: u64) -> Explanation {
    let assignment = assign(route, pin, facts, draw);
    if pin.is_some() {
        let (rules, experiments, sticky, arms) = Default::default();
        return Explanation { assignment, rules, experiments, sticky, arms };
    }
    let found = |source: &Source| facts.value(source).map(|value| (source.clone(), value.into_owned()));
    let sticky = route.sticky.iter().find_map(found);
    let arms = match &assignment {
        Ok(Assignment { split: Some(id), arm: Some(arm), .. }) => arms(route, *id, *arm),
        _ => Vec::new(),
    };
    let rules = rules(route, facts);
    let is_decided = rules.iter().any(|rule| rule.outcome == RuleOutcome::Matched);
    let experiments = experiments(route, sticky.as_ref().map(|(_, key)| key.as_bytes()), is_decided);
    Explanation { assignment, rules, experiments, sticky, arms }
}

fn experiments(route: &ModelRoute, key: Option<&[u8]>, mut is_decided: bool) -> Vec<ExperimentCheck> {
    let check = |experiment: &Experiment| {
        let outcome = match (is_decided, key.map(|key| experiment.membership(key))) {
            (true, _) => ExperimentOutcome::NotReached,
            (false, None) => ExperimentOutcome::NoKey,
            (false, Some(Membership::Outside)) => ExperimentOutcome::Outside,
            (false, Some(Membership::HeldOut)) => ExperimentOutcome::HeldOut,
            (false, Some(Membership::Inside)) => ExperimentOutcome::Inside,
        };
        is_decided |= matches!(outcome, ExperimentOutcome::Inside | ExperimentOutcome::HeldOut);
        ExperimentCheck { name: experiment.name.clone(), layer: experiment.layer.clone(), outcome }
    };
    route.experiments.iter().map(check).collect()
}

fn rules(route: &ModelRoute, facts: &dyn Facts) -> Vec<RuleCheck> {
    let mut is_decided = false;
    let check = |rule: &Rule| {
        let outcome = match (is_decided, rule.matches(facts)) {
            (true, _) => RuleOutcome::NotReached,
            (false, true) => RuleOutcome::Matched,
            (false, false) => RuleOutcome::Failed,
        };
        is_decided |= outcome == RuleOutcome::Matched;
        let conditions = rule.when.iter().map(|condition| ConditionCheck {
            text: condition_text(condition, VALUES_SHOWN),
            value: facts.value(&condition.source).map(|value| value.into_owned()),
            holds: condition.holds(facts),
        });
        let (name, then) = (rule.name.clone(), target_text(&rule.then));
        RuleCheck { name, then, outcome, conditions: conditions.collect() }
    };
    route.rules.iter().map(check).collect()
}

fn arms(route: &ModelRoute, id: SplitId, drawn: usize) -> Vec<ArmShare> {
    let arms = route.split(id).arms();
    let total: f64 = arms.iter().map(|arm| arm.weight).sum();
    let share = |(index, arm): (usize, &Arm)| ArmShare {
        name: arm.name.clone(),
        version: arm.version,
        share: arm.weight / total,
        is_redirected: arm.is_redirected,
        is_drawn: index == drawn,
    };
    arms.iter().enumerate().map(share).collect()
}

impl Explanation {
    /// The explanation in sentences, in the order in which the decision was made.
    pub fn sentences(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for rule in &self.rules {
            lines.push(match rule.outcome {
                RuleOutcome::Matched => format!("rule {:?} matches: {}", rule.name, rule.then),
                RuleOutcome::Failed => format!("rule {:?} does not match: {}", rule.name, failed(rule)),
                RuleOutcome::NotReached => format!("rule {:?} is not reached", rule.name),
            });
        }
        lines.extend(self.sticky.iter().map(|(source, value)| format!("the sticky key is {value:?}, from {source}")));
        lines.extend(self.experiments.iter().map(ExperimentCheck::sentence));
        for arm in &self.arms {
            let share = percent(arm.share);
            let drawn = if arm.is_drawn { "; the draw falls here" } else { "" };
            let redirected = if arm.is_redirected { ", answered by stable" } else { "" };
            lines.push(format!("arm {}: version {}, {share}{redirected}{drawn}", arm.name, arm.version));
        }
        lines.push(match &self.assignment {
            Ok(assignment) => format!("version {} answers, reason {}", assignment.version, assignment.reason.as_str()),
            Err(error) => error.to_string(),
        });
        lines
    }
}

impl ExperimentOutcome {
    /// The word used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::HeldOut => "held_out",
            Self::Outside => "outside",
            Self::NoKey => "no_key",
            Self::NotReached => "not_reached",
        }
    }
}

impl ExperimentCheck {
    fn sentence(&self) -> String {
        let Self { name, layer, outcome } = self;
        let what = match outcome {
            ExperimentOutcome::Inside => "has this key: its arms decide",
            ExperimentOutcome::HeldOut => "holds this key out: stable answers",
            ExperimentOutcome::Outside => "does not have this key",
            ExperimentOutcome::NoKey => "needs a sticky key, and the request has none",
            ExperimentOutcome::NotReached => "is not reached",
        };
        format!("experiment {name:?} of layer {layer:?} {what}")
    }
}

fn failed(rule: &RuleCheck) -> String {
    let failed = rule.conditions.iter().filter(|check| !check.holds).map(|check| {
        let value = check.value.as_ref().map_or_else(|| "there is none".to_owned(), |value| format!("it is {value:?}"));
        format!("{} ({value})", check.text)
    });
    failed.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
