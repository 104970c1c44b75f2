//! The rules judged from totals, through a trial.

mod kept;
mod numbers;

use super::*;
use crate::limit::limit_log_e;
use crate::observed::{ArmTotals, LossSample, Observed, ShadowTotals, ShareTotals};
use crate::plan::ProofOf;
use crate::policy::{
    Bins, DisagreementLimit, Drift, LatencyComparison, LatencyLimit, LossComparison, MistakeComparison, OnFailure,
    SampleRatio,
};
use crate::rule::Rule;

/// Every judgement there is; all but those on errors and latency stop short of a rollback.
fn full() -> Guardrail {
    Guardrail {
        latency: Some(LatencyLimit {
            slower_than_seconds: 0.08,
            limit: 0.01,
            weight: 0.25,
            on_failure: OnFailure::RollBack,
        }),
        latency_vs_stable: Some(LatencyComparison {
            quantiles: vec![0.5, 0.9, 0.99],
            freeze_after: 1000,
            tolerate_ratio: 1.1,
            weight: 0.25,
            on_failure: OnFailure::Pause,
        }),
        disagreement: Some(DisagreementLimit {
            limit: 0.01,
            compare: base_types::Comparison::default(),
            is_redacted: false,
            weight: 0.25,
            on_failure: OnFailure::Pause,
        }),
        drift: Some(Drift { output: None, bins: Bins::Classes, alpha: 0.001, on_failure: OnFailure::Alert }),
        sample_ratio: Some(SampleRatio::default()),
        mistakes: Some(MistakeComparison { tolerate_ratio: 1.0, weight: 0.25, on_failure: OnFailure::Observe }),
        loss: Some(LossComparison { tolerate_extra: 0.0, weight: 0.25, on_failure: OnFailure::Alert }),
        ..Guardrail::default()
    }
}

fn trial(guardrail: &Guardrail) -> Trial {
    Trial::new(guardrail.clone()).unwrap()
}

/// Totals under a share of a tenth.
fn totals(candidate: ArmTotals, stable: ArmTotals) -> Observed {
    Observed { shares: vec![ShareTotals { share: 0.1, candidate, stable }], ..Observed::default() }
}

fn timed(slow: u64, timed: u64) -> ArmTotals {
    ArmTotals { timed, slow, ..ArmTotals::default() }
}

fn binned(bins: &[u64]) -> ArmTotals {
    let mut arm = ArmTotals::default();
    arm.bins[..bins.len()].copy_from_slice(bins);
    arm
}

/// What each verdict is, and the rule it rests on.
fn said(verdicts: &[Verdict]) -> Vec<(&'static str, Rule)> {
    let rule = |verdict: &Verdict| match verdict {
        Verdict::RollBack(Cause::Evidence(g))
        | Verdict::Pause(g)
        | Verdict::Alert(g)
        | Verdict::Observe(g)
        | Verdict::SharedIncident(g)
        | Verdict::StableIll(g) => g.rule,
        other => panic!("{other:?}"),
    };
    verdicts.iter().map(|v| (v.as_str(), rule(v))).collect()
}

#[test]
fn no_data_gives_no_verdict_under_any_rule() {
    let mut trial = trial(&full());
    assert_eq!(trial.observe(&Observed::default()), []);
    assert_eq!(trial.observe(&totals(ArmTotals::default(), ArmTotals::default())), []);
    let evidence = trial.evidence(Successes::default());
    let rules: Vec<_> = evidence.findings.all().map(|e| e.rule).collect();
    let sequential = Rule::ALL.into_iter().filter(|r| !matches!(r, Rule::WindowErrorRate | Rule::WindowLatency));
    assert!(sequential.clone().all(|rule| rules.contains(&rule)) && rules.len() == sequential.count());
    for rule in evidence.findings.all() {
        assert!(!rule.is_tripped && rule.log_e.is_finite() && rule.log_e <= 0.0, "{rule:?}");
        assert_eq!(rule.log_restart, None);
    }
    assert!(evidence.proofs.iter().all(|(_, proof)| !proof.is_proven));
    assert_eq!(evidence.drift, None);
}

#[test]
fn a_slow_candidate_is_rolled_back_by_the_limit_on_latency() {
    let mut trial = trial(&full());
    assert_eq!(trial.observe(&totals(timed(1, 100), timed(1, 900))), []);
    let verdicts = trial.observe(&totals(timed(30, 200), timed(5, 1900)));
    assert_eq!(said(&verdicts), [("roll_back", Rule::Latency)]);
    let Verdict::RollBack(cause) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert!(cause.to_string().starts_with("latency: 30 slow answers and 170 others, log_e "), "{cause}");
}

