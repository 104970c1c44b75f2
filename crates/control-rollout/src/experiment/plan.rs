//! Before an experiment: how many requests and how long until it says something.
//!
//! A first estimate comes from a formula: the evidence needed by what an event or a score brings on average. It is
//! then refined by running the very tests of the report on made-up traffic, which also gives the spread.

mod pair;

use std::fmt;

use pair::{Length, Pair};

use crate::chance::Uniform;
use crate::experiment::totals::ARMS_MAX;
use crate::words::{count, percent, plain, span, two_digits};

/// Most rounds of a simulation.
pub const PLAN_ROUNDS_MAX: u32 = 2000;

/// What an experiment is about.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRequest {
    /// Outcomes a second, over all arms: requests, or feedback where that decides.
    pub outcomes_per_second: f64,
    /// Shares of the arms, stable's first; above 0, with a sum of at most 1 (the rest is held out).
    pub shares: Vec<f64>,
    /// What is measured, as it is today.
    pub measure: Measure,
    /// The change that is to be seen.
    pub effect: Effect,
    /// Probability with which equal arms may be told apart, in (0, 0.5].
    pub alpha: f64,
    /// Probability with which the change is to be seen by the planned end, in (0, 1); 0.8 is usual.
    pub power: f64,
    /// The experiment must not last longer, in days.
    pub days_max: f64,
    /// Rounds of the simulation, from 1 to [`PLAN_ROUNDS_MAX`].
    pub rounds: u32,
}

/// What is measured. Less is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    /// How often something happens (a fault, a slow answer, a mistake).
    Rate {
        /// Stable's probability, in (0, 1).
        baseline: f64,
    },
    /// A mean of scores in [0, 1].
    Score {
        /// Stable's mean, in (0, 1).
        baseline: f64,
        /// Standard deviation of the scores; at most `sqrt(baseline * (1 - baseline))`.
        deviation: f64,
    },
}

/// A change of what is measured; below 0 is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect {
    /// A part of the baseline: -0.1 is a tenth less.
    Relative(f64),
    /// In the measure's own units: 0.01 is one percentage point more.
    Absolute(f64),
}

/// How long an experiment takes.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentPlan {
    /// One for each arm, stable's first.
    pub arms: Vec<ArmPlan>,
    /// Outcomes over all arms, on average.
    pub expected: f64,
    /// Outcomes over all arms by which the change is seen with the probability wanted.
    pub with_power: f64,
    /// The first estimate of `expected`, by formula.
    pub estimate: f64,
    /// `expected` in seconds.
    pub expected_seconds: f64,
    /// `with_power` in seconds.
    pub with_power_seconds: f64,
    /// Whether that is in time.
    pub reach: Reach,
    /// What the numbers rest on, in words.
    pub assumptions: Vec<String>,
}

/// The part of one arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmPlan {
    /// Its share.
    pub share: f64,
    /// Its outcomes on average.
    pub expected: f64,
    /// Its outcomes by the planned end.
    pub with_power: f64,
}

/// Whether an experiment can end in time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// It can.
    InTime,
    /// It cannot.
    TooLong {
        /// The smallest change in the same direction that would be seen in time, in the measure's units; `None`: not
        /// even the largest one.
        reachable: Option<f64>,
    },
}

/// Why nothing can be planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanProblem {
    /// The field of the request.
    pub field: &'static str,
    /// What it must be.
    pub must: &'static str,
}

/// Plans an experiment; `draw` gives numbers in [0, 1). The work is bounded by `rounds`.
pub fn plan(request: &PlanRequest, draw: &mut Uniform<'_>) -> Result<ExperimentPlan, PlanProblem> {
    request.check()?;
    let pair = Pair::hardest(request);
    let effect = request.effect.absolute(request.measure.baseline());
    let Length { estimate, expected, with_power } = pair.length(effect, request, draw);
    let to_all = 1.0 / (pair.stable_share + pair.arm_share);
    let seconds = |of_pair: f64| of_pair * to_all / request.outcomes_per_second;
    let is_in_time = |of_pair: f64| seconds(of_pair) <= request.days_max * 86_400.0;
    let reach = if is_in_time(with_power) {
        Reach::InTime
    } else {
        Reach::TooLong { reachable: reachable(&pair, effect, &is_in_time, |effect| pair.length(effect, request, draw)) }
    };
    let arm = |share: &f64| ArmPlan {
        share: *share,
        expected: expected * to_all * share,
        with_power: with_power * to_all * share,
    };
    Ok(ExperimentPlan {
        arms: request.shares.iter().map(arm).collect(),
        expected: expected * to_all,
        with_power: with_power * to_all,
        estimate: estimate * to_all,
        expected_seconds: seconds(expected),
        with_power_seconds: seconds(with_power),
        reach,
        assumptions: request.assumptions(effect),
    })
}

