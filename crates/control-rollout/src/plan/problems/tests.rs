use super::*;
use crate::plan::FreezeAfter;
use crate::policy::{DisagreementLimit, LatencyLimit, OnFailure};

fn step(kind: StepKind) -> Step {
    Step { kind, min: Duration::ZERO, max: None, proofs: vec![], min_requests: 0, min_feedback: 0 }
}

fn with(steps: Vec<Step>) -> Policy {
    Policy { steps, ..Policy::default() }
}

/// The fields a policy is faulted in, warnings marked.
fn fields(policy: &Policy) -> Vec<String> {
    let name = |problem: PolicyProblem| {
        assert!(!problem.text.is_empty() && !problem.hint.is_empty());
        if problem.is_warning { format!("{} (warning)", problem.field) } else { problem.field }
    };
    policy.problems().into_iter().map(name).collect()
}

#[test]
fn the_default_policy_has_no_problems() {
    assert_eq!(fields(&Policy::default()), Vec::<String>::new());
    assert_eq!(Policy::default().problems_under(&Guardrail::default()), vec![]);
}

#[test]
fn every_bad_value_is_told_with_its_field() {
    let weight = |share| step(StepKind::Weight { share });
    let check = |policy: Policy, expected: &[&str]| assert_eq!(fields(&policy), expected);
    check(with(vec![]), &["steps"]);
    check(with(vec![step(StepKind::Gate); STEPS_MAX + 1]), &["steps"]);
    for share in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
        check(with(vec![weight(share)]), &["steps[0].share"]);
    }
    check(with(vec![step(StepKind::Shadow { share: 1.5 })]), &["steps[0].share"]);
    check(with(vec![step(StepKind::WarmUp { runs: 0 })]), &["steps[0].warm_up"]);
    check(with(vec![step(StepKind::Pause { approval: " ".into() })]), &["steps[0].pause"]);
    let promote = step(StepKind::Promote { bake: Duration::from_secs(60) });
    check(with(vec![promote.clone(), step(StepKind::Gate)]), &["steps[0].promote"]);
    check(with(vec![Step { max: Some(Duration::from_secs(60)), ..promote }]), &["steps[0].max"]);
    check(with(vec![Step { max: Some(Duration::ZERO), ..step(StepKind::Gate) }]), &["steps[0].max", "steps[0].max"]);
    check(with(vec![Step { min: Duration::MAX, ..weight(0.1) }]), &["steps[0].min", "max_duration (warning)"]);
    check(Policy { max_duration: Duration::ZERO, ..Policy::default() }, &["max_duration"]);
    check(Policy { progress_deadline: Duration::ZERO, ..Policy::default() }, &["progress_deadline"]);
    let freeze_after = FreezeAfter { rollbacks: 0, within: Duration::ZERO };
    check(Policy { freeze_after, ..Policy::default() }, &["freeze_after.within", "freeze_after.rollbacks"]);
    let guardrail = Guardrail { alpha: 2.0, ..Guardrail::default() };
    check(Policy { guardrail: Some(guardrail), ..Policy::default() }, &["guardrail.alpha"]);
}

#[test]
fn what_is_doubtful_is_a_warning() {
    let weight = |share| step(StepKind::Weight { share });
    let check = |policy: Policy, expected: &[&str]| assert_eq!(fields(&policy), expected);
    check(with(vec![weight(0.9)]), &["steps[0].share (warning)"]);
    check(with(vec![weight(0.5), weight(0.1)]), &["steps[1].share (warning)"]);
    check(Policy { max_duration: Duration::from_secs(600), ..Policy::default() }, &["max_duration (warning)"]);
}

#[test]
fn evidence_is_not_asked_for_before_it_can_come() {
    let proving = |kind, proofs: &[ProofOf]| Step { proofs: proofs.to_vec(), ..step(kind) };
    let check = |steps: Vec<Step>, expected: &[&str]| assert_eq!(fields(&with(steps)), expected);
    let weight = StepKind::Weight { share: 0.1 };
    check(vec![proving(StepKind::Gate, &[ProofOf::Errors])], &["steps[0]"]);
    check(vec![Step { min_requests: 5, ..step(StepKind::WarmUp { runs: 5 }) }], &["steps[0]"]);
    check(vec![proving(weight.clone(), &[ProofOf::Disagreement])], &["steps[0].proofs[0]"]);
    check(vec![step(StepKind::Shadow { share: 0.1 }), proving(weight.clone(), &[ProofOf::Disagreement])], &[]);
    check(vec![proving(weight, &[ProofOf::Errors, ProofOf::Errors])], &["steps[0].proofs[1]"]);
}

#[test]
fn a_proof_needs_its_rule() {
    let shadow =
        Step { proofs: vec![ProofOf::Disagreement, ProofOf::Latency], ..step(StepKind::Shadow { share: 0.1 }) };
    let policy = with(vec![shadow]);
    let check = |guardrail: &Guardrail, expected: &[&str]| {
        let found: Vec<_> = policy.problems_under(guardrail).into_iter().map(|problem| problem.field).collect();
        assert_eq!(found, expected);
    };
    check(&Guardrail::default(), &["steps[0].proofs[0]", "steps[0].proofs[1]"]);
    let on_failure = OnFailure::Pause;
    let latency = Some(LatencyLimit { slower_than_seconds: 0.1, limit: 0.01, weight: 0.1, on_failure });
    let compare = base_types::Comparison::default();
    let disagreement = Some(DisagreementLimit { limit: 0.02, compare, is_redacted: false, weight: 0.1, on_failure });
    check(&Guardrail { latency, disagreement, ..Guardrail::default() }, &[]);
}