#[test]
fn what_was_seen_once_counts_once() {
    let mut trial = trial(&full());
    for _ in 0..50 {
        assert_eq!(trial.observe(&totals(timed(2, 100), timed(1, 900))), []);
    }
    let latency = *trial.evidence(Successes::default()).findings.get(Rule::Latency).unwrap();
    assert_eq!((latency.faults, latency.others), (2, 98));
    assert_eq!(latency.log_plain, limit_log_e(2, 98, 0.01));
    // Totals that came in the wrong order are taken as far as they are news.
    trial.observe(&totals(timed(1, 90), timed(1, 900)));
    trial.observe(&totals(timed(2, 110), timed(1, 900)));
    let latency = *trial.evidence(Successes::default()).findings.get(Rule::Latency).unwrap();
    assert_eq!((latency.faults, latency.others), (2, 108));
}

#[test]
fn when_both_are_slow_nobody_is_blamed_unless_the_comparison_convicts() {
    let mut trial = trial(&full());
    let verdicts = trial.observe(&totals(timed(20, 100), timed(180, 900)));
    assert_eq!(said(&verdicts), [("shared_incident", Rule::Latency)]);
    // Stable recovers on paper first; the old slow answers must not turn against the candidate.
    let verdicts = trial.observe(&totals(timed(20, 100), timed(180, 100_000_000)));
    assert_eq!(said(&verdicts), [("shared_incident", Rule::Latency)]);
    assert!(trial.is_incident());
    // Both have recovered.
    assert_eq!(trial.observe(&totals(timed(20, 100_000), timed(180, 100_000_000))), []);
    assert!(!trial.is_incident());

    let mut guardrail = full();
    guardrail.latency_vs_stable.as_mut().unwrap().on_failure = OnFailure::RollBack;
    let mut trial = Trial::new(guardrail).unwrap();
    let slow_at = |n: u64, arm: ArmTotals| ArmTotals { slow_at: [n; 3], ..arm };
    let verdicts = trial.observe(&totals(slow_at(60, timed(60, 100)), slow_at(100, timed(180, 900))));
    assert_eq!(said(&verdicts)[0], ("roll_back", Rule::LatencyVsStable));
}

#[test]
fn a_slow_stable_is_ill_and_holds_the_rollout() {
    let mut trial = trial(&full());
    let verdicts = trial.observe(&totals(timed(0, 100), timed(180, 900)));
    assert_eq!(said(&verdicts), [("stable_ill", Rule::StableLatency)]);
    assert!(trial.is_incident());
    let decision = decide(verdicts.into_iter().next().unwrap(), &full());
    assert_eq!(decision.as_str(), "hold");
    // Where slow answers would only be told, stable's stop nothing either.
    let mut guardrail = full();
    guardrail.latency.as_mut().unwrap().on_failure = OnFailure::Alert;
    let mut trial = Trial::new(guardrail).unwrap();
    let verdicts = trial.observe(&totals(timed(0, 100), timed(180, 900)));
    assert_eq!(said(&verdicts), [("alert", Rule::StableLatency)]);
    assert!(!trial.is_incident());
    let mut observing = Trial::new(Guardrail { mode: Mode::Observe, ..full() }).unwrap();
    observing.observe(&totals(timed(0, 100), timed(180, 900)));
    assert!(!observing.is_incident());
}

#[test]
fn a_slow_incident_of_both_does_not_hide_errors_of_one() {
    let mut trial = trial(&full());
    assert_eq!(said(&trial.observe(&totals(timed(20, 100), timed(180, 900)))), [("shared_incident", Rule::Latency)]);
    let event = FaultEvent {
        arm: Arm::Candidate,
        share: 0.1,
        successes: Successes { candidate: 100, stable: 900 },
        count: Count::All,
        key: None,
    };
    // One fault is no conviction, however slow both are.
    assert_eq!(trial.on_fault(event), Verdict::None);
    let verdict = std::iter::repeat_with(|| trial.on_fault(event)).take(20).find(|v| *v != Verdict::None).unwrap();
    assert!(["limit", "relative"].contains(&rule(&verdict)), "{verdict:?}");
}

