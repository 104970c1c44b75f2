//! One model's block.

use base_routing::Split;
use base_types::Version;

use super::policies::{self, Policies};
use super::versions::{Labels, labels, split, version};
use super::{Defaults, ModelBlock, contracts, gates, guardrail, limits, overlap, rules, sources};
use crate::Code;
use crate::document::Report;
use crate::reader::{Section, put};

/// Reads a block over the defaults.
pub(super) fn block(
    mut section: Section<'_>,
    (defaults, policies): (&Defaults, &Policies),
    report: &mut Report<'_>,
) -> ModelBlock {
    let labels = labels(&mut section, report);
    let (stable, split) = versions(&mut section, &labels, report);
    let contracts = contracts::contracts(&mut section, &labels, report);
    let mut block = ModelBlock {
        stable,
        split,
        rules: Vec::new(),
        sticky: defaults.sticky.clone(),
        limits: defaults.limits.clone(),
        guardrail: defaults.guardrail.clone(),
        policy: None,
        gates: defaults.gates.clone(),
        labels,
        contracts,
    };
    let rules = rules::rules(&mut section, &block.labels, report);
    overlap::warn(&rules, report);
    block.rules = rules.into_iter().map(|placed| placed.rule).collect();
    put(&mut block.sticky, sources::sticky(&mut section, report));
    limits::read(&mut section, &mut block.limits, report);
    guardrail::read(&mut section, &mut block.guardrail, report);
    gates::read(&mut section, &mut block.gates, report);
    block.limits.is_windowed = guardrail::is_windowed(&block.guardrail);
    block.policy = policies::choice(&mut section, (policies, &block.guardrail), report);
    if block.policy.is_none() {
        block.policy.clone_from(&defaults.policy);
        policies::check_inherited(&section, (policies, defaults), &block, report);
    }
    section.finish(report);
    block
}

/// Stable and split: a split of one arm says which version is stable, one of several does not.
fn versions(section: &mut Section<'_>, labels: &Labels, report: &mut Report<'_>) -> (Option<Version>, Option<Split>) {
    let stable_item = section.take("stable");
    let stable = stable_item.as_ref().and_then(|item| version(item, labels, report));
    let split = split(section, labels, report);
    let Some(split) = split else { return (stable, None) };
    match (&stable_item, split.arms()) {
        (None, [only]) => return (Some(only.version), Some(split)),
        (None, _) => {
            let message = format!("{} splits traffic but does not say which version is stable", section.path);
            let hint = "add stable = <version>: it answers when another arm fails or is rolled back";
            section.flaw(Code::MissingKey, message, hint, report);
        }
        (Some(item), _) => {
            if let Some(version) = stable.filter(|version| split.share(*version, *version) == 0.0) {
                let message = format!("stable is {version}, but the split gives it no traffic to compare with");
                let hint = "give it a small weight, or make the version that takes the traffic stable".to_owned();
                item.flaw(Code::IdleStable, message, hint, report);
            }
        }
    }
    (stable, Some(split))
}
