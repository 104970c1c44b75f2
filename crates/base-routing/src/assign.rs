//! The decision: which version answers this request, and why.

use std::sync::Arc;

use base_types::{Label, Reason, Selector, Version};
use thiserror::Error;

use crate::{Facts, Membership, ModelRoute, Split, SplitId, Target, key_hash};

/// Which version answers and on what grounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The version to ask.
    pub version: Version,
    /// Why.
    pub reason: Reason,
    /// The version the draw fell to, before any redirect.
    pub drawn: Version,
    /// The split the draw was made in; `None` when there was no draw.
    pub split: Option<SplitId>,
    /// Position of the arm that was drawn in that split; `None` without a draw and for who is held out.
    pub arm: Option<usize>,
    /// The key is held out of the experiment that `split` names: stable answers it, and it is no arm's evidence.
    pub is_held_out: bool,
    /// Hash of the sticky key, if the request has one.
    pub key: Option<u64>,
    /// The rule that matched.
    pub rule: Option<Arc<str>>,
}

impl Assignment {
    /// The caller named the version and the table has no say.
    pub fn pinned(version: Version) -> Self {
        fixed(version, Reason::Pin)
    }
}

/// The caller named a label that the model does not have.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no version is labelled {0:?}")]
pub struct NoSuchLabel(pub Label);

/// Decides. A pin comes first, then the first rule that matches, then the first experiment that the sticky key is in,
/// then the model's own split. `draw` is a uniform random number, used where no sticky key applies.
pub fn assign(
    route: &ModelRoute,
    pin: Option<&Selector>,
    facts: &dyn Facts,
    draw: u64,
) -> Result<Assignment, NoSuchLabel> {
    match pin {
        Some(Selector::Version(version)) => return Ok(fixed(*version, Reason::Pin)),
        Some(Selector::Label(label)) => {
            let version = route.labels.get(label).ok_or_else(|| NoSuchLabel(label.clone()))?;
            return Ok(fixed(*version, Reason::Label));
        }
        None => {}
    }
    let unit = route.sticky.iter().find_map(|source| facts.value(source));
    let key = unit.as_ref().map(|unit| key_hash(&route.model, unit.as_bytes()));
    for (index, rule) in route.rules.iter().enumerate() {
        if !rule.matches(facts) {
            continue;
        }
        let mut assignment = match &rule.then {
            Target::Version(version) if route.barred.contains(version) => {
                Assignment { drawn: *version, ..fixed(route.stable, Reason::Redirect) }
            }
            Target::Version(version) => fixed(*version, Reason::Rule),
            Target::Split(split) => drawn(route, split, SplitId::Rule(index), key, key.unwrap_or(draw)),
        };
        assignment.rule = Some(rule.name.clone());
        return Ok(assignment);
    }
    let in_experiment = unit.zip(key).and_then(|(unit, key)| experiment(route, unit.as_bytes(), key));
    Ok(in_experiment.unwrap_or_else(|| drawn(route, &route.split, SplitId::Default, key, key.unwrap_or(draw))))
}

fn fixed(version: Version, reason: Reason) -> Assignment {
    Assignment { version, reason, drawn: version, split: None, arm: None, is_held_out: false, key: None, rule: None }
}

/// The first experiment that the unit is in decides; `None` when it is in none.
fn experiment(route: &ModelRoute, unit: &[u8], key: u64) -> Option<Assignment> {
    route.experiments.iter().enumerate().find_map(|(index, experiment)| {
        let id = SplitId::Experiment(index);
        match experiment.membership(unit) {
            Membership::Outside => None,
            Membership::HeldOut => Some(Assignment {
                split: Some(id),
                is_held_out: true,
                key: Some(key),
                ..fixed(route.stable, Reason::Sticky)
            }),
            Membership::Inside => Some(drawn(route, &experiment.split, id, Some(key), experiment.draw(unit))),
        }
    })
}

fn drawn(route: &ModelRoute, split: &Split, id: SplitId, key: Option<u64>, draw: u64) -> Assignment {
    let index = split.pick_index(draw);
    let arm = &split.arms()[index];
    let (version, reason) = if arm.is_redirected {
        (route.stable, Reason::Redirect)
    } else if split.arms().len() == 1 {
        (arm.version, Reason::Stable)
    } else if key.is_some() {
        (arm.version, Reason::Sticky)
    } else {
        (arm.version, Reason::Split)
    };
    Assignment {
        version,
        reason,
        drawn: arm.version,
        split: Some(id),
        arm: Some(index),
        is_held_out: false,
        key,
        rule: None,
    }
}

#[cfg(test)]
mod tests;
