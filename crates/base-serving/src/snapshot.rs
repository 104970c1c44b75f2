//! What the control plane publishes: everything a request needs, complete and immutable.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base_metrics::VersionMetrics;
use base_routing::ModelRoute;
use base_types::{Digest, Generation, ModelName, Signature, Version, VersionId, VersionState};

use crate::engine::Runner;
use crate::lane::Lane;
use crate::{ArmTally, Declaration, ModelLimits, RetryBudget, VersionStats, Watch};

/// The state of all models at one generation.
#[derive(Default)]
pub struct Snapshot {
    /// Grows with every publication.
    pub generation: Generation,
    /// The models by name.
    pub models: HashMap<ModelName, Arc<ServingModel>>,
}

/// One model as served.
pub struct ServingModel {
    /// The name.
    pub name: ModelName,
    /// How requests are divided; `None` while no version can take unpinned traffic.
    pub route: Option<ModelRoute>,
    /// The versions in memory that may answer.
    pub versions: BTreeMap<Version, Arc<ServingVersion>>,
    /// Known versions that may not answer, and why.
    pub unready: BTreeMap<Version, Unready>,
    /// Bounds.
    pub limits: Arc<ModelLimits>,
    /// The budget of fallbacks; lives as long as the trial it belongs to.
    pub budget: Arc<RetryBudget>,
    /// Whether any version is under trial, so that faults go to the judge.
    pub is_judged: bool,
    /// What config.pbtxt declares.
    pub declared: Arc<Declaration>,
    /// Signatures as callers see them, of versions whose inputs or outputs are renamed by config.
    pub contracts: BTreeMap<Version, Arc<Signature>>,
    /// What is counted while something is on trial, shadowed or part of an experiment.
    pub watch: Option<Arc<Watch>>,
}

impl ServingModel {
    /// The inputs and outputs of a version as callers see them: in the model's own order, under the names of the
    /// model's contract.
    pub fn signature<'a>(&'a self, version: &'a ServingVersion) -> &'a Signature {
        self.contracts.get(&version.id.version).map_or(&version.signature, Arc::as_ref)
    }
}

/// Why a known version may not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    /// The state it is in.
    pub state: VersionState,
    /// In words, when there is more to say.
    pub reason: String,
}

/// One version in memory.
pub struct ServingVersion {
    /// Model and number.
    pub id: VersionId,
    /// What it is.
    pub digest: Digest,
    /// The first 16 hexadecimal digits of it, as answers show it.
    pub digest_short: String,
    /// Inputs and outputs under the graph's own names; see [`ServingModel::signature`] for the names callers use.
    pub signature: Signature,
    /// The queue in front of it.
    pub lane: Arc<dyn Lane>,
    /// The loaded model, for its memory figures; runs go through the lane.
    pub runner: Arc<dyn Runner>,
    /// Metric handles.
    pub metrics: VersionMetrics,
    /// Counts for the judge.
    pub tally: ArmTally,
    /// Sums for the protocols' statistics.
    pub stats: VersionStats,
    /// Remembers what was in flight should the process die.
    pub mark: Option<Arc<dyn InFlightMark>>,
}

/// Counts attempts under way where the next process finds the number.
pub trait InFlightMark: Send + Sync {
    /// An attempt began.
    fn begin(&self);
    /// An attempt ended.
    fn end(&self);
}

impl ServingVersion {
    /// An attempt begins. It is marked if the version would answer for a crash in it.
    pub fn begin(&self, is_marked: bool) {
        self.metrics.begin();
        if let Some(mark) = self.mark.as_ref().filter(|_| is_marked) {
            mark.begin();
        }
    }

    /// An attempt ended.
    pub fn end(&self, is_marked: bool) {
        self.metrics.end();
        if let Some(mark) = self.mark.as_ref().filter(|_| is_marked) {
            mark.end();
        }
    }
}
