//! `[policies.<name>]`: how a candidate is brought into traffic. What the values may be is the policy's own to say;
//! here each objection finds its place in the file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base_types::ModelName;
use control_rollout::{Guardrail, OnInconclusive, OnNewCandidate, Policy, PolicyProblem};

use super::duration::duration;
use super::guardrail;
use super::places::Places;
use super::{Defaults, ModelBlock};
use crate::document::{Report, read};
use crate::reader::{Entry, Item, Section, put};
use crate::suggest::did_you_mean;
use crate::{Code, Invalid};

mod builtin;
mod steps;
mod text;

pub use builtin::{BUILTIN_POLICIES, builtin_policy};
pub use text::policy_text;

pub(crate) use text::policy_lines;

/// Most policies in one file.
pub const POLICIES_MAX: usize = 64;
/// The policy of a model that names none.
pub const DEFAULT_POLICY: &str = "default";

const COUNT_MAX: u64 = 1_000;

/// The policies of the file by name.
pub(super) type Policies = BTreeMap<Box<str>, Arc<Policy>>;

/// Reads a policy from the text that `policy_text` wrote; keys that are left out have the defaults of routing.toml.
pub fn parse_policy(text: &str) -> Result<Policy, Invalid> {
    read(Path::new("policy"), text.as_bytes(), |tree, report| alone(Section::root(tree), report)).map(|read| read.value)
}

fn alone(section: Section<'_>, report: &mut Report<'_>) -> Policy {
    let span = section.span.clone();
    let (policy, problems) = policy(section, &Guardrail::default(), report);
    for (problem, place) in problems {
        let place = place.map_or(span.clone(), |item| item.span);
        report.add(place, code(&problem), format!("{}: {}", problem.field, problem.text), Some(problem.hint));
    }
    policy
}

/// Reads `policies`. A policy with a guardrail of its own reads it over that of the defaults.
pub(super) fn policies(root: &mut Section<'_>, base: &Guardrail, report: &mut Report<'_>) -> Policies {
    let mut policies = Policies::new();
    let Some(item) = root.take("policies") else { return policies };
    let Some(section) = item.section(report) else { return policies };
    let entries = section.take_all();
    if entries.len() > POLICIES_MAX {
        let message = format!("{} policies, at most {POLICIES_MAX} are allowed", entries.len());
        item.flaw(Code::TooMany, message, None, report);
    }
    for entry in entries.into_iter().take(POLICIES_MAX) {
        policies.extend(named(&entry, base, report));
    }
    policies
}

/// The policy of this name: that of the file, else the one that is built in.
pub(super) fn find(policies: &Policies, name: &str) -> Option<Arc<Policy>> {
    policies.get(name).cloned().or_else(|| builtin_policy(name).map(Arc::new))
}

/// Reads `policy`, the name of one. What it asks for must be what the guardrail judges: a proof needs its rule.
pub(super) fn choice(
    parent: &mut Section<'_>,
    (policies, guardrail): (&Policies, &Guardrail),
    report: &mut Report<'_>,
) -> Option<Arc<str>> {
    let item = parent.take("policy")?;
    let name = item.text(report)?;
    let Some(policy) = find(policies, name) else {
        let known = policies.keys().map(|name| &**name).chain(BUILTIN_POLICIES);
        let hint = did_you_mean(name, known).unwrap_or_else(|| format!("define it: [policies.{name}]"));
        item.flaw(Code::UnknownPolicy, format!("{}: there is no policy {name:?}", item.path), hint, report);
        return None;
    };
    for problem in problems_under(&policy, guardrail) {
        let message = format!("{}: {:?}, {}: {}", item.path, name, problem.field, problem.text);
        item.flaw(code(&problem), message, problem.hint, report);
    }
    Some(name.into())
}

/// The same for a model whose policy is that of the defaults, and whose guardrail is not.
pub(super) fn check_inherited(
    section: &Section<'_>,
    (policies, defaults): (&Policies, &Defaults),
    block: &ModelBlock,
    report: &mut Report<'_>,
) {
    let Some(name) = &block.policy else { return };
    let Some(policy) = find(policies, name) else { return };
    let told = problems_under(&policy, &defaults.guardrail);
    for problem in problems_under(&policy, &block.guardrail).into_iter().filter(|problem| !told.contains(problem)) {
        let message = format!("{}: policy {name:?}, {}: {}", section.path, problem.field, problem.text);
        section.flaw(code(&problem), message, &problem.hint, report);
    }
}

/// What is wrong with a policy under a guardrail that is not its own.
fn problems_under(policy: &Policy, guardrail: &Guardrail) -> Vec<PolicyProblem> {
    if policy.guardrail.is_some() { Vec::new() } else { policy.problems_under(guardrail) }
}

