//! What a guardrail may say, checked all at once.

use base_types::Match;

use crate::limit::{LIMIT_MAX, LIMIT_MIN};
use crate::policy::{
    ClassicWindow, DisagreementLimit, Guardrail, LATENCY_QUANTILES_MAX, LatencyBound, LatencyComparison, OutOfRange,
};

const PROBABILITY: &str = "above 0, at most 0.5";
const LIMIT: &str = "from 0.000001 to 0.5";
const RATIO: &str = "from 1 to 1000";
const WEIGHT: &str = "above 0, at most 1000";
/// Fewer of stable's answers than this make no quantile worth comparing with.
const FREEZE_AFTER_MIN: u64 = 100;
/// A mean time between false alarms below this is no promise.
const FALSE_ALARMS_MIN: f64 = 1000.0;
const TOLERATE_EXTRA_MAX: f64 = 0.9;

type Checks = Vec<Option<OutOfRange>>;

impl Guardrail {
    /// Every value that is not allowed; none when the guardrail can judge.
    pub fn problems(&self) -> Vec<OutOfRange> {
        let mut problems = self.on_errors();
        problems.extend(self.on_latency());
        problems.extend(self.latency_vs_stable.iter().flat_map(LatencyComparison::checks));
        problems.extend(self.disagreement.iter().flat_map(DisagreementLimit::checks));
        problems.extend(self.on_distribution());
        problems.extend(self.on_feedback());
        if let Some(steady) = self.steady_state {
            let mean = steady.mean_requests_between_false_alarms;
            let is_allowed = mean >= FALSE_ALARMS_MIN && mean.is_finite();
            problems.push(check("steady_state.mean_requests_between_false_alarms", mean, is_allowed, "at least 1000"));
        }
        problems.extend(self.window.iter().flat_map(ClassicWindow::checks));
        problems.into_iter().flatten().collect()
    }

    fn on_errors(&self) -> Checks {
        vec![
            probability("alpha", self.alpha),
            probability("promote_alpha", self.promote_alpha),
            limit("limit", self.limit),
            ratio("tolerate_ratio", self.tolerate_ratio),
            check_count("planned_requests", self.planned_requests, u64::MAX, "at least 1"),
            check_count("planned_events", self.planned_events, u64::MAX, "at least 1"),
            weight("weights.limit", self.weights.limit),
            weight("weights.relative", self.weights.relative),
        ]
    }

    fn on_latency(&self) -> Checks {
        let Some(rule) = self.latency else { return Vec::new() };
        let seconds = rule.slower_than_seconds;
        vec![
            check("latency.slower_than_seconds", seconds, seconds > 0.0 && seconds.is_finite(), "above 0"),
            limit("latency.limit", rule.limit),
            weight("latency.weight", rule.weight),
        ]
    }

    fn on_distribution(&self) -> Checks {
        let drift = self.drift.iter().map(|rule| probability("drift.alpha", rule.alpha));
        drift.chain(self.sample_ratio.iter().map(|rule| probability("sample_ratio.alpha", rule.alpha))).collect()
    }

    fn on_feedback(&self) -> Checks {
        let mut checks = Vec::new();
        if let Some(rule) = self.mistakes {
            checks.push(ratio("mistakes.tolerate_ratio", rule.tolerate_ratio));
            checks.push(weight("mistakes.weight", rule.weight));
        }
        if let Some(rule) = self.loss {
            let extra = rule.tolerate_extra;
            let is_allowed = (0.0..=TOLERATE_EXTRA_MAX).contains(&extra);
            checks.push(check("loss.tolerate_extra", extra, is_allowed, "from 0 to 0.9"));
            checks.push(weight("loss.weight", rule.weight));
        }
        checks
    }
}

impl LatencyComparison {
    fn checks(&self) -> Checks {
        let n = self.quantiles.len();
        let is_few = (1..=LATENCY_QUANTILES_MAX).contains(&n);
        let outside = self.quantiles.iter().copied().find(|q| !(*q > 0.0 && *q < 1.0));
        let is_enough = self.freeze_after >= FREEZE_AFTER_MIN;
        vec![
            check("latency_vs_stable.quantiles", n as f64, is_few, "one to three of them"),
            outside.and_then(|q| check("latency_vs_stable.quantiles", q, false, "between 0 and 1")),
            check("latency_vs_stable.freeze_after", self.freeze_after as f64, is_enough, "at least 100"),
            ratio("latency_vs_stable.tolerate_ratio", self.tolerate_ratio),
            weight("latency_vs_stable.weight", self.weight),
        ]
    }
}

impl DisagreementLimit {
    fn checks(&self) -> Checks {
        let mut checks = vec![limit("disagreement.limit", self.limit), weight("disagreement.weight", self.weight)];
        let matches = self.compare.outputs.values().chain([&self.compare.otherwise]);
        checks.extend(matches.flat_map(|way| match *way {
            Match::Tolerance { absolute, relative } => {
                let is_difference = |x: f64| x >= 0.0 && x.is_finite();
                vec![
                    check("disagreement.compare.absolute", absolute, is_difference(absolute), "at least 0"),
                    check("disagreement.compare.relative", relative, is_difference(relative), "at least 0"),
                ]
            }
            Match::TopK { k, overlap } => vec![
                check("disagreement.compare.k", k as f64, k > 0, "at least 1"),
                check("disagreement.compare.overlap", overlap, overlap > 0.0 && overlap <= 1.0, "above 0, at most 1"),
            ],
            Match::Exact | Match::Argmax | Match::Ignore => Vec::new(),
        }));
        checks
    }
}

impl ClassicWindow {
    fn checks(&self) -> Checks {
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

fn check(field: &'static str, value: f64, is_allowed: bool, allowed: &'static str) -> Option<OutOfRange> {
    (!is_allowed).then_some(OutOfRange { field, value, allowed })
}

fn check_count(field: &'static str, value: u64, max: u64, allowed: &'static str) -> Option<OutOfRange> {
    check(field, value as f64, (1..=max).contains(&value), allowed)
}

fn probability(field: &'static str, value: f64) -> Option<OutOfRange> {
    check(field, value, value > 0.0 && value <= 0.5, PROBABILITY)
}

fn limit(field: &'static str, value: f64) -> Option<OutOfRange> {
    check(field, value, (LIMIT_MIN..=LIMIT_MAX).contains(&value), LIMIT)
}

fn ratio(field: &'static str, value: f64) -> Option<OutOfRange> {
    check(field, value, (1.0..=1e3).contains(&value), RATIO)
}

fn weight(field: &'static str, value: f64) -> Option<OutOfRange> {
    check(field, value, value > 0.0 && value <= 1e3, WEIGHT)
}

#[cfg(test)]
mod tests;
