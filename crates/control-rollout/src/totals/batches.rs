//! Tests that are fed batches: the limit test, and comparisons with stable at one bound or several.

use crate::checkpoint::{RelativeCheckpoint, RuleCheckpoint};
use crate::evidence::Reading;
use crate::limit::LimitTest;
use crate::logs::log_mean_exp;
use crate::relative::RelativeTest;
use crate::restart::Restart;
use crate::rule::Rule;

/// A limit on a share of bad events.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted {
    test: LimitTest,
    n_batches: u64,
}

/// A comparison with stable: the mean of the evidence at each bound.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compared {
    tests: Vec<RelativeTest>,
    n_batches: u64,
}

impl Counted {
    /// Starts with nothing seen.
    pub(crate) fn new(limit: f64) -> Self {
        Self { test: LimitTest::new(limit), n_batches: 0 }
    }

    /// Takes what came since the last look.
    pub(crate) fn on_batch(&mut self, n_bad: u64, n_good: u64) {
        if (n_bad, n_good) != (0, 0) {
            self.test.on_batch(n_bad, n_good);
            self.n_batches = self.n_batches.saturating_add(1);
        }
    }

    /// Bad events, and the others.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.test.n_faults(), self.test.n_successes())
    }

    /// What it says.
    pub(crate) fn reading(&self) -> Reading {
        let (faults, others) = self.counts();
        let (log_plain, log_restart) = (self.test.log_e(), self.test.restart().log_mean());
        Reading { faults, others, n_steps: self.n_batches, log_plain, log_restart }
    }

    /// Its state, to be stored with the bounds it was weighed against.
    pub(crate) fn checkpoint(&self, rule: Rule, bounds: Vec<f64>) -> RuleCheckpoint {
        let (hits, others) = self.counts();
        RuleCheckpoint {
            rule,
            bounds,
            hits,
            others,
            n_steps: self.n_batches,
            sum: 0.0,
            log_products: Vec::new(),
            log1p_restart: self.test.restart().log1p().to_vec(),
            shares: Vec::new(),
        }
    }

    /// Continues from a checkpoint that was checked.
    pub(crate) fn resumed(limit: f64, from: &RuleCheckpoint) -> Self {
        let restart = Restart::from_log1p(from.log1p_restart.clone());
        Self { test: LimitTest::resumed(limit, from.hits, from.others, restart), n_batches: from.n_steps }
    }
}

impl Compared {
    /// Starts with nothing seen, at so many bounds.
    pub(crate) fn new(ratio: f64, alternatives: &'static [f64], n_bounds: usize) -> Self {
        Self { tests: vec![RelativeTest::new(ratio, alternatives); n_bounds], n_batches: 0 }
    }

    /// Takes what came since the last look: for each bound the candidate's bad events and stable's.
    pub(crate) fn on_batch(&mut self, share: f64, n_bad: impl Iterator<Item = (u64, u64)>) {
        let mut is_news = false;
        for (test, (n_candidate, n_stable)) in self.tests.iter_mut().zip(n_bad) {
            test.on_batch(share, n_candidate, n_stable);
            is_news |= (n_candidate, n_stable) != (0, 0);
        }
        self.n_batches = self.n_batches.saturating_add(u64::from(is_news));
    }

    /// What it says: the evidence and the restart value are each the mean over the bounds.
    pub(crate) fn reading(&self) -> Reading {
        let sum = |count: fn(&RelativeTest) -> u64| self.tests.iter().map(count).fold(0, u64::saturating_add);
        // A value nothing was seen of is 0, and stays in the mean.
        let restart = |test: &RelativeTest| test.restart().log_mean().unwrap_or(f64::NEG_INFINITY);
        let log_restart = log_mean_exp(self.tests.iter().map(restart));
        Reading {
            faults: sum(RelativeTest::candidate_faults),
            others: sum(RelativeTest::stable_faults),
            n_steps: self.n_batches,
            log_plain: log_mean_exp(self.tests.iter().map(RelativeTest::log_e)),
            log_restart: log_restart.is_finite().then_some(log_restart),
        }
    }

    /// Its state, to be stored: one entry for each bound.
    pub(crate) fn checkpoint(&self, rule: Rule, bounds: impl Fn(usize) -> Vec<f64>) -> Vec<RuleCheckpoint> {
        let entry = |(at, test): (usize, &RelativeTest)| {
            let RelativeCheckpoint { candidate_faults, stable_faults, log_products, log1p_restart, shares } =
                test.checkpoint();
            let (hits, others, n_steps) = (candidate_faults, stable_faults, self.n_batches);
            let bounds = bounds(at);
            RuleCheckpoint { rule, bounds, hits, others, n_steps, sum: 0.0, log_products, log1p_restart, shares }
        };
        self.tests.iter().enumerate().map(entry).collect()
    }

    /// Continues at one bound from a checkpoint that was checked.
    pub(crate) fn resume(&mut self, at: usize, from: &RuleCheckpoint) {
        let relative = RelativeCheckpoint {
            candidate_faults: from.hits,
            stable_faults: from.others,
            log_products: from.log_products.clone(),
            log1p_restart: from.log1p_restart.clone(),
            shares: from.shares.clone(),
        };
        if let Some(test) = self.tests.get_mut(at) {
            *test = test.clone().resumed(&relative);
        }
        self.n_batches = self.n_batches.max(from.n_steps);
    }
}
