//! The decision: which version answers this request, and why.

use std::sync::Arc;

use base_types::{Label, Reason, Selector, Version};
use thiserror::Error;

use crate::{Facts, ModelRoute, Split, SplitId, Target, key_hash};

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

/// Decides. `draw` is a uniform random number, used where no sticky key applies.
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
    let key = route.sticky.iter().find_map(|source| facts.value(source));
    let key = key.map(|key| key_hash(&route.model, key.as_bytes()));
    for (index, rule) in route.rules.iter().enumerate() {
        if !rule.matches(facts) {
            continue;
        }
        let mut assignment = match &rule.then {
            Target::Version(version) if route.barred.contains(version) => {
                Assignment { drawn: *version, ..fixed(route.stable, Reason::Redirect) }
            }
            Target::Version(version) => fixed(*version, Reason::Rule),
            Target::Split(split) => drawn(route, split, SplitId::Rule(index), key, draw),
        };
        assignment.rule = Some(rule.name.clone());
        return Ok(assignment);
    }
    Ok(drawn(route, &route.split, SplitId::Default, key, draw))
}

fn fixed(version: Version, reason: Reason) -> Assignment {
    Assignment { version, reason, drawn: version, split: None, key: None, rule: None }
}

fn drawn(route: &ModelRoute, split: &Split, id: SplitId, key: Option<u64>, draw: u64) -> Assignment {
    let arm = split.pick(key.unwrap_or(draw));
    let (version, reason) = if arm.is_redirected {
        (route.stable, Reason::Redirect)
    } else if split.arms().len() == 1 {
        (arm.version, Reason::Stable)
    } else if key.is_some() {
        (arm.version, Reason::Sticky)
    } else {
        (arm.version, Reason::Split)
    };
    Assignment { version, reason, drawn: arm.version, split: Some(id), key, rule: None }
}

#[cfg(test)]
mod tests;
