//! The effective table of a model: what routing.toml wishes, what was decided, and what can answer now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base_routing::{Experiment, ModelRoute, Split, Target};
use base_types::{Candidate, Label, ModelName, Phase, Stance, Version};
use thiserror::Error;

use crate::routing::default_arm_name;
use crate::{ModelBlock, RoutingConfig};

/// Whether a version may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Availability {
    /// In memory and not barred.
    Ready,
    /// Known, but not in memory.
    NotReady,
    /// Its content is barred until a person releases it.
    Quarantined,
    /// Not in the model repository.
    Unknown,
}

/// A table that can be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The table.
    pub route: ModelRoute,
    /// What differs from the wish, one sentence each.
    pub notices: Vec<String>,
}

/// Why a model cannot take unpinned traffic.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unroutable {
    /// Neither routing.toml nor a decision says which version is stable.
    #[error("no version of {model} is chosen: set stable in routing.toml or promote one")]
    NoStable {
        /// The model.
        model: ModelName,
    },
    /// The stable version may not answer, so nothing could take over from another arm either.
    #[error("stable version {stable} of {model} is {availability}")]
    StableUnavailable {
        /// The model.
        model: ModelName,
        /// Its stable version.
        stable: Version,
        /// Why it may not answer.
        availability: Availability,
    },
}

/// Joins config and decisions. A stance that holds (see [`RoutingConfig::upholds`]) overrides stable and split of
/// the block; rules, experiments, sticky and labels stay. Versions that are not ready are redirected to stable.
pub fn compile(
    config: &RoutingConfig,
    model: &ModelName,
    stance: Option<&Stance>,
    availability: &dyn Fn(Version) -> Availability,
) -> Result<Compiled, Unroutable> {
    let block = config.models.get(model);
    let stance = stance.filter(|stance| config.upholds(model, stance));
    let no_stable = || Unroutable::NoStable { model: model.clone() };
    let stable = stance.map(|s| s.stable).or(block.and_then(|b| b.stable)).ok_or_else(no_stable)?;
    let split = match (stance, block.and_then(|b| b.split.as_ref())) {
        (Some(stance), _) => decided_split(stance, block),
        (None, Some(split)) => split.clone(),
        (None, None) => Split::to_one(stable),
    };
    let sticky = block.map_or(&config.defaults.sticky, |b| &b.sticky).clone();
    let experiments: Vec<Experiment> = config.experiments(model).map(|(_, block)| block.routing.clone()).collect();
    let labels = labels(block, stable, (&split, &experiments));
    let rules = block.map(|b| b.rules.clone()).unwrap_or_default();
    let barred = BTreeSet::new();
    let mut route = ModelRoute { model: model.clone(), stable, split, rules, experiments, sticky, labels, barred };
    let unready: BTreeMap<Version, Availability> = referenced(&route)
        .into_iter()
        .map(|version| (version, availability(version)))
        .filter(|(_, availability)| *availability != Availability::Ready)
        .collect();
    if let Some(availability) = unready.get(&stable) {
        return Err(Unroutable::StableUnavailable { model: model.clone(), stable, availability: *availability });
    }
    route.barred = unready.keys().copied().collect();
    let notices = notices(&route, &unready);
    redirect(&mut route);
    Ok(Compiled { route, notices })
}

/// Every version that the config and a stance that holds refer to: they are to be in memory.
pub fn versions_wanted(config: &RoutingConfig, model: &ModelName, stance: Option<&Stance>) -> BTreeSet<Version> {
    let mut versions = BTreeSet::new();
    if let Some(block) = config.models.get(model) {
        versions.extend(block.stable);
        versions.extend(block.split.iter().flat_map(split_versions));
        versions.extend(block.rules.iter().flat_map(|rule| target_versions(&rule.then)));
        versions.extend(block.labels.values());
    }
    versions.extend(config.experiments(model).flat_map(|(_, block)| split_versions(&block.routing.split)));
    if let Some(stance) = stance.filter(|stance| config.upholds(model, stance)) {
        versions.insert(stance.stable);
        versions.extend(stance.candidate.map(|c| c.version));
    }
    versions
}

