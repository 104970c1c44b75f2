#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use super::*;
use crate::chance::{Draws, binomial};
use crate::experiment::totals::ExperimentProblem;

const REQUEST: ReportRequest = ReportRequest { alpha: 0.001, tolerance: 0.0, requests_per_second: 42.0 };

fn totals(primary: Primary, arms: &[(&str, ArmRole)]) -> ExperimentTotals {
    let arms = arms.iter().map(|(name, role)| (Box::from(*name), *role));
    ExperimentTotals::new(primary, Counted::Units, arms).unwrap()
}

fn pair(primary: Primary) -> ExperimentTotals {
    totals(primary, &[("version 7", ArmRole::Stable), ("version 8", ArmRole::Candidate)])
}

fn answered(ok: u64, faults: u64) -> Tally {
    Tally { assigned: 1000, ok, faults, ..Tally::default() }
}

fn labelled(right: u64, mistakes: u64) -> Tally {
    Tally { assigned: 1000, ok: right + mistakes, right, mistakes, ..Tally::default() }
}

fn scored(n: u64, mean: f64, deviation: f64) -> Tally {
    let sum = mean * n as f64;
    let sum_squares = n as f64 * (mean * mean + deviation * deviation);
    Tally { assigned: 1000, ok: n, losses: ScoreSums { n, sum, sum_squares }, ..Tally::default() }
}

fn read(totals: &mut ExperimentTotals, portion: &[Tally], request: &ReportRequest) -> Report {
    let share = 1.0 / portion.len() as f64;
    totals.take(&vec![share; portion.len()], portion).unwrap();
    report(totals, request)
}

#[test]
fn an_arm_that_errs_less_often_is_kept() {
    let report = read(&mut pair(Primary::Errors), &[answered(39_600, 400), answered(39_760, 240)], &REQUEST);
    assert_eq!(report.verdict, Verdict::Keep(1));
    let comparison = report.comparisons[0];
    assert_eq!(comparison.finding, Finding::Better);
    assert!((comparison.difference.unwrap() + 0.004).abs() < 1e-12);
    assert!(comparison.interval.low < -0.004 && comparison.interval.high <= 0.0, "{comparison:?}");
    let start = "Keep version 8: it errs 0.4 percentage points less often (";
    assert!(report.sentence.starts_with(start), "{}", report.sentence);
    assert!(report.sentence.ends_with("), shown at 99.9 %."), "{}", report.sentence);
}

#[test]
fn an_arm_that_errs_more_often_is_not() {
    let report = read(&mut pair(Primary::Errors), &[answered(19_900, 100), answered(19_600, 400)], &REQUEST);
    assert_eq!(report.verdict, Verdict::KeepStable);
    let start = "Keep version 7: version 8 errs 1.5 percentage points more often (";
    assert!(report.sentence.starts_with(start), "{}", report.sentence);
}

#[test]
fn too_little_data_gives_no_verdict_but_an_outlook() {
    let report = read(&mut pair(Primary::Errors), &[answered(4950, 50), answered(4965, 35)], &REQUEST);
    let Verdict::NotEnough(outlook) = report.verdict else { panic!("{}", report.sentence) };
    assert!(outlook.requests.unwrap() > 10_000.0, "{outlook:?}");
    assert!((outlook.seconds.unwrap() - outlook.requests.unwrap() / 42.0).abs() < 1e-6);
    let (start, end) = ("Not enough data yet: about ", " more at today's 42 requests a second.");
    assert!(report.sentence.starts_with(start) && report.sentence.ends_with(end), "{}", report.sentence);
}

#[test]
fn no_data_says_so() {
    let report = report(&pair(Primary::Errors), &REQUEST);
    assert_eq!(report.verdict, Verdict::NotEnough(Outlook { requests: None, seconds: None }));
    assert_eq!(report.sentence, "Not enough data yet: no request has been counted.");
    let no_feedback = read(&mut pair(Primary::Mistakes), &[answered(100, 0), answered(100, 0)], &REQUEST);
    assert_eq!(no_feedback.sentence, "Not enough data yet: no feedback has come.");
}

#[test]
fn the_outlook_of_feedback_counts_the_requests_without() {
    let mut totals = pair(Primary::Mistakes);
    // One answer in ten gets a label.
    let with_silence = |tally: Tally| Tally { ok: 10 * tally.ok, ..tally };
    let some = read(&mut totals, &[with_silence(labelled(900, 100)), with_silence(labelled(920, 80))], &REQUEST);
    let all = read(&mut pair(Primary::Mistakes), &[labelled(900, 100), labelled(920, 80)], &REQUEST);
    let seconds = |report: &Report| match report.verdict {
        Verdict::NotEnough(Outlook { seconds, .. }) => seconds.unwrap(),
        _ => panic!("{}", report.sentence),
    };
    assert!((seconds(&some) / seconds(&all) - 10.0).abs() < 1e-6);
}

