//! Agreement with an independent oracle: `tests/oracle` works the statistics out in Python, request by request, and
//! stores inputs and results in `cases.json`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use base_types::Comparison;
use control_rollout::{
    Arm, ArmTotals, Bins, Count, DRIFT_KAPPA, DisagreementLimit, Drift, FAULT_ALTERNATIVES, FaultEvent, Guardrail,
    LATENCY_ALTERNATIVES, LatencyComparison, LatencyLimit, LossComparison, LossSample, MISTAKE_ALTERNATIVES,
    MistakeComparison, Observed, OnFailure, Rule, RuleEvidence, RuleWeights, ShadowTotals, ShareTally, ShareTotals,
    SteadyGuard, SteadyState, Successes, Trial, anytime_interval, bins_log_e, block_bet_log_e, clean_requests_needed,
    limit_alternatives, limit_log_e, loss_block, loss_stakes, promotion_log_e, relative_log_e_among,
};
use serde_json::Value;

/// Relative difference allowed; where logs of large counts cancel, an absolute one.
const WITHIN: f64 = 1e-9;
const WITHIN_ABSOLUTE: f64 = 1e-11;

fn cases(part: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/oracle/cases.json");
    let mut cases: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let Value::Array(cases) = cases[part].take() else { panic!("no cases of {part}") };
    assert!(!cases.is_empty());
    cases
}

fn real(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().unwrap().iter().map(of).collect()
}

#[track_caller]
fn assert_close(found: f64, expected: &Value, what: &Value) {
    let expected = real(expected);
    assert!(
        (found - expected).abs() <= (WITHIN * expected.abs()).max(WITHIN_ABSOLUTE),
        "{found} for {expected}: {what}"
    );
}

#[test]
fn counts_of_one_arm_give_the_oracles_evidence_proof_and_interval() {
    for case in cases("alternatives") {
        let alternatives = limit_alternatives(real(&case[0]));
        let expected = case[1].as_array().unwrap();
        assert_eq!(alternatives.len(), expected.len());
        alternatives.iter().zip(expected).for_each(|(found, expected)| assert_close(*found, expected, &case));
    }
    for case in cases("limit") {
        assert_close(limit_log_e(count(&case[0]), count(&case[1]), real(&case[2])), &case[3], &case);
    }
    for case in cases("proof") {
        assert_close(promotion_log_e(count(&case[0]), count(&case[1]), real(&case[2])), &case[3], &case);
    }
    for case in cases("clean") {
        assert_eq!(clean_requests_needed(real(&case[0]), real(&case[1])), count(&case[2]), "{case}");
    }
    for case in cases("interval") {
        let interval = anytime_interval(count(&case[0]), count(&case[1]), real(&case[2]));
        assert_close(interval.low, &case[3], &case);
        assert_close(interval.high, &case[4], &case);
    }
}

#[test]
fn tallies_give_the_oracles_comparison() {
    for case in cases("relative") {
        let tally =
            |t: &Value| ShareTally { share: real(&t[0]), candidate_faults: count(&t[1]), stable_faults: count(&t[2]) };
        let (tallies, ratio) = (list(&case[0], tally), real(&case[1]));
        let grids: [&[f64]; 3] = [&FAULT_ALTERNATIVES, &LATENCY_ALTERNATIVES, &MISTAKE_ALTERNATIVES];
        for (i, grid) in grids.into_iter().enumerate() {
            assert_close(relative_log_e_among(grid, &tallies, ratio), &case[2 + i], &case);
        }
    }
}

