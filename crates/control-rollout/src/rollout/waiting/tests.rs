#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::*;

fn step(kind: StepKind) -> Step {
    Step { kind, min: Duration::ZERO, max: None, proofs: vec![], min_requests: 0, min_feedback: 0 }
}

#[test]
fn a_step_that_watches_requests_asks_for_one_at_least() {
    let check = |kind: StepKind, expected| assert_eq!(requests_needed(&step(kind)), expected);
    check(StepKind::Weight { share: 0.1 }, 1);
    check(StepKind::Shadow { share: 0.1 }, 1);
    check(StepKind::Promote { bake: Duration::from_secs(1) }, 1);
    check(StepKind::Promote { bake: Duration::ZERO }, 0);
    check(StepKind::Gate, 0);
    check(StepKind::Pause { approval: "x".into() }, 0);
}

#[test]
fn what_is_missing_is_said_in_words() {
    let check = |missing: Missing, text: &str| assert_eq!(missing.to_string(), text);
    check(Missing::Time { left_ms: 90_000 }, "1 min 30 s to pass");
    check(Missing::Requests { n_requests: 3, needed: 100 }, "requests (3 of 100)");
    check(Missing::Proof { of: ProofOf::Latency, clean_requests_needed: None }, "proof of latency");
    check(Missing::Approval("ml-oncall".into()), "the approval of ml-oncall");
    check(Missing::Person(Standstill::NoStepsLeft), "a person to promote it or abort");
    assert_eq!(missing_text(&[]), "nothing more");
    assert_eq!(missing_text(&[Missing::Gate, Missing::Ready]), "the gate, the candidate to be in memory");
}

#[test]
fn times_follow_from_the_pace_of_requests() {
    let pace = Pace { answered: Some(2.0), copied: None };
    assert_eq!(pace.time_for(&Missing::Requests { n_requests: 10, needed: 21 }), Some(5_500));
    assert_eq!(pace.time_for(&Missing::Shadowed { n_shadowed: 0, needed: 1 }), None);
    assert_eq!(pace.time_for(&Missing::Gate), None);
    let crawl = Pace { answered: Some(1e-300), copied: None };
    assert_eq!(crawl.time_for(&Missing::Requests { n_requests: 0, needed: 1 }), Some(u64::MAX));
}
