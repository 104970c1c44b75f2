//! The rules judged from totals: everything but errors.
//!
//! The data plane counts, and somebody looks from time to time. What came since the last look enters each test as one
//! step, by the likelihood ratio of all of it. A judgement from such sums is valid whenever one looks.

mod batches;
mod kept;
mod stretches;

use batches::{Compared, Counted};
use stretches::Stretches;

use crate::drift::{DriftEffect, drift_effect};
use crate::evidence::{Basis, LossBasis, Reading, RuleEvidence};
use crate::frozen::Frozen;
use crate::interval::anytime_interval;
use crate::loss::{LossTest, loss_stakes};
use crate::observed::{LossSample, Observed, ShadowTotals, ShareTotals};
use crate::policy::Guardrail;
use crate::relative::{LATENCY_ALTERNATIVES, MISTAKE_ALTERNATIVES};
use crate::rule::Rule;

/// The state of all rules judged from totals; those the guardrail has not are absent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Totals {
    stretches: Stretches,
    shadow: ShadowTotals,
    shadow_seen: ShadowTotals,
    frozen: Frozen,
    latency: Option<Counted>,
    stable_latency: Option<Counted>,
    latency_vs_stable: Option<Compared>,
    disagreement: Option<Counted>,
    mistakes: Option<Compared>,
    loss: Option<LossTest>,
}

impl Totals {
    /// Starts with nothing seen.
    pub(crate) fn new(guardrail: &Guardrail) -> Self {
        let of_latency = || guardrail.latency.map(|rule| Counted::new(rule.limit));
        let vs_stable = guardrail.latency_vs_stable.as_ref();
        Self {
            stretches: Stretches::default(),
            shadow: ShadowTotals::default(),
            shadow_seen: ShadowTotals::default(),
            frozen: Frozen::default(),
            latency: of_latency(),
            stable_latency: of_latency(),
            latency_vs_stable: vs_stable
                .map(|rule| Compared::new(rule.tolerate_ratio, &LATENCY_ALTERNATIVES, rule.quantiles.len())),
            disagreement: guardrail.disagreement.as_ref().map(|rule| Counted::new(rule.limit)),
            mistakes: guardrail.mistakes.map(|rule| Compared::new(rule.tolerate_ratio, &MISTAKE_ALTERNATIVES, 1)),
            loss: guardrail.loss.map(|rule| LossTest::new(rule.tolerate_extra)),
        }
    }

    /// Takes what is new in the totals.
    pub(crate) fn take(&mut self, observed: &Observed) {
        let Self { stretches, latency, stable_latency, latency_vs_stable, mistakes, .. } = self;
        stretches.take(&observed.shares, |news| {
            let ShareTotals { share, candidate, stable } = news;
            for (rule, arm) in [(latency.as_mut(), candidate), (stable_latency.as_mut(), stable)] {
                rule.into_iter().for_each(|rule| rule.on_batch(arm.slow, arm.timed.saturating_sub(arm.slow)));
            }
            if let Some(rule) = latency_vs_stable {
                rule.on_batch(*share, candidate.slow_at.into_iter().zip(stable.slow_at));
            }
            if let Some(rule) = mistakes {
                rule.on_batch(*share, std::iter::once((candidate.mistakes, stable.mistakes)));
            }
        });
        let news = observed.shadow.since(&self.shadow_seen);
        self.shadow_seen = observed.shadow.max(&self.shadow_seen);
        self.shadow = self.shadow.plus(&news);
        if let Some(rule) = &mut self.disagreement {
            rule.on_batch(news.unlike(), news.alike());
        }
    }

    /// Holds totals for taken without taking them.
    pub(crate) fn skip(&mut self, observed: &Observed) {
        self.stretches.skip(&observed.shares);
        self.shadow_seen = observed.shadow;
    }

    /// Takes one loss.
    pub(crate) fn on_loss(&mut self, sample: &LossSample) -> bool {
        self.loss.as_mut().is_some_and(|rule| rule.on_loss(sample))
    }

    /// Keeps bounds that were taken from stable; those that were kept before stay.
    pub(crate) fn freeze(&mut self, bounds: Frozen) {
        if self.frozen.latency_seconds.is_empty() {
            self.frozen.latency_quantiles = bounds.latency_quantiles;
            self.frozen.latency_seconds = bounds.latency_seconds;
        }
        if self.frozen.decile_edges.is_empty() {
            self.frozen.decile_edges = bounds.decile_edges;
        }
    }

