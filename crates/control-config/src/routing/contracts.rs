//! `[models.<name>.versions.<version>]`: inputs and outputs that a version calls otherwise than the model's callers do.

use std::collections::{BTreeMap, BTreeSet};

use base_types::{Signature, TensorSpec, Version};

use super::versions::{Labels, resolve};
use crate::Code;
use crate::document::Report;
use crate::reader::{Item, Section};

/// Most versions of one model with names of their own.
const VERSIONS_MAX: usize = 256;
/// Most names on one side of a version.
const NAMES_MAX: usize = 256;
/// Longest name of an input or output, in bytes.
const NAME_BYTES_MAX: usize = 1_024;

/// Names as callers know them, each with the name in the version's graph.
pub type Names = BTreeMap<Box<str>, Box<str>>;

/// What callers call the inputs and outputs of one version, where that differs from its graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameMap {
    /// The inputs.
    pub inputs: Names,
    /// The outputs.
    pub outputs: Names,
}

/// A version's inputs and outputs as callers see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// In the order of the graph.
    pub signature: Signature,
    /// What the map says that cannot be done with this graph, one sentence each. The rest of it is applied.
    pub flaws: Vec<String>,
}

impl NameMap {
    /// Gives inputs and outputs of a graph the names that callers know. A name the graph does not have is passed over,
    /// and a side on which two would have the same name keeps the names of the graph.
    pub fn apply(&self, graph: &Signature) -> Contract {
        let mut flaws = Vec::new();
        let inputs = apply_side("input", &self.inputs, &graph.inputs, &mut flaws);
        let outputs = apply_side("output", &self.outputs, &graph.outputs, &mut flaws);
        Contract { signature: Signature { inputs, outputs }, flaws }
    }

    /// What the map does, in sentences.
    pub fn sentences(&self, version: Version) -> Vec<String> {
        let sides = [("input", &self.inputs), ("output", &self.outputs)].into_iter();
        let one = |side: &'static str, names: &Names| -> Vec<String> {
            let pairs = names.iter();
            pairs
                .map(|(ours, theirs)| format!("{side} {ours:?} is {theirs:?} in the graph of version {version}"))
                .collect()
        };
        sides.flat_map(|(side, names)| one(side, names)).collect()
    }

    /// The map as it would be written.
    pub(crate) fn text(&self) -> String {
        let sides = [("inputs", &self.inputs), ("outputs", &self.outputs)].into_iter();
        sides.filter_map(|(side, names)| Some(format!("{side} = {}", side_text(names)?))).collect::<Vec<_>>().join(", ")
    }
}

/// One side of a map as it would be written; `None` when it says nothing.
pub(crate) fn side_text(names: &Names) -> Option<String> {
    let pairs: Vec<String> = names.iter().map(|(ours, theirs)| format!("{ours:?} = {theirs:?}")).collect();
    (!pairs.is_empty()).then(|| format!("{{ {} }}", pairs.join(", ")))
}

fn apply_side(side: &str, names: &Names, graph: &[TensorSpec], flaws: &mut Vec<String>) -> Vec<TensorSpec> {
    for (ours, theirs) in names {
        if graph.iter().all(|spec| spec.name != **theirs) {
            let known: Vec<&str> = graph.iter().map(|spec| spec.name.as_str()).collect();
            flaws.push(format!("{side} {ours:?} is to be {theirs:?}, which the graph does not have; it has {known:?}"));
        }
    }
    let rename = |spec: &TensorSpec| {
        let found = names.iter().find(|(_, theirs)| ***theirs == *spec.name);
        TensorSpec { name: found.map_or_else(|| spec.name.clone(), |(ours, _)| ours.to_string()), ..spec.clone() }
    };
    let renamed: Vec<TensorSpec> = graph.iter().map(rename).collect();
    let mut seen = BTreeSet::new();
    match renamed.iter().find(|spec| !seen.insert(spec.name.as_str())) {
        None => renamed,
        Some(twice) => {
            flaws.push(format!("two {side}s would be called {:?}; map both, or choose another name", twice.name));
            graph.to_vec()
        }
    }
}

/// Reads `versions`.
pub(super) fn contracts(
    parent: &mut Section<'_>,
    labels: &Labels,
    report: &mut Report<'_>,
) -> BTreeMap<Version, NameMap> {
    let mut contracts = BTreeMap::new();
    let Some(item) = parent.take("versions") else { return contracts };
    let Some(section) = item.section(report) else { return contracts };
    let entries = section.take_all();
    if entries.len() > VERSIONS_MAX {
        let message = format!("{} versions, at most {VERSIONS_MAX} are allowed", entries.len());
        item.flaw(Code::TooMany, message, None, report);
    }
    for entry in entries.into_iter().take(VERSIONS_MAX) {
        let version = resolve(entry.key, &entry.item, labels, report);
        let map = map(&entry.item, report);
        let (Some(version), Some(map)) = (version, map) else { continue };
        if contracts.contains_key(&version) {
            let message = format!("{} says again what version {version} calls things", entry.item.path);
            entry.item.flaw(Code::Duplicate, message, "a label and a number name the same version".to_owned(), report);
        }
        // A version that is written out without a name in it is like one that is not.
        if map != NameMap::default() {
            contracts.insert(version, map);
        }
    }
    contracts
}

fn map(item: &Item<'_>, report: &mut Report<'_>) -> Option<NameMap> {
    let mut section = item.section(report)?;
    let inputs = section.take("inputs").and_then(|item| names(&item, report));
    let outputs = section.take("outputs").and_then(|item| names(&item, report));
    section.finish(report);
    Some(NameMap { inputs: inputs.unwrap_or_default(), outputs: outputs.unwrap_or_default() })
}

fn names(item: &Item<'_>, report: &mut Report<'_>) -> Option<Names> {
    let entries = item.section(report)?.take_all();
    if entries.len() > NAMES_MAX {
        let message = format!("{} has {} names, at most {NAMES_MAX} are allowed", item.path, entries.len());
        item.flaw(Code::TooMany, message, None, report);
        return None;
    }
    let mut names = Names::new();
    for entry in &entries {
        let Some(theirs) = entry.item.text(report) else { continue };
        for (name, span) in [(entry.key, &entry.key_span), (theirs, &entry.item.span)] {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                let message = format!("the name of an input or output has 1 to {NAME_BYTES_MAX} bytes");
                report.add(span.clone(), Code::BadName, message, None);
            }
        }
        if let Some((ours, _)) = names.iter().find(|(_, known)| ***known == *theirs) {
            let message = format!("{} and {ours:?} are both to be {theirs:?} of the graph", entry.item.path);
            let hint = "each name of the graph stands for one name of the callers: their name = \"the graph's name\"";
            entry.item.flaw(Code::Duplicate, message, hint.to_owned(), report);
        }
        names.insert(entry.key.into(), theirs.into());
    }
    Some(names)
}
