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

/// Multiples of the tolerated ratio that the test looks for among faults, which are rare and may become certain.
pub const FAULT_ALTERNATIVES: [f64; 6] = [2.0, 4.0, 8.0, 16.0, 64.0, 256.0];
/// Multiples it looks for among slow answers, which even stable has many of.
pub const LATENCY_ALTERNATIVES: [f64; 5] = [1.2, 1.5, 2.0, 4.0, 16.0];
/// Multiples it looks for among mistakes, where a small change matters.
pub const MISTAKE_ALTERNATIVES: [f64; 7] = [1.1, 1.2, 1.4, 1.7, 2.0, 3.0, 5.0];

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
    relative_log_e_among(&FAULT_ALTERNATIVES, tallies, ratio)
}

/// The same for other events than faults, with the alternatives that are looked for among them.
pub fn relative_log_e_among(alternatives: &[f64], tallies: &[ShareTally], ratio: f64) -> f64 {
    let factors = |multiple: &f64| {
        tallies.iter().fold(0.0, |sum, t| {
            let per_candidate = log_factor(*multiple, t.share, ratio, Arm::Candidate);
            let per_stable = log_factor(*multiple, t.share, ratio, Arm::Stable);
            sum + t.candidate_faults as f64 * per_candidate + t.stable_faults as f64 * per_stable
        })
    };
    log_mean_exp(alternatives.iter().map(factors))
}

/// The relative test with its restart term.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RelativeTest {
    ratio: f64,
    alternatives: &'static [f64],
    log_products: Vec<f64>,
    restart: Restart,
    candidate_faults: u64,
    stable_faults: u64,
    shares: Vec<ShareTally>,
}

impl RelativeTest {
    /// Starts with nothing seen.
    pub(crate) fn new(ratio: f64, alternatives: &'static [f64]) -> Self {
        let n = alternatives.len();
        let (log_products, restart) = (vec![0.0; n], Restart::new(n));
        let shares = Vec::with_capacity(SHARES_MAX);
        Self { ratio, alternatives, log_products, restart, candidate_faults: 0, stable_faults: 0, shares }
    }

    /// Continues from a checkpoint that was checked.
    pub(crate) fn resumed(mut self, from: &RelativeCheckpoint) -> Self {
        self.log_products.clone_from(&from.log_products);
        self.restart = Restart::from_log1p(from.log1p_restart.clone());
        (self.candidate_faults, self.stable_faults) = (from.candidate_faults, from.stable_faults);
        self.shares.extend_from_slice(&from.shares);
        self
    }

    /// Its state, to be stored.
    pub(crate) fn checkpoint(&self) -> RelativeCheckpoint {
        RelativeCheckpoint {
            candidate_faults: self.candidate_faults,
            stable_faults: self.stable_faults,
            log_products: self.log_products.clone(),
            log1p_restart: self.restart.log1p().to_vec(),
            shares: self.shares.clone(),
        }
    }

    /// Takes one fault of a request routed at random while the candidate had this share. A share that leaves one
    /// arm without random traffic compares nothing and moves nothing.
    pub(crate) fn on_fault(&mut self, arm: Arm, share: f64) {
        match arm {
            Arm::Candidate => self.on_batch(share, 1, 0),
            Arm::Stable => self.on_batch(share, 0, 1),
        }
    }

    /// Takes faults whose order is not known: the restart term makes one step, by the likelihood ratio of them all.
    pub(crate) fn on_batch(&mut self, share: f64, n_candidate: u64, n_stable: u64) {
        if !(share > 0.0 && share < 1.0) || (n_candidate, n_stable) == (0, 0) {
            return;
        }
        let (ratio, alternatives) = (self.ratio, self.alternatives);
        let (n_of_candidate, n_of_both) = (n_candidate as f64, n_candidate as f64 + n_stable as f64);
        // Every event has stable's factor; those of the candidate have the multiple besides.
        let of_batch = |k: usize| {
            n_of_candidate * alternatives[k].ln() + n_of_both * log_factor(alternatives[k], share, ratio, Arm::Stable)
        };
        for (k, log_product) in self.log_products.iter_mut().enumerate() {
            *log_product += of_batch(k);
        }
        self.restart.on_event(of_batch);
        self.candidate_faults = self.candidate_faults.saturating_add(n_candidate);
        self.stable_faults = self.stable_faults.saturating_add(n_stable);
        self.tally(share, n_candidate, n_stable);
    }

    /// `ln E` of the plain test.
    pub(crate) fn log_e(&self) -> f64 {
        log_mean_exp(self.log_products.iter().copied())
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

    fn tally(&mut self, share: f64, n_candidate: u64, n_stable: u64) {
        let known = self.shares.iter().position(|t| t.share == share);
        if known.is_none() && self.shares.len() == SHARES_MAX {
            return;
        }
        let at = known.unwrap_or_else(|| {
            self.shares.push(ShareTally { share, candidate_faults: 0, stable_faults: 0 });
            self.shares.len() - 1
        });
        let tally = &mut self.shares[at];
        tally.candidate_faults = tally.candidate_faults.saturating_add(n_candidate);
        tally.stable_faults = tally.stable_faults.saturating_add(n_stable);
    }
}

/// Log likelihood ratio of one alternative, a multiple of the ratio, for one fault. With
/// `theta = w*x / (w*x + 1 - w)` the candidate's factor is `theta_k / theta_0` and the stable version's
/// `(1 - theta_k) / (1 - theta_0)`; written without differences, so that nothing cancels for shares near 0 or 1.
fn log_factor(multiple: f64, share: f64, ratio: f64, arm: Arm) -> f64 {
    let log_stable = (share * ratio + 1.0 - share).ln() - (share * ratio * multiple + 1.0 - share).ln();
    match arm {
        Arm::Candidate => multiple.ln() + log_stable,
        Arm::Stable => log_stable,
    }
}

#[cfg(test)]
mod tests;
