//! How two versions differ as files: what goes in and out, operators, weights, size. Pure; nothing is run.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base_serving::engine::Artifact;
use base_types::{Data, DataType, Tensor};

use crate::Refusal;
use crate::preflight::{
    Description, Operators, TensorInfo, TensorPlace, ValueInfo, describe, element_type, elements, operators,
};

/// Everything that differs between two versions, and how much there is of what does not.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Difference {
    /// Inputs and outputs that are not the same in both, each with what it was and is.
    pub signature: Vec<Changed<String>>,
    /// Operators of which there are more or fewer, with their numbers of nodes.
    pub operators: Vec<Changed<u64>>,
    /// Operator sets of another version.
    pub opsets: Vec<Changed<i64>>,
    /// The weights.
    pub weights: Weights,
    /// Bytes of all files the runtime reads, before and after.
    pub bytes: (u64, u64),
}

/// Something that goes by one name in both versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed<T> {
    /// Its name.
    pub name: String,
    /// What it was; `None` where it was not there.
    pub before: Option<T>,
    /// What it is; `None` where it is gone.
    pub after: Option<T>,
}

/// What became of the initialisers of the main graph.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Weights {
    /// How many are the same, bit for bit.
    pub n_same: usize,
    /// Those with other values, the farthest from what it was first.
    pub changed: Vec<ChangedTensor>,
    /// Those of another type or shape, new ones, and those that are gone.
    pub reshaped: Vec<Changed<String>>,
    /// The distance of all floating-point numbers in tensors that both have, as a whole: see
    /// [`ChangedTensor::distance`]. Whole numbers are positions, sizes and bounds, which would drown it.
    pub distance: Option<f64>,
}

/// A tensor with other values.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedTensor {
    /// Its name.
    pub name: String,
    /// Type and shape.
    pub form: String,
    /// How many numbers it has.
    pub n_elements: u64,
    /// The length of the difference relative to the length of what was there (L2): 0.01 is a change of one in a
    /// hundred. `None` where there is no such number: texts, types without one, and what was all zeros.
    pub distance: Option<f64>,
    /// The largest difference of one number.
    pub largest: Option<f64>,
}

/// Compares two versions.
pub fn difference(before: &Artifact, after: &Artifact) -> Result<Difference, Refusal> {
    let (old, new) = (describe(&before.model.content, 0)?, describe(&after.model.content, 0)?);
    let (old_ops, new_ops) = (operators(&before.model.content)?, operators(&after.model.content)?);
    let Operators { nodes, opsets } = old_ops;
    Ok(Difference {
        signature: signature(&old, &new),
        operators: changed(nodes, new_ops.nodes),
        opsets: changed(opsets, new_ops.opsets),
        weights: weights((before, &old), (after, &new)),
        bytes: (bytes(before), bytes(after)),
    })
}

fn bytes(artifact: &Artifact) -> u64 {
    let files = artifact.external.iter().chain([&artifact.model]);
    files.map(|file| file.content.len() as u64).sum()
}

fn signature(before: &Description, after: &Description) -> Vec<Changed<String>> {
    let sides = |description: &Description| {
        let named = |side: &'static str, values: &[ValueInfo]| {
            values.iter().map(|value| (format!("{side} {}", value.name), form(value))).collect::<Vec<_>>()
        };
        let mut all = named("input", &description.inputs);
        all.extend(named("output", &description.outputs));
        all.into_iter().collect::<BTreeMap<_, _>>()
    };
    changed(sides(before), sides(after))
}

/// A type and shape as people write them: `FP32[?,4]`.
fn form(value: &ValueInfo) -> String {
    let dim = |dim: &i64| if *dim < 0 { "?".to_owned() } else { dim.to_string() };
    let shape = value.shape.as_ref().map(|shape| shape.iter().map(dim).collect::<Vec<_>>().join(","));
    format!("{}[{}]", value.datatype, shape.as_deref().unwrap_or("…"))
}

/// What is not the same in both.
fn changed<T: PartialEq + Clone>(before: BTreeMap<String, T>, after: BTreeMap<String, T>) -> Vec<Changed<T>> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    differing
        .map(|name| Changed { name: name.clone(), before: before.get(name).cloned(), after: after.get(name).cloned() })
        .collect()
}

type Side<'a> = (&'a Artifact, &'a Description);