#[test]
fn arms_within_the_tolerance_are_equal_and_stable_is_kept() {
    let request = ReportRequest { tolerance: 0.01, ..REQUEST };
    let report = read(&mut pair(Primary::Mistakes), &[labelled(95_000, 5000), labelled(95_010, 4990)], &request);
    assert_eq!(report.verdict, Verdict::Equal);
    let want = "Keep version 7: version 8 is as good within 1 percentage points, shown at 99.9 %, so there is no reason \
                to change.";
    assert_eq!(report.sentence, want);
}

#[test]
fn losses_are_told_apart_by_their_means() {
    let report = read(&mut pair(Primary::Loss), &[scored(8000, 0.30, 0.1), scored(8000, 0.27, 0.1)], &REQUEST);
    assert_eq!(report.verdict, Verdict::Keep(1));
    let start = "Keep version 8: it has a mean loss that is 0.03 lower (0.0";
    assert!(report.sentence.starts_with(start), "{}", report.sentence);
    let worse = read(&mut pair(Primary::Loss), &[scored(8000, 0.27, 0.1), scored(8000, 0.30, 0.1)], &REQUEST);
    assert_eq!(worse.verdict, Verdict::KeepStable);
}

#[test]
fn of_several_arms_the_best_of_the_better_ones_is_kept() {
    let arms = [
        ("version 7", ArmRole::Stable),
        ("version 8", ArmRole::Candidate),
        ("version 9", ArmRole::Candidate),
        ("version 10", ArmRole::Candidate),
    ];
    let mut totals = totals(Primary::Errors, &arms);
    let portion = [answered(9500, 500), answered(9700, 300), answered(9800, 200), answered(9000, 1000)];
    let report = read(&mut totals, &portion, &REQUEST);
    assert_eq!(report.verdict, Verdict::Keep(2));
    let findings: Vec<_> = report.comparisons.iter().map(|c| c.finding).collect();
    assert_eq!(findings, [Finding::Better, Finding::Better, Finding::Worse]);
}

#[test]
fn a_broken_sample_ratio_accuses_the_routing() {
    let mut totals = pair(Primary::Errors);
    let portion = [Tally { assigned: 6000, ..answered(5940, 60) }, Tally { assigned: 4000, ..answered(3990, 10) }];
    let report = read(&mut totals, &portion, &REQUEST);
    assert!(report.sample_ratio.is_broken);
    assert_eq!(report.verdict, Verdict::RoutingSuspect);
    assert!(report.sentence.contains("the routing, not the models, is suspect"), "{}", report.sentence);
    // Requests of a few busy callers may be divided like that.
    totals.counted = Counted::Requests;
    assert_ne!(super::report(&totals, &REQUEST).verdict, Verdict::RoutingSuspect);
}

#[test]
fn the_hold_out_is_shown_and_not_compared() {
    let arms = [("version 7", ArmRole::Stable), ("version 8", ArmRole::Candidate), ("hold-out", ArmRole::HoldOut)];
    let report = read(
        &mut totals(Primary::Errors, &arms),
        &[answered(5000, 5), answered(5000, 5), answered(1000, 900)],
        &REQUEST,
    );
    assert_eq!((report.arms.len(), report.comparisons.len()), (3, 1));
    assert!(report.arms[2].measured(Primary::Errors).interval.low > 0.4);
}

#[test]
fn what_another_measure_shows_against_the_arm_is_said() {
    let portion = [Tally { faults: 10, ..labelled(9000, 1000) }, Tally { faults: 300, ..labelled(9400, 600) }];
    let report = read(&mut pair(Primary::Mistakes), &portion, &REQUEST);
    assert_eq!(report.verdict, Verdict::Keep(1));
    assert!(report.sentence.ends_with("; but version 8 errs more often than version 7."), "{}", report.sentence);
}

