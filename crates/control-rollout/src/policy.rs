//! The guardrail: what an operator allows a candidate, and what is to follow when it does worse.

use std::fmt;

use crate::limit::{LIMIT_MAX, LIMIT_MIN};

/// How a candidate is judged. Part of a model's configuration; reading it from a file happens elsewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guardrail {
    /// What a verdict leads to.
    pub mode: Mode,
    /// Probability with which a healthy candidate may be rolled back in one rollout, over all rules and for ever;
    /// in (0, 0.5]. Where several replicas may roll back, each gets its part.
    pub alpha: f64,
    /// Probability with which a candidate above the limit may count as proven, in (0, 0.5]; also that of the
    /// interval shown.
    pub promote_alpha: f64,
    /// Tolerated fault probability of a version, from 0.000001 to 0.5.
    pub limit: f64,
    /// How many times as often as the stable version the candidate may fault, from 1 to 1,000.
    pub tolerate_ratio: f64,
    /// Foreseen length of the rollout in requests of one arm; the limit rule keeps its level beyond it.
    pub planned_requests: u64,
    /// Foreseen length of the rollout in faults of both arms; the relative rule keeps its level beyond it.
    pub planned_events: u64,
    /// How the budget `alpha` is shared.
    pub weights: RuleWeights,
    /// What follows when both versions are over the limit and neither is to blame.
    pub on_shared_incident: OnSharedIncident,
    /// Classic rules over a sliding window, for those who ask for them. They are outside the budget `alpha`.
    pub window: Option<ClassicWindow>,
}

/// What a verdict leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is carried out.
    Enforce,
    /// It is reported only.
    Observe,
    /// Nothing.
    Off,
}

/// What follows a shared incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSharedIncident {
    /// The rollout stands still and a person is called.
    Hold,
    /// The candidate is rolled back all the same.
    RollBack,
}

/// The rules' parts of `alpha`; each above 0, their sum at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleWeights {
    /// Of the limit rule.
    pub limit: f64,
    /// Of the relative rule.
    pub relative: f64,
}

/// Classic rules: bounds on what a sliding window shows, once it holds enough requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicWindow {
    /// Length of the window in seconds, from 1 to 86,400.
    pub seconds: u64,
    /// Requests the window must hold before anything is judged, at least 1.
    pub min_requests: u64,
    /// Largest part of the window's requests that may be faults, in [0, 1).
    pub max_error_rate: Option<f64>,
    /// Bound on the window's latency.
    pub latency: Option<LatencyBound>,
}

/// A bound on a quantile of the latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyBound {
    /// Which quantile, in (0, 1): 0.99 is the p99.
    pub quantile: f64,
    /// Its largest value in seconds, above 0.
    pub max_seconds: f64,
}

/// A value outside what is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutOfRange {
    /// The field, by its path within the guardrail.
    pub field: &'static str,
    /// What it says.
    pub value: f64,
    /// What it may say.
    pub allowed: &'static str,
}

impl Default for Guardrail {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            alpha: 0.001,
            promote_alpha: 0.05,
            limit: 0.01,
            tolerate_ratio: 2.0,
            planned_requests: 1_000_000,
            planned_events: 100_000,
            weights: RuleWeights::default(),
            on_shared_incident: OnSharedIncident::Hold,
            window: None,
        }
    }
}

impl Default for RuleWeights {
    fn default() -> Self {
        Self { limit: 0.5, relative: 0.5 }
    }
}

impl Guardrail {
    /// Every value that is not allowed; none when the guardrail can judge.
    pub fn problems(&self) -> Vec<OutOfRange> {
        const PROBABILITY: &str = "above 0, at most 0.5";
        let weight_sum = self.weights.limit + self.weights.relative;
        let mut problems = vec![
            check("alpha", self.alpha, self.alpha > 0.0 && self.alpha <= 0.5, PROBABILITY),
            check(
                "promote_alpha",
                self.promote_alpha,
                self.promote_alpha > 0.0 && self.promote_alpha <= 0.5,
                PROBABILITY,
            ),
            check("limit", self.limit, (LIMIT_MIN..=LIMIT_MAX).contains(&self.limit), "from 0.000001 to 0.5"),
            check("tolerate_ratio", self.tolerate_ratio, (1.0..=1e3).contains(&self.tolerate_ratio), "from 1 to 1000"),
            check_count("planned_requests", self.planned_requests, u64::MAX, "at least 1"),
            check_count("planned_events", self.planned_events, u64::MAX, "at least 1"),
            check("weights.limit", self.weights.limit, self.weights.limit > 0.0, "above 0"),
            check("weights.relative", self.weights.relative, self.weights.relative > 0.0, "above 0"),
            // Three tenths and seven tenths must pass whatever rounding makes of their sum.
            check("weights", weight_sum, weight_sum <= 1.0 + 1e-9, "a sum of at most 1"),
        ];
        problems.extend(self.window.iter().flat_map(ClassicWindow::checks));
        problems.into_iter().flatten().collect()
    }
}

impl ClassicWindow {
    fn checks(&self) -> Vec<Option<OutOfRange>> {
        let n_bounds = u8::from(self.max_error_rate.is_some()) + u8::from(self.latency.is_some());
        let mut checks = vec![
            check_count("window.seconds", self.seconds, 86_400, "from 1 to 86400"),
            check_count("window.min_requests", self.min_requests, u64::MAX, "at least 1"),
            check("window", f64::from(n_bounds), n_bounds > 0, "max_error_rate, latency or both"),
        ];
        if let Some(rate) = self.max_error_rate {
            checks.push(check("window.max_error_rate", rate, (0.0..1.0).contains(&rate), "at least 0, below 1"));
        }
        if let Some(LatencyBound { quantile, max_seconds }) = self.latency {
            let is_quantile = quantile > 0.0 && quantile < 1.0;
            checks.push(check("window.latency.quantile", quantile, is_quantile, "between 0 and 1"));
            let is_time = max_seconds > 0.0 && max_seconds.is_finite();
            checks.push(check("window.latency.max_seconds", max_seconds, is_time, "above 0"));
        }
        checks
    }
}

impl Mode {
    /// The word used in configuration, API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, allowed is {}", self.field, self.value, self.allowed)
    }
}

impl std::error::Error for OutOfRange {}

fn check(field: &'static str, value: f64, is_allowed: bool, allowed: &'static str) -> Option<OutOfRange> {
    (!is_allowed).then_some(OutOfRange { field, value, allowed })
}

fn check_count(field: &'static str, value: u64, max: u64, allowed: &'static str) -> Option<OutOfRange> {
    check(field, value as f64, (1..=max).contains(&value), allowed)
}

#[cfg(test)]
mod tests;