    /// The bounds kept so far.
    pub(crate) fn frozen(&self) -> &Frozen {
        &self.frozen
    }

    /// What every rule says now.
    pub(crate) fn weigh(&self, guardrail: &Guardrail) -> Vec<RuleEvidence> {
        let mut said = Vec::with_capacity(8);
        let mut read = |rule, reading: Option<Reading>| {
            said.extend(reading.map(|reading| RuleEvidence::read(guardrail, rule, &reading)));
        };
        read(Rule::Latency, self.latency.as_ref().map(Counted::reading));
        read(Rule::StableLatency, self.stable_latency.as_ref().map(Counted::reading));
        read(Rule::LatencyVsStable, self.latency_vs_stable.as_ref().map(Compared::reading));
        read(Rule::Disagreement, self.disagreement.as_ref().map(Counted::reading));
        read(Rule::Mistakes, self.mistakes.as_ref().map(Compared::reading));
        read(Rule::Loss, self.loss.as_ref().map(of_loss));
        self.weigh_two_sided(guardrail, &mut said);
        said
    }

    fn weigh_two_sided(&self, guardrail: &Guardrail, said: &mut Vec<RuleEvidence>) {
        let ShareTotals { candidate, stable, .. } = self.stretches.compared();
        let mut read = |rule, (faults, others): (u64, u64), log_plain| {
            let reading = Reading { faults, others, n_steps: 0, log_plain, log_restart: None };
            said.push(RuleEvidence::two_sided(guardrail, rule, &reading));
        };
        if guardrail.drift.is_some() {
            let counts = (candidate.bins.iter().sum(), stable.bins.iter().sum());
            read(Rule::Drift, counts, self.stretches.drift_log_e());
        }
        if guardrail.sample_ratio.is_some() {
            let counts = (candidate.assigned, stable.assigned);
            read(Rule::SampleRatio, counts, self.stretches.sample_ratio_log_e());
        }
    }

    /// Adds to what the rules on one arm say the shares of bad events that the counts do not rule out.
    pub(crate) fn add_intervals(&self, guardrail: &Guardrail, said: &mut [RuleEvidence]) {
        let candidate = self.stretches.compared().candidate;
        for evidence in said {
            let counts = match evidence.rule {
                Rule::Latency | Rule::StableLatency | Rule::Disagreement => Some((evidence.faults, evidence.others)),
                Rule::Mistakes => Some((candidate.mistakes, candidate.labels.saturating_sub(candidate.mistakes))),
                _ => None,
            };
            evidence.interval = counts.map(|(bad, good)| anytime_interval(bad, good, guardrail.promote_alpha));
        }
    }

    /// The counts behind all of it.
    pub(crate) fn basis(&self) -> Basis {
        Basis {
            shares: self.stretches.shares().copied().collect(),
            over: self.stretches.over(),
            shadow: self.shadow,
            frozen: self.frozen.clone(),
            loss: self.loss.as_ref().map(|test| LossBasis {
                mean_difference: test.mean_difference(),
                stakes: loss_stakes(test.tolerate_extra()),
                log_capital: test.log_products().to_vec(),
            }),
        }
    }

    /// How large the drift is.
    pub(crate) fn drift(&self, guardrail: &Guardrail) -> Option<DriftEffect> {
        guardrail.drift.as_ref()?;
        let ShareTotals { candidate, stable, .. } = self.stretches.compared();
        drift_effect(&candidate.bins, &stable.bins)
    }

    /// What copies of stable's requests showed.
    pub(crate) fn shadow(&self) -> &ShadowTotals {
        &self.shadow
    }

    /// Slow answers of the candidate to callers, and the others; `None` without such a rule.
    pub(crate) fn slow(&self) -> Option<(u64, u64)> {
        self.latency.as_ref().map(Counted::counts)
    }

    /// Copies answered otherwise, and alike, as far as they were judged; `None` without such a rule.
    pub(crate) fn unlike(&self) -> Option<(u64, u64)> {
        self.disagreement.as_ref().map(Counted::counts)
    }
}

fn of_loss(test: &LossTest) -> Reading {
    Reading {
        faults: test.n_blocks(),
        others: test.n_stable(),
        n_steps: test.n_blocks(),
        log_plain: test.log_e(),
        log_restart: test.restart().log_mean(),
    }
}
