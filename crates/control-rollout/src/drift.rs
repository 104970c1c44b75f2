//! T8: are the bins of an output, or the requests themselves, shared between the arms as the shares say?
//!
//! When both versions answer alike, an answer of any bin was the candidate's with a probability that is its share. A
//! beta mixture around the share is bet against exactly the share, bin by bin, in both directions. The value is an
//! e-process as long as the share stays; at each change it starts anew, and the values multiply. One bin that holds
//! all requests makes the check of the sample ratio.

use crate::logs::log_beta;

/// Weight of the share in the mixture for an output's bins, in events.
pub const DRIFT_KAPPA: f64 = 10.0;
/// Weight of the share in the mixture for the sample ratio: deviations looked for are smaller there.
pub const SAMPLE_RATIO_KAPPA: f64 = 100.0;

/// `ln E` against "each bin is shared as the share says", for counts under one share. Bins beyond the shorter list
/// count as empty there; a share that leaves one arm without requests compares nothing and gives 0.
pub fn bins_log_e(candidate: &[u64], stable: &[u64], share: f64, kappa: f64) -> f64 {
    if !(share > 0.0 && share < 1.0) {
        return 0.0;
    }
    let (of_candidate, of_stable) = (kappa * share, kappa * (1.0 - share));
    let (log_share, log_rest) = (share.ln(), (-share).ln_1p());
    let log_prior = log_beta(of_candidate, of_stable);
    let count = |list: &[u64], j: usize| list.get(j).copied().unwrap_or(0) as f64;
    let of_bin = |j: usize| {
        let (c, s) = (count(candidate, j), count(stable, j));
        if c + s == 0.0 {
            return 0.0;
        }
        log_beta(of_candidate + c, of_stable + s) - log_prior - c * log_share - s * log_rest
    };
    (0..candidate.len().max(stable.len())).map(of_bin).sum()
}

/// How large a drift is, whatever its certainty. For people; nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DriftEffect {
    /// Population stability index, with half an answer added to each bin.
    pub psi: f64,
    /// Jensen-Shannon divergence, from 0 to ln 2.
    pub jensen_shannon: f64,
    /// Largest difference of the cumulated shares, the bins taken in order.
    pub kolmogorov_smirnov: f64,
}

/// The effect sizes of two lists of counts over the same bins; `None` while an arm has none.
pub fn drift_effect(candidate: &[u64], stable: &[u64]) -> Option<DriftEffect> {
    let used = (0..candidate.len().min(stable.len())).filter(|j| candidate[*j] > 0 || stable[*j] > 0);
    let pairs: Vec<_> = used.map(|j| (candidate[j] as f64, stable[j] as f64)).collect();
    let (n_candidate, n_stable) = pairs.iter().fold((0.0, 0.0), |(a, b), (c, s)| (a + c, b + s));
    if n_candidate == 0.0 || n_stable == 0.0 {
        return None;
    }
    let halves = 0.5 * pairs.len() as f64;
    let (mut psi, mut jensen_shannon, mut kolmogorov_smirnov, mut gap) = (0.0, 0.0, 0.0_f64, 0.0_f64);
    for (c, s) in pairs {
        let (smooth_c, smooth_s) = ((c + 0.5) / (n_candidate + halves), (s + 0.5) / (n_stable + halves));
        psi += (smooth_c - smooth_s) * (smooth_c / smooth_s).ln();
        let (p, q) = (c / n_candidate, s / n_stable);
        let middle = f64::midpoint(p, q);
        let towards = |x: f64| if x > 0.0 { 0.5 * x * (x / middle).ln() } else { 0.0 };
        jensen_shannon += towards(p) + towards(q);
        gap += p - q;
        kolmogorov_smirnov = kolmogorov_smirnov.max(gap.abs());
    }
    Some(DriftEffect { psi, jensen_shannon, kolmogorov_smirnov })
}

#[cfg(test)]
mod tests;
