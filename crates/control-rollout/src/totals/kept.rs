//! What of the rules judged from totals survives a restart.
//!
//! A rule goes on with its evidence only under the bounds it was weighed against; otherwise it starts anew, alone.

use base_types::Comparison;

use super::{Compared, Counted, Stretches, Totals};
use crate::checkpoint::{Checkpoint, RuleCheckpoint};
use crate::error::RolloutError;
use crate::limit::limit_alternatives;
use crate::loss::loss_stakes;
use crate::policy::{Guardrail, LatencyComparison, LatencyLimit};
use crate::relative::{LATENCY_ALTERNATIVES, MISTAKE_ALTERNATIVES};
use crate::rule::Rule;

impl Totals {
    /// The state of each rule, to be stored.
    pub(crate) fn rules(&self, guardrail: &Guardrail) -> Vec<RuleCheckpoint> {
        let mut rules = Vec::new();
        if let Some(rule) = guardrail.latency {
            let arms = [(Rule::Latency, &self.latency), (Rule::StableLatency, &self.stable_latency)];
            rules.extend(
                arms.into_iter().filter_map(|(name, test)| Some(test.as_ref()?.checkpoint(name, of_limit(&rule)))),
            );
        }
        if let (Some(rule), Some(test)) = (&guardrail.latency_vs_stable, &self.latency_vs_stable) {
            rules.extend(test.checkpoint(Rule::LatencyVsStable, |at| at_quantile(rule, at)));
        }
        if let (Some(rule), Some(test)) = (&guardrail.disagreement, &self.disagreement) {
            rules.push(test.checkpoint(Rule::Disagreement, vec![rule.limit, fingerprint(&rule.compare)]));
        }
        if let (Some(rule), Some(test)) = (guardrail.mistakes, &self.mistakes) {
            rules.extend(test.checkpoint(Rule::Mistakes, |_| vec![rule.tolerate_ratio]));
        }
        rules.extend(self.loss.as_ref().map(crate::loss::LossTest::checkpoint));
        rules
    }

    /// Writes the rest of the state into a checkpoint.
    pub(crate) fn store(&self, guardrail: &Guardrail, into: &mut Checkpoint) {
        into.rules = self.rules(guardrail);
        into.totals = self.stretches.shares().copied().collect();
        into.over = self.stretches.over();
        into.shadow = self.shadow;
        into.frozen = self.frozen.clone();
    }

    /// Goes on from a checkpoint; totals start again at zero.
    pub(crate) fn resume(guardrail: &Guardrail, from: &Checkpoint) -> Result<Self, RolloutError> {
        let mut totals = Self::new(guardrail);
        totals.stretches = Stretches::resumed(&from.totals, from.over);
        totals.shadow = from.shadow;
        totals.frozen = from.frozen.clone();
        totals.resume_limits(guardrail, from)?;
        totals.resume_comparisons(guardrail, from)?;
        Ok(totals)
    }

    fn resume_limits(&mut self, guardrail: &Guardrail, from: &Checkpoint) -> Result<(), RolloutError> {
        let find = |rule: Rule, bounds: &[f64], limit: f64| -> Result<Option<Counted>, RolloutError> {
            let Some(stored) = from.rule(rule, bounds) else { return Ok(None) };
            stored.check(0, limit_alternatives(limit).len())?;
            Ok(Some(Counted::resumed(limit, stored)))
        };
        if let Some(rule) = guardrail.latency {
            for (name, test) in [(Rule::Latency, &mut self.latency), (Rule::StableLatency, &mut self.stable_latency)] {
                *test = find(name, &of_limit(&rule), rule.limit)?.or(test.take());
            }
        }
        if let Some(rule) = &guardrail.disagreement {
            let bounds = [rule.limit, fingerprint(&rule.compare)];
            let test = &mut self.disagreement;
            *test = find(Rule::Disagreement, &bounds, rule.limit)?.or(test.take());
        }
        Ok(())
    }

    fn resume_comparisons(&mut self, guardrail: &Guardrail, from: &Checkpoint) -> Result<(), RolloutError> {
        let resume = |test: &mut Compared, name: Rule, at: usize, bounds: &[f64], n: usize| {
            let Some(stored) = from.rule(name, bounds) else { return Ok(()) };
            stored.check(n, n)?;
            test.resume(at, stored);
            Ok::<(), RolloutError>(())
        };
        if let (Some(rule), Some(test)) = (&guardrail.latency_vs_stable, &mut self.latency_vs_stable) {
            // Other quantiles are frozen anew, and what was counted at the old bounds is over.
            if !self.frozen.latency_quantiles.is_empty() && self.frozen.latency_quantiles != rule.quantiles {
                (self.frozen.latency_quantiles, self.frozen.latency_seconds) = (Vec::new(), Vec::new());
            }
            for at in 0..rule.quantiles.len() {
                let bounds = at_quantile(rule, at);
                resume(test, Rule::LatencyVsStable, at, &bounds, LATENCY_ALTERNATIVES.len())?;
            }
        }
        if let (Some(rule), Some(test)) = (guardrail.mistakes, &mut self.mistakes) {
            resume(test, Rule::Mistakes, 0, &[rule.tolerate_ratio], MISTAKE_ALTERNATIVES.len())?;
        }
        if let (Some(rule), Some(test)) = (guardrail.loss, self.loss.take()) {
            let n = loss_stakes(rule.tolerate_extra).len();
            self.loss = Some(match from.rule(Rule::Loss, &[rule.tolerate_extra]) {
                Some(stored) => {
                    stored.check(n, n)?;
                    test.resumed(stored)
                }
                None => test,
            });
        }
        Ok(())
    }
}

fn of_limit(rule: &LatencyLimit) -> Vec<f64> {
    vec![rule.limit, rule.slower_than_seconds]
}

fn at_quantile(rule: &LatencyComparison, at: usize) -> Vec<f64> {
    vec![rule.tolerate_ratio, rule.quantiles.get(at).copied().unwrap_or_default(), at as f64]
}

/// Tells comparisons apart: evidence of one says nothing about another. 32 bits of FNV-1a over its text.
fn fingerprint(compare: &Comparison) -> f64 {
    let hash =
        format!("{compare:?}").bytes().fold(0x811c_9dc5_u32, |h, byte| (h ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    f64::from(hash)
}
