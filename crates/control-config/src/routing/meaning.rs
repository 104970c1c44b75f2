//! What a block means, as a number that can be stored beside a decision.
//!
//! The block is written as a canonical text and hashed. The text is part of what journals of earlier releases
//! hold: changing how it is built makes decisions taken before an upgrade give way to routing.toml.

use base_routing::{Arm, Condition, Rule, Source, Split, Target, Test};
use twox_hash::XxHash3_64;

use super::ModelBlock;

pub(super) fn fingerprint(block: &ModelBlock) -> u64 {
    XxHash3_64::oneshot(canonical(block).as_bytes())
}

fn canonical(block: &ModelBlock) -> String {
    let mut lines = Vec::new();
    lines.extend(block.stable.map(|version| format!("stable {version}")));
    let all_to_stable = || block.stable.map(Split::to_one);
    lines.extend(block.split.clone().or_else(all_to_stable).map(|split| format!("split {}", split_text(&split))));
    // First match wins: the order of rules is part of what they mean.
    lines.extend(block.rules.iter().map(rule_text));
    lines.extend(block.sticky.iter().map(|source| format!("sticky {}", source_text(source))));
    lines.extend(block.labels.iter().map(|(label, version)| format!("label {label} {version}")));
    lines.join("\n")
}

/// Shares instead of weights: 9 to 1 means what 90 to 10 means. Twelve digits hide the rounding of the division.
fn split_text(split: &Split) -> String {
    let total: f64 = split.arms().iter().map(|arm| arm.weight).sum();
    let arm = |arm: &Arm| format!("{} {} {:.11e}", quoted(&arm.name), arm.version, arm.weight / total);
    let mut arms: Vec<_> = split.arms().iter().map(arm).collect();
    arms.sort();
    arms.join(", ")
}

/// A rule as it counts, whatever its name and the order of its conditions.
pub(crate) fn rule_text(rule: &Rule) -> String {
    let mut when: Vec<_> = rule.when.iter().map(condition_text).collect();
    when.sort();
    let then = match &rule.then {
        Target::Version(version) => format!("use {version}"),
        Target::Split(split) => format!("split {}", split_text(split)),
    };
    format!("rule when {} then {then}", when.join(" and "))
}

fn condition_text(condition: &Condition) -> String {
    let test = match &condition.test {
        Test::OneOf(values) => values.iter().fold("in".to_owned(), |text, value| format!("{text} {}", quoted(value))),
        Test::Prefix(prefix) => format!("prefix {}", quoted(prefix)),
        Test::Present => "present".to_owned(),
        Test::Absent => "absent".to_owned(),
    };
    format!("{} {test}", source_text(&condition.source))
}

fn source_text(source: &Source) -> String {
    let (kind, name) = match source {
        Source::Header(name) => ("header", name),
        Source::Cookie(name) => ("cookie", name),
        Source::Query(name) => ("query", name),
        Source::Parameter(name) => ("parameter", name),
    };
    format!("{kind} {}", quoted(name))
}

/// A text with its length in front: no two texts run into each other, and nothing needs escaping.
fn quoted(text: &str) -> String {
    format!("{}:{text}", text.len())
}
