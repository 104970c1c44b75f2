#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on must stop")]

mod observed;
mod restored;

use super::*;
use crate::evidence::Findings;
use crate::policy::{ClassicWindow, OnSharedIncident, RuleWeights};
use crate::relative::{ShareTally, relative_log_e};
use crate::verdict::{Decision, Grounds, decide};

/// Feeds a trial the way a gateway does: successes are counted, faults carry the totals.
pub(super) struct Feed {
    pub(super) trial: Trial,
    pub(super) totals: Successes,
    pub(super) share: f64,
}

impl Feed {
    pub(super) fn new(guardrail: Guardrail, share: f64) -> Self {
        Self { trial: Trial::new(guardrail).unwrap(), totals: Successes::default(), share }
    }

    pub(super) fn ok(&mut self, candidate: u64, stable: u64) {
        self.totals.candidate += candidate;
        self.totals.stable += stable;
    }

    pub(super) fn event(&self, arm: Arm) -> FaultEvent {
        FaultEvent { arm, share: self.share, successes: self.totals, count: Count::All, key: None }
    }

    pub(super) fn fault(&mut self, arm: Arm) -> Verdict {
        self.trial.on_fault(self.event(arm))
    }

    fn keyed(&mut self, arm: Arm, key: u64) -> Verdict {
        self.trial.on_fault(FaultEvent { key: Some(key), ..self.event(arm) })
    }

    fn findings(&self) -> Findings {
        self.trial.evidence(self.totals).findings
    }
}

pub(super) fn rule(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::RollBack(cause) => cause.as_str(),
        other => other.as_str(),
    }
}

#[test]
fn no_data_gives_no_verdict() {
    let feed = Feed::new(Guardrail::default(), 0.1);
    let evidence = feed.trial.evidence(feed.totals);
    assert!(!evidence.findings.is_tripped && !evidence.proof.is_proven);
    assert_eq!((evidence.candidate_interval.low, evidence.candidate_interval.high), (0.0, 1.0));
    let nothing = WindowTotals { requests: 0, faults: 0, latency_seconds: None };
    assert_eq!(feed.trial.window_verdict(&nothing), Verdict::None);
}

#[test]
fn a_dead_candidate_is_found_with_its_third_fault() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    let verdicts: Vec<_> = (0..3).map(|_| feed.fault(Arm::Candidate)).collect();
    assert_eq!(verdicts.iter().map(rule).collect::<Vec<_>>(), ["none", "none", "limit"]);
}

#[test]
fn a_long_sequence_meets_the_reference_at_every_event() {
    // (candidate successes before, is it the candidate's fault, limit rule, relative rule)
    let events = [
        (120, true, -2.418_866_583_337, 1.222_462_552_519),
        (30, false, -2.793_786_544_749, -0.051_202_201_736),
        (0, true, -2.019_899_743_749, 1.093_128_206_173),
        (500, true, -6.562_184_682_444, 2.350_828_691_335),
        (7, false, -6.637_258_510_346, 1.353_727_309_560),
        (1, true, -5.945_693_771_251, 2.530_130_171_874),
        (3, true, -5.254_161_336_500, 3.783_962_712_644),
        (0, true, -4.282_898_320_289, 5.097_878_234_396),
        (12, false, -4.676_676_651_438, 4.064_694_229_064),
        (2, true, -3.862_690_217_091, 5.328_513_282_852),
    ];
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    for (successes, is_candidate, limit, relative) in events {
        feed.ok(successes, 0);
        feed.fault(if is_candidate { Arm::Candidate } else { Arm::Stable });
        let findings = feed.findings();
        for (got, want) in [(findings.limit.log_e, limit), (findings.relative.log_e, relative)] {
            assert!((got - want).abs() <= 1e-9 * want.abs().max(0.1), "got {got}, want {want}");
        }
    }
}

#[test]
fn a_late_failure_is_found_within_tens_of_requests() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    for _ in 0..20 {
        for _ in 0..9 {
            feed.ok(111, 999);
            assert_eq!(feed.fault(Arm::Stable), Verdict::None);
        }
        assert_eq!(feed.fault(Arm::Candidate), Verdict::None);
    }
    let mut n_requests = 0;
    let verdict = loop {
        feed.ok(1, 18);
        n_requests += 2;
        match feed.fault(Arm::Candidate) {
            Verdict::None => assert!(n_requests < 60, "not found"),
            verdict => break verdict,
        }
    };
    let Verdict::RollBack(Cause::Evidence(grounds)) = verdict else { panic!("{verdict:?}") };
    let deciding = grounds.deciding();
    assert!(n_requests > 4 && deciding.log_restart.unwrap() > 10.0, "found by the restart term");
    // Without it the same counts are far from a verdict.
    assert!(grounds.findings.limit.log_plain < 0.0);
}

