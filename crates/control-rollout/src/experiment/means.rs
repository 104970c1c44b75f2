//! Means of what lies in [0, 1], without a distribution: anytime-valid intervals for one arm's mean and for the
//! difference of two, by betting.
//!
//! Against "the mean is m" two bets are made and averaged. The first is T12's: `(q/m)^x * ((1-q)/(1-m))^(1-x)`, mixed
//! over q; since that is at most linear in x where x is between 0 and 1, it is fair for scores as for 0 and 1. The
//! second uses that scores often vary less than 0 and 1 do: `exp(l*(x-m) - psi(l)*(x-c)^2)` with
//! `psi(l) = -ln(1-l) - l` has a mean of at most 1 whatever the centre c (Fan's inequality), and is mixed over bets l
//! in both directions and over centres. Both follow from count, sum and sum of squares.
//!
//! For two arms the product of their e-values at (m + d, m) is an e-value against that pair; the interval for the
//! difference d is every d for which some m is left. No budget is divided for it.

use crate::interval::Interval;
use crate::logs::{log_add, log_beta, log_mean_exp};

/// Bets of the second kind.
const BETS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8];
/// Centres are 0, 1/20, ... 1.
const CENTRE_STEPS: u32 = 20;
/// Steps of a search: each halves a bracket, or cuts it by 0.618.
const SEARCH_STEPS: u32 = 36;
/// Means are kept off 0 and 1, where logarithms end.
const EDGE: f64 = 1e-12;

/// Count, sum and sum of squares of values in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ScoreSums {
    /// How many.
    pub n: u64,
    /// Their sum, from 0 to `n`.
    pub sum: f64,
    /// The sum of their squares, from 0 to `sum`.
    pub sum_squares: f64,
}

impl ScoreSums {
    /// The mean; `None` without values.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| (self.sum / self.n as f64).clamp(0.0, 1.0))
    }

    /// The variance of the values; 0 without any.
    pub(crate) fn variance(&self) -> f64 {
        let n = (self.n as f64).max(1.0);
        (self.sum_squares / n - (self.sum / n).powi(2)).max(0.0)
    }

    /// Events among trials: values that are 0 or 1.
    pub(crate) fn of_events(n_events: u64, n_others: u64) -> Self {
        let (events, n) = (n_events as f64, n_events.saturating_add(n_others));
        Self { n, sum: events, sum_squares: events }
    }

    /// With what others add.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            n: self.n.saturating_add(other.n),
            sum: self.sum + other.sum,
            sum_squares: self.sum_squares + other.sum_squares,
        }
    }

    /// Whether values in [0, 1] can have these sums, but for rounding.
    pub(crate) fn is_possible(&self) -> bool {
        let slack = 1e-9 * (self.n as f64 + 1.0);
        let is_between = |x: f64, high: f64| x >= -slack && x <= high + slack;
        is_between(self.sum, self.n as f64) && is_between(self.sum_squares, self.sum)
    }
}

/// One arm's sums, prepared to be asked about many means.
#[derive(Debug, Clone)]
pub(crate) struct MeanTest {
    n: f64,
    sum: f64,
    /// `ln` of the mixture over q.
    log_mixture: f64,
    /// For each bet, `ln` of the mean of `exp(-psi * sum (x-c)^2)` over the centres; `None` for values that are
    /// 0 or 1, which the first bet alone describes.
    log_spread: Option<[f64; BETS.len()]>,
}

impl MeanTest {
    /// For events among trials.
    pub(crate) fn of_events(n_events: u64, n_others: u64) -> Self {
        Self::bernoulli(ScoreSums::of_events(n_events, n_others))
    }

    /// For scores in [0, 1]; sums no scores can have are brought back to what they can.
    pub(crate) fn of_scores(sums: ScoreSums) -> Self {
        let n = sums.n as f64;
        // Not `clamp`: it must do for sums that are not numbers too.
        let sum = sums.sum.max(0.0).min(n);
        let sums = ScoreSums { sum, sum_squares: sums.sum_squares.max(0.0).min(sum), ..sums };
        let log_spread = BETS.map(|bet| {
            let psi = -(-bet).ln_1p() - bet;
            log_mean_exp((0..=CENTRE_STEPS).map(|step| {
                let centre = f64::from(step) / f64::from(CENTRE_STEPS);
                let squares = sums.sum_squares - 2.0 * centre * sum + n * centre * centre;
                -psi * squares.max(0.0)
            }))
        });
        Self { log_spread: Some(log_spread), ..Self::bernoulli(sums) }
    }

