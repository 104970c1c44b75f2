//! Reads Triton's `config.pbtxt`: honours name, platform, batch size, inputs, outputs and version policy; warns about
//! hints that change no answer; refuses by name and line whatever would change answers here.
//!
//! Everything unknown is refused: a field that is silently ignored is a promise silently broken.

mod fields;
mod signature;
mod text;

use std::collections::BTreeSet;

use base_types::{DataType, ModelName, Version};

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
    /// The dimensions, without the batch axis when there is one; `None` where any size will do.
    pub dims: Vec<Option<usize>>,
    /// Where it stands in the file.
    pub line: usize,
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
