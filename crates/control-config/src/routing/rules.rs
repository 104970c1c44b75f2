//! `[[models.<name>.rules]]`: conditions on a request and what follows when all of them hold.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use base_routing::{Condition, Rule, Target, Test};

use super::sources::source;
use super::versions::{Labels, split, title, version};
use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section};

/// Most rules of one model.
const RULES_MAX: usize = 256;
/// Most conditions of one rule.
const CONDITIONS_MAX: usize = 16;
/// Longest value that a condition compares with, in bytes.
const VALUE_BYTES_MAX: usize = 1_024;

/// A rule and where it stands.
pub(super) struct Placed {
    pub rule: Rule,
    pub span: Range<usize>,
}

/// Reads the rules of a model, in the order of the file.
pub(super) fn rules(parent: &mut Section<'_>, labels: &Labels, report: &mut Report<'_>) -> Vec<Placed> {
    let Some(item) = parent.take("rules") else { return Vec::new() };
    let Some(items) = item.list(report) else { return Vec::new() };
    if items.len() > RULES_MAX {
        let message = format!("{} rules, at most {RULES_MAX} are allowed", items.len());
        let hint = "one rule with a list of values replaces many with one value each".to_owned();
        item.flaw(Code::TooMany, message, hint, report);
    }
    let mut rules: Vec<Placed> = Vec::new();
    for (index, item) in items.iter().take(RULES_MAX).enumerate() {
        let Some(rule) = rule(index, item, labels, report) else { continue };
        if rules.iter().any(|earlier| earlier.rule.name == rule.name) {
            let message = format!("two rules are named {:?}", rule.name);
            item.flaw(Code::Duplicate, message, "answers and metrics could not tell them apart".to_owned(), report);
        }
        rules.push(Placed { rule, span: item.span.clone() });
    }
    rules
}

fn rule(index: usize, item: &Item<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Rule> {
    let mut section = item.section(report)?;
    let name = match section.take("name") {
        Some(item) => title(&item, report),
        None => Some(Arc::from(format!("rule {}", index + 1))),
    };
    let when = conditions(&mut section, report);
    let then = target(&mut section, labels, report);
    section.finish(report);
    Some(Rule { name: name?, when: when?, then: then? })
}

fn target(section: &mut Section<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Target> {
    let used = section.take("use");
    let has_split = section.has("split") || section.has("arms");
    let split = split(section, labels, report);
    match (used, has_split) {
        (Some(item), true) => {
            let message = format!("{} has both use and a split", section.path);
            item.flaw(Code::Conflict, message, "use = <version> or split = {…}: keep one".to_owned(), report);
            None
        }
        (Some(item), false) => version(&item, labels, report).map(Target::Version),
        (None, true) => split.map(Target::Split),
        (None, false) => {
            let message = format!("{} does not say what follows", section.path);
            section.flaw(Code::MissingKey, message, "add use = <version>, or split = { 7 = 90, 8 = 10 }", report);
            None
        }
    }
}

fn conditions(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Vec<Condition>> {
    let Some(item) = section.take("when") else {
        let message = format!("{} has no conditions", section.path);
        section.flaw(Code::MissingKey, message, "add when = { header = \"x-tenant\", equals = \"acme\" }", report);
        return None;
    };
    let items = item.one_or_many();
    if items.is_empty() || items.len() > CONDITIONS_MAX {
        let message = format!("{} has {} conditions, allowed is 1 to {CONDITIONS_MAX}", item.path, items.len());
        let hint = "to claim every request, change the model's own split".to_owned();
        item.flaw(if items.is_empty() { Code::Empty } else { Code::TooMany }, message, hint, report);
        return None;
    }
    let conditions: Vec<_> = items.iter().map(|item| condition(item, report)).collect();
    conditions.into_iter().collect()
}

fn condition(item: &Item<'_>, report: &mut Report<'_>) -> Option<Condition> {
    let mut section = item.section(report)?;
    let source = source(&mut section, report);
    let tests = ["equals", "in", "prefix", "present"].map(|key| (key, section.take(key)));
    let tests: Vec<_> = tests.into_iter().filter_map(|(key, item)| item.map(|item| (key, item))).collect();
    let test = match tests.as_slice() {
        [(key, item)] => test(key, item, report),
        [] => {
            let message = format!("{} does not say what to ask of the value", section.path);
            section.flaw(Code::MissingKey, message, "add one of equals, in, prefix, present", report);
            None
        }
        [(first, _), (second, item), ..] => {
            let message = format!("{} has both {first} and {second}", section.path);
            item.flaw(Code::Conflict, message, "write two conditions: when = [{…}, {…}]".to_owned(), report);
            None
        }
    };
    section.finish(report);
    Some(Condition { source: source?, test: test? })
}

fn test(key: &str, item: &Item<'_>, report: &mut Report<'_>) -> Option<Test> {
    match key {
        "equals" => Some(Test::OneOf(BTreeSet::from([value(item, report)?]))),
        "prefix" => value(item, report).map(Test::Prefix),
        "present" => item.flag(report).map(|is_present| if is_present { Test::Present } else { Test::Absent }),
        _ => {
            let items = item.list(report)?;
            if items.is_empty() {
                let hint = "an empty list matches nothing: take the rule out instead".to_owned();
                item.flaw(Code::Empty, format!("{} is empty", item.path), hint, report);
                return None;
            }
            let values: Vec<_> = items.iter().map(|item| value(item, report)).collect();
            values.into_iter().collect::<Option<_>>().map(Test::OneOf)
        }
    }
}

fn value(item: &Item<'_>, report: &mut Report<'_>) -> Option<Box<str>> {
    let text = item.word(report)?;
    if (1..=VALUE_BYTES_MAX).contains(&text.len()) {
        return Some(text.into());
    }
    let message = format!("{} has {} bytes, allowed is 1 to {VALUE_BYTES_MAX}", item.path, text.len());
    item.flaw(Code::OutOfRange, message, "present = true asks whether there is a value".to_owned(), report);
    None
}