/// The split that a decision asks for.
fn decided_split(stance: &Stance, block: Option<&ModelBlock>) -> Split {
    let (stable, only) = (stance.stable, Split::to_one(stance.stable));
    let share = |candidate: Candidate| match stance.phase {
        Phase::Canary => Some(candidate.share),
        Phase::Provisional => Some(1.0),
        Phase::Interrupted | Phase::Settled => None,
    };
    let Some(Candidate { version, share }) = stance.candidate.and_then(|candidate| {
        let share = share(candidate).filter(|share| (0.0..=1.0).contains(share))?;
        (candidate.version != stable).then_some(Candidate { share, ..candidate })
    }) else {
        return only;
    };
    let arms = [(arm_name(stable, block), stable, 1.0 - share), (arm_name(version, block), version, share)];
    // Shares within [0, 1] and two names make a split; should they not, stable alone is safe.
    Split::new(arms).unwrap_or(only)
}

/// The name a version's arm has in routing.toml, so that a decision moves no keys beyond those it means to move.
fn arm_name(version: Version, block: Option<&ModelBlock>) -> Arc<str> {
    let arms = block.and_then(|b| b.split.as_ref()).map_or(&[][..], Split::arms);
    let mut of_version = arms.iter().filter(|arm| arm.version == version);
    match (of_version.next(), of_version.next()) {
        (Some(only), None) => only.name.clone(),
        _ => default_arm_name(version),
    }
}

/// The labels of the block, and `stable` and `canary` where it does not define them itself. The canary is the one
/// other version of the split; of the experiments where the split has stable alone.
fn labels(
    block: Option<&ModelBlock>,
    stable: Version,
    (split, experiments): (&Split, &[Experiment]),
) -> BTreeMap<Label, Version> {
    let mut labels = BTreeMap::new();
    let is_other = |version: &Version| *version != stable;
    let mut others: BTreeSet<_> = split_versions(split).filter(is_other).collect();
    if others.is_empty() {
        others = experiments.iter().flat_map(|e| split_versions(&e.split)).filter(is_other).collect();
    }
    let canary = others.first().copied().filter(|_| others.len() == 1);
    for (name, version) in [("stable", Some(stable)), ("canary", canary)] {
        labels.extend(Label::new(name).ok().zip(version));
    }
    labels.extend(block.iter().flat_map(|b| &b.labels).map(|(label, version)| (label.clone(), *version)));
    labels
}

fn referenced(route: &ModelRoute) -> BTreeSet<Version> {
    let mut versions = BTreeSet::from([route.stable]);
    versions.extend(split_versions(&route.split));
    versions.extend(route.rules.iter().flat_map(|rule| target_versions(&rule.then)));
    versions.extend(route.experiments.iter().flat_map(|experiment| split_versions(&experiment.split)));
    versions.extend(route.labels.values());
    versions
}

fn split_versions(split: &Split) -> impl Iterator<Item = Version> {
    split.arms().iter().map(|arm| arm.version)
}

fn target_versions(target: &Target) -> Vec<Version> {
    match target {
        Target::Version(version) => vec![*version],
        Target::Split(split) => split_versions(split).collect(),
    }
}

fn redirect(route: &mut ModelRoute) {
    let barred = &route.barred;
    route.split.redirect(|version| barred.contains(&version));
    for rule in &mut route.rules {
        if let Target::Split(split) = &mut rule.then {
            split.redirect(|version| barred.contains(&version));
        }
    }
    for experiment in &mut route.experiments {
        experiment.split.redirect(|version| barred.contains(&version));
    }
}

fn notices(route: &ModelRoute, unready: &BTreeMap<Version, Availability>) -> Vec<String> {
    let mut notices = Vec::new();
    for (version, availability) in unready {
        let share = route.split.share(*version, route.stable);
        if share > 0.0 {
            let percent = percent(share);
            notices.push(format!("version {version} is {availability}: its {percent} goes to stable {}", route.stable));
        }
        for rule in route.rules.iter().filter(|rule| target_versions(&rule.then).contains(version)) {
            let stable = route.stable;
            notices.push(format!("version {version} is {availability}: rule {:?} uses stable {stable}", rule.name));
        }
        for experiment in route.experiments.iter().filter(|e| split_versions(&e.split).any(|v| v == *version)) {
            let (stable, name) = (route.stable, &experiment.name);
            notices.push(format!("version {version} is {availability}: experiment {name:?} uses stable {stable}"));
        }
        for (label, _) in route.labels.iter().filter(|(_, labelled)| *labelled == version) {
            notices.push(format!("version {version} is {availability}: label {label} cannot be answered"));
        }
    }
    notices
}

/// A share as people read it.
pub(crate) fn percent(share: f64) -> String {
    format!("{} %", (share * 1e6).round() / 1e4)
}

impl Availability {
    /// The word used in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Quarantined => "quarantined",
            Self::Unknown => "not in the model repository",
        }
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
