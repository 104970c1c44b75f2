//! T11: the watch over a version after its promotion.
//!
//! There is no end to plan for, so no budget could be kept. What is promised instead is the mean number of requests
//! between false alarms: the restart value alone, read against that number. A healthy version makes the value grow by
//! at most one a request on average, so it takes at least so many requests to get there.

use crate::checkpoint::{ArmCheckpoint, check_arm};
use crate::error::RolloutError;
use crate::interval::{Interval, anytime_interval};
use crate::keys::ErringKeys;
use crate::limit::LimitTest;
use crate::policy::{Guardrail, OnFailure, SteadyState};
use crate::restart::Restart;

/// Watches one promoted version.
#[derive(Debug, Clone, PartialEq)]
pub struct SteadyGuard {
    limit: f64,
    rule: SteadyState,
    interval_alpha: f64,
    test: LimitTest,
    keys: ErringKeys,
    seen: u64,
    pending: u64,
}

/// What the watch says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteadyEvidence {
    /// The tolerated fault probability.
    pub limit: f64,
    /// Faults since the promotion.
    pub faults: u64,
    /// Successes since the promotion.
    pub successes: u64,
    /// Log of the mean restart value; `None` while nothing was seen.
    pub log_restart: Option<f64>,
    /// `ln` of the mean number of requests between false alarms.
    pub threshold: f64,
    /// What follows.
    pub on_failure: OnFailure,
    /// Whether the value has reached the threshold.
    pub is_tripped: bool,
    /// The fault probability since the promotion.
    pub interval: Interval,
}

/// The state of the watch, as plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct SteadyCheckpoint {
    /// The limit its evidence was weighed against.
    pub limit: f64,
    /// Counts and restart values.
    pub arm: ArmCheckpoint,
    /// Successes since the last fault, not yet in the counts.
    pub pending: u64,
}

impl SteadyGuard {
    /// Starts without evidence; `None` when the guardrail has no such rule, an error when it cannot judge.
    pub fn new(guardrail: &Guardrail) -> Result<Option<Self>, RolloutError> {
        if let Some(problem) = guardrail.problems().into_iter().next() {
            return Err(RolloutError::Guardrail(problem));
        }
        Ok(guardrail.steady_state.map(|rule| Self {
            limit: guardrail.limit,
            rule,
            interval_alpha: guardrail.promote_alpha,
            test: LimitTest::new(guardrail.limit),
            keys: ErringKeys::new(&[]),
            seen: 0,
            pending: 0,
        }))
    }

    /// Takes one fault, with the successes so far as a total that only grows, and the routing key where nobody can
    /// tell whether another version would have answered: such faults count once per key. Gives the evidence when the
    /// version is convicted, again with every further fault while that lasts.
    pub fn on_fault(&mut self, successes: u64, key: Option<u64>) -> Option<SteadyEvidence> {
        if key.is_some_and(|key| !self.keys.insert(key)) {
            return None;
        }
        self.take_successes(successes);
        self.test.on_fault();
        // The interval takes longer than all the rest, so it waits until somebody wants it.
        let is_tripped = self.test.restart().log_mean().is_some_and(|m| m >= self.threshold());
        is_tripped.then(|| self.evidence(successes))
    }

    /// What there is to show, with the successes so far. Changes nothing.
    pub fn evidence(&self, successes: u64) -> SteadyEvidence {
        let mut now = self.clone();
        now.take_successes(successes);
        let (faults, successes) = (now.test.n_faults(), now.test.n_successes());
        let log_restart = now.test.restart().log_mean();
        SteadyEvidence {
            limit: self.limit,
            faults,
            successes,
            log_restart,
            threshold: self.threshold(),
            on_failure: self.rule.on_failure,
            is_tripped: log_restart.is_some_and(|m| m >= self.threshold()),
            interval: anytime_interval(faults, successes, self.interval_alpha),
        }
    }

    /// The state to store, with the successes so far.
    pub fn checkpoint(&self, successes: u64) -> SteadyCheckpoint {
        let arm = ArmCheckpoint {
            faults: self.test.n_faults(),
            successes: self.test.n_successes(),
            log1p_restart: self.test.restart().log1p().to_vec(),
            erring_keys: self.keys.as_slice().to_vec(),
        };
        SteadyCheckpoint { limit: self.limit, arm, pending: self.untaken(successes) }
    }

    /// Goes on from a checkpoint; the total of successes starts again at zero.
    pub fn restore(guardrail: &Guardrail, checkpoint: &SteadyCheckpoint) -> Result<Option<Self>, RolloutError> {
        let Some(mut guard) = Self::new(guardrail)? else { return Ok(None) };
        check_arm(&checkpoint.arm, guardrail.limit, checkpoint.limit)?;
        let restart = Restart::from_log1p(checkpoint.arm.log1p_restart.clone());
        guard.test = LimitTest::resumed(guard.limit, checkpoint.arm.faults, checkpoint.arm.successes, restart);
        guard.keys = ErringKeys::new(&checkpoint.arm.erring_keys);
        guard.pending = checkpoint.pending;
        Ok(Some(guard))
    }

    fn threshold(&self) -> f64 {
        self.rule.mean_requests_between_false_alarms.ln()
    }

    fn take_successes(&mut self, total: u64) {
        self.test.on_successes(self.untaken(total));
        self.pending = 0;
        self.seen = self.seen.max(total);
    }

    fn untaken(&self, total: u64) -> u64 {
        self.pending.saturating_add(total.saturating_sub(self.seen))
    }
}

#[cfg(test)]
mod tests;
