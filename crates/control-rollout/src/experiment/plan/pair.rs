//! How long two arms take to show an effect: by formula, and by made-up experiments that run the report's own tests.

use crate::chance::{Uniform, binomial, normal, quantile};
use crate::experiment::events::{EventTest, RATIOS, growth_per_event};
use crate::experiment::means::{MeanTest, ScoreSums, difference_log_e};
use crate::experiment::plan::{Measure, PlanRequest};

/// A made-up experiment is given up after so many times the estimate.
const PATIENCE: f64 = 8.0;
/// Looks at a made-up experiment of the estimated length.
const LOOKS: f64 = 40.0;

/// Outcomes of a pair of arms until an effect is shown.
pub(super) struct Length {
    /// By formula.
    pub(super) estimate: f64,
    /// On average.
    pub(super) expected: f64,
    /// With the probability wanted.
    pub(super) with_power: f64,
}

/// Stable and the arm with the least traffic: the comparison that takes longest.
pub(super) struct Pair {
    pub(super) measure: Measure,
    pub(super) stable_share: f64,
    pub(super) arm_share: f64,
    /// `ln E` that shows a difference.
    threshold: f64,
}

impl Pair {
    pub(super) fn hardest(request: &PlanRequest) -> Self {
        let arms = &request.shares[1..];
        let part = request.alpha / arms.len() as f64;
        let threshold = match request.measure {
            Measure::Rate { .. } => (4.0 / part).ln(),
            Measure::Score { .. } => -part.ln(),
        };
        let arm_share = arms.iter().copied().fold(f64::INFINITY, f64::min);
        Self { measure: request.measure, stable_share: request.shares[0], arm_share, threshold }
    }

    /// The arm's part of the outcomes of both.
    fn share(&self) -> f64 {
        self.arm_share / (self.arm_share + self.stable_share)
    }

    /// Outcomes of both arms until the effect is shown, by formula.
    pub(super) fn estimate(&self, effect: f64) -> f64 {
        let share = self.share();
        match self.measure {
            Measure::Rate { baseline } => {
                let rate = baseline + effect;
                let events_per_outcome = share * rate + (1.0 - share) * baseline;
                let growth = events_per_outcome * growth_per_event(share, rate / baseline);
                (self.threshold + (RATIOS.len() as f64).ln()) / growth
            }
            Measure::Score { deviation, .. } => {
                let growth = effect * effect * share * (1.0 - share) / (2.0 * deviation * deviation);
                let mut n = self.threshold / growth;
                // What the mixtures cost grows with the logarithm of n itself.
                for _ in 0..4 {
                    let cost = 0.5 * ((n * share).max(1.0).ln() + (n * (1.0 - share)).max(1.0).ln());
                    n = (self.threshold + cost) / growth;
                }
                n
            }
        }
        .max(2.0)
    }

    /// How long it takes, by formula and by made-up experiments.
    pub(super) fn length(&self, effect: f64, request: &PlanRequest, draw: &mut Uniform<'_>) -> Length {
        let estimate = self.estimate(effect);
        let mut ends: Vec<_> = (0..request.rounds).map(|_| self.run(effect, estimate, draw)).collect();
        ends.sort_by(f64::total_cmp);
        let expected = ends.iter().sum::<f64>() / f64::from(request.rounds.max(1));
        Length { estimate, expected, with_power: quantile(&ends, request.power).unwrap_or(expected) }
    }

    /// One made-up experiment: outcomes of both arms until the effect is shown, or patience ends.
    fn run(&self, effect: f64, estimate: f64, draw: &mut Uniform<'_>) -> f64 {
        let per_look = (estimate / LOOKS).ceil();
        let mut evidence = Simulated::new(self);
        let mut n = 0.0;
        while n < PATIENCE * estimate {
            n += per_look;
            if evidence.grow(self, effect, per_look as u64, draw) >= self.threshold {
                break;
            }
        }
        n
    }
}

/// The evidence of a made-up experiment.
enum Simulated {
    Events(EventTest),
    Scores { arm: ScoreSums, stable: ScoreSums },
}

impl Simulated {
    fn new(pair: &Pair) -> Self {
        match pair.measure {
            Measure::Rate { .. } => Self::Events(EventTest::default()),
            Measure::Score { .. } => Self::Scores { arm: ScoreSums::default(), stable: ScoreSums::default() },
        }
    }

    /// Takes further outcomes and gives `ln E` in the direction of the effect.
    fn grow(&mut self, pair: &Pair, effect: f64, n: u64, draw: &mut Uniform<'_>) -> f64 {
        let of_arm = binomial(n, pair.share(), draw);
        let of_stable = n - of_arm;
        match (self, pair.measure) {
            (Self::Events(test), measure) => {
                let baseline = measure.baseline();
                let events = (binomial(of_arm, baseline + effect, draw), binomial(of_stable, baseline, draw));
                test.take(pair.share(), events.0, events.1);
                if effect < 0.0 { test.log_e_less_often() } else { test.log_e_more_often() }
            }
            (Self::Scores { arm, stable }, Measure::Score { baseline, deviation }) => {
                *arm = arm.plus(scores(of_arm, baseline + effect, deviation, draw));
                *stable = stable.plus(scores(of_stable, baseline, deviation, draw));
                difference_log_e(&MeanTest::of_scores(*arm), &MeanTest::of_scores(*stable), 0.0)
            }
            (Self::Scores { .. }, Measure::Rate { .. }) => 0.0,
        }
    }
}

/// The sums of made-up scores, by the normal approximation.
fn scores(n: u64, mean: f64, deviation: f64, draw: &mut Uniform<'_>) -> ScoreSums {
    let n_f = n as f64;
    let sum = (n_f * mean + n_f.sqrt() * deviation * normal(draw)).clamp(0.0, n_f);
    let squares = n_f * (deviation * deviation) + if n > 0 { sum * sum / n_f } else { 0.0 };
    ScoreSums { n, sum, sum_squares: squares.min(sum) }
}
