//! T1: is the fault probability of one arm above the limit?
//!
//! A mixture of likelihood ratios of fixed alternatives above the limit. Each ratio has a mean of at most 1 for
//! every fault probability up to the limit, also for one that wanders, so the mixture is an e-process. It falls on
//! every success, so it is read on faults only; two counters are all it needs.

use crate::logs::log_mean_exp;
use crate::restart::Restart;

/// Smallest limit: keeps the number of alternatives, which double from it, below 25.
pub(crate) const LIMIT_MIN: f64 = 1e-6;
/// Largest limit: above it no alternative of the doubling grid is left.
pub(crate) const LIMIT_MAX: f64 = 0.5;
/// Bound of the doubling ladder, for limits no guardrail would accept.
const LADDER_MAX: usize = 24;

/// The fault probabilities the limit test looks for: 2, 4, 8, ... times the limit while below one half, then 0.5
/// and 0.9. Never empty for a limit that a guardrail accepts.
pub fn limit_alternatives(limit: f64) -> Vec<f64> {
    // Reaching 0.5 by rounding must not add it twice.
    let doubling = std::iter::successors(Some(2.0 * limit), |g| Some(2.0 * g)).take_while(|g| *g < 0.5 - 1e-12);
    let coarse = [0.5, 0.9].into_iter().filter(|g| *g > limit * 1.000_001);
    doubling.take(LADDER_MAX).chain(coarse).collect()
}

/// The plain limit test from counts alone: `ln E` against "the fault probability is at most `limit`".
pub fn limit_log_e(n_faults: u64, n_successes: u64, limit: f64) -> f64 {
    LimitTest::new(limit).plain(n_faults, n_successes)
}

/// The limit test of one arm with its restart term.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LimitTest {
    factors: Vec<Factors>,
    restart: Restart,
    n_faults: u64,
    n_successes: u64,
}

/// Log likelihood ratios of one alternative.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Factors {
    log_fault: f64,
    log_success: f64,
}

impl LimitTest {
    /// Starts with nothing seen.
    pub(crate) fn new(limit: f64) -> Self {
        let factors: Vec<_> = limit_alternatives(limit)
            .into_iter()
            .map(|g| Factors { log_fault: (g / limit).ln(), log_success: (-g).ln_1p() - (-limit).ln_1p() })
            .collect();
        Self { restart: Restart::new(factors.len()), factors, n_faults: 0, n_successes: 0 }
    }

    /// Continues with these counts and this restart term, one value for each of [`limit_alternatives`].
    pub(crate) fn resumed(limit: f64, n_faults: u64, n_successes: u64, restart: Restart) -> Self {
        Self { restart, n_faults, n_successes, ..Self::new(limit) }
    }

    /// Takes a run of successes.
    pub(crate) fn on_successes(&mut self, n: u64) {
        self.n_successes = self.n_successes.saturating_add(n);
        self.restart.on_run(n, |k| self.factors[k].log_success);
    }

    /// Takes one fault.
    pub(crate) fn on_fault(&mut self) {
        self.n_faults += 1;
        self.restart.on_event(|k| self.factors[k].log_fault);
    }

    /// Takes requests whose order is not known: the restart term makes one step, by the likelihood ratio of them all.
    /// A test must be fed either so or one by one, because its steps are what the horizon counts.
    pub(crate) fn on_batch(&mut self, n_faults: u64, n_successes: u64) {
        self.n_faults = self.n_faults.saturating_add(n_faults);
        self.n_successes = self.n_successes.saturating_add(n_successes);
        let (faults, successes) = (n_faults as f64, n_successes as f64);
        self.restart.on_event(|k| faults * self.factors[k].log_fault + successes * self.factors[k].log_success);
    }

    /// `ln E` of the plain test.
    pub(crate) fn log_e(&self) -> f64 {
        self.plain(self.n_faults, self.n_successes)
    }

    /// The restart term.
    pub(crate) fn restart(&self) -> &Restart {
        &self.restart
    }

    /// Faults counted so far.
    pub(crate) fn n_faults(&self) -> u64 {
        self.n_faults
    }

    /// Successes counted so far.
    pub(crate) fn n_successes(&self) -> u64 {
        self.n_successes
    }

    fn plain(&self, n_faults: u64, n_successes: u64) -> f64 {
        let (faults, successes) = (n_faults as f64, n_successes as f64);
        log_mean_exp(self.factors.iter().map(|f| faults * f.log_fault + successes * f.log_success))
    }
}

#[cfg(test)]
mod tests;
