//! A candidate about which there is nothing to complain.

use base_types::RolloutStatus;

use super::story::*;
use crate::plan::{ProofOf, StepKind};
use crate::rollout::{
    Action, Check, Event, NotifyKind, OrderKind, OutCause, Start, StepState, begin, describe, step_views,
};

#[test]
fn a_healthy_candidate_goes_from_gate_to_confirmation() {
    let mut story = Story::of(whole_life());
    assert!(story.done().contains(&Action::RunGate));
    story.tick_after(1);
    assert_eq!(story.rollout.step, 0, "the gate has not answered");

    story.facts.gate = Some(Check::Passed);
    story.tick_after(1);
    assert!(story.done().contains(&Action::WarmUp { runs: 20 }));
    story.facts.warm_up = Some(Check::Passed);
    story.tick_after(1);
    assert_eq!(story.done()[1], Action::SetTraffic { share: 0.0, shadow_share: 0.1 });

    story.facts.n_shadowed = 500;
    story.facts.proofs.insert(ProofOf::Disagreement, PROVEN);
    story.tick_after(1);
    assert!(story.done().contains(&Action::SetTraffic { share: 0.05, shadow_share: 0.0 }));
    story.facts.n_requests = 500;
    story.facts.proofs.insert(ProofOf::Errors, PROVEN);
    story.tick_after(59);
    assert_eq!(story.rollout.step, 3, "a second is missing");
    story.tick_after(1);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::AwaitingApproval, 0.05));
    assert_eq!(story.told(), [NotifyKind::AwaitingApproval]);

    story.tick_after(86_400 * 30);
    assert_eq!(story.status(), RolloutStatus::AwaitingApproval, "nobody is in a hurry");
    story.facts.last_request_unix_ms = Some(story.now);
    story.order(OrderKind::Approve).unwrap();
    assert_eq!(story.rollout.share, 0.5);
    story.done();
    story.tick_after(60);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Baking, 1.0));
    assert!(story.done().contains(&Action::Promote { is_forced: false }));

    story.tick_after(3599);
    assert_eq!(story.status(), RolloutStatus::Baking);
    story.tick_after(1);
    assert_eq!(story.status(), RolloutStatus::Promoted);
    let done = story.done();
    assert!(done.contains(&Action::Confirm) && done.contains(&Action::Finish));
}

#[test]
fn no_step_is_left_while_a_single_condition_is_open() {
    let spoil: [fn(&mut Story); 6] = [
        |story| story.facts.is_candidate_ready = false,
        |story| story.facts.n_requests = 99,
        |story| story.facts.n_feedback = 49,
        |story| story.facts.is_sample_ratio_broken = true,
        |story| story.facts.proofs = [(ProofOf::Errors, OPEN)].into(),
        |story| story.facts.proofs.clear(),
    ];
    for spoil in spoil {
        let mut policy = short();
        (policy.steps[0].min_requests, policy.steps[0].min_feedback) = (100, 50);
        let mut story = Story::of(policy);
        story.tick_after(0);
        story.all_goes_well();
        spoil(&mut story);
        story.tick_after(300);
        assert_eq!((story.rollout.step, story.rollout.share), (0, 0.05));
        story.all_goes_well();
        story.tick_after(1);
        assert_eq!(story.status(), RolloutStatus::Baking);
    }
}

#[test]
fn traffic_waits_until_the_candidate_is_in_memory() {
    let mut story = Story::of(short());
    story.facts.is_candidate_ready = false;
    story.tick_after(500);
    assert_eq!(story.rollout.share, 0.0);
    story.facts.is_candidate_ready = true;
    story.tick_after(1);
    assert_eq!(story.rollout.share, 0.05);
    story.all_goes_well();
    story.tick_after(59);
    assert_eq!(story.rollout.step, 0, "the step's time counts from its first traffic");
    story.tick_after(1);
    assert_eq!(story.rollout.step, 1);
}

