//! What a trial has learned, as plain numbers for someone else to store.
//!
//! Every number is finite. Whoever stores a checkpoint must do so at times that do not depend on how requests ended
//! (at fixed intervals, say, and besides after each fault if wanted): losing what came later then loses evidence,
//! but does not bend it.

use crate::error::{CheckpointFlaw, RolloutError};
use crate::keys::ERRING_KEYS_MAX;
use crate::limit::limit_alternatives;
use crate::policy::Guardrail;
use crate::relative::{RelativeTest, SHARES_MAX, ShareTally};
use crate::trial::Successes;
use crate::verdict::CrashCounts;

/// The state of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The limit its evidence was weighed against.
    pub limit: f64,
    /// The ratio its evidence was weighed against.
    pub tolerate_ratio: f64,
    /// The limit rule on the candidate.
    pub candidate: ArmCheckpoint,
    /// The limit rule on the stable version.
    pub stable: ArmCheckpoint,
    /// The relative rule.
    pub relative: RelativeCheckpoint,
    /// Successes since the last fault, not yet in the counts of the arms.
    pub pending: Successes,
    /// Unclean exits so far.
    pub crashes: CrashCounts,
    /// Whether a shared incident lasts.
    pub is_shared_incident: bool,
}

/// The state of the limit rule on one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmCheckpoint {
    /// Faults counted.
    pub faults: u64,
    /// Successes counted.
    pub successes: u64,
    /// `ln(1 + M)` of the restart term for each of `limit_alternatives`.
    pub log1p_restart: Vec<f64>,
    /// Routing keys that erred, the latest last; at most [`ERRING_KEYS_MAX`].
    pub erring_keys: Vec<u64>,
}

/// The state of the relative rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RelativeCheckpoint {
    /// The candidate's faults counted.
    pub candidate_faults: u64,
    /// The stable version's faults counted.
    pub stable_faults: u64,
    /// Log product of the likelihood ratios, for each alternative.
    pub log_products: Vec<f64>,
    /// `ln(1 + M)` of the restart term, for each alternative.
    pub log1p_restart: Vec<f64>,
    /// The faults by the share they fell under; at most [`SHARES_MAX`].
    pub shares: Vec<ShareTally>,
}

impl Checkpoint {
    /// Whether a trial under this guardrail can go on from here.
    pub(crate) fn check(&self, guardrail: &Guardrail) -> Result<(), RolloutError> {
        let bounds = (self.limit, self.tolerate_ratio);
        if bounds != (guardrail.limit, guardrail.tolerate_ratio) {
            let flaw = CheckpointFlaw::OtherBounds { limit: self.limit, tolerate_ratio: self.tolerate_ratio };
            return Err(RolloutError::Checkpoint(flaw));
        }
        let n_limit = limit_alternatives(self.limit).len();
        for arm in [&self.candidate, &self.stable] {
            check_restart("limit restart", &arm.log1p_restart, n_limit)?;
            check_length("erring keys", arm.erring_keys.len(), ERRING_KEYS_MAX, |n, max| n <= max)?;
        }
        let RelativeCheckpoint { log_products, log1p_restart, shares, .. } = &self.relative;
        check_restart("relative restart", log1p_restart, RelativeTest::N_ALTERNATIVES)?;
        check_length("log products", log_products.len(), RelativeTest::N_ALTERNATIVES, |n, exact| n == exact)?;
        check_values("log products", log_products.iter().all(|x| x.is_finite()))?;
        check_length("shares", shares.len(), SHARES_MAX, |n, max| n <= max)?;
        check_values("shares", shares.iter().all(|t| t.share > 0.0 && t.share < 1.0))
    }
}

fn check_restart(list: &'static str, log1p: &[f64], n_exact: usize) -> Result<(), RolloutError> {
    check_length(list, log1p.len(), n_exact, |n, exact| n == exact)?;
    check_values(list, log1p.iter().all(|x| x.is_finite() && *x >= 0.0))
}

fn check_length(
    list: &'static str,
    n_values: usize,
    n_allowed: usize,
    is_allowed: impl Fn(usize, usize) -> bool,
) -> Result<(), RolloutError> {
    if is_allowed(n_values, n_allowed) {
        return Ok(());
    }
    Err(RolloutError::Checkpoint(CheckpointFlaw::Length { list, n_values, n_allowed }))
}

fn check_values(list: &'static str, are_possible: bool) -> Result<(), RolloutError> {
    if are_possible { Ok(()) } else { Err(RolloutError::Checkpoint(CheckpointFlaw::Value { list })) }
}