#[test]
fn portions_and_restarts_change_nothing() {
    let whole = [answered(900, 90), answered(950, 30)];
    let mut once = pair(Primary::Errors);
    once.take(&[0.5, 0.5], &whole).unwrap();
    let mut parts = pair(Primary::Errors);
    for _ in 0..10 {
        let part = whole.map(|t| Tally { assigned: t.assigned / 10, ok: t.ok / 10, faults: t.faults / 10, ..t });
        parts.take(&[0.5, 0.5], &part).unwrap();
        parts = ExperimentTotals::restore(&parts.checkpoint()).unwrap();
    }
    let (one, other) = (report(&once, &REQUEST), report(&parts, &REQUEST));
    assert_eq!((one.verdict.as_str(), &one.arms), (other.verdict.as_str(), &other.arms));
    assert!((one.comparisons[0].log_e_better - other.comparisons[0].log_e_better).abs() < 1e-9);
    assert!((one.sample_ratio.log_e - other.sample_ratio.log_e).abs() < 1e-9);
}

#[test]
fn damaged_checkpoints_and_wrong_portions_are_refused() {
    let mut good = pair(Primary::Errors);
    let portion = [answered(10, 1), answered(10, 1)];
    assert_eq!(good.take(&[0.5], &portion), Err(ExperimentProblem::Lengths));
    assert_eq!(good.take(&[0.5, 0.6], &portion), Err(ExperimentProblem::Shares));
    assert_eq!(good.take(&[f64::NAN, 0.5], &portion), Err(ExperimentProblem::Shares));
    let impossible = Tally { losses: ScoreSums { n: 1, sum: 2.0, sum_squares: 1.0 }, ..Tally::default() };
    assert_eq!(good.take(&[0.5, 0.5], &[impossible, impossible]), Err(ExperimentProblem::Losses(0)));
    assert_eq!(good, pair(Primary::Errors), "an error takes nothing");
    let mut stored = good.checkpoint();
    stored.arms[1].log_products.pop();
    assert_eq!(ExperimentTotals::restore(&stored), Err(ExperimentProblem::Checkpoint(1)));
    let mut stored = good.checkpoint();
    stored.ratio_closed = f64::INFINITY;
    assert_eq!(ExperimentTotals::restore(&stored), Err(ExperimentProblem::Shares));
    let arms = |roles: &[ArmRole]| roles.iter().map(|role| (Box::from("arm"), *role)).collect::<Vec<_>>();
    let new = |roles: &[ArmRole]| ExperimentTotals::new(Primary::Errors, Counted::Units, arms(roles)).unwrap_err();
    assert_eq!(new(&[ArmRole::Stable]), ExperimentProblem::Arms(1));
    assert_eq!(new(&[ArmRole::Stable; 2]), ExperimentProblem::Stable(2));
    assert_eq!(new(&[ArmRole::Candidate; 2]), ExperimentProblem::Stable(0));
    assert_eq!(new(&[ArmRole::Candidate; 40]), ExperimentProblem::Arms(17));
}

/// Part of the runs in which arms that are equal are ever told apart.
fn told_apart(primary: Primary, alpha: f64, n_runs: u32) -> f64 {
    let mut draws = Draws::seeded(31);
    let request = ReportRequest { alpha, tolerance: 0.0, requests_per_second: 1.0 };
    let arms = [("a", ArmRole::Stable), ("b", ArmRole::Candidate), ("c", ArmRole::Candidate)];
    let shares = [0.5, 0.3, 0.2];
    let is_told = |draws: &mut Draws| {
        let mut totals = totals(primary, &arms);
        (0..8).any(|look| {
            let n = 20 << look;
            let portion = shares.map(|share| {
                let n = binomial(n, share, &mut || draws.unit());
                let bad = binomial(n, 0.2, &mut || draws.unit());
                let losses = ScoreSums::of_events(bad, n - bad);
                Tally {
                    assigned: n,
                    ok: n - bad,
                    faults: bad,
                    right: n - bad,
                    mistakes: bad,
                    losses,
                    ..Tally::default()
                }
            });
            totals.counted = Counted::Requests;
            totals.take(&shares, &portion).unwrap();
            let verdict = report(&totals, &request).verdict;
            matches!(verdict, Verdict::Keep(_) | Verdict::KeepStable)
        })
    };
    let n_told = (0..n_runs).filter(|_| is_told(&mut draws)).count();
    n_told as f64 / f64::from(n_runs)
}

#[test]
fn equal_arms_are_told_apart_no_more_often_than_alpha() {
    let (alpha, n_runs) = (0.1, 150);
    let rate = told_apart(Primary::Errors, alpha, n_runs);
    let allowed = alpha + 3.0 * (alpha * (1.0 - alpha) / f64::from(n_runs)).sqrt();
    assert!(rate <= allowed, "{rate} > {allowed}");
}
