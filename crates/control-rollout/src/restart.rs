//! T3: the restart term, so that a long healthy past does not make a test deaf.
//!
//! A test that only accumulates has to unlearn every good request before it can see a break. The Shiryaev-Roberts
//! value `M` adds, at each step, the evidence of a test started there: `M <- (M + 1) * factor`. A healthy version
//! makes its mean grow by at most one a step, which is why it enters divided by the planned number of steps
//! (see `horizon`). Unlike the plain tests it depends on the order of events and cannot be summed over shards.

use crate::logs::{log_add, log_exp_minus_one, log_mean_exp, log_one_plus_exp};

/// One Shiryaev-Roberts value per alternative of a test, kept as `ln(1 + M)`: that is 0 at the start, so no
/// state is ever infinite and every state can be written as a number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Restart {
    log1p: Vec<f64>,
}

impl Restart {
    /// Starts with nothing seen.
    pub(crate) fn new(n_alternatives: usize) -> Self {
        Self { log1p: vec![0.0; n_alternatives] }
    }

    /// Continues from the values of [`Self::log1p`].
    pub(crate) fn from_log1p(log1p: Vec<f64>) -> Self {
        Self { log1p }
    }

    /// `ln(1 + M)` of each alternative.
    pub(crate) fn log1p(&self) -> &[f64] {
        &self.log1p
    }

    /// Takes one event; `log_factor` gives the log likelihood ratio of alternative k.
    pub(crate) fn on_event(&mut self, log_factor: impl Fn(usize) -> f64) {
        for (k, log1p) in self.log1p.iter_mut().enumerate() {
            *log1p = log_one_plus_exp(*log1p + log_factor(k));
        }
    }

    /// Takes a run of `n` events that all have the same factor, below 1, in closed form:
    /// `M <- M*l^n + l*(1 - l^n)/(1 - l)`.
    pub(crate) fn on_run(&mut self, n: u64, log_factor: impl Fn(usize) -> f64) {
        if n == 0 {
            return;
        }
        for (k, log1p) in self.log1p.iter_mut().enumerate() {
            let log_l = log_factor(k);
            let log_power = n as f64 * log_l;
            let restarted = log_l + (-log_power.exp_m1()).ln() - (-log_l.exp_m1()).ln();
            *log1p = log_one_plus_exp(log_add(log_exp_minus_one(*log1p) + log_power, restarted));
        }
    }

    /// Log of the mean of `M` over the alternatives; `None` while nothing was seen.
    pub(crate) fn log_mean(&self) -> Option<f64> {
        let mean = log_mean_exp(self.log1p.iter().map(|x| log_exp_minus_one(*x)));
        mean.is_finite().then_some(mean)
    }
}

#[cfg(test)]
mod tests;
