//! A verdict as one plain sentence.

use crate::experiment::report::{ArmComparison, Finding, Outlook, Report, ReportRequest, Verdict};
use crate::experiment::totals::{ArmRole, Primary};
use crate::words::{percent, plain, span, two_digits};

/// Longer outlooks are not worth a number.
const YEAR_SECONDS: f64 = 366.0 * 86_400.0;

/// The sentence of a report.
pub(crate) fn of_report(report: &Report, request: &ReportRequest) -> String {
    let shown = format!("shown at {}", percent(1.0 - report.alpha));
    let stable = name_of_stable(report);
    match report.verdict {
        Verdict::RoutingSuspect => {
            "No verdict: the arms do not get the shares of the units they are meant to get, so the routing, not the \
             models, is suspect."
                .to_owned()
        }
        Verdict::Keep(arm) => {
            let comparison = report.comparisons.iter().find(|c| c.arm == arm);
            let how = comparison.map_or_else(String::new, |c| format!("it {}", is_other(report.primary, c)));
            let but = if report.warnings.is_empty() {
                String::new()
            } else {
                format!("; but {}", report.warnings.join(", and "))
            };
            format!("Keep {}: {how}, {shown}{but}.", report.arms[arm].name)
        }
        Verdict::KeepStable => {
            let worse = report.comparisons.iter().filter(|c| c.finding == Finding::Worse);
            let each: Vec<_> =
                worse.map(|c| format!("{} {}", report.arms[c.arm].name, is_other(report.primary, c))).collect();
            format!("Keep {stable}: {}, {shown}.", each.join(" and "))
        }
        Verdict::Equal => {
            let names: Vec<_> = report.comparisons.iter().map(|c| &*report.arms[c.arm].name).collect();
            let (names, verb) = (names.join(" and "), if names.len() > 1 { "are" } else { "is" });
            let within = amount(report.primary, request.tolerance);
            format!("Keep {stable}: {names} {verb} as good within {within}, {shown}, so there is no reason to change.")
        }
        Verdict::NotEnough(outlook) => not_enough(report, outlook, request.requests_per_second),
    }
}

/// That an arm is worse by a measure that does not decide.
pub(crate) fn is_worse(arm: &str, stable: &str, by: Primary) -> String {
    match by {
        Primary::Errors => format!("{arm} errs more often than {stable}"),
        Primary::Latency => format!("{arm} is slow more often than {stable}"),
        Primary::Mistakes => format!("{arm} is wrong more often than {stable}"),
        Primary::Loss => format!("{arm} has a higher mean loss than {stable}"),
    }
}

fn name_of_stable(report: &Report) -> &str {
    report.arms.iter().find(|row| row.role == ArmRole::Stable).map_or("stable", |row| &row.name)
}

/// "errs 0.4 percentage points less often (0.1 to 0.7)".
fn is_other(by: Primary, comparison: &ArmComparison) -> String {
    let difference = comparison.difference.unwrap_or(0.0);
    let is_less = comparison.finding == Finding::Better;
    let sign = if is_less { -1.0 } else { 1.0 };
    let (one, other) = (sign * comparison.interval.low, sign * comparison.interval.high);
    let scale = if by == Primary::Loss { 1.0 } else { 100.0 };
    let number = |x: f64| two_digits(x * scale);
    let (by_much, low, high) = (number(difference.abs()), number(one.min(other)), number(one.max(other)));
    let often = if is_less { "less often" } else { "more often" };
    match by {
        Primary::Errors => format!("errs {by_much} percentage points {often} ({low} to {high})"),
        Primary::Latency => format!("is slow {by_much} percentage points {often} ({low} to {high})"),
        Primary::Mistakes => format!("is wrong {by_much} percentage points {often} ({low} to {high})"),
        Primary::Loss => {
            let lower = if is_less { "lower" } else { "higher" };
            format!("has a mean loss that is {by_much} {lower} ({low} to {high})")
        }
    }
}

fn amount(by: Primary, difference: f64) -> String {
    match by {
        Primary::Loss => plain(difference),
        _ => format!("{} percentage points", plain(difference * 100.0)),
    }
}

fn not_enough(report: &Report, outlook: Outlook, requests_per_second: f64) -> String {
    let is_counted = report.arms.iter().any(|row| row.measured(report.primary).n > 0);
    let traffic = format!("today's {} requests a second", two_digits(requests_per_second));
    match outlook.seconds {
        _ if !is_counted => match report.primary {
            Primary::Errors | Primary::Latency => "Not enough data yet: no request has been counted.".to_owned(),
            Primary::Mistakes | Primary::Loss => "Not enough data yet: no feedback has come.".to_owned(),
        },
        Some(seconds) if seconds <= YEAR_SECONDS => {
            format!("Not enough data yet: about {} more at {traffic}.", span(seconds))
        }
        Some(_) => format!(
            "Not enough data yet, and a year at {traffic} would not change that: the difference, if there is one, is \
             too small to be seen."
        ),
        None => "Not enough data yet, and too little to say how long still.".to_owned(),
    }
}