fn weights(before: Side<'_>, after: Side<'_>) -> Weights {
    let (old, new) = (named(before.1), named(after.1));
    let forms = |side: &BTreeMap<&str, &TensorInfo>| {
        side.iter().map(|(name, tensor)| ((*name).to_owned(), tensor_form(tensor))).collect::<BTreeMap<_, _>>()
    };
    let mut found = Weights { reshaped: changed(forms(&old), forms(&new)), ..Weights::default() };
    let mut sums = Sums::default();
    for (name, ours) in &old {
        let Some(theirs) = new.get(name).filter(|theirs| tensor_form(theirs) == tensor_form(ours)) else { continue };
        match of_tensor((before.0, ours), (after.0, theirs), &mut sums) {
            None => found.n_same += 1,
            Some(changed) => found.changed.push(changed),
        }
    }
    // What has no distance is told first: it may be anything.
    let far = |tensor: &ChangedTensor| tensor.distance.unwrap_or(f64::INFINITY);
    found.changed.sort_by(|a, b| far(b).total_cmp(&far(a)).then_with(|| a.name.cmp(&b.name)));
    found.distance = sums.distance();
    found
}

fn named(description: &Description) -> BTreeMap<&str, &TensorInfo> {
    let initializers = description.tensors.iter().filter(|tensor| tensor.is_initializer);
    initializers.map(|tensor| (tensor.name.as_str(), tensor)).collect()
}

fn tensor_form(tensor: &TensorInfo) -> String {
    let word = element_type(tensor.element_type)
        .map_or_else(|| format!("type {}", tensor.element_type), |(w, _)| w.to_owned());
    let dims: Vec<String> = tensor.shape.iter().map(ToString::to_string).collect();
    format!("{word}[{}]", dims.join(","))
}

fn read<'a>(artifact: &'a Artifact, tensor: &TensorInfo) -> Option<Cow<'a, [u8]>> {
    let beside = |name: &str| artifact.external.iter().find(|file| file.path == name).map(|file| &*file.content);
    elements(&artifact.model.content, tensor, &beside)
}

/// The bytes of a tensor as the file keeps them: for types that are no numbers.
fn kept<'a>(artifact: &'a Artifact, tensor: &TensorInfo) -> Option<&'a [u8]> {
    let at = |from: u64, to: u64| Some(usize::try_from(from).ok()?..usize::try_from(to).ok()?);
    match &tensor.place {
        TensorPlace::Inside(span) | TensorPlace::Values(span) => artifact.model.content.get(at(span.start, span.end)?),
        TensorPlace::Beside { location, offset, bytes } => {
            let file = artifact.external.iter().find(|file| file.path == *location)?;
            file.content.get(at(*offset, offset.checked_add((*bytes)?)?)?)
        }
    }
}

/// How a tensor changed; `None` when it did not.
fn of_tensor(
    before: (&Artifact, &TensorInfo),
    after: (&Artifact, &TensorInfo),
    sums: &mut Sums,
) -> Option<ChangedTensor> {
    let (old, new) = (read(before.0, before.1), read(after.0, after.1));
    let is_same = match (&old, &new) {
        (Some(old), Some(new)) => old == new,
        _ => kept(before.0, before.1).is_some_and(|old| kept(after.0, after.1) == Some(old)),
    };
    let tensor = before.1;
    let (old, new) = (numbers(tensor, old), numbers(tensor, new));
    let mut own = Sums::default();
    if let (Some(a), Some(b)) = (old.as_ref().and_then(Tensor::numbers), new.as_ref().and_then(Tensor::numbers)) {
        a.zip(b).for_each(|(a, b)| own.add(a, b));
        if is_trained(tensor) {
            sums.join(&own);
        }
    }
    (!is_same).then(|| ChangedTensor {
        name: tensor.name.clone(),
        form: tensor_form(tensor),
        n_elements: tensor.shape.iter().map(|dim| dim.unsigned_abs()).product(),
        distance: own.distance(),
        largest: (own.n > 0).then_some(own.largest),
    })
}

fn numbers(tensor: &TensorInfo, bytes: Option<Cow<'_, [u8]>>) -> Option<Tensor> {
    let (word, size) = element_type(tensor.element_type)?;
    let (bytes, datatype) = (bytes?.into_owned(), DataType::parse(word)?);
    let n_elements = bytes.len() / usize::try_from(size).ok()?;
    Tensor::new(&tensor.name, datatype, vec![n_elements], Data::Raw(bytes.into())).ok()
}

/// Whether a tensor has floating-point numbers, as weights do.
fn is_trained(tensor: &TensorInfo) -> bool {
    element_type(tensor.element_type).is_some_and(|(word, _)| matches!(word, "FP16" | "BF16" | "FP32" | "FP64"))
}

/// Squares added up over pairs of numbers. Pairs with something that is no finite number are left out.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: u64,
    of_before: f64,
    of_difference: f64,
    largest: f64,
}

