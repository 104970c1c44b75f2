//! What callers know of a version: its inputs and outputs under the names of routing.toml and in the shapes of
//! config.pbtxt. Versions succeed each other by this, not by what their graphs say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base_serving::ModelLimits;
use base_types::{ModelName, Signature, TensorSpec, Version};
use control_config::{NameMap, RoutingConfig};

use crate::state::Model;

/// Works out the contract of every version in memory. A version's contract is kept only where it is not its graph's.
pub(crate) fn settle(routing: &RoutingConfig, name: &ModelName, model: &mut Model) {
    let (mut contracts, mut flaws) = (BTreeMap::new(), BTreeMap::new());
    for (version, entry) in &model.versions {
        let Some(serving) = &entry.serving else { continue };
        let shown = entry.shown.as_deref().unwrap_or(&serving.signature);
        let Some(map) = routing.names(name, *version) else {
            contracts.extend(entry.shown.clone().map(|shown| (*version, shown)));
            continue;
        };
        let contract = map.apply(shown);
        if !contract.flaws.is_empty() {
            let text =
                format!("the names of version {version} in routing.toml do not fit: {}", contract.flaws.join("; "));
            flaws.insert(*version, format!("{text}; its graph is {shown}"));
        }
        if contract.signature != serving.signature {
            contracts.insert(*version, Arc::new(contract.signature));
        }
    }
    // Unchanged contracts stay the same allocation, so that the edges may tell by it.
    for (version, contract) in &mut contracts {
        if let Some(before) = model.contracts.get(version).filter(|before| *before == contract) {
            *contract = before.clone();
        }
    }
    (model.contracts, model.flaws) = (contracts, flaws);
}

/// Why a version cannot take over from stable, for people: the first difference, both contracts as a whole, and how to
/// mend it where nothing but names differ.
pub(crate) fn misfit(model: &Model, (name, version): (&ModelName, Version), stable: Version) -> Option<String> {
    if let Some(flaw) = model.flaws.get(&version) {
        return Some(flaw.clone());
    }
    let (before, after) = (model.signature(stable)?, model.signature(version)?);
    let error = before.succeeded_by(after).err()?;
    let text = format!(
        "version {version} cannot succeed version {stable}: {error}; {stable} is {before}, {version} is {after}"
    );
    match remedy(before, after, model.serving(version).map(|s| &s.signature)) {
        Some(lines) => Some(format!(
            "{text}; if only the names differ, map them in routing.toml: [models.{name}.versions.{version}] {lines}"
        )),
        None => Some(text),
    }
}

/// The lines of routing.toml with which `after` would succeed `before`: names that are missing stand for new ones of
/// the same type and shape, in order. `None` where that does not help.
fn remedy(before: &Signature, after: &Signature, graph: Option<&Signature>) -> Option<String> {
    let graph = graph?;
    let inputs = pairs(&before.inputs, &after.inputs);
    let outputs = pairs(&before.outputs, &after.outputs);
    let map = NameMap { inputs, outputs };
    if map == NameMap::default() {
        return None;
    }
    let mapped = map.apply(after);
    if !mapped.flaws.is_empty() || before.succeeded_by(&mapped.signature).is_err() {
        return None;
    }
    // What is written is the whole map from the graph, names that are mapped already included.
    let side = |label: &str, ours: &[TensorSpec], theirs: &[TensorSpec]| {
        let renamed = ours.iter().zip(theirs).filter(|(o, t)| o.name != t.name);
        let list: Vec<String> = renamed.map(|(o, t)| format!("{:?} = {:?}", o.name, t.name)).collect();
        (!list.is_empty()).then(|| format!("{label} = {{ {} }}", list.join(", ")))
    };
    let inputs = side("inputs", &mapped.signature.inputs, &graph.inputs);
    let outputs = side("outputs", &mapped.signature.outputs, &graph.outputs);
    Some([inputs, outputs].into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn pairs(before: &[TensorSpec], after: &[TensorSpec]) -> BTreeMap<Box<str>, Box<str>> {
    let names = |specs: &[TensorSpec]| specs.iter().map(|s| s.name.clone()).collect::<BTreeSet<_>>();
    let (known, there) = (names(before), names(after));
    let missing = before.iter().filter(|spec| !there.contains(&spec.name));
    let mut new: Vec<&TensorSpec> = after.iter().filter(|spec| !known.contains(&spec.name)).collect();
    let mut pairs = BTreeMap::new();
    for spec in missing {
        let alike = |other: &&TensorSpec| spec.datatype == other.datatype && spec.dims.len() == other.dims.len();
        let Some(at) = new.iter().position(alike) else { continue };
        let found = new.remove(at);
        pairs.insert(spec.name.as_str().into(), found.name.as_str().into());
    }
    pairs
}

/// The bounds of a model, with the outputs exempt from the check of numbers under the names of the graphs as well: the
/// check is made before outputs get the callers' names.
pub(crate) fn limits(routing: &RoutingConfig, name: &ModelName) -> ModelLimits {
    let mut limits = routing.limits(name).clone();
    let maps = routing.models.get(name).into_iter().flat_map(|block| block.contracts.values());
    let exempt = maps.flat_map(|map| &map.outputs).filter(|(ours, _)| limits.allow_non_finite.contains(*ours));
    let exempt: Vec<Box<str>> = exempt.map(|(_, theirs)| theirs.clone()).collect();
    limits.allow_non_finite.extend(exempt);
    limits
}

#[cfg(test)]
mod tests;