#[test]
fn faults_in_a_row_give_the_oracles_findings() {
    for case in cases("trials") {
        let rules = &case["guardrail"];
        let mut trial = Trial::new(Guardrail {
            alpha: real(&rules["alpha"]),
            limit: real(&rules["limit"]),
            tolerate_ratio: real(&rules["tolerate_ratio"]),
            planned_requests: count(&rules["planned_requests"]),
            planned_events: count(&rules["planned_events"]),
            weights: RuleWeights { limit: real(&rules["weights"][0]), relative: real(&rules["weights"][1]) },
            ..Guardrail::default()
        })
        .unwrap();
        let mut successes = Successes::default();
        for (event, sum) in case["events"].as_array().unwrap().iter().zip(case["sums"].as_array().unwrap()) {
            let arm = if count(&event[0]) == 1 { Arm::Candidate } else { Arm::Stable };
            successes.candidate += count(&event[2]);
            successes.stable += count(&event[3]);
            trial.on_fault(FaultEvent { arm, share: real(&event[1]), successes, count: Count::All, key: None });
            assert_close(trial.evidence(successes).findings.log_e, sum, &case);
        }
        let findings = trial.evidence(successes).findings;
        let expected = &case["findings"];
        for (rule, name) in
            [(&findings.limit, "limit"), (&findings.relative, "relative"), (&findings.stable_limit, "stable")]
        {
            assert_close(rule.log_e, &expected[name][0], &case);
            assert_close(rule.threshold, &expected[name][1], &case);
        }
        assert_eq!(findings.is_tripped, expected["is_tripped"], "{case}");
        assert_eq!(findings.stable_limit.is_tripped, expected["is_stable_tripped"], "{case}");
    }
}

fn evidence_of(trial: &Trial, rule: Rule) -> RuleEvidence {
    *trial.evidence(Successes::default()).findings.get(rule).unwrap()
}

#[track_caller]
fn assert_evidence(trial: &Trial, rule: Rule, case: &Value) {
    let evidence = evidence_of(trial, rule);
    assert_close(evidence.log_plain, &case["plain"], case);
    assert_close(evidence.log_restart.unwrap(), &case["restart"], case);
}

#[test]
fn batches_of_one_arm_give_the_oracles_evidence() {
    let on_failure = OnFailure::Pause;
    for case in cases("counted") {
        let limit = real(&case["limit"]);
        let compare = Comparison::default();
        let mut trial = Trial::new(Guardrail {
            latency: Some(LatencyLimit { slower_than_seconds: 1.0, limit, weight: 1.0, on_failure }),
            disagreement: Some(DisagreementLimit { limit, compare, is_redacted: false, weight: 1.0, on_failure }),
            ..Guardrail::default()
        })
        .unwrap();
        let (mut slow, mut shadow) = (ArmTotals::default(), ShadowTotals::default());
        for look in case["looks"].as_array().unwrap() {
            slow.slow += count(&look[0]);
            slow.timed += count(&look[0]) + count(&look[1]);
            shadow.disagreed += count(&look[0]);
            shadow.compared += count(&look[0]) + count(&look[1]);
            // Both arms the same, so that stable's own rule is compared too.
            let shares = vec![ShareTotals { share: 0.1, candidate: slow, stable: slow }];
            trial.observe(&Observed { shares, shadow, ..Observed::default() });
        }
        for rule in [Rule::Latency, Rule::StableLatency, Rule::Disagreement] {
            assert_evidence(&trial, rule, &case);
        }
    }
}

#[test]
fn batches_of_both_arms_give_the_oracles_comparison() {
    let on_failure = OnFailure::Pause;
    for case in cases("compared") {
        let tolerate_ratio = real(&case["ratio"]);
        let rule = Rule::parse(case["rule"].as_str().unwrap()).unwrap();
        let quantiles = vec![0.5, 0.9, 0.99];
        let latency = LatencyComparison { quantiles, freeze_after: 1000, tolerate_ratio, weight: 1.0, on_failure };
        let mistakes = MistakeComparison { tolerate_ratio, weight: 1.0, on_failure };
        let mut trial = Trial::new(Guardrail {
            latency_vs_stable: Some(latency),
            mistakes: Some(mistakes),
            ..Guardrail::default()
        })
        .unwrap();
        let mut shares: Vec<ShareTotals> = Vec::new();
        for look in case["looks"].as_array().unwrap() {
            let share = real(&look[0]);
            if shares.iter().all(|totals| totals.share != share) {
                shares.push(ShareTotals { share, ..ShareTotals::default() });
            }
            let totals = shares.iter_mut().find(|totals| totals.share == share).unwrap();
            for (i, counts) in look[1].as_array().unwrap().iter().enumerate() {
                for (arm, n) in [&mut totals.candidate, &mut totals.stable].into_iter().zip([&counts[0], &counts[1]]) {
                    match rule {
                        Rule::Mistakes => arm.mistakes += count(n),
                        _ => arm.slow_at[i] += count(n),
                    }
                }
            }
            trial.observe(&Observed { shares: shares.clone(), ..Observed::default() });
        }
        assert_evidence(&trial, rule, &case);
    }
}

