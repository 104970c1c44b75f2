//! How things stand, as far as a rollout asks.

use std::collections::BTreeMap;

use crate::plan::ProofOf;
use crate::promotion::Proof;

/// How things stand at one moment. The default knows nothing: nothing is ready, nothing was seen, nothing is shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// Whether the candidate is in memory and may take traffic.
    pub is_candidate_ready: bool,
    /// What the gate said since this step began; `None` while it is under way or the candidate is being loaded.
    pub gate: Option<Check>,
    /// How the warm-up of this step ended; `None` while it is under way.
    pub warm_up: Option<Check>,
    /// Requests the candidate has answered since this step began. Pinned ones do not count. Where the step's time began
    /// again or moved on (`step_since_unix_ms`), the count may have begun again too.
    pub n_requests: u64,
    /// Requests whose copy the candidate has answered since this step began.
    pub n_shadowed: u64,
    /// Feedback on the candidate since the rollout began.
    pub n_feedback: u64,
    /// How far each proof has come; one that is not there is not proven.
    pub proofs: BTreeMap<ProofOf, Proof>,
    /// Whether the arms do not get the shares they are meant to get: the routing is suspect.
    pub is_sample_ratio_broken: bool,
    /// Whether both versions are ill and neither is to blame.
    pub is_shared_incident: bool,
    /// When the candidate last answered a request or a copy, in milliseconds since 1970.
    pub last_request_unix_ms: Option<u64>,
    /// Whether too many rollbacks have frozen the rollouts of this model.
    pub is_frozen: bool,
    /// How many requests the model gets in a second, over all versions; for estimates alone.
    pub requests_per_second: Option<f64>,
}

/// How a check ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// The candidate passed.
    Passed,
    /// It did not, and why.
    Failed(Box<str>),
}
