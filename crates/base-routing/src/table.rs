//! The routing table of one model, compiled from config and decisions.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{Label, ModelName, Version};

use crate::{Rule, Source, Split, Target};

/// Which split of a table an attempt was drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitId {
    /// The model's own.
    Default,
    /// That of the rule at this position.
    Rule(usize),
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
        let (rules, sticky, labels, barred) = Default::default();
        Self { model, stable, split, rules, sticky, labels, barred }
    }

    /// A split by its id; the default one when a rule has none.
    pub fn split(&self, id: SplitId) -> &Split {
        match id {
            SplitId::Default => &self.split,
            SplitId::Rule(index) => match self.rules.get(index).map(|r| &r.then) {
                Some(Target::Split(split)) => split,
                _ => &self.split,
            },
        }
    }

    /// Every version the table can send a request to, labels aside.
    pub fn routed_versions(&self) -> BTreeSet<Version> {
        let mut versions = BTreeSet::from([self.stable]);
        let mut add = |split: &Split| {
            versions.extend(split.arms().iter().filter(|a| a.weight > 0.0 && !a.is_redirected).map(|a| a.version));
        };
        add(&self.split);
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

    /// Versions other than stable that take a share of the traffic by weight: the ones under trial.
    pub fn candidates(&self) -> BTreeSet<Version> {
        let mut versions = self.routed_versions();
        versions.remove(&self.stable);
        versions
    }
}
