//! Classic rules: bounds on what a sliding window shows.
//!
//! For those who ask for them. The counts and the quantile are taken elsewhere, where there is a clock. Read again
//! and again such a rule makes a false alarm sooner or later: `alpha` says nothing about it, its minimum of requests
//! is all its protection.

use crate::policy::ClassicWindow;
use crate::rule::Rule;

/// What the candidate's window holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowTotals {
    /// Judged requests in the window, faults among them.
    pub requests: u64,
    /// Faults in the window.
    pub faults: u64,
    /// The latency at the quantile of the guardrail, in seconds; `None` when none was measured.
    pub latency_seconds: Option<f64>,
}

/// A bound of the window that was passed, with the numbers to check it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// What the window held.
    pub totals: WindowTotals,
    /// The error rate, or the latency in seconds.
    pub value: f64,
    /// The largest value allowed.
    pub bound: f64,
    /// The rules in force.
    pub window: ClassicWindow,
}

impl ClassicWindow {
    /// The first bound that is passed; none before the window holds its minimum of requests.
    pub(crate) fn breach(&self, totals: &WindowTotals) -> Option<Breach> {
        if totals.requests < self.min_requests.max(1) {
            return None;
        }
        let error_rate = totals.faults as f64 / totals.requests as f64;
        let of_errors = self.max_error_rate.map(|bound| (Rule::WindowErrorRate, error_rate, bound));
        let of_latency = self.latency.zip(totals.latency_seconds);
        let of_latency = of_latency.map(|(bound, seconds)| (Rule::WindowLatency, seconds, bound.max_seconds));
        let passed = [of_errors, of_latency].into_iter().flatten().find(|(_, value, bound)| value > bound);
        passed.map(|(rule, value, bound)| Breach { rule, totals: *totals, value, bound, window: *self })
    }
}

#[cfg(test)]
mod tests;
