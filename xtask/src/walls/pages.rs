//! What ARCHITECTURE.md says about crates, homes and the tests that guard its invariants, and whether links lead
//! somewhere.

use super::metadata::Member;
use super::source::{Source, has_test};
use super::table::{Plane, plane};
use super::{Finding, homes_table};
use crate::docs::section;

const WALL: &str = "ARCHITECTURE.md";

/// Every crate has a row, the homes are those of the table, every guard is there.
pub fn check(members: &[Member], sources: &[Source], page: &str) -> Vec<Finding> {
    let mut texts = Vec::new();
    let crates = members.iter().filter(|m| plane(&m.name) != Some(Plane::Tools));
    for member in crates.filter(|m| !page.lines().any(|line| line.starts_with(&format!("| `{}` |", m.name)))) {
        texts.push(format!("the crate {} has no row: say in a sentence what it is for", member.name));
    }
    if section(page, "homes").is_none_or(|text| text != homes_table()) {
        texts.push("the table of homes is not the declared one: run cargo xtask docs".to_owned());
    }
    texts.extend(guards(page, sources));
    texts.into_iter().map(|text| Finding { wall: WALL, text }).collect()
}

/// Links between pages lead somewhere. `pages` are given as path from the root and text.
pub fn links(pages: &[(String, String)], is_there: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (page, text) in pages {
        let folder = page.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        let files = targets.filter_map(|target| target.split('#').next()).filter(|file| !file.contains(':'));
        for file in files.filter(|file| !file.is_empty() && !is_there(&format!("{folder}{file}"))) {
            findings.push(Finding { wall: "links", text: format!("{page} leads to {file}, which is not there") });
        }
    }
    findings
}

/// Every numbered invariant names at least one guard, and every guard named exists: a test as `folder::test`, or
/// a command of xtask.
fn guards(page: &str, sources: &[Source]) -> Vec<String> {
    let mut texts = Vec::new();
    let Some(invariants) = section(page, "invariants") else {
        return vec!["the invariants stand between no markers".to_owned()];
    };
    for invariant in invariants.split("\n\n").filter(|p| p.starts_with(|c: char| c.is_ascii_digit())) {
        let number = invariant.split('.').next().unwrap_or_default();
        let Some((_, guards)) = invariant.split_once("*Guard:*") else {
            texts.push(format!("invariant {number} names no guard"));
            continue;
        };
        for guard in guards.split('`').skip(1).step_by(2).filter(|guard| !guard.starts_with("cargo xtask ")) {
            let is_there = guard.split_once("::").is_some_and(|(package, test)| has_test(sources, package, test));
            if !is_there {
                texts.push(format!("the guard {guard} of invariant {number} is no test of that package"));
            }
        }
    }
    texts
}

#[cfg(test)]
mod tests;
