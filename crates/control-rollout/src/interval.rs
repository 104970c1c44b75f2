//! T12: the interval to show for a fault probability, valid at every look.

use crate::logs::log_beta;

/// Halvings of a bracket: more than enough to separate neighbouring numbers.
const HALVINGS_MAX: u32 = 200;

/// The fault probabilities that the counts do not rule out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end, a probability.
    pub low: f64,
    /// Upper end, a probability.
    pub high: f64,
    /// Probability with which the interval, looked at for ever, would at any time miss the true value.
    pub alpha: f64,
}

/// All `p` for which the mixture over Beta(1/2, 1/2) is less than `1/alpha` times as likely as `p` itself:
/// `B(1/2+S, 1/2+F) / B(1/2, 1/2) < p^S * (1-p)^F / alpha`.
pub fn anytime_interval(n_faults: u64, n_successes: u64, alpha: f64) -> Interval {
    let (faults, successes) = (n_faults as f64, n_successes as f64);
    let log_mixture = log_beta(0.5 + faults, 0.5 + successes) - log_beta(0.5, 0.5) + alpha.ln();
    let is_outside = |p: f64| {
        let of_faults = if n_faults == 0 { 0.0 } else { faults * p.ln() };
        let of_successes = if n_successes == 0 { 0.0 } else { successes * (-p).ln_1p() };
        log_mixture - of_faults - of_successes > 0.0
    };
    // The most likely value is inside; the log likelihood falls on both sides of it.
    let most_likely = if n_faults == 0 && n_successes == 0 { 0.5 } else { faults / (faults + successes) };
    let low = if n_faults == 0 { 0.0 } else { edge(0.0, most_likely, is_outside) };
    let high = if n_successes == 0 { 1.0 } else { edge(1.0, most_likely, is_outside) };
    Interval { low, high, alpha }
}

/// Where the interval ends between a point outside and one inside.
fn edge(mut outside: f64, mut inside: f64, is_outside: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..HALVINGS_MAX {
        let middle = f64::midpoint(outside, inside);
        if is_outside(middle) {
            outside = middle;
        } else {
            inside = middle;
        }
    }
    f64::midpoint(outside, inside)
}

#[cfg(test)]
mod tests;
