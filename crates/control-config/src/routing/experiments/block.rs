//! One experiment's table.

use std::sync::Arc;
use std::time::Duration;

use base_routing::{Experiment, Split};
use base_types::ModelName;

use super::super::duration::duration;
use super::super::versions::{Labels, arms_of, title};
use super::{Allocation, Claim, Claiming, ExperimentBlock, Known, ON_EQUAL, OnEqual, Primary};
use crate::Code;
use crate::document::Report;
use crate::reader::{Entry, Item, Section, put};
use crate::suggest::did_you_mean;

/// Most arms of one experiment, those held out apart.
const ARMS_MAX: usize = 15;
const HOLDOUT_MAX: f64 = 0.9;
const SLOWER_THAN_MS_MAX: f64 = 3_600_000.0;
const ALPHA: f64 = 0.01;
const TOLERANCE: f64 = 0.005;
const FLOOR: f64 = 0.05;
const UPDATE: Duration = Duration::from_secs(30);
const MAX_DURATION: Duration = Duration::from_secs(14 * 86_400);

/// Reads an experiment with its name.
pub(super) fn named<'a>(entry: &Entry<'a>, known: &Known<'_>, report: &mut Report<'_>) -> Option<Claiming<'a>> {
    // The name stands in URLs and labels, as those of models do.
    let name = ModelName::new(entry.key);
    if let Err(error) = &name {
        report.add(entry.key_span.clone(), Code::BadName, error.to_string(), None);
    }
    let mut section = entry.item.section(report)?;
    let model = model(&mut section, known, report);
    let labels = model.as_ref().and_then(|model| known.models.get(model)).map(|block| &block.labels);
    let split = arms(&mut section, labels.unwrap_or(&Labels::new()), report);
    let claim = claim(&mut section, report);
    let layer = section.take("layer").map(|item| title(&item, report));
    let holdout = section.take("holdout").map(|item| item.number_in(0.0..=HOLDOUT_MAX, report));
    let terms = terms(&mut section, split.as_ref(), report);
    section.finish(report);
    let (model, split, (claim, place)) = (model?, split?, claim?);
    warn_of_idle_stable(&model, &split, known, entry, report);
    let layer = layer.unwrap_or_else(|| Some(model.as_str().into()))?;
    let (name, holdout) = (Arc::from(name.ok()?.as_str()), holdout.unwrap_or(Some(0.0))?);
    let routing = Experiment { name, layer, from: 0.0, to: 0.0, holdout, split };
    let Terms { primary, slower_than_seconds, alpha, tolerance, allocation, on_equal, max_duration } = terms;
    let block = ExperimentBlock {
        model,
        routing,
        primary,
        slower_than_seconds,
        alpha,
        tolerance,
        allocation,
        on_equal,
        max_duration,
    };
    Some(Claiming { block, claim, place })
}

/// The model, which must know where to find the sticky key: it is what a unit is.
fn model(section: &mut Section<'_>, known: &Known<'_>, report: &mut Report<'_>) -> Option<ModelName> {
    let Some(item) = section.take("model") else {
        let hint = "add model = \"<name>\"";
        section.flaw(Code::MissingKey, format!("{} does not say on which model", section.path), hint, report);
        return None;
    };
    let text = item.text(report)?;
    let model = match ModelName::new(text) {
        Ok(model) => model,
        Err(error) => {
            item.flaw(Code::BadName, format!("{}: {error}", item.path), None, report);
            return None;
        }
    };
    let block = known.models.get(&model);
    if block.map_or(&known.defaults.sticky, |block| &block.sticky).is_empty() {
        let message = format!("{}: {model} has no sticky key, so nobody would stay in one arm", item.path);
        // Where no block has the name, a mistyped one is likelier than a model without a block.
        let names = known.models.keys().map(ModelName::as_str);
        let meant = did_you_mean(text, names).filter(|_| block.is_none());
        let add = format!("add to [models.{model}], or to [defaults]: sticky = {{ header = \"x-account-id\" }}");
        item.flaw(Code::MissingKey, message, meant.unwrap_or(add), report);
    }
    Some(model)
}

fn arms(section: &mut Section<'_>, labels: &Labels, report: &mut Report<'_>) -> Option<Split> {
    const HINT: &str = "name stable and a version to compare with it: arms = { 7 = 50, 8 = 50 }";
    let Some(item) = section.take("arms") else {
        section.flaw(Code::MissingKey, format!("{} has no arms", section.path), HINT, report);
        return None;
    };
    let split = arms_of(&item, labels, report)?;
    let n_arms = split.arms().len();
    if (2..=ARMS_MAX).contains(&n_arms) {
        return Some(split);
    }
    let message = format!("{} has {n_arms} arms, allowed is 2 to {ARMS_MAX}", item.path);
    item.flaw(Code::OutOfRange, message, HINT.to_owned(), report);
    None
}

/// Nothing can be compared with a stable version that is in no arm.
fn warn_of_idle_stable(
    model: &ModelName,
    split: &Split,
    known: &Known<'_>,
    entry: &Entry<'_>,
    report: &mut Report<'_>,
) {
    let Some(stable) = known.models.get(model).and_then(|block| block.stable) else { return };
    if split.arms().iter().any(|arm| arm.version == stable && arm.weight > 0.0) {
        return;
    }
    let message = format!("{}: no arm has stable, which is version {stable}", entry.item.path);
    let hint = format!("arms are compared with stable: give version {stable} a weight among them");
    report.add(entry.key_span.clone(), Code::IdleStable, message, Some(hint));
}