impl Sums {
    fn add(&mut self, before: f64, after: f64) {
        if before.is_finite() && after.is_finite() {
            self.n += 1;
            self.of_before += before * before;
            self.of_difference += (after - before) * (after - before);
            self.largest = self.largest.max((after - before).abs());
        }
    }

    fn join(&mut self, other: &Self) {
        self.n += other.n;
        self.of_before += other.of_before;
        self.of_difference += other.of_difference;
        self.largest = self.largest.max(other.largest);
    }

    fn distance(&self) -> Option<f64> {
        if self.of_difference == 0.0 {
            return (self.n > 0).then_some(0.0);
        }
        (self.of_before > 0.0).then(|| (self.of_difference / self.of_before).sqrt())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_serving::engine::ArtifactFile;

    use super::*;
    use crate::test_model::{Message, graph, message, model, node};

    fn floats(name: &str, values: &[f32]) -> Message {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        message().int(1, values.len() as i64).int(2, 1).bytes(8, name).bytes(9, raw)
    }

    fn artifact(graph: Message) -> Artifact {
        let model = ArtifactFile { path: "model.onnx".to_owned(), content: model(graph).0.into() };
        Artifact { model, external: Vec::new() }
    }

    fn between(before: Message, after: Message) -> Difference {
        difference(&artifact(before), &artifact(after)).unwrap()
    }

    #[test]
    fn the_same_files_do_not_differ() {
        let found = between(graph().with(5, floats("w", &[1.0])), graph().with(5, floats("w", &[1.0])));
        assert_eq!((found.weights.n_same, found.weights.distance), (1, Some(0.0)));
        assert_eq!((found.signature.len(), found.operators.len(), found.opsets.len()), (0, 0, 0));
        assert!(found.weights.changed.is_empty() && found.weights.reshaped.is_empty());
    }

    #[test]
    fn weights_are_told_by_how_far_they_moved() {
        let before =
            graph().with(5, floats("a", &[3.0, 4.0])).with(5, floats("b", &[1.0])).with(5, floats("c", &[0.0]));
        let after = graph().with(5, floats("a", &[3.0, 4.5])).with(5, floats("b", &[2.0])).with(5, floats("c", &[1.0]));
        let weights = between(before, after).weights;
        let told: Vec<_> = weights.changed.iter().map(|t| (t.name.as_str(), t.distance, t.largest)).collect();
        // From nothing there is no relative distance.
        assert_eq!(told, [("c", None, Some(1.0)), ("b", Some(1.0), Some(1.0)), ("a", Some(0.1), Some(0.5))]);
        let whole = ((0.25f64 + 1.0 + 1.0) / 26.0).sqrt();
        assert!((weights.distance.unwrap() - whole).abs() < 1e-12);
    }

    #[test]
    fn whole_numbers_do_not_drown_the_weights() {
        let bound = message().int(1, 1).int(2, 7).bytes(8, "bound").int(7, i64::MAX);
        let before = graph().with(5, floats("w", &[1.0])).with(5, bound.clone());
        let weights = between(before, graph().with(5, floats("w", &[2.0])).with(5, bound)).weights;
        assert_eq!((weights.n_same, weights.distance), (1, Some(1.0)));
    }

    #[test]
    fn texts_are_the_same_or_not() {
        let text = |text: &str| graph().with(5, message().int(1, 1).int(2, 8).bytes(8, "t").bytes(6, text));
        assert_eq!(between(text("a"), text("a")).weights.n_same, 1);
        let weights = between(text("a"), text("b")).weights;
        assert_eq!((weights.changed.len(), weights.changed[0].distance, weights.distance), (1, None, None));
    }

    #[test]
    fn other_shapes_operators_and_names_are_told() {
        let before = graph().with(5, floats("w", &[1.0])).with(5, floats("old", &[1.0]));
        let after = graph().with(5, floats("w", &[1.0, 2.0])).with(5, floats("new", &[1.0])).with(1, node("", "Relu"));
        let found = between(before, after);
        let told: Vec<_> =
            found.weights.reshaped.iter().map(|c| (c.name.as_str(), c.before.as_deref(), c.after.as_deref())).collect();
        assert_eq!(
            told,
            [("new", None, Some("FP32[1]")), ("old", Some("FP32[1]"), None), ("w", Some("FP32[1]"), Some("FP32[2]"))]
        );
        assert_eq!(found.operators, [Changed { name: "Relu".to_owned(), before: None, after: Some(1) }]);
        assert!(found.bytes.1 > found.bytes.0);
    }
}
