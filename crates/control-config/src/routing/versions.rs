//! Versions, labels and weights: what a block can send traffic to.

use std::collections::BTreeMap;
use std::sync::Arc;

use base_routing::{Split, SplitError};
use base_types::{Label, Selector, Version};

use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section};
use crate::suggest::did_you_mean;

/// Most labels of one model.
const LABELS_MAX: usize = 64;
/// Most arms of one split.
const ARMS_MAX: usize = 64;
/// Longest name of an arm or rule, in bytes.
const TITLE_BYTES_MAX: usize = 128;

/// The labels of one model.
pub(super) type Labels = BTreeMap<Label, Version>;

/// The name of an arm that was given none. Commands and routing.toml use the same, so that their salts agree.
pub(crate) fn default_arm_name(version: Version) -> Arc<str> {
    version.to_string().into()
}

/// Reads `labels`.
pub(super) fn labels(parent: &mut Section<'_>, report: &mut Report<'_>) -> Labels {
    let mut labels = Labels::new();
    let Some(item) = parent.take("labels") else { return labels };
    let Some(section) = item.section(report) else { return labels };
    let entries = section.take_all();
    if entries.len() > LABELS_MAX {
        let message = format!("{} labels, at most {LABELS_MAX} are allowed", entries.len());
        item.flaw(Code::TooMany, message, None, report);
    }
    for entry in entries.into_iter().take(LABELS_MAX) {
        let label = Label::new(entry.key);
        if let Err(error) = &label {
            report.add(entry.key_span.clone(), Code::BadName, error.to_string(), None);
        }
        let word = entry.item.word(report);
        let version = word.and_then(|word| match word.parse() {
            Ok(version) => Some(version),
            Err(error) => {
                let hint = "a label names a version by its number".to_owned();
                entry.item.flaw(Code::BadVersion, format!("{}: {error}", entry.item.path), hint, report);
                None
            }
        });
        labels.extend(label.ok().zip(version));
    }
    labels
}

/// Reads a version, given by number or label.
pub(super) fn version(item: &Item<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Version> {
    let word = item.word(report)?;
    resolve(&word, item, labels, report)
}

/// Reads a `split` or the longer `arms` of a table. `None` when there is neither, or none that is right.
pub(super) fn split(parent: &mut Section<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Split> {
    match (parent.take("split"), parent.take("arms")) {
        (Some(_), Some(arms)) => {
            let message = format!("{} has both split and arms", parent.path);
            arms.flaw(Code::Conflict, message, "arms is the longer way to write a split: keep one".to_owned(), report);
            None
        }
        (Some(item), None) => short(&item, labels, report).and_then(|arms| checked(&item, arms, report)),
        (None, Some(item)) => long(&item, labels, report).and_then(|arms| checked(&item, arms, report)),
        (None, None) => None,
    }
}

/// Reads arms in either way: a table of versions and weights, or a list of arms with names.
pub(super) fn arms_of(item: &Item<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Split> {
    let arms = if item.is_list() { long(item, labels, report) } else { short(item, labels, report) };
    checked(item, arms?, report)
}

/// Reads a name people chose for an arm or a rule.
pub(super) fn title(item: &Item<'_>, report: &mut Report<'_>) -> Option<Arc<str>> {
    let text = item.text(report)?;
    if (1..=TITLE_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Some(text.into());
    }
    let message = format!("{} has 1 to {TITLE_BYTES_MAX} bytes and no control characters", item.path);
    item.flaw(Code::BadName, message, None, report);
    None
}

type Arms = Vec<(Arc<str>, Version, f64)>;

fn short(item: &Item<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Arms> {
    let entries = item.section(report)?.take_all();
    let arms: Vec<_> = entries
        .iter()
        .map(|entry| {
            let version = resolve(entry.key, &entry.item, labels, report);
            let weight = weight(&entry.item, report);
            Some((default_arm_name(version?), version?, weight?))
        })
        .collect();
    arms.into_iter().collect()
}

fn long(item: &Item<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Arms> {
    let items = item.list(report)?;
    let arms: Vec<_> = items.iter().map(|item| arm(item, labels, report)).collect();
    arms.into_iter().collect()
}

fn arm(item: &Item<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<(Arc<str>, Version, f64)> {
    let mut section = item.section(report)?;
    let name = section.take("name");
    let (version_item, weight_item) = (section.take("version"), section.take("weight"));
    for (key, item) in [("version", &version_item), ("weight", &weight_item)] {
        if item.is_none() {
            let message = format!("an arm of {} has no {key}", section.path);
            section.flaw(Code::MissingKey, message, "an arm reads { name, version, weight }; name is optional", report);
        }
    }
    section.finish(report);
    let version = version_item.and_then(|item| version(&item, labels, report));
    let weight = weight_item.and_then(|item| weight(&item, report));
    let name = match name {
        Some(item) => title(&item, report),
        None => version.map(default_arm_name),
    };
    Some((name?, version?, weight?))
}

fn weight(item: &Item<'_>, report: &mut Report<'_>) -> Option<f64> {
    let weight = item.number(report)?;
    if weight.is_finite() && weight >= 0.0 {
        return Some(weight);
    }
    let message = format!("{} is {weight}, a weight is a finite number of at least zero", item.path);
    item.flaw(Code::BadWeight, message, None, report);
    None
}

fn checked(item: &Item<'_>, mut arms: Arms, report: &mut Report<'_>) -> Option<Split> {
    if arms.is_empty() || arms.len() > ARMS_MAX {
        let message = format!("{} has {} arms, allowed is 1 to {ARMS_MAX}", item.path, arms.len());
        let hint = "name versions and weights, as in { 7 = 90, 8 = 10 }".to_owned();
        item.flaw(if arms.is_empty() { Code::Empty } else { Code::TooMany }, message, hint, report);
        return None;
    }
    // The order of keys must not show in the table.
    arms.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    let (code, error, hint) = match Split::new(arms) {
        Ok(split) => return Some(split),
        Err(error @ SplitError::Duplicate(_)) => {
            (Code::Duplicate, error, "two keys name the same version, or two arms have the same name")
        }
        Err(error) => (Code::BadWeight, error, "a share is a weight divided by the sum of the weights"),
    };
    item.flaw(code, format!("{}: {error}", item.path), hint.to_owned(), report);
    None
}

/// The version that a number or label means.
pub(super) fn resolve(word: &str, place: &Item<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Version> {
    match word.parse() {
        Ok(Selector::Version(version)) => Some(version),
        Ok(Selector::Label(label)) => labels.get(&label).copied().or_else(|| {
            let hint = did_you_mean(label.as_str(), labels.keys().map(Label::as_str))
                .unwrap_or_else(|| format!("add it to the model's labels: labels = {{ {label} = 7 }}"));
            place.flaw(Code::UnknownLabel, format!("{}: no version is labelled {word:?}", place.path), hint, report);
            None
        }),
        Err(error) => {
            place.flaw(Code::BadVersion, format!("{}: {error}", place.path), None, report);
            None
        }
    }
}
