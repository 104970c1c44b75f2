//! T3's horizon: how much of `alpha` a rule may spend by now, and what its restart term is divided by.
//!
//! The restart term is sound up to a number of steps fixed beforehand. A rule therefore runs through stages: the
//! first ends at the planned number N and may spend alpha/2, the next at 2N with alpha/4, then 4N with alpha/8, and
//! so on. Each stage's statistic, stopped at its end and multiplied by its part of the budget, has a mean of at
//! most that part; the parts sum to one, for each rule on its own count. A weighted sum over rules is so below
//! 1/alpha for ever with probability 1 - alpha.

use std::f64::consts::LN_2;

use crate::logs::log_add;

/// Weight of the plain test in a rule's statistic; the restart term has the rest.
const PLAIN_WEIGHT: f64 = 0.9;

/// The stage a rule is in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stage {
    /// The step at which the stage ends, in requests or events.
    pub(crate) ends_at: f64,
    /// Log of the part of alpha the stage may spend.
    pub(crate) log_budget: f64,
}

impl Stage {
    /// The stage that step `n` belongs to, when `planned` steps were foreseen.
    pub(crate) fn at(n: u64, planned: u64) -> Self {
        let mut stage = Self { ends_at: planned.max(1) as f64, log_budget: -LN_2 };
        // At most 64 doublings: `n` has 64 bits.
        while (n as f64) > stage.ends_at {
            stage.ends_at *= 2.0;
            stage.log_budget -= LN_2;
        }
        stage
    }

    /// Log of `G = 0.9*E + 0.1*M/N`, where N is the end of the stage.
    pub(crate) fn log_g(&self, log_plain: f64, log_restart: Option<f64>) -> f64 {
        let per_step = (1.0 - PLAIN_WEIGHT) / self.ends_at;
        log_add(PLAIN_WEIGHT.ln() + log_plain, log_restart.map_or(f64::NEG_INFINITY, |x| per_step.ln() + x))
    }
}

#[cfg(test)]
mod tests;
