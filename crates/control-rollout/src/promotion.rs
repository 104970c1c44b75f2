//! T10: has the candidate been shown to be below the limit?
//!
//! The limit test turned round: against "the fault probability is at least the limit", with alternatives below it.
//! How many clean requests that takes follows from the limit and `promote_alpha`; there is no minimum to guess.

use crate::logs::log_mean_exp;

/// Alternatives as parts of the limit, zero among them.
const PARTS: [f64; 5] = [0.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0 / 2.0];

/// More clean requests than this are not searched for: the proof is out of reach.
const CLEAN_REQUESTS_MAX: u64 = 1 << 52;

/// How far the proof has come that a candidate may be promoted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proof {
    /// `ln E` against "the fault probability is at least the limit".
    pub log_e: f64,
    /// `ln(1/promote_alpha)`: proven when `log_e` reaches it.
    pub threshold: f64,
    /// Whether it is reached.
    pub is_proven: bool,
    /// Further requests without a fault that would complete the proof; 0 when proven.
    pub clean_requests_needed: u64,
}

impl Proof {
    /// Reads the proof off the counts.
    pub(crate) fn read(n_faults: u64, n_successes: u64, limit: f64, promote_alpha: f64) -> Self {
        let threshold = -promote_alpha.ln();
        let log_e = promotion_log_e(n_faults, n_successes, limit);
        let clean_requests_needed = still_needed(n_faults, n_successes, limit, threshold);
        Self { log_e, threshold, is_proven: log_e >= threshold, clean_requests_needed }
    }
}

/// `ln E` against "the fault probability is at least `limit`".
pub fn promotion_log_e(n_faults: u64, n_successes: u64, limit: f64) -> f64 {
    let (faults, successes) = (n_faults as f64, n_successes as f64);
    log_mean_exp(PARTS.into_iter().map(|part| {
        // With no fault the alternative 0 must not become 0 * -infinity.
        let of_faults = if n_faults == 0 { 0.0 } else { faults * part.ln() };
        of_faults + successes * ((-part * limit).ln_1p() - (-limit).ln_1p())
    }))
}

/// The least number of requests, all of them clean, that can show a fault probability below `limit` at level
/// `alpha`: the "rule of three" that holds at every look. The proof of a [`Proof`] takes somewhat more, because it
/// also allows for a small fault rate.
pub fn clean_requests_needed(limit: f64, alpha: f64) -> u64 {
    (alpha.ln() / (-limit).ln_1p()).ceil() as u64
}

/// Smallest number of further successes that lifts `ln E` to the threshold; `ln E` rises with each.
fn still_needed(n_faults: u64, n_successes: u64, limit: f64, threshold: f64) -> u64 {
    let is_enough = |n: u64| promotion_log_e(n_faults, n_successes.saturating_add(n), limit) >= threshold;
    if is_enough(0) {
        return 0;
    }
    let mut enough = 1;
    while !is_enough(enough) && enough < CLEAN_REQUESTS_MAX {
        enough *= 2;
    }
    let mut too_few = enough / 2;
    while too_few + 1 < enough {
        let middle = too_few + (enough - too_few) / 2;
        if is_enough(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    enough
}

#[cfg(test)]
mod tests;