#[test]
fn what_the_gate_or_the_warm_up_refuses_sees_no_traffic() {
    for is_gate in [true, false] {
        let mut story = Story::of(whole_life());
        let refusal = Some(Check::Failed("input x has another type".into()));
        if is_gate {
            story.facts.gate = refusal;
        } else {
            story.facts.gate = Some(Check::Passed);
            story.tick_after(1);
            story.facts.warm_up = refusal;
        }
        story.done();
        story.tick_after(1);
        assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Aborted, 0.0));
        assert!(story.rollout.note.contains("input x has another type"));
        assert!(matches!(&story.done()[0], Action::RollBack { cause: OutCause::Check(_), is_quarantined: false }));
    }
}

#[test]
fn a_version_confirmed_of_late_is_promoted_at_once_but_watched() {
    let begun = begin(&whole_life(), Start { skips_judgement: true, ..start() }, 1_000_000);
    let mut story = Story::of(whole_life());
    story.rollout = begun.rollout;
    assert!(!begun.actions.contains(&Action::RunGate));
    story.tick_after(1);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Baking, 1.0));
}

#[test]
fn a_policy_without_promotion_ends_with_a_question() {
    let mut policy = short();
    policy.steps.pop();
    let mut story = Story::of(policy);
    story.tick_after(0);
    story.all_goes_well();
    story.tick_after(60);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Held, 0.05));
    assert!(story.order(OrderKind::Resume).is_err());
    story.order(OrderKind::Promote { force: None }).unwrap();
    assert_eq!((story.status(), story.rollout.step), (RolloutStatus::Baking, 1));
    assert_eq!(step_views(&story.policy, &story.rollout).len(), 2);
    story.tick_after(600);
    assert_eq!(story.status(), RolloutStatus::Promoted);
}

#[test]
fn a_promotion_without_bake_is_confirmed_with_the_next_tick() {
    let mut policy = short();
    policy.steps[1].kind = StepKind::Promote { bake: seconds(0) };
    let mut story = Story::of(policy);
    story.tick_after(0);
    story.all_goes_well();
    story.tick_after(60);
    story.facts.n_requests = 0;
    story.tick_after(0);
    assert_eq!(story.status(), RolloutStatus::Promoted);
}

#[test]
fn an_approval_alone_does_not_replace_the_other_conditions_of_its_step() {
    let mut policy = whole_life();
    policy.steps[4].min = seconds(600);
    let mut story = Story::of(policy);
    story.rollout.step = 4;
    story.rollout.share = 0.05;
    story.rollout.status = RolloutStatus::AwaitingApproval;
    story.all_goes_well();
    story.order(OrderKind::Approve).unwrap();
    assert_eq!((story.status(), story.rollout.step), (RolloutStatus::Running, 4));
    story.tick_after(600);
    assert_eq!((story.rollout.step, story.rollout.share), (5, 0.5));
}

#[test]
fn a_display_shows_where_it_is_and_what_it_waits_for() {
    let mut story = Story::in_weight();
    story.facts.requests_per_second = Some(100.0);
    story.facts.proofs.insert(ProofOf::Errors, OPEN);
    story.facts.n_requests = 12;
    let states: Vec<_> = step_views(&story.policy, &story.rollout).into_iter().map(|view| view.state).collect();
    assert_eq!(states, [StepState::Current, StepState::ToCome]);
    let waiting = describe(&story.policy, &story.rollout, &story.facts, story.now + 10_000);
    // 348 clean requests at 5 of a second.
    assert_eq!(waiting.step_left_ms, Some(69_600));
    assert_eq!(waiting.whole_left_ms, Some(69_600 + 3_600_000));
    assert_eq!(waiting.text, "waits for 50 s to pass, proof of errors (348 clean requests more); about 1 min 10 s");

    story.all_goes_well();
    story.tick_after(60);
    story.tick_after(3600);
    let states: Vec<_> = step_views(&story.policy, &story.rollout).into_iter().map(|view| view.state).collect();
    assert_eq!(states, [StepState::Done, StepState::Done]);
    assert!(describe(&story.policy, &story.rollout, &story.facts, story.now).missing.is_empty());
}

#[test]
fn a_clock_that_jumps_back_moves_nothing() {
    let mut story = Story::in_weight();
    story.all_goes_well();
    story.now = 0;
    story.take(&Event::Tick(story.facts.clone()));
    assert_eq!((story.status(), story.rollout.step), (RolloutStatus::Running, 0));
}