#[test]
fn each_row_of_the_table_is_reached_by_traffic() {
    // The candidate alone is over the limit.
    let mut worse = Feed::new(Guardrail::default(), 0.1);
    let verdict = (0..3).map(|_| worse.fault(Arm::Candidate)).last().unwrap();
    assert_eq!(rule(&verdict), "limit");

    // Below the limit, yet far worse than stable.
    let mut relative = Feed::new(Guardrail::default(), 0.1);
    let verdict = std::iter::repeat_with(|| {
        relative.ok(250, 2250);
        relative.fault(Arm::Candidate)
    });
    let verdict = verdict.take(20).find(|v| *v != Verdict::None).unwrap();
    assert_eq!(rule(&verdict), "relative");

    // Stable alone is over the limit.
    let mut ill = Feed::new(Guardrail::default(), 0.1);
    let verdict = (0..3).map(|_| ill.fault(Arm::Stable)).last().unwrap();
    assert_eq!(rule(&verdict), "stable_ill");

    // Stable is over the limit, and the candidate is worse still.
    let verdict = std::iter::repeat_with(|| ill.fault(Arm::Candidate)).take(40);
    let rules: Vec<_> = verdict.map(|v| rule(&v)).collect();
    assert_eq!(rules.last(), Some(&"relative"));
    assert!(rules.contains(&"shared_incident"));
}

#[test]
fn a_shared_incident_blames_nobody_until_the_candidate_is_over_it_too() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    feed.ok(500, 4500);
    let mut seen = Vec::new();
    for _ in 0..40 {
        feed.ok(4, 36);
        (0..9).for_each(|_| seen.push(rule(&feed.fault(Arm::Stable))));
        seen.push(rule(&feed.fault(Arm::Candidate)));
    }
    assert!(seen.contains(&"stable_ill") && seen.contains(&"shared_incident"));
    assert!(seen.iter().all(|v| ["none", "stable_ill", "shared_incident"].contains(v)), "{seen:?}");

    // Stable recovers a moment earlier: the old faults must not turn against the candidate.
    feed.ok(0, 10_000_000);
    assert!(!feed.findings().stable_limit.is_tripped);
    assert_eq!(rule(&feed.fault(Arm::Candidate)), "shared_incident");
    // When both have recovered, it is over.
    feed.ok(100_000, 0);
    assert_eq!(feed.fault(Arm::Candidate), Verdict::None);
    let verdict = std::iter::repeat_with(|| feed.fault(Arm::Candidate)).take(40).find(|v| *v != Verdict::None);
    assert!(matches!(verdict, Some(Verdict::RollBack(_))));
}

#[test]
fn a_shared_incident_may_be_made_to_roll_back() {
    let guardrail = Guardrail { on_shared_incident: OnSharedIncident::RollBack, ..Guardrail::default() };
    let mut feed = Feed::new(guardrail.clone(), 0.1);
    (0..20).for_each(|_| drop(feed.fault(Arm::Stable)));
    let verdict =
        std::iter::repeat_with(|| feed.fault(Arm::Candidate)).take(40).find(|v| v.as_str() == "shared_incident");
    let decision = decide(verdict.unwrap(), &guardrail);
    let Decision::RollBack(cause) = decision else { panic!("{decision:?}") };
    assert_eq!(cause.as_str(), "shared_incident");
}

#[test]
fn a_key_counts_once_and_keyless_faults_always() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    (0..100).for_each(|_| assert_eq!(feed.keyed(Arm::Candidate, 7), Verdict::None));
    let findings = feed.findings();
    assert_eq!((findings.limit.faults, findings.relative.faults), (1, 1));
    // The same key errs on the other arm too: that is another arm's fault.
    feed.keyed(Arm::Stable, 7);
    assert_eq!(feed.findings().stable_limit.faults, 1);
    assert_eq!(feed.keyed(Arm::Candidate, 8), Verdict::None);
    assert_eq!(rule(&feed.keyed(Arm::Candidate, 9)), "limit");
}

#[test]
fn a_stable_key_holds_back_the_limit_rule_only() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    (0..50).for_each(|_| assert_eq!(feed.keyed(Arm::Stable, 7), Verdict::None));
    let findings = feed.findings();
    assert_eq!((findings.stable_limit.faults, findings.relative.others), (1, 50));
}

#[test]
fn what_does_not_count_changes_nothing() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    let before = feed.trial.clone();
    feed.ok(10, 90);
    for key in [None, Some(1)] {
        let event = FaultEvent { count: Count::Nothing, key, ..feed.event(Arm::Candidate) };
        assert_eq!(feed.trial.on_fault(event), Verdict::None);
    }
    assert_eq!(feed.trial, before);
}

