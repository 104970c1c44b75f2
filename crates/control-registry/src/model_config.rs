//! Reads Triton's `config.pbtxt`: honours name, platform, batch size, inputs and outputs with labels and reshapes that
//! add or take dimensions of 1, version policy and warm-up; keeps parameters, batching and instances for those who ask;
//! warns about hints that change no answer; refuses by name and line whatever would change answers here.
//!
//! Everything unknown is refused: a field that is silently ignored is a promise silently broken.

mod fields;
mod hints;
mod signature;
mod tensors;
mod text;
mod values;
mod warmup;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base_types::{DataType, ModelName, Version};

pub use warmup::{WarmupData, WarmupInput, WarmupSample};

use crate::Refusal;

/// What a `config.pbtxt` says, as far as it is honoured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelConfig {
    /// Largest batch; `None` when the model has no batch axis of its own (0 or absent in the file).
    pub max_batch_size: Option<u64>,
    /// The inputs named in the file.
    pub inputs: Vec<ConfiguredTensor>,
    /// The outputs named in the file.
    pub outputs: Vec<ConfiguredTensor>,
    /// Which versions are wanted; `None` when the file does not say.
    pub version_policy: Option<VersionPolicy>,
    /// Requests to be put together, where the file asks for that.
    pub batching: Option<Batching>,
    /// Instances asked for, where the file says.
    pub instances: Option<u32>,
    /// Free parameters.
    pub parameters: BTreeMap<String, String>,
    /// What to run before the version is used; empty leaves that to the gateway.
    pub warmups: Vec<WarmupSample>,
    /// What the positions of an output stand for, by the output's name: read from the files that the outputs name.
    pub labels: BTreeMap<String, Arc<[String]>>,
    /// Hints that are not used here, each with its line.
    pub warnings: Vec<String>,
}

/// An input or output as the file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredTensor {
    /// The name in the graph.
    pub name: String,
    /// The element type.
    pub datatype: DataType,
    /// The dimensions for callers, without the batch axis when there is one; `None` where any size will do.
    pub dims: Vec<Option<usize>>,
    /// The dimensions in the graph, where they are others: such that only dimensions of 1 come or go.
    pub reshape: Option<Vec<Option<usize>>>,
    /// The file with the labels of an output.
    pub label_file: Option<String>,
    /// Where it stands in the file.
    pub line: usize,
}

/// How requests are to be put together into batches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batching {
    /// Sizes worth waiting for.
    pub preferred_sizes: Vec<u32>,
    /// The longest wait, in microseconds.
    pub delay_max_us: u64,
}

/// Which versions of a model are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPolicy {
    /// The highest so many.
    Latest(usize),
    /// Every one.
    All,
    /// These, if they are there.
    Specific(BTreeSet<Version>),
}

impl VersionPolicy {
    /// The versions wanted of those that are there.
    pub fn select(&self, versions: &BTreeSet<Version>) -> BTreeSet<Version> {
        match self {
            Self::Latest(n) => versions.iter().rev().take(*n).copied().collect(),
            Self::All => versions.clone(),
            Self::Specific(wanted) => versions.intersection(wanted).copied().collect(),
        }
    }
}

impl ModelConfig {
    /// Reads the text of a `config.pbtxt` in the folder of `model`.
    pub fn parse(text: &str, model: &ModelName) -> Result<Self, Refusal> {
        let message = text::parse(text)?;
        fields::read(&message, model)
    }
}

#[cfg(test)]
mod tests;