#[test]
fn bins_and_shares_give_the_oracles_drift_and_sample_ratio() {
    for case in cases("drift") {
        let segment = |s: &Value| (real(&s[0]), list(&s[1], count), list(&s[2], count));
        let segments = list(&case["segments"], segment);
        let kappa = real(&case["kappa"]);
        let sum: f64 = segments.iter().map(|(share, c, b)| bins_log_e(c, b, *share, kappa)).sum();
        assert_close(sum, &case["log_e"], &case);
        if kappa != DRIFT_KAPPA {
            continue;
        }
        let drift = Drift { output: None, bins: Bins::Classes, alpha: 0.001, on_failure: OnFailure::Pause };
        let mut trial = Trial::new(Guardrail { drift: Some(drift), ..Guardrail::default() }).unwrap();
        for (share, candidate, stable) in segments {
            let mut totals = ShareTotals { share, ..ShareTotals::default() };
            totals.candidate.bins[..candidate.len()].copy_from_slice(&candidate);
            totals.stable.bins[..stable.len()].copy_from_slice(&stable);
            trial.observe(&Observed { shares: vec![totals], ..Observed::default() });
        }
        assert_close(evidence_of(&trial, Rule::Drift).log_plain, &case["log_e"], &case);
    }
}

#[test]
fn losses_give_the_oracles_bet() {
    for case in cases("bets") {
        let stakes = loss_stakes(real(&case[0]));
        assert_close(block_bet_log_e(&list(&case[1], real), &stakes, real(&case[0])), &case[2], &case);
    }
    for case in cases("blocks") {
        let (share, tolerate_extra) = (real(&case["share"]), real(&case["tolerated"]));
        assert_eq!(loss_block(share) as u64, count(&case["block"]));
        let loss = LossComparison { tolerate_extra, weight: 1.0, on_failure: OnFailure::Pause };
        let mut trial = Trial::new(Guardrail { loss: Some(loss), ..Guardrail::default() }).unwrap();
        for fed in case["losses"].as_array().unwrap() {
            let arm = if count(&fed[0]) == 1 { Arm::Candidate } else { Arm::Stable };
            assert!(trial.on_loss(&LossSample { arm, share, loss: real(&fed[1]) }));
        }
        trial.observe(&Observed::default());
        let evidence = evidence_of(&trial, Rule::Loss);
        assert_eq!(evidence.faults, count(&case["n_differences"]));
        assert_close(evidence.log_plain, &case["log_e"], &case);
        match evidence.log_restart {
            Some(restart) => assert_close(restart, &case["restart"], &case),
            None => assert!(case["restart"].is_null()),
        }
    }
}

#[test]
fn the_steady_watch_has_the_oracles_restart_value() {
    for case in cases("steady") {
        let rule = SteadyState { mean_requests_between_false_alarms: 1e12, on_failure: OnFailure::Alert };
        let limit = real(&case["limit"]);
        let guardrail = Guardrail { limit, steady_state: Some(rule), ..Guardrail::default() };
        let mut guard = SteadyGuard::new(&guardrail).unwrap().unwrap();
        let mut successes = 0;
        for (gap, expected) in case["gaps"].as_array().unwrap().iter().zip(case["log_restart"].as_array().unwrap()) {
            successes += count(gap);
            guard.on_fault(successes, None);
            assert_close(guard.evidence(successes).log_restart.unwrap(), expected, &case);
        }
    }
}