#[test]
fn errors_and_latency_convict_together_where_neither_does_alone() {
    let guardrail = Guardrail { latency_vs_stable: None, ..full() };
    let event = |candidate| FaultEvent {
        arm: Arm::Candidate,
        share: 0.1,
        successes: Successes { candidate, stable: 0 },
        count: Count::LimitOnly,
        key: None,
    };
    let found = (1..200).find_map(|n_slow| {
        let mut trial = trial(&guardrail);
        (0..3).for_each(|_| drop(trial.on_fault(event(60))));
        let mut observed = totals(timed(n_slow, 400), timed(0, 0));
        observed.successes = Successes { candidate: 60, stable: 0 };
        let verdicts = trial.observe(&observed);
        let findings = trial.evidence(observed.successes).findings;
        let excess = |e: &crate::RuleEvidence| e.log_e - e.threshold;
        let (latency, limit) = (findings.get(Rule::Latency).unwrap(), &findings.limit);
        (findings.is_tripped && excess(latency) < 0.0 && excess(limit) < 0.0).then_some(verdicts)
    });
    if let Some(verdicts) = found {
        assert_eq!(verdicts[0].as_str(), "roll_back");
    } else {
        // Whole slow answers may step over the gap; then the sum at least is more than its larger part.
        let mut trial = trial(&guardrail);
        (0..2).for_each(|_| drop(trial.on_fault(event(60))));
        trial.observe(&totals(timed(8, 400), timed(0, 0)));
        let findings = trial.evidence(Successes::default()).findings;
        let part = |rule| findings.get(rule).map(|e| findings.threshold + e.log_e - e.threshold).unwrap();
        assert!(findings.log_e > part(Rule::Latency).max(part(Rule::Limit)));
    }
}

#[test]
fn a_rule_that_pauses_alerts_or_observes_never_rolls_back() {
    for (on_failure, word) in
        [(OnFailure::Pause, "pause"), (OnFailure::Alert, "alert"), (OnFailure::Observe, "observe")]
    {
        let mut guardrail = Guardrail { on_failure, ..full() };
        guardrail.latency.as_mut().unwrap().on_failure = on_failure;
        let mut trial = trial(&guardrail);
        assert_eq!(said(&trial.observe(&totals(timed(50, 100), timed(0, 900)))), [(word, Rule::Latency)]);
        let event = FaultEvent {
            arm: Arm::Candidate,
            share: 0.1,
            successes: Successes::default(),
            count: Count::All,
            key: None,
        };
        let verdicts: Vec<_> = (0..5).map(|_| trial.on_fault(event)).collect();
        assert_eq!(verdicts.last().map(Verdict::as_str), Some(word));
        // No rule is left that would roll back: nothing is summed, and the numbers stay numbers.
        let findings = trial.evidence(Successes::default()).findings;
        assert!(!findings.is_tripped && findings.log_e.is_finite());
    }
}

#[test]
fn a_slower_candidate_is_paused_by_the_comparison() {
    let mut trial = trial(&Guardrail { latency: None, ..full() });
    let slow_at = |slow_at, timed| ArmTotals { timed, slow_at, ..ArmTotals::default() };
    // As slow as stable, at every quantile.
    assert_eq!(trial.observe(&totals(slow_at([50, 10, 1], 100), slow_at([450, 90, 9], 900))), []);
    // Twice as slow.
    let verdicts = trial.observe(&totals(slow_at([140, 90, 20], 200), slow_at([900, 180, 18], 1800)));
    assert_eq!(said(&verdicts), [("pause", Rule::LatencyVsStable)]);
}

#[test]
fn copies_answered_otherwise_or_not_at_all_pause_the_rollout() {
    let shadow = |compared, disagreed, faults| Observed {
        shadow: ShadowTotals { compared, disagreed, faults, ..ShadowTotals::default() },
        ..Observed::default()
    };
    let mut trial = trial(&full());
    assert_eq!(trial.observe(&shadow(1000, 3, 0)), []);
    assert_eq!(said(&trial.observe(&shadow(1100, 60, 0))), [("pause", Rule::Disagreement)]);
    let mut trial = Trial::new(full()).unwrap();
    assert_eq!(said(&trial.observe(&shadow(0, 0, 5))), [("pause", Rule::Disagreement)]);
    let evidence = trial.evidence(Successes::default());
    assert_eq!(evidence.findings.limit.faults, 0, "a copy that failed has hurt nobody");
    assert!(evidence.proof.log_e < 0.0, "but it proves nothing good");
}

