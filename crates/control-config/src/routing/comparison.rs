//! `compare`: when two answers are the same. One word or table for all outputs, or a table for each.

use base_types::{Comparison, Match};

use super::toml_text::{number_text, quoted};
use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section, put};
use crate::suggest::did_you_mean;

/// Most outputs compared in a way of their own.
const OUTPUTS_MAX: usize = 256;
const TOP_K_MAX: u64 = 1_000;
const KINDS: [&str; 5] = ["exact", "tolerance", "argmax", "top_k", "ignore"];

/// Reads a comparison: a word, or a table with `match`, `outputs` or both.
pub(super) fn comparison(item: &Item<'_>, report: &mut Report<'_>) -> Option<Comparison> {
    if !item.is_table() {
        return word(item, report).map(|otherwise| Comparison { otherwise, ..Comparison::default() });
    }
    let mut section = item.section(report)?;
    let mut comparison = Comparison::default();
    let outputs = section.take("outputs");
    put(&mut comparison.otherwise, table(&mut section, report));
    section.finish(report);
    let entries = outputs.as_ref().and_then(|item| item.section(report)).map(Section::take_all).unwrap_or_default();
    if entries.len() > OUTPUTS_MAX {
        let message = format!("{} has {} outputs, at most {OUTPUTS_MAX} are allowed", item.path, entries.len());
        item.flaw(Code::TooMany, message, None, report);
        return None;
    }
    for entry in &entries {
        let one = if entry.item.is_table() { own_table(&entry.item, report) } else { word(&entry.item, report) };
        comparison.outputs.extend(one.map(|one| (entry.key.into(), one)));
    }
    Some(comparison)
}

/// A comparison as it would be written, complete.
pub(crate) fn comparison_text(comparison: &Comparison) -> String {
    let mut parts = vec![match_parts(&comparison.otherwise)];
    if !comparison.outputs.is_empty() {
        let outputs = comparison.outputs.iter();
        let outputs: Vec<_> =
            outputs.map(|(name, one)| format!("{} = {{ {} }}", quoted(name), match_parts(one))).collect();
        parts.push(format!("outputs = {{ {} }}", outputs.join(", ")));
    }
    format!("{{ {} }}", parts.join(", "))
}

fn match_parts(one: &Match) -> String {
    match one {
        Match::Exact => "match = \"exact\"".to_owned(),
        Match::Argmax => "match = \"argmax\"".to_owned(),
        Match::Ignore => "match = \"ignore\"".to_owned(),
        Match::Tolerance { absolute, relative } => {
            let (absolute, relative) = (number_text(*absolute), number_text(*relative));
            format!("match = \"tolerance\", absolute = {absolute}, relative = {relative}")
        }
        Match::TopK { k, overlap } => format!("match = \"top_k\", k = {k}, overlap = {}", number_text(*overlap)),
    }
}

/// A match without parameters of its own.
fn word(item: &Item<'_>, report: &mut Report<'_>) -> Option<Match> {
    if kind(item, report)? == "top_k" {
        let message = format!("{} does not say how many", item.path);
        item.flaw(Code::MissingKey, message, "write { match = \"top_k\", k = 5 }".to_owned(), report);
        return None;
    }
    kind(item, report).and_then(plain)
}

fn own_table(item: &Item<'_>, report: &mut Report<'_>) -> Option<Match> {
    let mut section = item.section(report)?;
    let one = table(&mut section, report);
    section.finish(report);
    one
}

fn table(section: &mut Section<'_>, report: &mut Report<'_>) -> Option<Match> {
    let kind = section.take("match").map_or(Some("tolerance"), |item| kind(&item, report));
    // Asked for whatever the match is, so that none is taken for an unknown key.
    let [absolute, relative, k, overlap] = ["absolute", "relative", "k", "overlap"].map(|key| section.take(key));
    let misplaced = |wanted: &str, items: [&Option<Item<'_>>; 2], report: &mut Report<'_>| {
        for item in items.into_iter().flatten() {
            item.flaw(Code::Conflict, format!("{} is only for match = {wanted:?}", item.path), None, report);
        }
    };
    let kind = kind?;
    if kind != "tolerance" {
        misplaced("tolerance", [&absolute, &relative], report);
    }
    if kind != "top_k" {
        misplaced("top_k", [&k, &overlap], report);
    }
    match kind {
        "tolerance" => Some(tolerance(absolute, relative, report)),
        "top_k" => {
            let Some(k) = k else {
                let hint = "add k, the number of largest values that count";
                section.flaw(Code::MissingKey, format!("{} has no k", section.path), hint, report);
                return None;
            };
            let k = k.count(1..=TOP_K_MAX, report)? as usize;
            let overlap = overlap.map_or(Some(1.0), |item| part(&item, report))?;
            Some(Match::TopK { k, overlap })
        }
        kind => plain(kind),
    }
}

fn tolerance(absolute: Option<Item<'_>>, relative: Option<Item<'_>>, report: &mut Report<'_>) -> Match {
    // Who names one part means the other to be nothing.
    let is_default = absolute.is_none() && relative.is_none();
    let mut part = |item: Option<Item<'_>>| item.and_then(|item| item.number_in(0.0..=f64::MAX, report)).unwrap_or(0.0);
    let (absolute, relative) = (part(absolute), part(relative));
    if is_default { Match::default() } else { Match::Tolerance { absolute, relative } }
}

fn part(item: &Item<'_>, report: &mut Report<'_>) -> Option<f64> {
    let part = item.number(report)?;
    if part > 0.0 && part <= 1.0 {
        return Some(part);
    }
    item.flaw(Code::OutOfRange, format!("{} is {part}, allowed is above 0, at most 1", item.path), None, report);
    None
}

fn plain(kind: &str) -> Option<Match> {
    match kind {
        "exact" => Some(Match::Exact),
        "tolerance" => Some(Match::default()),
        "argmax" => Some(Match::Argmax),
        "ignore" => Some(Match::Ignore),
        _ => None,
    }
}

fn kind(item: &Item<'_>, report: &mut Report<'_>) -> Option<&'static str> {
    let written = item.text(report)?;
    let known = KINDS.into_iter().find(|kind| *kind == written);
    if known.is_none() {
        let message = format!("{} is {written:?}, allowed is one of: {}", item.path, KINDS.join(", "));
        item.flaw(Code::UnknownWord, message, did_you_mean(written, KINDS), report);
    }
    known
}
