//! Rules that cannot do what they were written for: shadowed by an earlier one, or contradicting themselves.

use base_routing::{Condition, Test};

use super::rules::Placed;
use crate::Code;
use crate::document::Report;

/// Warns of rules that no request can reach. Says nothing rather than something wrong: only what can be seen
/// from single conditions is found.
pub(super) fn warn(rules: &[Placed], report: &mut Report<'_>) {
    for (index, Placed { rule, span }) in rules.iter().enumerate() {
        if let Some((a, b)) = contradiction(&rule.when) {
            let message = format!(
                "rule {:?} can never match: its conditions on {} and {} exclude each other",
                rule.name, a.source, b.source
            );
            report.add(span.clone(), Code::NeverMatches, message, None);
            continue;
        }
        if let Some(earlier) = rules[..index].iter().find(|earlier| covers(&earlier.rule.when, &rule.when)) {
            let message = format!(
                "rule {:?} is never reached: rule {:?} above matches all it matches",
                rule.name, earlier.rule.name
            );
            let hint = "the first rule that matches wins: put the narrower rule first".to_owned();
            report.add(span.clone(), Code::ShadowedRule, message, Some(hint));
        }
    }
}

/// Whether whoever meets `narrow` meets `wide`.
fn covers(wide: &[Condition], narrow: &[Condition]) -> bool {
    wide.iter().all(|w| narrow.iter().any(|n| n.source == w.source && implies(&n.test, &w.test)))
}

fn implies(narrow: &Test, wide: &Test) -> bool {
    match (narrow, wide) {
        (Test::Absent, Test::Absent) => true,
        (Test::Absent, _) | (_, Test::Absent) => false,
        (_, Test::Present) => true,
        (Test::OneOf(narrow), Test::OneOf(wide)) => narrow.is_subset(wide),
        (Test::OneOf(values), Test::Prefix(prefix)) => values.iter().all(|v| v.starts_with(prefix.as_ref())),
        (Test::Prefix(narrow), Test::Prefix(wide)) => narrow.starts_with(wide.as_ref()),
        (Test::Prefix(_) | Test::Present, _) => false,
    }
}

fn contradiction(when: &[Condition]) -> Option<(&Condition, &Condition)> {
    let pairs = when.iter().enumerate().flat_map(|(i, a)| when[i + 1..].iter().map(move |b| (a, b)));
    pairs.into_iter().find(|(a, b)| a.source == b.source && excludes(&a.test, &b.test))
}

fn excludes(a: &Test, b: &Test) -> bool {
    match (a, b) {
        (Test::Absent, Test::Absent) => false,
        (Test::Absent, _) | (_, Test::Absent) => true,
        (Test::OneOf(a), Test::OneOf(b)) => a.is_disjoint(b),
        (Test::OneOf(values), Test::Prefix(prefix)) | (Test::Prefix(prefix), Test::OneOf(values)) => {
            !values.iter().any(|v| v.starts_with(prefix.as_ref()))
        }
        (Test::Prefix(a), Test::Prefix(b)) => !a.starts_with(b.as_ref()) && !b.starts_with(a.as_ref()),
        (Test::Present, _) | (_, Test::Present) => false,
    }
}
