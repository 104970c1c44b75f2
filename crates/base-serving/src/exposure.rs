//! Who was shown what: the log of experiments, unit by unit, for whoever wants to analyse them elsewhere.

use std::sync::Arc;

use base_types::{ModelName, Version};

/// One request of a unit that takes part in an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposure {
    /// The experiment.
    pub experiment: Arc<str>,
    /// The arm; `None` for a unit that is held out.
    pub arm: Option<Arc<str>>,
    /// Hash of the unit's sticky key, the same in every process. The key itself never leaves the request.
    pub key: u64,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The model.
    pub model: ModelName,
    /// The version that was asked.
    pub version: Version,
}

/// Writes exposures down. Implemented by the control plane; called on the request path.
pub trait ExposureSink: Send + Sync {
    /// Takes an exposure or drops it and counts that; never waits, never touches the disk.
    fn exposed(&self, exposure: Exposure);
}