    fn bernoulli(sums: ScoreSums) -> Self {
        let (n, sum) = (sums.n as f64, sums.sum);
        let log_mixture = log_beta(0.5 + sum, 0.5 + n - sum) - log_beta(0.5, 0.5);
        Self { n, sum, log_mixture, log_spread: None }
    }

    /// The observed mean, or one half without values.
    fn centre(&self) -> f64 {
        if self.n > 0.0 { self.sum / self.n } else { 0.5 }
    }

    /// `ln E` against "the mean is m"; convex in m, and at most 0 at the observed mean.
    pub(crate) fn log_e(&self, mean: f64) -> f64 {
        let mean = mean.clamp(EDGE, 1.0 - EDGE);
        let first = self.log_mixture - self.sum * mean.ln() - (self.n - self.sum) * (-mean).ln_1p();
        let Some(log_spread) = &self.log_spread else { return first };
        let excess = self.sum - self.n * mean;
        let bets = BETS.iter().zip(log_spread);
        let second = log_mean_exp(bets.flat_map(|(bet, spread)| [bet * excess + spread, spread - bet * excess]));
        log_add(first, second) - std::f64::consts::LN_2
    }

    /// Every mean that is left.
    pub(crate) fn interval(&self, alpha: f64) -> Interval {
        let is_left = |mean: f64| self.log_e(mean) < -alpha.ln();
        let (low, high) = ends(self.centre(), (0.0, 1.0), is_left);
        Interval { low, high, alpha }
    }
}

/// `ln E` against "the first mean is above the second by `difference`": the least over what the second may be. Both
/// terms are convex and least at the observed means, so their sum is least between those.
pub(crate) fn difference_log_e(first: &MeanTest, second: &MeanTest, difference: f64) -> f64 {
    let log_e = |mean: f64| first.log_e(mean + difference) + second.log_e(mean);
    let (lowest, highest) = ((-difference).max(0.0), (1.0 - difference).min(1.0));
    let [one, other] = [first.centre() - difference, second.centre()].map(|mean| mean.clamp(lowest, highest));
    least(log_e, (one.min(other), one.max(other)))
}

/// Every difference (first less second) that is left.
pub(crate) fn interval_between(first: &MeanTest, second: &MeanTest, alpha: f64) -> Interval {
    let is_left = |difference: f64| difference_log_e(first, second, difference) < -alpha.ln();
    let (low, high) = ends(first.centre() - second.centre(), (-1.0, 1.0), is_left);
    Interval { low, high, alpha }
}

/// The anytime-valid interval for the mean of scores in [0, 1].
pub fn score_interval(sums: ScoreSums, alpha: f64) -> Interval {
    MeanTest::of_scores(sums).interval(alpha)
}

/// The anytime-valid interval for the difference of two means of scores in [0, 1], the first less the second.
pub fn difference_interval(first: ScoreSums, second: ScoreSums, alpha: f64) -> Interval {
    interval_between(&MeanTest::of_scores(first), &MeanTest::of_scores(second), alpha)
}

/// The ends of a convex set around a point inside, within bounds.
fn ends(inside: f64, bounds: (f64, f64), is_inside: impl Fn(f64) -> bool) -> (f64, f64) {
    let edge = |bound: f64| {
        if is_inside(bound) {
            return bound;
        }
        let (mut outside, mut inside) = (bound, inside);
        for _ in 0..SEARCH_STEPS {
            let middle = f64::midpoint(outside, inside);
            if is_inside(middle) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        // The outer side: an interval may be too wide by a rounding, not too narrow.
        outside
    };
    (edge(bounds.0), edge(bounds.1))
}

/// The least value of a convex function between two points, by the golden section.
fn least(f: impl Fn(f64) -> f64, bounds: (f64, f64)) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let (mut low, mut high) = bounds;
    let (mut left, mut right) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_left, mut at_right) = (f(left), f(right));
    for _ in 0..SEARCH_STEPS {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - GOLDEN * (high - low);
            at_left = f(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + GOLDEN * (high - low);
            at_right = f(right);
        }
    }
    at_left.min(at_right)
}

#[cfg(test)]
mod tests;
