//! How long an experiment has still to run, if what was seen so far is what is true.

use crate::experiment::events::{RATIOS, growth_per_event};
use crate::experiment::means::ScoreSums;
use crate::experiment::report::{ArmComparison, Finding, Outlook, ReportRequest};
use crate::experiment::totals::{ExperimentTotals, Primary};

/// What follows from the arm that has furthest to go. Either way ends it: the difference is shown, or that there is
/// none beyond the tolerance.
pub(super) fn outlook(totals: &ExperimentTotals, comparisons: &[ArmComparison], request: &ReportRequest) -> Outlook {
    let open = comparisons.iter().filter(|c| c.finding == Finding::Open);
    let requests = open
        .map(|comparison| requests_missing(totals, comparison, request))
        .try_fold(0.0_f64, |most, requests| requests.map(|requests| most.max(requests)));
    let requests = requests.filter(|requests| requests.is_finite() && *requests > 0.0);
    let seconds = requests.filter(|_| request.requests_per_second > 0.0).map(|n| n / request.requests_per_second);
    Outlook { requests, seconds }
}

/// Further requests over all arms until this comparison says something; `None` when it cannot be told.
fn requests_missing(totals: &ExperimentTotals, comparison: &ArmComparison, request: &ReportRequest) -> Option<f64> {
    let arm = &totals.arms()[comparison.arm].tally;
    let (own, stable) = (arm.measured(totals.primary), totals.stable().tally.measured(totals.primary));
    if own.n == 0 || stable.n == 0 {
        return None;
    }
    let n = (own.n + stable.n) as f64;
    let to_decide = match totals.primary {
        Primary::Loss => for_means(own, stable, comparison.threshold),
        _ => for_events(own, stable, comparison.threshold),
    };
    let to_equal = for_tolerance(n, comparison, request.tolerance);
    let needed = to_decide.min(to_equal);
    // The guess may say that it should have been over by now.
    let missing = (needed - n).max(n / 20.0);
    let n_requests: u64 = totals.arms().iter().map(|arm| arm.tally.ok.saturating_add(arm.tally.faults)).sum();
    // Feedback comes for a part of the requests only. Counts without requests stand for requests.
    Some(missing * (n_requests as f64 / n).max(1.0))
}

/// Outcomes of both arms until T2 shows the ratio that was seen.
fn for_events(own: ScoreSums, stable: ScoreSums, threshold: f64) -> f64 {
    let (n_own, n_stable) = (own.n as f64, stable.n as f64);
    // Half an event more for each: none seen is not never.
    let ratio = ((own.sum + 0.5) / (n_own + 1.0)) / ((stable.sum + 0.5) / (n_stable + 1.0));
    let events_per_outcome = (own.sum + stable.sum + 1.0) / (n_own + n_stable + 2.0);
    let growth = events_per_outcome * growth_per_event(n_own / (n_own + n_stable), ratio);
    (threshold + (RATIOS.len() as f64).ln()) / growth
}

/// Outcomes of both arms until the difference of the means that was seen is shown.
fn for_means(own: ScoreSums, stable: ScoreSums, threshold: f64) -> f64 {
    let (n_own, n_stable) = (own.n as f64, stable.n as f64);
    let difference = own.mean().unwrap_or(0.5) - stable.mean().unwrap_or(0.5);
    // No variance seen among few values is not none.
    let variance = |sums: ScoreSums, n: f64| (sums.variance() + 1.0 / (12.0 * n)) / n;
    let growth = difference * difference / (2.0 * (variance(own, n_own) + variance(stable, n_stable)));
    let cost = 0.5 * (n_own.ln() + n_stable.ln());
    (n_own + n_stable) * (threshold + cost) / growth
}

/// Outcomes of both arms until the interval lies within the tolerance: its width shrinks with the root of their
/// number.
fn for_tolerance(n: f64, comparison: &ArmComparison, tolerance: f64) -> f64 {
    let room = tolerance - comparison.difference.unwrap_or(0.0).abs();
    if room <= 0.0 {
        return f64::INFINITY;
    }
    let half_width = (comparison.interval.high - comparison.interval.low) / 2.0;
    n * (half_width / room).powi(2)
}
