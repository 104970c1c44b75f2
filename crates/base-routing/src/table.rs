//! The routing table of one model, compiled from config and decisions.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{Label, ModelName, Version};

use crate::{Experiment, Rule, Source, Split, Target};

/// Which split of a table an attempt was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitId {
    /// The model's own.
    Default,
    /// That of the rule at this position.
    Rule(usize),
    /// That of the experiment at this position.
    Experiment(usize),
}

/// How requests for one model are divided. Immutable once published.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRoute {
    /// The model.
    pub model: ModelName,
    /// Answers whatever no other arm may answer; the fallback and rollback target.
    pub stable: Version,
    /// The split of requests that no rule claims.
    pub split: Split,
    /// Rules, first match wins.
    pub rules: Vec<Rule>,
    /// Experiments, the first that a sticky key is in wins. They are asked after the rules and before the split.
    pub experiments: Vec<Experiment>,
    /// Where the sticky key is found, first source that has a value wins. Empty: drawn per request.
    pub sticky: Vec<Source>,
    /// Labels callers may name in the path.
    pub labels: BTreeMap<Label, Version>,
    /// Versions that may not answer: quarantined, or not ready.
    pub barred: BTreeSet<Version>,
}

impl ModelRoute {
    /// A table that sends everything to one version.
    pub fn to_one(model: ModelName, stable: Version) -> Self {
        let split = Split::to_one(stable);
        let (rules, experiments, sticky, labels, barred) = Default::default();
        Self { model, stable, split, rules, experiments, sticky, labels, barred }
    }

    /// A split by its id; the default one when a rule has none, or there is no such rule or experiment.
    pub fn split(&self, id: SplitId) -> &Split {
        match id {
            SplitId::Default => &self.split,
            SplitId::Rule(index) => match self.rules.get(index).map(|r| &r.then) {
                Some(Target::Split(split)) => split,
                _ => &self.split,
            },
            SplitId::Experiment(index) => self.experiments.get(index).map_or(&self.split, |e| &e.split),
        }
    }

    /// Every version the table can send a request to, labels aside.
    pub fn routed_versions(&self) -> BTreeSet<Version> {
        let mut versions = BTreeSet::from([self.stable]);
        let mut add = |split: &Split| {
            versions.extend(split.arms().iter().filter(|a| a.weight > 0.0 && !a.is_redirected).map(|a| a.version));
        };
        add(&self.split);
        self.experiments.iter().for_each(|experiment| add(&experiment.split));
        for rule in &self.rules {
            if let Target::Split(split) = &rule.then {
                add(split);
            }
        }
        versions.extend(self.rules.iter().filter_map(|r| match r.then {
            Target::Version(version) if !self.barred.contains(&version) => Some(version),
            _ => None,
        }));
        versions
    }

    /// The experiment an attempt was drawn in.
    pub fn experiment(&self, id: SplitId) -> Option<&Experiment> {
        match id {
            SplitId::Experiment(index) => self.experiments.get(index),
            SplitId::Default | SplitId::Rule(_) => None,
        }
    }

    /// Versions other than stable that take a share of the traffic by weight: the ones under trial.
    pub fn candidates(&self) -> BTreeSet<Version> {
        let mut versions = self.routed_versions();
        versions.remove(&self.stable);
        versions
    }
}