#[test]
fn drifted_outputs_are_told_and_a_broken_ratio_pauses() {
    let mut trial = trial(&full());
    assert_eq!(trial.observe(&totals(binned(&[50, 30, 20]), binned(&[450, 270, 180]))), []);
    let verdicts = trial.observe(&totals(binned(&[50, 30, 120]), binned(&[900, 540, 360])));
    assert_eq!(said(&verdicts), [("alert", Rule::Drift)]);
    let effect = trial.evidence(Successes::default()).drift.unwrap();
    assert!(effect.psi > 0.3 && effect.kolmogorov_smirnov > 0.3, "{effect:?}");
    let assigned = |assigned| ArmTotals { assigned, ..ArmTotals::default() };
    let mut trial = Trial::new(full()).unwrap();
    assert_eq!(trial.observe(&totals(assigned(1000), assigned(9000))), []);
    assert_eq!(said(&trial.observe(&totals(assigned(1000), assigned(19_000)))), [("pause", Rule::SampleRatio)]);
}

#[test]
fn mistakes_and_losses_are_compared_with_those_of_stable() {
    let mut trial = trial(&full());
    let wrong = |mistakes, labels| ArmTotals { mistakes, labels, ..ArmTotals::default() };
    assert_eq!(trial.observe(&totals(wrong(10, 100), wrong(90, 900))), []);
    let verdicts = trial.observe(&totals(wrong(60, 200), wrong(180, 1800)));
    assert_eq!(said(&verdicts), [("observe", Rule::Mistakes)]);
    let interval = trial.evidence(Successes::default()).findings.get(Rule::Mistakes).unwrap().interval.unwrap();
    assert!(interval.low > 0.19 && interval.high < 0.42, "{interval:?}");

    let mut trial = Trial::new(full()).unwrap();
    for _ in 0..300 {
        (0..9).for_each(|_| assert!(trial.on_loss(&LossSample { arm: Arm::Stable, share: 0.1, loss: 0.1 })));
        assert!(trial.on_loss(&LossSample { arm: Arm::Candidate, share: 0.1, loss: 0.3 }));
    }
    assert_eq!(said(&trial.observe(&Observed::default())), [("alert", Rule::Loss)]);
    let without = Trial::new(Guardrail { loss: None, ..full() });
    assert!(!without.unwrap().on_loss(&LossSample { arm: Arm::Stable, share: 0.1, loss: 0.1 }));
}

#[test]
fn proofs_come_from_traffic_and_copies() {
    let mut trial = trial(&full());
    let mut observed = totals(timed(0, 200), timed(0, 1800));
    observed.shadow = ShadowTotals { compared: 148, timed: 148, ..ShadowTotals::default() };
    observed.successes = Successes { candidate: 200, stable: 1800 };
    trial.observe(&observed);
    let evidence = trial.evidence(observed.successes);
    assert!(evidence.proof_of(ProofOf::Errors).unwrap().is_proven);
    assert!(evidence.proof_of(ProofOf::Latency).unwrap().is_proven);
    assert!(!evidence.proof_of(ProofOf::Disagreement).unwrap().is_proven);
    let bare = Trial::new(Guardrail::default()).unwrap().evidence(Successes::default());
    assert_eq!((bare.proofs.len(), bare.proof_of(ProofOf::Latency)), (1, None));
}

#[test]
fn with_all_traffic_the_limit_on_latency_still_judges() {
    let mut trial = trial(&full());
    let all = ShareTotals { share: 1.0, candidate: timed(40, 300), stable: ArmTotals::default() };
    let verdicts = trial.observe(&Observed { shares: vec![all], ..Observed::default() });
    assert_eq!(said(&verdicts), [("roll_back", Rule::Latency)]);
}

/// Totals of both arms that grow together.
#[derive(Default, Clone, Copy)]
struct ArmPair {
    candidate: ArmTotals,
    stable: ArmTotals,
}

impl ArmPair {
    /// Slow and fast answers of both.
    fn add(&mut self, candidate: (u64, u64), stable: (u64, u64)) {
        for (arm, (slow, fast)) in [(&mut self.candidate, candidate), (&mut self.stable, stable)] {
            arm.assigned += slow + fast;
            arm.timed += slow + fast;
            arm.slow += slow;
            arm.slow_at = arm.slow_at.map(|n| n + slow);
            arm.mistakes += slow;
            arm.labels += slow + fast;
            arm.bins[0] += slow;
            arm.bins[1] += fast;
        }
    }

    fn observed(&self) -> Observed {
        let (candidate, stable) = (self.candidate, self.stable);
        let shadow = ShadowTotals { compared: candidate.timed, disagreed: candidate.slow, ..ShadowTotals::default() };
        let successes = Successes { candidate: candidate.timed - candidate.slow, stable: stable.timed - stable.slow };
        Observed { shares: vec![ShareTotals { share: 0.1, candidate, stable }], shadow, successes }
    }
}