#[test]
fn without_stable_traffic_the_limit_rule_carries_the_load() {
    let mut feed = Feed::new(Guardrail::default(), 1.0);
    feed.ok(5000, 0);
    let verdict = std::iter::repeat_with(|| feed.fault(Arm::Candidate)).take(30).find(|v| *v != Verdict::None).unwrap();
    assert_eq!(rule(&verdict), "limit");
    assert_eq!(feed.findings().relative.faults, 0);
    let mut by_rule = Feed::new(Guardrail::default(), 0.1);
    let event = FaultEvent { count: Count::LimitOnly, ..by_rule.event(Arm::Candidate) };
    by_rule.trial.on_fault(event);
    assert_eq!((by_rule.findings().limit.faults, by_rule.findings().relative.faults), (1, 0));
}

#[test]
fn totals_in_the_wrong_order_count_once() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    for (candidate, stable) in [(100, 900), (90, 950), (110, 940)] {
        feed.totals = Successes { candidate, stable };
        feed.fault(Arm::Stable);
    }
    let findings = feed.trial.evidence(Successes { candidate: 110, stable: 950 }).findings;
    assert_eq!((findings.limit.others, findings.stable_limit.others), (110, 950));
}

#[test]
fn evidence_is_read_without_being_taken() {
    let mut feed = Feed::new(Guardrail::default(), 0.1);
    feed.fault(Arm::Candidate);
    let before = feed.trial.clone();
    let evidence = feed.trial.evidence(Successes { candidate: 99, stable: 7 });
    assert_eq!(feed.trial, before);
    assert!((evidence.findings.limit.log_plain - -2.020_876_615_515).abs() < 1e-9);
    assert_eq!(evidence.findings.stable_limit.others, 7);
    let clean = Feed::new(Guardrail::default(), 0.1).trial.evidence(Successes { candidate: 300, stable: 0 });
    assert!((clean.candidate_interval.high - 0.021_173_966_497_8).abs() < 1e-11);
    assert_eq!(clean.proof.clean_requests_needed, 48);
    let proven = Feed::new(Guardrail::default(), 0.1).trial.evidence(Successes { candidate: 348, stable: 0 });
    assert!(proven.proof.is_proven);
}

#[test]
fn a_verdict_can_be_recomputed_from_its_own_numbers() {
    let mut feed = Feed::new(Guardrail::default(), 0.05);
    feed.ok(60, 900);
    feed.fault(Arm::Stable);
    feed.fault(Arm::Candidate);
    feed.share = 0.25;
    let verdict = std::iter::repeat_with(|| feed.fault(Arm::Candidate)).take(40).find(|v| *v != Verdict::None).unwrap();
    let Verdict::RollBack(Cause::Evidence(grounds)) = verdict else { panic!("{verdict:?}") };
    let Grounds { share, findings, shares, .. } = &grounds;
    assert_eq!(*share, Some(0.25));
    let [first, second] = [(0.05, 1, 1), (0.25, findings.limit.faults - 1, 0)]
        .map(|(share, candidate_faults, stable_faults)| ShareTally { share, candidate_faults, stable_faults });
    assert_eq!(*shares, [first, second]);
    let plain_limit = crate::limit_log_e(findings.limit.faults, findings.limit.others, 0.01);
    assert_eq!(findings.limit.log_plain, plain_limit);
    assert!((relative_log_e(shares, 2.0) - findings.relative.log_plain).abs() < 1e-9);
    let mut sum = 0.0;
    for rule in [&findings.limit, &findings.relative] {
        let g = 0.9 * rule.log_plain.exp() + 0.1 * rule.log_restart.unwrap().exp() / rule.horizon;
        assert!((rule.log_e - g.ln()).abs() < 1e-9);
        assert!((rule.threshold - (1000.0 / (rule.weight * rule.stage_budget)).ln()).abs() < 1e-9);
        sum += rule.weight * rule.stage_budget * g;
    }
    assert!((findings.log_e - sum.ln()).abs() < 1e-9 && findings.log_e >= findings.threshold);
}

#[test]
fn a_trial_refuses_a_guardrail_that_cannot_judge() {
    let weights = RuleWeights { limit: 0.0, relative: 0.9 };
    let Err(error) = Trial::new(Guardrail { weights, ..Guardrail::default() }) else { panic!("accepted") };
    assert_eq!(error.to_string(), "weights.limit is 0, allowed is above 0, at most 1000");
}

#[test]
fn the_classic_window_judges_where_it_is_asked_for() {
    let window = ClassicWindow { seconds: 60, min_requests: 20, max_error_rate: Some(0.05), latency: None };
    let totals = WindowTotals { requests: 20, faults: 2, latency_seconds: None };
    let with = Trial::new(Guardrail { window: Some(window), ..Guardrail::default() }).unwrap();
    let verdict = with.window_verdict(&totals);
    let Verdict::RollBack(Cause::Window(breach)) = &verdict else { panic!("{verdict:?}") };
    assert_eq!((breach.value, breach.bound, breach.totals, breach.window), (0.1, 0.05, totals, window));
    assert_eq!(Trial::new(Guardrail::default()).unwrap().window_verdict(&totals), Verdict::None);
}
