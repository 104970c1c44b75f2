#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use base_types::Comparison;

use super::*;
use crate::chance::Draws;
use crate::policy::{DisagreementLimit, LatencyComparison, LatencyLimit, OnFailure};

const SHAPE: LatencyShape = LatencyShape { p50: 0.020, p99: 0.064 };

fn asked(guardrail: &Guardrail, share: f64, harm: Harm) -> HarmPower {
    let policy = Policy::default();
    let request = PowerRequest {
        policy: &policy,
        guardrail,
        requests_per_second: 42.0,
        stable_error_rate: 0.001,
        latency: Some(SHAPE),
        rounds: 200,
    };
    let mut draws = Draws::seeded(12);
    found(&request, share, harm, &mut || draws.unit())
}

fn whole(policy: &Policy, guardrail: &Guardrail, requests_per_second: f64) -> Power {
    let request = PowerRequest {
        policy,
        guardrail,
        requests_per_second,
        stable_error_rate: 0.001,
        latency: Some(SHAPE),
        rounds: 20,
    };
    let mut draws = Draws::seeded(12);
    power(&request, &mut || draws.unit()).unwrap()
}

fn with_latency() -> Guardrail {
    let comparison = LatencyComparison {
        quantiles: vec![0.5, 0.9, 0.99],
        freeze_after: 1000,
        tolerate_ratio: 1.1,
        weight: 1.0,
        on_failure: OnFailure::Pause,
    };
    Guardrail { latency_vs_stable: Some(comparison), ..Guardrail::default() }
}

#[test]
fn errors_are_found_as_soon_as_the_reference_simulation_says() {
    // Its mean delays at a share of a tenth; it spends alpha undivided over stages, which costs some 10 %.
    for (rate, reference) in [(1.0, 3.0), (0.5, 6.4), (0.05, 142.0), (0.02, 491.0)] {
        let harm = asked(&Guardrail::default(), 0.1, Harm::Errors(rate));
        let mean = harm.mean.unwrap();
        assert_eq!(harm.found, 1.0);
        assert!(mean > 0.8 * reference && mean < 1.35 * reference, "rate {rate}: {mean} against {reference}");
        assert!(harm.p95.unwrap() >= mean && harm.estimate > 0.3 * mean && harm.estimate < 3.0 * mean, "{harm:?}");
    }
}

#[test]
fn slow_candidates_are_found_as_soon_as_the_reference_simulation_says() {
    // The reference spends all of alpha on this rule; here two thirds of it go to it with weight 2.
    let guardrail = with_latency();
    for (factor, reference) in [(2.0, 26.0), (1.5, 89.0), (1.25, 345.0)] {
        let mean = asked(&guardrail, 0.1, Harm::Latency(factor)).mean.unwrap();
        assert!(mean > 0.8 * reference && mean < 1.6 * reference, "factor {factor}: {mean} against {reference}");
    }
}

#[test]
fn the_bound_on_slow_answers_finds_what_is_over_it() {
    let rule = LatencyLimit { slower_than_seconds: 0.08, limit: 0.01, weight: 1.0, on_failure: OnFailure::RollBack };
    let guardrail = Guardrail { latency: Some(rule), ..Guardrail::default() };
    let (twice, hardly) = (asked(&guardrail, 0.1, Harm::Latency(2.0)), asked(&guardrail, 0.1, Harm::Latency(1.1)));
    assert!(twice.mean.unwrap() < 200.0, "{twice:?}");
    assert_eq!(hardly.mean, None, "still within the bound");
}

#[test]
fn larger_harms_are_found_sooner() {
    let guardrail = with_latency();
    let mean = |harm| asked(&guardrail, 0.05, harm).mean.unwrap();
    assert!(mean(Harm::Errors(0.5)) < mean(Harm::Errors(0.05)));
    assert!(mean(Harm::Errors(0.05)) < mean(Harm::Errors(0.02)));
    assert!(mean(Harm::Latency(2.0)) < mean(Harm::Latency(1.25)));
}

#[test]
fn disagreement_is_found_as_soon_as_the_reference_simulation_says() {
    let compare = Comparison::default();
    let rule =
        DisagreementLimit { limit: 0.01, compare, is_redacted: false, weight: 1.0, on_failure: OnFailure::Pause };
    let guardrail = Guardrail { disagreement: Some(rule), ..Guardrail::default() };
    for (rate, reference) in [(0.05, 217.0), (0.2, 20.0)] {
        let mean = asked(&guardrail, 0.1, Harm::Disagreement(rate)).mean.unwrap();
        assert!(mean > 0.8 * reference && mean < 1.6 * reference, "rate {rate}: {mean} against {reference}");
    }
}