fn named(entry: &Entry<'_>, base: &Guardrail, report: &mut Report<'_>) -> Option<(Box<str>, Arc<Policy>)> {
    // The name stands in URLs and labels, as those of models do.
    let name = ModelName::new(entry.key);
    if let Err(error) = &name {
        report.add(entry.key_span.clone(), Code::BadName, error.to_string(), None);
    }
    let section = entry.item.section(report)?;
    let path = section.path.clone();
    let (policy, problems) = policy(section, base, report);
    for (problem, place) in problems {
        let place = place.unwrap_or_else(|| entry.item.clone());
        let message = format!("{path}.{}: {}", problem.field, problem.text);
        place.flaw(code(&problem), message, problem.hint, report);
    }
    Some((name.ok()?.as_str().into(), Arc::new(policy)))
}

fn code(problem: &PolicyProblem) -> Code {
    if problem.is_warning { Code::DoubtfulPolicy } else { Code::BadPolicy }
}

type Objections<'a> = Vec<(PolicyProblem, Option<Item<'a>>)>;

fn policy<'a>(mut section: Section<'a>, base: &Guardrail, report: &mut Report<'_>) -> (Policy, Objections<'a>) {
    let mut policy = Policy::default();
    let mut places = Places::default();
    let mut has_all_steps = true;
    if let Some(item) = section.take("steps") {
        (policy.steps, has_all_steps) = steps::steps(&item, &mut places, report);
        places.note("steps", item);
    }
    for (key, place) in [
        ("max_duration", &mut policy.max_duration),
        ("progress_deadline", &mut policy.progress_deadline),
        ("cooldown", &mut policy.cooldown),
    ] {
        put(place, time(&mut section, (key, key), &mut places, report));
    }
    for (key, place) in [("rollback_window", &mut policy.rollback_window), ("retries", &mut policy.retries)] {
        put(place, whole(&mut section, (key, key), &mut places, report));
    }
    let words = OnInconclusive::ALL.map(|what| (what.as_str(), what));
    put(&mut policy.on_inconclusive, section.take("on_inconclusive").and_then(|item| item.one_of(&words, report)));
    let words = OnNewCandidate::ALL.map(|what| (what.as_str(), what));
    put(&mut policy.on_new_candidate, section.take("on_new_candidate").and_then(|item| item.one_of(&words, report)));
    freeze_after(&mut section, &mut policy, &mut places, report);
    if let Some(item) = section.take("guardrail") {
        let mut guardrail = base.clone();
        guardrail::read_table(&item, &mut guardrail, report);
        policy.guardrail = Some(guardrail);
    }
    section.finish(report);
    // What is wrong with a guardrail was said where it was read; steps that could not be read would mislead.
    let is_told = |problem: &PolicyProblem| {
        problem.field.starts_with("guardrail.") || (!has_all_steps && problem.field.starts_with("steps"))
    };
    let problems = policy.problems().into_iter().filter(|problem| !is_told(problem));
    let problems = problems.map(|problem| {
        let place = places.find(&problem.field).cloned();
        (as_written(problem, place.as_ref()), place)
    });
    (policy, problems.collect())
}

/// A share stands under the word of its step.
fn as_written(mut problem: PolicyProblem, place: Option<&Item<'_>>) -> PolicyProblem {
    let word = place.and_then(|item| item.path.rsplit('.').next());
    if let (Some(step), Some(word)) = (problem.field.strip_suffix(".share"), word) {
        problem.field = format!("{step}.{word}");
    }
    problem
}

fn freeze_after<'a>(parent: &mut Section<'a>, policy: &mut Policy, places: &mut Places<'a>, report: &mut Report<'_>) {
    let Some(item) = parent.take("freeze_after") else { return };
    let Some(mut section) = item.section(report) else { return };
    let freeze_after = &mut policy.freeze_after;
    put(&mut freeze_after.rollbacks, whole(&mut section, ("rollbacks", "freeze_after.rollbacks"), places, report));
    put(&mut freeze_after.within, time(&mut section, ("within", "freeze_after.within"), places, report));
    section.finish(report);
    places.note("freeze_after", item);
}

/// A duration at a key, noted as the field that objections name.
fn time<'a>(
    section: &mut Section<'a>,
    (key, field): (&'static str, &str),
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<Duration> {
    let item = section.take(key)?;
    let time = duration(&item, report);
    places.note(field, item);
    time
}

fn whole<'a>(
    section: &mut Section<'a>,
    (key, field): (&'static str, &str),
    places: &mut Places<'a>,
    report: &mut Report<'_>,
) -> Option<u32> {
    let item = section.take(key)?;
    let whole = item.count(0..=COUNT_MAX, report).map(|n| n as u32);
    places.note(field, item);
    whole
}

#[cfg(test)]
mod tests;
