//! What an experiment's numbers say at this moment, and what follows.
//!
//! Each arm is compared with stable within its part of the budget, `alpha` over the number of such arms. For events
//! half of the part decides (a quarter for each direction of T2), and half is for the interval shown, which is then
//! cut where the decision rules values out. For losses one e-value does both.

use crate::experiment::means::{ScoreSums, difference_log_e, interval_between};
use crate::experiment::sample_ratio::SampleRatioCheck;
use crate::experiment::sentence;
use crate::experiment::totals::{ArmRole, ArmTotals, Counted, ExperimentTotals, Latency, Primary, Tally};
use crate::interval::Interval;

mod outlook;

/// How an experiment is to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReportRequest {
    /// Probability with which arms that are equal may be told apart, over all arms and looks, in (0, 0.5].
    pub alpha: f64,
    /// Differences up to here count as none, in units of the measure (0.01 is one percentage point); 0: there is
    /// always a difference to look for.
    pub tolerance: f64,
    /// Requests a second that the experiment gets today, over all arms.
    pub requests_per_second: f64,
}

/// What an experiment's numbers say.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What it is decided by.
    pub primary: Primary,
    /// The budget it was read with.
    pub alpha: f64,
    /// One row for each arm, in their order.
    pub arms: Vec<ArmRow>,
    /// One for each candidate arm.
    pub comparisons: Vec<ArmComparison>,
    /// Whether each arm gets its share.
    pub sample_ratio: SampleRatioCheck,
    /// By what that was counted.
    pub counted: Counted,
    /// What follows.
    pub verdict: Verdict,
    /// What else was shown against an arm, by other measures than the one that decides, in words.
    pub warnings: Vec<String>,
    /// The verdict in one sentence.
    pub sentence: String,
}

/// One arm as it stands. Each interval holds by itself, at every look.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmRow {
    /// What it is called.
    pub name: Box<str>,
    /// What it is for.
    pub role: ArmRole,
    /// Its counts.
    pub tally: Tally,
    /// Its faults, slow answers, mistakes and losses, in the order of [`Primary::ALL`].
    pub measures: [Measured; 4],
    /// Its latency, where it is known.
    pub latency: Option<Latency>,
}

/// A rate or a mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Of how many.
    pub n: u64,
    /// What was seen; `None` of none.
    pub mean: Option<f64>,
    /// What it may truly be.
    pub interval: Interval,
}

/// One arm against stable, by the measure that decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArmComparison {
    /// Position of the arm.
    pub arm: usize,
    /// The arm's rate or mean less stable's, as seen; `None` while either has none.
    pub difference: Option<f64>,
    /// What it may truly be.
    pub interval: Interval,
    /// `ln E` for "the arm is better".
    pub log_e_better: f64,
    /// `ln E` for "the arm is worse".
    pub log_e_worse: f64,
    /// Either is shown when its `ln E` reaches this.
    pub threshold: f64,
    /// What it says.
    pub finding: Finding,
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The arm is better than stable.
    Better,
    /// It is worse.
    Worse,
    /// It is neither by more than the tolerance.
    Equal,
    /// Nothing is shown yet.
    Open,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// No arm is better than stable, and at least one is worse.
    KeepStable,
    /// The arm at this position is better than stable; of several, the one that looks best.
    Keep(usize),
    /// All arms are as good as stable, within the tolerance.
    Equal,
    /// Nothing is shown yet.
    NotEnough(Outlook),
    /// The arms do not get the units they are meant to get: their numbers cannot be trusted.
    RoutingSuspect,
}

/// How much is still missing, if what was seen so far is what is true. A guess, not a promise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Further requests over all arms; `None` when it cannot be said, or no number would do.
    pub requests: Option<f64>,
    /// How long those take at today's traffic, in seconds.
    pub seconds: Option<f64>,
}

/// Reads an experiment. May be called as often as one likes.
pub fn report(totals: &ExperimentTotals, request: &ReportRequest) -> Report {
    let comparisons: Vec<_> = candidates(totals).map(|(at, arm)| compare(totals, at, arm, request)).collect();
    let sample_ratio = totals.sample_ratio.check(request.alpha);
    let verdict = if sample_ratio.is_broken && totals.counted == Counted::Units {
        Verdict::RoutingSuspect
    } else {
        conclude(&comparisons, || outlook::outlook(totals, &comparisons, request))
    };
    let warnings = candidates(totals).flat_map(|(_, arm)| warnings(totals, arm, request)).collect();
    let mut report = Report {
        primary: totals.primary,
        alpha: request.alpha,
        arms: totals.arms().iter().map(|arm| ArmRow::read(arm, request.alpha)).collect(),
        comparisons,
        sample_ratio,
        counted: totals.counted,
        verdict,
        warnings,
        sentence: String::new(),
    };
    report.sentence = sentence::of_report(&report, request);
    report
}

fn candidates(totals: &ExperimentTotals) -> impl Iterator<Item = (usize, &ArmTotals)> {
    totals.arms().iter().enumerate().filter(|(_, arm)| arm.role == ArmRole::Candidate)
}