#[test]
fn a_candidate_within_the_limits_is_not_found() {
    let harm = asked(&Guardrail::default(), 0.1, Harm::Errors(0.001));
    assert_eq!((harm.mean, harm.found), (None, 0.0));
}

#[test]
fn the_first_proof_takes_what_is_documented_and_is_kept() {
    let policy = Policy::default();
    let power = whole(&policy, &Guardrail::default(), 42.0);
    let first = &power.steps[0];
    assert_eq!((first.share, first.proofs[0].clean_requests), (0.01, 348));
    let expected = first.proofs[0].expected_requests.unwrap();
    assert!((348..700).contains(&expected), "{expected}");
    let seconds = first.seconds.unwrap();
    assert!((seconds - expected as f64 / 0.42).abs() < 1.0, "{seconds}");
    // What was proven stays proven: the other steps take what their time asks for.
    let others: Vec<_> = power.steps[1..].iter().map(|step| step.seconds.unwrap()).collect();
    assert_eq!(others, [120.0, 300.0, 600.0, 3600.0]);
    assert!((power.total_seconds.unwrap() - seconds - 4620.0).abs() < 1e-6);
}

#[test]
fn more_traffic_makes_proofs_and_findings_quicker() {
    let policy = Policy::default();
    let (slow, fast) = (whole(&policy, &Guardrail::default(), 4.0), whole(&policy, &Guardrail::default(), 400.0));
    assert!(slow.total_seconds > fast.total_seconds);
    let seconds = |power: &Power| power.steps[0].harms[1].seconds.unwrap();
    assert!(seconds(&slow) > 50.0 * seconds(&fast));
}

#[test]
fn a_stable_over_the_limit_makes_the_proof_unreachable() {
    let policy = Policy::default();
    let guardrail = Guardrail { limit: 0.0005, ..Guardrail::default() };
    let power = whole(&policy, &guardrail, 42.0);
    assert_eq!((power.steps[0].proofs[0].expected_requests, power.total_seconds), (None, None));
}

#[test]
fn the_parts_of_the_budget_sum_up() {
    let power = whole(&Policy::default(), &with_latency(), 42.0);
    let sum: f64 = power.parts.iter().map(|(_, part)| part).sum();
    assert!((sum - 1.0).abs() < 1e-12);
    assert!(power.parts.len() == 3 && power.apart.len() == 1, "{:?} {:?}", power.parts, power.apart);
}

#[test]
fn the_text_reads_like_a_report() {
    let mut policy = Policy::default();
    policy.steps.insert(
        4,
        crate::plan::Step { kind: StepKind::Pause { approval: "ml-oncall".into() }, ..policy.steps[0].clone() },
    );
    let text = whole(&policy, &with_latency(), 42.0).to_string();
    for part in [
        "At today's 42 requests a second:",
        "a share of 5 %: an error rate of 100 % is found after about 3 requests (",
        "; a latency of 2 times stable's is found after about ",
        ", 50 % after ",
        ", 1.5 times after ",
        "The proof on errors needs 348 good requests, about ",
        "not counted: step 5 waits for ml-oncall.",
        "A healthy candidate is convicted with a chance of at most 0.1 % (",
        "The rule sample_ratio raises a false alarm with a chance of at most 0.1 %.",
    ] {
        assert!(text.contains(part), "{part} is not in:\n{text}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused_by_field() {
    let (policy, guardrail) = (Policy::default(), Guardrail::default());
    let bad = Guardrail { alpha: 0.9, ..Guardrail::default() };
    let good = PowerRequest {
        policy: &policy,
        guardrail: &guardrail,
        requests_per_second: 1.0,
        stable_error_rate: 0.0,
        latency: None,
        rounds: 1,
    };
    let refused = |request: PowerRequest<'_>| power(&request, &mut || 0.5).unwrap_err().field;
    assert_eq!(refused(PowerRequest { guardrail: &bad, ..good }), "alpha");
    assert_eq!(refused(PowerRequest { requests_per_second: 0.0, ..good }), "requests_per_second");
    assert_eq!(refused(PowerRequest { stable_error_rate: 0.5, ..good }), "stable_error_rate");
    assert_eq!(refused(PowerRequest { rounds: 0, ..good }), "rounds");
    let flat = LatencyShape { p50: 0.1, p99: 0.1 };
    assert_eq!(refused(PowerRequest { latency: Some(flat), ..good }), "latency.p99");
}
