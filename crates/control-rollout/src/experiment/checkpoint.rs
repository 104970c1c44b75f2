//! What an experiment has learned, as plain numbers for someone else to store. Every number is finite.

use crate::experiment::events::{EventTest, RATIOS};
use crate::experiment::sample_ratio::SampleRatioTest;
use crate::experiment::totals::{
    ArmRole, ArmTests, ArmTotals, Counted, ExperimentProblem, ExperimentTotals, Primary, Tally,
};

/// How many log products an arm has: for three measures, two directions, and each ratio.
const LOG_PRODUCTS: usize = 3 * 2 * RATIOS.len();

/// The state of an experiment's totals.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentCheckpoint {
    /// What it is decided by.
    pub primary: Primary,
    /// By what `assigned` counts.
    pub counted: Counted,
    /// The arms.
    pub arms: Vec<ArmCheckpoint>,
    /// `ln E` of the sample ratio under earlier shares.
    pub ratio_closed: f64,
    /// The shares in force.
    pub ratio_shares: Vec<f64>,
    /// What was assigned under them.
    pub ratio_counts: Vec<u64>,
}

/// The state of one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmCheckpoint {
    /// What it is called.
    pub name: Box<str>,
    /// What it is for.
    pub role: ArmRole,
    /// Its counts.
    pub tally: Tally,
    /// Its tests against stable.
    pub log_products: Vec<f64>,
}

impl ExperimentTotals {
    /// The state to store.
    pub fn checkpoint(&self) -> ExperimentCheckpoint {
        let arm = |arm: &ArmTotals| ArmCheckpoint {
            name: arm.name.clone(),
            role: arm.role,
            tally: arm.tally,
            log_products: arm.tests.each().into_iter().flat_map(EventTest::log_products).collect(),
        };
        ExperimentCheckpoint {
            primary: self.primary,
            counted: self.counted,
            arms: self.arms().iter().map(arm).collect(),
            ratio_closed: self.sample_ratio.closed,
            ratio_shares: self.sample_ratio.shares.clone(),
            ratio_counts: self.sample_ratio.counts.clone(),
        }
    }

    /// Goes on from a checkpoint; latencies are not part of it.
    pub fn restore(from: &ExperimentCheckpoint) -> Result<Self, ExperimentProblem> {
        let names = from.arms.iter().map(|arm| (arm.name.clone(), arm.role));
        let mut totals = Self::new(from.primary, from.counted, names)?;
        for (at, (arm, stored)) in totals.arms_mut().iter_mut().zip(&from.arms).enumerate() {
            let is_possible = stored.tally.losses.is_possible() && stored.log_products.iter().all(|x| x.is_finite());
            if stored.log_products.len() != LOG_PRODUCTS || !is_possible {
                return Err(ExperimentProblem::Checkpoint(at));
            }
            arm.tally = stored.tally;
            arm.tests = ArmTests::from_log_products(&stored.log_products);
        }
        let (n_shares, n_counts) = (from.ratio_shares.len(), from.ratio_counts.len());
        let is_ratio = n_shares == n_counts && (n_shares == 0 || n_shares == from.arms.len());
        if !is_ratio || !from.ratio_closed.is_finite() || from.ratio_shares.iter().any(|x| !(0.0..=1.0).contains(x)) {
            return Err(ExperimentProblem::Shares);
        }
        totals.sample_ratio = SampleRatioTest {
            closed: from.ratio_closed,
            shares: from.ratio_shares.clone(),
            counts: from.ratio_counts.clone(),
        };
        Ok(totals)
    }
}

impl ArmTests {
    fn each(&self) -> [&EventTest; 3] {
        [&self.errors, &self.slow, &self.mistakes]
    }

    fn from_log_products(log_products: &[f64]) -> Self {
        let mut tests = log_products.chunks(2 * RATIOS.len()).map(EventTest::from_log_products);
        let mut next = || tests.next().unwrap_or_default();
        Self { errors: next(), slow: next(), mistakes: next() }
    }
}
