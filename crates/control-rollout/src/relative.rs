//! T2: does the candidate fault more often than `r` times the stable version?
//!
//! Looks at faults only. Given that a randomly routed request faulted, it was the candidate's with a probability
//! that depends on the candidate's share of the traffic and the ratio of the two fault probabilities; the stable
//! version's own, unknown probability cancels, and so does everything that strikes both arms alike. The share in
//! force for each request is used, so the level is kept while shares move.

use crate::checkpoint::RelativeCheckpoint;
use crate::logs::log_mean_exp;
use crate::restart::Restart;
use crate::trial::Arm;

/// Multiples of the tolerated ratio that the relative test looks for.
const ALTERNATIVES: [f64; 6] = [2.0, 4.0, 8.0, 16.0, 64.0, 256.0];

/// How many different shares are tallied one by one; faults under further shares still move the test.
pub const SHARES_MAX: usize = 32;

/// The faults that fell under one share, so that a person can recompute the plain relative test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareTally {
    /// The candidate's share of the requests routed at random to either arm, in (0, 1).
    pub share: f64,
    /// The candidate's faults under it.
    pub candidate_faults: u64,
    /// The stable version's faults under it.
    pub stable_faults: u64,
}

/// The plain relative test from tallies alone: `ln E` against "the candidate faults at most `ratio` times as often".
pub fn relative_log_e(tallies: &[ShareTally], ratio: f64) -> f64 {
    let factors = |k: usize| {
        tallies.iter().fold(0.0, |sum, t| {
            let per_candidate = log_factor(k, t.share, ratio, Arm::Candidate);
            let per_stable = log_factor(k, t.share, ratio, Arm::Stable);
            sum + t.candidate_faults as f64 * per_candidate + t.stable_faults as f64 * per_stable
        })
    };
    log_mean_exp((0..ALTERNATIVES.len()).map(factors))
}

/// The relative test with its restart term.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RelativeTest {
    ratio: f64,
    log_products: Vec<f64>,
    restart: Restart,
    candidate_faults: u64,
    stable_faults: u64,
    shares: Vec<ShareTally>,
}

impl RelativeTest {
    /// How many values the test keeps per kind.
    pub(crate) const N_ALTERNATIVES: usize = ALTERNATIVES.len();

    /// Starts with nothing seen.
    pub(crate) fn new(ratio: f64) -> Self {
        let n = ALTERNATIVES.len();
        let (log_products, restart) = (vec![0.0; n], Restart::new(n));
        let shares = Vec::with_capacity(SHARES_MAX);
        Self { ratio, log_products, restart, candidate_faults: 0, stable_faults: 0, shares }
    }

    /// Continues from a checkpoint that was checked.
    pub(crate) fn resumed(ratio: f64, from: &RelativeCheckpoint) -> Self {
        let mut test = Self::new(ratio);
        test.log_products.clone_from(&from.log_products);
        test.restart = Restart::from_log1p(from.log1p_restart.clone());
        (test.candidate_faults, test.stable_faults) = (from.candidate_faults, from.stable_faults);
        test.shares.extend_from_slice(&from.shares);
        test
    }

    /// Takes one fault of a request routed at random while the candidate had this share. A share that leaves one
    /// arm without random traffic compares nothing and moves nothing.
    pub(crate) fn on_fault(&mut self, arm: Arm, share: f64) {
        if !(share > 0.0 && share < 1.0) {
            return;
        }
        let ratio = self.ratio;
        for (k, log_product) in self.log_products.iter_mut().enumerate() {
            *log_product += log_factor(k, share, ratio, arm);
        }
        self.restart.on_event(|k| log_factor(k, share, ratio, arm));
        match arm {
            Arm::Candidate => self.candidate_faults += 1,
            Arm::Stable => self.stable_faults += 1,
        }
        self.tally(arm, share);
    }

    /// `ln E` of the plain test.
    pub(crate) fn log_e(&self) -> f64 {
        log_mean_exp(self.log_products.iter().copied())
    }

    /// Log products per alternative.
    pub(crate) fn log_products(&self) -> &[f64] {
        &self.log_products
    }

    /// The restart term.
    pub(crate) fn restart(&self) -> &Restart {
        &self.restart
    }

    /// The candidate's faults counted so far.
    pub(crate) fn candidate_faults(&self) -> u64 {
        self.candidate_faults
    }

    /// The stable version's faults counted so far.
    pub(crate) fn stable_faults(&self) -> u64 {
        self.stable_faults
    }

    /// Faults by the share they fell under, oldest share first.
    pub(crate) fn shares(&self) -> &[ShareTally] {
        &self.shares
    }

    fn tally(&mut self, arm: Arm, share: f64) {
        let known = self.shares.iter().position(|t| t.share == share);
        if known.is_none() && self.shares.len() == SHARES_MAX {
            return;
        }
        let at = known.unwrap_or_else(|| {
            self.shares.push(ShareTally { share, candidate_faults: 0, stable_faults: 0 });
            self.shares.len() - 1
        });
        match arm {
            Arm::Candidate => self.shares[at].candidate_faults += 1,
            Arm::Stable => self.shares[at].stable_faults += 1,
        }
    }
}

/// Log likelihood ratio of alternative k for one fault. With `theta = w*x / (w*x + 1 - w)` the candidate's factor is
/// `theta_k / theta_0` and the stable version's `(1 - theta_k) / (1 - theta_0)`; written without differences, so
/// that nothing cancels for shares near 0 or 1.
fn log_factor(k: usize, share: f64, ratio: f64, arm: Arm) -> f64 {
    let log_stable = (share * ratio + 1.0 - share).ln() - (share * ratio * ALTERNATIVES[k] + 1.0 - share).ln();
    match arm {
        Arm::Candidate => ALTERNATIVES[k].ln() + log_stable,
        Arm::Stable => log_stable,
    }
}

#[cfg(test)]
mod tests;