/// `share`, for which a range is found, or `units`, the range itself; and where that stands.
fn claim<'a>(section: &mut Section<'a>, report: &mut Report<'_>) -> Option<(Claim, Item<'a>)> {
    match (section.take("share"), section.take("units")) {
        (Some(_), Some(units)) => {
            let message = format!("{} has both share and units", section.path);
            units.flaw(Code::Conflict, message, "units says which, share says how many: keep one".to_owned(), report);
            None
        }
        (Some(item), None) => {
            let share = item.number(report)?;
            if share > 0.0 && share <= 1.0 {
                return Some((Claim::Share(share), item));
            }
            let message = format!("{} is {share}, allowed is above 0, at most 1", item.path);
            item.flaw(Code::OutOfRange, message, None, report);
            None
        }
        (None, Some(item)) => units(&item, report).map(|claim| (claim, item)),
        (None, None) => {
            let message = format!("{} does not say how many of the layer's units it takes", section.path);
            section.flaw(Code::MissingKey, message, "add share = 0.1, or the range itself: units = [0.0, 0.1]", report);
            None
        }
    }
}

fn units(item: &Item<'_>, report: &mut Report<'_>) -> Option<Claim> {
    let items = item.list(report)?;
    let numbers: Vec<f64> = items.iter().filter_map(|item| item.number(report)).collect();
    match numbers.as_slice() {
        [from, to] if 0.0 <= *from && from < to && *to <= 1.0 => Some(Claim::Units(*from, *to)),
        _ if numbers.len() < items.len() => None,
        _ => {
            let message = format!("{} is a range of units: two numbers from 0 to 1, the first one smaller", item.path);
            item.flaw(Code::OutOfRange, message, "as in units = [0.0, 0.2]".to_owned(), report);
            None
        }
    }
}

/// How an experiment is decided.
struct Terms {
    primary: Primary,
    slower_than_seconds: Option<f64>,
    alpha: f64,
    tolerance: f64,
    allocation: Allocation,
    on_equal: OnEqual,
    max_duration: Duration,
}

fn terms(section: &mut Section<'_>, split: Option<&Split>, report: &mut Report<'_>) -> Terms {
    let primaries = Primary::ALL.map(|primary| (primary.as_str(), primary));
    let primary = section.take("primary").and_then(|item| item.one_of(&primaries, report));
    let mut terms = Terms {
        primary: primary.unwrap_or(Primary::Errors),
        slower_than_seconds: slower_than(section, primary, report),
        alpha: ALPHA,
        tolerance: TOLERANCE,
        allocation: Allocation::Fixed,
        on_equal: OnEqual::KeepStable,
        max_duration: MAX_DURATION,
    };
    put(&mut terms.alpha, section.take("alpha").and_then(|item| above_zero(&item, 0.5, report)));
    put(&mut terms.tolerance, section.take("tolerance").and_then(|item| item.number_in(0.0..=0.5, report)));
    put(&mut terms.allocation, section.take("allocation").and_then(|item| allocation(&item, split, report)));
    put(&mut terms.on_equal, section.take("on_equal").and_then(|item| item.one_of(&ON_EQUAL, report)));
    put(&mut terms.max_duration, section.take("max_duration").and_then(|item| some_time(&item, report)));
    terms
}

fn slower_than(section: &mut Section<'_>, primary: Option<Primary>, report: &mut Report<'_>) -> Option<f64> {
    let item = section.take("slower_than_ms");
    if item.is_none() && primary == Some(Primary::Latency) {
        let hint = "add slower_than_ms = 80: the share of slower answers is what is compared";
        section.flaw(Code::MissingKey, format!("{} does not say what is slow", section.path), hint, report);
    }
    above_zero(&item?, SLOWER_THAN_MS_MAX, report).map(|ms| ms / 1e3)
}

fn allocation(item: &Item<'_>, split: Option<&Split>, report: &mut Report<'_>) -> Option<Allocation> {
    if !item.is_table() {
        return item.one_of(&[("fixed", Allocation::Fixed)], report);
    }
    let mut section = item.section(report)?;
    let Some(table) = section.take("thompson") else {
        let hint = "write \"fixed\", or { thompson = { floor = 0.05, update = \"30s\" } }";
        section.flaw(Code::MissingKey, format!("{} does not say how", section.path), hint, report);
        section.finish(report);
        return None;
    };
    section.finish(report);
    let mut section = table.section(report)?;
    let (mut floor, mut update) = (FLOOR, UPDATE);
    // The floors of all arms together are at most the whole.
    let floor_max = split.map_or(0.5, |split| 1.0 / split.arms().len() as f64);
    let floor_item = section.take("floor");
    put(&mut floor, floor_item.and_then(|item| above_zero(&item, floor_max, report)));
    put(&mut update, section.take("update").and_then(|item| some_time(&item, report)));
    section.finish(report);
    Some(Allocation::Thompson { floor: floor.min(floor_max), update })
}

fn above_zero(item: &Item<'_>, max: f64, report: &mut Report<'_>) -> Option<f64> {
    let number = item.number(report)?;
    if number > 0.0 && number <= max {
        return Some(number);
    }
    let message = format!("{} is {number}, allowed is above 0, at most {max}", item.path);
    item.flaw(Code::OutOfRange, message, None, report);
    None
}

/// A duration of at least a second.
fn some_time(item: &Item<'_>, report: &mut Report<'_>) -> Option<Duration> {
    let time = duration(item, report)?;
    if time >= Duration::from_secs(1) {
        return Some(time);
    }
    item.flaw(Code::OutOfRange, format!("{} is shorter than a second", item.path), None, report);
    None
}
