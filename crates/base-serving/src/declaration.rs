//! What a model's `config.pbtxt` declares, as far as callers are shown it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base_types::Version;

/// Which versions a model wants loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedVersions {
    /// The highest so many.
    Latest(usize),
    /// Every one.
    All,
    /// These.
    Specific(BTreeSet<Version>),
}

/// How requests are to be put together into batches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeclaredBatching {
    /// Sizes worth waiting for.
    pub preferred_sizes: Vec<u32>,
    /// The longest wait.
    pub delay_max: Duration,
}

/// The declared settings of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Largest batch; 0 when the batch axis is part of the shapes.
    pub max_batch_size: u32,
    /// Which versions are wanted.
    pub versions: WantedVersions,
    /// Batching, where it is declared.
    pub batching: Option<DeclaredBatching>,
    /// Runs side by side, where that is declared.
    pub instances: Option<u32>,
    /// Free parameters.
    pub parameters: BTreeMap<String, String>,
    /// What the positions of an output stand for, by the output's name as callers know it.
    pub labels: BTreeMap<String, Arc<[String]>>,
}

impl Default for Declaration {
    fn default() -> Self {
        Self {
            max_batch_size: 0,
            versions: WantedVersions::All,
            batching: None,
            instances: None,
            parameters: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }
}

impl Declaration {
    /// What the positions of an output stand for; empty where nothing says so.
    pub fn labels(&self, output: &str) -> &[String] {
        self.labels.get(output).map_or(&[], |labels| labels)
    }
}