/// The part of the budget of one candidate arm.
fn part(totals: &ExperimentTotals, alpha: f64) -> f64 {
    alpha / candidates(totals).count().max(1) as f64
}

fn compare(totals: &ExperimentTotals, at: usize, arm: &ArmTotals, request: &ReportRequest) -> ArmComparison {
    let (by, part) = (totals.primary, part(totals, request.alpha));
    let (own, stable) = (arm.tally.mean_test(by), totals.stable().tally.mean_test(by));
    let difference = seen_difference(arm.tally.measured(by), totals.stable().tally.measured(by));
    let (log_e_better, log_e_worse, threshold, interval_alpha) = match arm.tests.of(by) {
        Some(test) => (test.log_e_less_often(), test.log_e_more_often(), (4.0 / part).ln(), part / 2.0),
        None => {
            let log_e = difference_log_e(&own, &stable, 0.0);
            // What shows a difference shows its sign: the e-value is against every pair of equal means.
            let (is_lower, is_higher) = (difference < Some(0.0), difference > Some(0.0));
            let when = |is_so: bool| if is_so { log_e } else { log_e.min(0.0) };
            (when(difference.is_some() && is_lower), when(is_higher), -part.ln(), part)
        }
    };
    let mut interval = interval_between(&own, &stable, interval_alpha);
    let (is_better, is_worse) = (log_e_better >= threshold, log_e_worse >= threshold);
    // Cut where the decision rules values out, unless that would leave nothing.
    if is_better && interval.low < 0.0 {
        interval.high = interval.high.min(0.0);
    }
    if is_worse && interval.high > 0.0 {
        interval.low = interval.low.max(0.0);
    }
    let is_equal = request.tolerance > 0.0 && interval.low >= -request.tolerance && interval.high <= request.tolerance;
    let finding = match (is_better, is_worse, is_equal) {
        // A difference that is shown to be too small to matter does not matter.
        (_, _, true) => Finding::Equal,
        (true, false, _) => Finding::Better,
        (false, true, _) => Finding::Worse,
        _ => Finding::Open,
    };
    ArmComparison { arm: at, difference, interval, log_e_better, log_e_worse, threshold, finding }
}

fn seen_difference(own: ScoreSums, stable: ScoreSums) -> Option<f64> {
    Some(own.mean()? - stable.mean()?)
}

/// What the comparisons come to together.
fn conclude(comparisons: &[ArmComparison], outlook: impl FnOnce() -> Outlook) -> Verdict {
    let better = comparisons.iter().filter(|c| c.finding == Finding::Better);
    let seen = |c: &ArmComparison| c.difference.unwrap_or(0.0);
    if let Some(best) = better.min_by(|a, b| seen(a).total_cmp(&seen(b))) {
        return Verdict::Keep(best.arm);
    }
    let has = |finding: Finding| comparisons.iter().any(|c| c.finding == finding);
    if comparisons.is_empty() || has(Finding::Open) {
        return Verdict::NotEnough(outlook());
    }
    if has(Finding::Worse) { Verdict::KeepStable } else { Verdict::Equal }
}

/// What other measures show against an arm, each within a budget of its own.
fn warnings(totals: &ExperimentTotals, arm: &ArmTotals, request: &ReportRequest) -> Vec<String> {
    let others = Primary::ALL.into_iter().filter(|by| *by != totals.primary);
    let part = part(totals, request.alpha);
    let is_worse = |by: Primary| match arm.tests.of(by) {
        Some(test) => test.log_e_more_often() >= -part.ln(),
        None => {
            let (own, stable) = (arm.tally.mean_test(by), totals.stable().tally.mean_test(by));
            let difference = seen_difference(arm.tally.measured(by), totals.stable().tally.measured(by));
            difference > Some(0.0) && difference_log_e(&own, &stable, 0.0) >= -part.ln()
        }
    };
    let describe = |by: Primary| sentence::is_worse(&arm.name, &totals.stable().name, by);
    others.filter(|by| is_worse(*by)).map(describe).collect()
}

impl ArmRow {
    fn read(arm: &ArmTotals, alpha: f64) -> Self {
        let measures = Primary::ALL.map(|by| {
            let sums = arm.tally.measured(by);
            Measured { n: sums.n, mean: sums.mean(), interval: arm.tally.mean_test(by).interval(alpha) }
        });
        Self { name: arm.name.clone(), role: arm.role, tally: arm.tally, measures, latency: arm.latency }
    }

    /// One measure of the arm.
    pub fn measured(&self, by: Primary) -> &Measured {
        match by {
            Primary::Errors => &self.measures[0],
            Primary::Latency => &self.measures[1],
            Primary::Mistakes => &self.measures[2],
            Primary::Loss => &self.measures[3],
        }
    }
}

impl Finding {
    /// The word used in API and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equal => "equal",
            Self::Open => "open",
        }
    }
}

impl Verdict {
    /// The word used in API and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeepStable => "keep_stable",
            Self::Keep(_) => "keep",
            Self::Equal => "equal",
            Self::NotEnough(_) => "not_enough",
            Self::RoutingSuspect => "routing_suspect",
        }
    }
}

#[cfg(test)]
mod tests;
