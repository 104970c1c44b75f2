//! What a trial has learned, as plain numbers for someone else to store.
//!
//! Every number is finite. Whoever stores a checkpoint must do so at times that do not depend on how requests ended
//! (at fixed intervals, say, and besides after each fault if wanted): losing what came later then loses evidence,
//! but does not bend it.

use crate::error::{CheckpointFlaw, RolloutError};
use crate::evidence::Over;
use crate::frozen::Frozen;
use crate::keys::ERRING_KEYS_MAX;
use crate::limit::limit_alternatives;
use crate::observed::{ShadowTotals, ShareTotals};
use crate::policy::{Guardrail, LATENCY_QUANTILES_MAX};
use crate::relative::{FAULT_ALTERNATIVES, SHARES_MAX, ShareTally};
use crate::rule::Rule;
use crate::trial::Successes;
use crate::verdict::CrashCounts;

/// The state of a trial.
#[derive(Debug, Clone, PartialEq, Default)]
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
    /// Whether both arms are slow together. False in checkpoints from before there were rules on totals, and so are
    /// all fields below empty there.
    pub is_latency_incident: bool,
    /// The rules judged from totals.
    pub rules: Vec<RuleCheckpoint>,
    /// The counts by share of those that are not over; at most [`SHARES_MAX`].
    pub totals: Vec<ShareTotals>,
    /// What shares that are over have left.
    pub over: Over,
    /// What copies of stable's requests showed.
    pub shadow: ShadowTotals,
    /// Bounds taken from stable.
    pub frozen: Frozen,
}

/// The state of one rule judged from totals, at one of its bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleCheckpoint {
    /// The rule.
    pub rule: Rule,
    /// What its evidence was weighed against; under other bounds the rule starts anew.
    pub bounds: Vec<f64>,
    /// Bad events of the arm it judges.
    pub hits: u64,
    /// What they are set against.
    pub others: u64,
    /// The steps its restart term made.
    pub n_steps: u64,
    /// The sum of differences, for the comparison of losses.
    pub sum: f64,
    /// Log products, for each alternative or stake; empty where counts suffice.
    pub log_products: Vec<f64>,
    /// `ln(1 + M)` of the restart term, for each alternative or stake.
    pub log1p_restart: Vec<f64>,
    /// The counts by share, for comparisons; at most [`SHARES_MAX`].
    pub shares: Vec<ShareTally>,
}

/// The state of the limit rule on one arm.
#[derive(Debug, Clone, PartialEq, Default)]
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
#[derive(Debug, Clone, PartialEq, Default)]
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
        for arm in [&self.candidate, &self.stable] {
            check_arm(arm, guardrail.limit, self.limit)?;
        }
        let RelativeCheckpoint { log_products, log1p_restart, shares, .. } = &self.relative;
        check_restart("relative restart", log1p_restart, FAULT_ALTERNATIVES.len())?;
        check_products(log_products, FAULT_ALTERNATIVES.len())?;
        check_tallies(shares)?;
        self.check_totals()
    }

    /// The state of a rule judged from totals, if it is there and was weighed against these bounds.
    pub(crate) fn rule(&self, rule: Rule, bounds: &[f64]) -> Option<&RuleCheckpoint> {
        self.rules.iter().find(|stored| stored.rule == rule && stored.bounds == bounds)
    }

    fn check_totals(&self) -> Result<(), RolloutError> {
        let at_most = |n: usize, max: usize| n <= max;
        check_length("rules", self.rules.len(), RULES_MAX, at_most)?;
        check_length("totals", self.totals.len(), SHARES_MAX, at_most)?;
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        let is_twice = |i: usize| self.totals[..i].iter().any(|t| t.share == self.totals[i].share);
        let are_shares = self.totals.iter().enumerate().all(|(i, t)| is_share(t.share) && !is_twice(i));
        check_values("totals", are_shares)?;
        let Over { totals, drift_log_e, sample_ratio_log_e } = &self.over;
        let over = [totals.share, *drift_log_e, *sample_ratio_log_e];
        check_values("shares that are over", over.iter().all(|x| x.is_finite()))?;
        let Frozen { latency_quantiles, latency_seconds, decile_edges } = &self.frozen;
        check_length("frozen quantiles", latency_quantiles.len(), LATENCY_QUANTILES_MAX, at_most)?;
        check_length("frozen latencies", latency_seconds.len(), latency_quantiles.len(), |n, exact| n == exact)?;
        check_length("frozen deciles", decile_edges.len(), 9, at_most)?;
        let frozen = latency_quantiles.iter().chain(latency_seconds).chain(decile_edges);
        check_values("frozen bounds", frozen.into_iter().all(|x| x.is_finite()))
    }
}

impl RuleCheckpoint {
    /// Whether the lists have the lengths the rule needs, and values that evidence leads to.
    pub(crate) fn check(&self, n_products: usize, n_restart: usize) -> Result<(), RolloutError> {
        check_products(&self.log_products, n_products)?;
        check_restart("restart of a rule", &self.log1p_restart, n_restart)?;
        check_values("sum of differences", self.sum.is_finite())?;
        check_tallies(&self.shares)
    }
}

/// Most rules of one checkpoint, each bound of a comparison counted.
const RULES_MAX: usize = 16;

/// Whether the state of the limit rule on one arm can go on under this limit.
pub(crate) fn check_arm(arm: &ArmCheckpoint, limit: f64, stored_limit: f64) -> Result<(), RolloutError> {
    if limit != stored_limit {
        return Err(RolloutError::Checkpoint(CheckpointFlaw::OtherLimit { limit: stored_limit }));
    }
    check_restart("limit restart", &arm.log1p_restart, limit_alternatives(limit).len())?;
    check_length("erring keys", arm.erring_keys.len(), ERRING_KEYS_MAX, |n, max| n <= max)
}

fn check_products(log_products: &[f64], n_exact: usize) -> Result<(), RolloutError> {
    check_length("log products", log_products.len(), n_exact, |n, exact| n == exact)?;
    check_values("log products", log_products.iter().all(|x| x.is_finite()))
}

fn check_tallies(shares: &[ShareTally]) -> Result<(), RolloutError> {
    check_length("shares", shares.len(), SHARES_MAX, |n, max| n <= max)?;
    check_values("shares", shares.iter().all(|t| t.share > 0.0 && t.share < 1.0))
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
