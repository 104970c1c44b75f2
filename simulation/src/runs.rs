//! Many runs of one cell, on all processors, and what they come to.

use std::num::NonZeroUsize;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::chance::Chance;

/// How a whole simulation is made.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Where chance begins.
    pub seed: u64,
    /// Every number of runs is divided by it.
    pub divisor: u64,
}

impl Plan {
    /// Makes `n` runs of a cell, fewer in a quick simulation but a hundred at least; results in the order of runs,
    /// whatever the threads did.
    pub fn runs<T: Send>(&self, cell: &str, n: u64, run: impl Fn(&mut Chance) -> T + Sync) -> Vec<T> {
        let n = (n / self.divisor).max(100).min(n);
        let n_threads = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
        let part = |thread: u64| {
            let mine = (thread..n).step_by(n_threads as usize);
            mine.map(|i| (i, run(&mut Chance::of_run(self.seed, cell, i)))).collect::<Vec<_>>()
        };
        let part = &part;
        let mut results: Vec<(u64, T)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads).map(|i| scope.spawn(move || part(i))).collect();
            // A thread that panicked has said why; without its runs the figures would be wrong.
            threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
        });
        results.sort_by_key(|(i, _)| *i);
        results.into_iter().map(|(_, result)| result).collect()
    }
}

/// Fewer runs of a cell say little about a rate of one in a thousand.
pub const FEW_RUNS: u64 = 2_000;

/// How often something happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// In so many runs.
    pub hits: u64,
    /// Of so many.
    pub runs: u64,
}

impl Rate {
    /// Counts what is true.
    pub fn of(results: impl Iterator<Item = bool>) -> Self {
        results.fold(Self { hits: 0, runs: 0 }, |rate, is_hit| Self {
            hits: rate.hits + u64::from(is_hit),
            runs: rate.runs + 1,
        })
    }

    /// As a part of 1.
    pub fn value(&self) -> f64 {
        self.hits as f64 / self.runs.max(1) as f64
    }

    /// The most hits' part that a true probability of `alpha` allows: three standard errors above it. With few runs it
    /// is five: so few hits are far from normal, and a hundred promises are looked at together.
    pub fn allowed(&self, alpha: f64) -> f64 {
        let n_errors = if self.runs < FEW_RUNS { 5.0 } else { 3.0 };
        alpha + n_errors * (alpha * (1.0 - alpha) / self.runs.max(1) as f64).sqrt()
    }
}

/// What a quantity came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
    /// The value that 95 % of the runs do not pass.
    pub p95: f64,
    /// Of so many runs.
    pub runs: u64,
}

impl Mean {
    /// Of the values; `None` when there are none.
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let n = values.len() as f64;
        let p95 = *values.get(((0.95 * n).ceil() as usize).saturating_sub(1))?;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        Some(Self { mean, error: (variance / n).sqrt(), p95, runs: values.len() as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::{Mean, Plan, Rate};

    #[test]
    fn runs_come_in_order_and_do_not_depend_on_threads() {
        let plan = Plan { seed: 3, divisor: 1 };
        let values = plan.runs("cell", 500, |chance| chance.unit());
        assert_eq!(values.len(), 500);
        assert_eq!(values, plan.runs("cell", 500, |chance| chance.unit()));
        assert_eq!(values[..100], plan.runs("cell", 100, |chance| chance.unit())[..]);
    }

    #[test]
    fn a_quick_plan_makes_fewer_runs_but_not_too_few() {
        let n = |n| Plan { seed: 3, divisor: 50 }.runs("cell", n, |_| ()).len();
        assert_eq!([n(20_000), n(1_000), n(40)], [400, 100, 40]);
    }

    #[test]
    fn means_rates_and_what_is_allowed() {
        let mean = Mean::of((1..=100).map(f64::from)).unwrap_or(Mean { mean: 0.0, error: 0.0, p95: 0.0, runs: 0 });
        assert_eq!((mean.mean, mean.p95, mean.runs), (50.5, 95.0, 100));
        assert!((mean.error - 2.901).abs() < 0.001);
        assert_eq!(Mean::of(std::iter::empty()), None);
        let rate = Rate::of([true, false, false, false].into_iter());
        assert_eq!((rate.value(), rate.hits), (0.25, 1));
        assert!((Rate { hits: 0, runs: 20_000 }.allowed(0.001) - 0.001_670).abs() < 1e-6);
    }
}