/// The smallest effect, in the direction of the one asked for, that is seen in time. The formula finds it; how much
/// longer the test takes than the formula says is taken from runs at the effect found, and the search done again.
fn reachable(
    pair: &Pair,
    effect: f64,
    is_in_time: &dyn Fn(f64) -> bool,
    mut length: impl FnMut(f64) -> Length,
) -> Option<f64> {
    let largest = if effect < 0.0 { -pair.measure.baseline() } else { 1.0 - pair.measure.baseline() };
    // The very ends are no rates a test can have.
    let largest = largest * 0.999;
    let mut slack = 1.0;
    let mut found = None;
    for _ in 0..3 {
        let (mut too_small, mut enough) = (effect, largest);
        if enough.abs() <= effect.abs() || !is_in_time(slack * pair.estimate(enough)) {
            return None;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(too_small, enough);
            if is_in_time(slack * pair.estimate(middle)) {
                enough = middle;
            } else {
                too_small = middle;
            }
        }
        let Length { estimate, with_power, .. } = length(enough);
        slack = with_power / estimate;
        found = Some(enough);
    }
    found
}

impl PlanRequest {
    fn check(&self) -> Result<(), PlanProblem> {
        let is_probability = |x: f64| x > 0.0 && x < 1.0;
        let baseline = self.measure.baseline();
        let changed = baseline + self.effect.absolute(baseline);
        let has_spread = match self.measure {
            Measure::Rate { .. } => true,
            Measure::Score { deviation, .. } => {
                deviation > 0.0 && deviation * deviation <= baseline * (1.0 - baseline) + 1e-9
            }
        };
        let n_arms = self.shares.len();
        let sum: f64 = self.shares.iter().sum();
        let are_shares = self.shares.iter().all(|share| *share > 0.0) && sum <= 1.0 + 1e-9;
        let rules = [
            ("outcomes_per_second", self.outcomes_per_second > 0.0 && self.outcomes_per_second < 1e9, "above 0"),
            ("shares", (2..=ARMS_MAX).contains(&n_arms), "2 to 16 arms, stable first"),
            ("shares", are_shares, "above 0, with a sum of at most 1"),
            ("measure.baseline", is_probability(baseline), "between 0 and 1"),
            ("measure.deviation", has_spread, "above 0, at most sqrt(baseline * (1 - baseline))"),
            ("effect", (0.0..=1.0).contains(&changed), "a change after which the measure is still from 0 to 1"),
            ("effect", (changed - baseline).abs() > 1e-9, "a change that is not 0"),
            ("alpha", self.alpha > 0.0 && self.alpha <= 0.5, "above 0, at most 0.5"),
            ("power", is_probability(self.power), "between 0 and 1"),
            ("days_max", self.days_max > 0.0, "above 0"),
            ("rounds", (1..=PLAN_ROUNDS_MAX).contains(&self.rounds), "from 1 to 2000"),
        ];
        match rules.into_iter().find(|(_, is_allowed, _)| !is_allowed) {
            Some((field, _, must)) => Err(PlanProblem { field, must }),
            None => Ok(()),
        }
    }

    fn assumptions(&self, effect: f64) -> Vec<String> {
        let scale = plain(effect.abs());
        let direction = if effect < 0.0 { "lower" } else { "higher" };
        let budget = percent(self.alpha);
        let mut all = vec![
            format!("the arm is {direction} by {scale} than stable's {}", plain(self.measure.baseline())),
            format!("{} outcomes a second over all arms, as today", two_digits(self.outcomes_per_second)),
            format!("equal arms are told apart in at most {budget} of experiments, however often one looks"),
            "outcomes of one unit do not hang together".to_owned(),
        ];
        if self.shares.len() > 2 {
            all.push(format!("the budget is divided over {} arms", self.shares.len() - 1));
        }
        all
    }
}

impl Measure {
    /// What it is for stable.
    pub fn baseline(self) -> f64 {
        match self {
            Self::Rate { baseline } | Self::Score { baseline, .. } => baseline,
        }
    }
}

impl Effect {
    /// In the measure's own units.
    pub fn absolute(self, baseline: f64) -> f64 {
        match self {
            Self::Relative(part) => part * baseline,
            Self::Absolute(change) => change,
        }
    }
}

impl fmt::Display for ExperimentPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (expected, with_power) = (count(self.expected), count(self.with_power));
        let (expected_span, with_power_span) = (span(self.expected_seconds), span(self.with_power_seconds));
        writeln!(
            f,
            "About {expected} outcomes, {expected_span}, on average; {with_power}, {with_power_span}, to be sure enough."
        )?;
        for (at, arm) in self.arms.iter().enumerate() {
            let name = if at == 0 { "stable".to_owned() } else { format!("arm {at}") };
            writeln!(f, "  {name}, {}: {} ({})", percent(arm.share), count(arm.expected), count(arm.with_power))?;
        }
        match self.reach {
            Reach::InTime => {}
            Reach::TooLong { reachable: Some(effect) } => {
                writeln!(f, "That is too long. In time a change of {} or more would be seen.", two_digits(effect))?;
            }
            Reach::TooLong { reachable: None } => writeln!(f, "That is too long, and so it is for any change.")?,
        }
        writeln!(f, "Assumed: {}.", self.assumptions.join("; "))
    }
}

impl fmt::Display for PlanProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.field, self.must)
    }
}

impl std::error::Error for PlanProblem {}

#[cfg(test)]
mod tests;
