//! How the budget `alpha` is divided, and what follows for each rule.

use crate::policy::{Guardrail, OnFailure};
use crate::rule::Rule;

impl Guardrail {
    /// The rules that share `alpha`, each with its part: its weight over the sum of all weights. The parts sum to 1.
    pub fn parts(&self) -> Vec<(Rule, f64)> {
        let sum = self.weight_sum();
        Rule::ALL.into_iter().filter_map(|rule| Some((rule, self.weight(rule)? / sum))).collect()
    }

    /// A rule's part of its alpha: all of it for the rules that have one of their own.
    pub fn part(&self, rule: Rule) -> f64 {
        self.weight(rule).map_or(1.0, |weight| weight / self.weight_sum())
    }

    /// The probability of a false alarm that a rule has its part of.
    pub fn alpha_of(&self, rule: Rule) -> f64 {
        match rule {
            Rule::Drift => self.drift.as_ref().map_or(self.alpha, |drift| drift.alpha),
            Rule::SampleRatio => self.sample_ratio.map_or(self.alpha, |ratio| ratio.alpha),
            _ => self.alpha,
        }
    }

    /// What follows when a rule convicts. For a rule on stable: what that of the candidate asks for.
    pub fn on_failure_of(&self, rule: Rule) -> OnFailure {
        let asked = match rule {
            Rule::Limit | Rule::Relative | Rule::StableLimit => Some(self.on_failure),
            Rule::Latency | Rule::StableLatency => self.latency.map(|rule| rule.on_failure),
            Rule::LatencyVsStable => self.latency_vs_stable.as_ref().map(|rule| rule.on_failure),
            Rule::Disagreement => self.disagreement.as_ref().map(|rule| rule.on_failure),
            Rule::Drift => self.drift.as_ref().map(|rule| rule.on_failure),
            Rule::SampleRatio => self.sample_ratio.map(|rule| rule.on_failure),
            Rule::Mistakes => self.mistakes.map(|rule| rule.on_failure),
            Rule::Loss => self.loss.map(|rule| rule.on_failure),
            Rule::WindowErrorRate | Rule::WindowLatency => None,
        };
        asked.unwrap_or(OnFailure::RollBack)
    }

    /// Whether a rule's evidence is added to that of others: those that share `alpha` and would roll back.
    pub(crate) fn is_summed(&self, rule: Rule) -> bool {
        self.weight(rule).is_some() && self.on_failure_of(rule) == OnFailure::RollBack
    }

    /// A rule's weight, if it is there and shares `alpha`.
    fn weight(&self, rule: Rule) -> Option<f64> {
        match rule {
            Rule::Limit => Some(self.weights.limit),
            Rule::Relative => Some(self.weights.relative),
            Rule::Latency => self.latency.map(|rule| rule.weight),
            Rule::LatencyVsStable => self.latency_vs_stable.as_ref().map(|rule| rule.weight),
            Rule::Disagreement => self.disagreement.as_ref().map(|rule| rule.weight),
            Rule::Mistakes => self.mistakes.map(|rule| rule.weight),
            Rule::Loss => self.loss.map(|rule| rule.weight),
            Rule::StableLimit
            | Rule::StableLatency
            | Rule::Drift
            | Rule::SampleRatio
            | Rule::WindowErrorRate
            | Rule::WindowLatency => None,
        }
    }

    fn weight_sum(&self) -> f64 {
        Rule::ALL.into_iter().filter_map(|rule| self.weight(rule)).sum()
    }
}

#[cfg(test)]
mod tests;
