//! Silence, want of proof, pauses, restarts.

use base_types::{RolloutStatus, Standstill};

use super::story::*;
use crate::plan::{OnInconclusive, ProofOf};
use crate::rollout::{Action, Event, NotifyKind, OrderKind, OutCause};

#[test]
fn silence_is_told_once_in_a_step_and_decides_nothing() {
    for what in OnInconclusive::ALL {
        let mut story = Story::in_weight();
        story.policy.on_inconclusive = what;
        story.policy.steps[0].proofs.clear();
        story.tick_after(599);
        assert_eq!(story.told(), []);
        story.tick_after(1);
        story.tick_after(600);
        assert_eq!(story.told(), [NotifyKind::NoTraffic]);
        story.tick_after(86_400);
        assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Held, 0.05), "{}", what.as_str());
    }
}

#[test]
fn silence_does_not_confirm_a_promotion() {
    let mut story = Story::in_bake();
    story.facts.n_requests = 0;
    story.tick_after(86_400);
    assert_eq!(story.status(), RolloutStatus::Baking);
    story.facts.n_requests = 1;
    story.tick_after(1);
    assert_eq!(story.status(), RolloutStatus::Promoted);
}

#[test]
fn a_candidate_that_never_gets_into_memory_is_told_of() {
    let mut story = Story::of(short());
    story.done();
    story.facts.is_candidate_ready = false;
    story.tick_after(600);
    assert_eq!(story.told(), [NotifyKind::NoTraffic]);
    assert!(story.rollout.note.contains("has not been in memory"));
}

/// In the weight step, with requests but without proof, until the rollout's longest time is over.
fn unproven(what: OnInconclusive) -> Story {
    let mut story = Story::in_weight();
    story.policy.on_inconclusive = what;
    story.all_goes_well();
    story.facts.proofs.insert(ProofOf::Errors, OPEN);
    story.tick_after(86_399);
    assert_eq!(story.status(), RolloutStatus::Running);
    story.done();
    story.tick_after(1);
    story
}

#[test]
fn what_is_not_proven_in_time_is_held_with_its_share() {
    let mut story = unproven(OnInconclusive::Hold);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Held, 0.05));
    assert_eq!(story.rollout.standstill, Some(Standstill::Inconclusive));
    assert!(story.rollout.note.contains("proof of errors (348 clean requests more)"), "{}", story.rollout.note);
    story.tick_after(3600);
    assert_eq!(story.told(), [NotifyKind::Held]);
    story.order(OrderKind::Resume).unwrap();
    story.tick_after(86_399);
    assert_eq!(story.status(), RolloutStatus::Running, "a person has given it its time anew");
    story.tick_after(1);
    assert_eq!(story.status(), RolloutStatus::Held);
}

#[test]
fn what_is_not_proven_in_time_goes_out_unblemished_where_the_policy_says_so() {
    let mut story = unproven(OnInconclusive::RollBack);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::RolledBack, 0.0));
    assert!(matches!(&story.done()[0], Action::RollBack { cause: OutCause::Inconclusive(_), is_quarantined: false }));
}

#[test]
fn what_is_not_proven_in_time_is_promoted_where_the_policy_says_so() {
    let story = unproven(OnInconclusive::Promote);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Baking, 1.0));
}

#[test]
fn time_never_gives_an_approval() {
    let mut story = Story::of(whole_life());
    story.policy.on_inconclusive = OnInconclusive::Promote;
    story.all_goes_well();
    story.tick_after(0);
    story.tick_after(0);
    story.tick_after(0);
    story.facts.proofs.clear();
    story.tick_after(86_400);
    assert_eq!((story.rollout.step, story.status()), (4, RolloutStatus::AwaitingApproval));
    story.policy.steps[4].max = Some(seconds(3600));
    story.tick_after(3600);
    assert_eq!((story.rollout.step, story.status()), (4, RolloutStatus::Held));
}

#[test]
fn a_step_may_have_its_own_longest_time() {
    let mut story = Story::in_weight();
    story.policy.steps[0].max = Some(seconds(120));
    story.policy.on_inconclusive = OnInconclusive::Promote;
    story.facts.n_requests = 10;
    story.tick_after(119);
    assert_eq!(story.rollout.step, 0);
    story.facts.is_sample_ratio_broken = true;
    story.tick_after(1);
    assert_eq!(story.status(), RolloutStatus::Held, "suspect routing is never passed over by time");
}

#[test]
fn waiting_for_a_person_is_no_time_of_the_rollout() {
    let mut story = Story::of(whole_life());
    story.all_goes_well();
    (0..7).for_each(|_| story.tick_after(60));
    assert_eq!(story.status(), RolloutStatus::AwaitingApproval);
    story.tick_after(86_400 * 7);
    story.facts.proofs.clear();
    story.order(OrderKind::Approve).unwrap();
    story.tick_after(3600);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Running, 0.5));
    story.tick_after(86_400);
    assert_eq!(story.status(), RolloutStatus::Held);
}

#[test]
fn a_pause_stops_every_clock() {
    let mut story = Story::in_weight();
    story.all_goes_well();
    story.policy.max_duration = seconds(200);
    story.facts.proofs.clear();
    story.tick_after(59);
    story.pause();
    story.tick_after(86_400);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Paused, 0.05));
    story.order(OrderKind::Resume).unwrap();
    story.tick_after(140);
    assert_eq!(story.status(), RolloutStatus::Running, "a second of its longest time is left");
    story.tick_after(1);
    assert_eq!(story.status(), RolloutStatus::Held);
}

#[test]
fn a_restart_in_a_step_keeps_the_share_and_begins_its_time_anew() {
    let mut story = Story::in_weight();
    story.all_goes_well();
    story.tick_after(59);
    story.take(&Event::Restarted);
    assert_eq!(story.done(), [Action::SetTraffic { share: 0.05, shadow_share: 0.0 }]);
    story.tick_after(59);
    assert_eq!(story.rollout.step, 0);
    story.tick_after(1);
    assert_eq!(story.rollout.step, 1);
}

#[test]
fn a_restart_asks_for_a_gate_and_a_warm_up_again() {
    let mut story = Story::of(whole_life());
    story.done();
    story.take(&Event::Restarted);
    assert_eq!(story.done(), [Action::RunGate]);
    story.all_goes_well();
    story.tick_after(1);
    story.done();
    story.take(&Event::Restarted);
    assert_eq!(story.done(), [Action::WarmUp { runs: 20 }]);
}

#[test]
fn a_restart_before_the_confirmation_leaves_stable_serving_and_a_person_resumes() {
    let mut story = Story::in_bake();
    story.take(&Event::Restarted);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Held, 0.0));
    assert_eq!(story.rollout.standstill, Some(Standstill::Interrupted));
    story.tick_after(7200);
    assert_eq!(story.rollout.share, 0.0);
    story.order(OrderKind::Resume).unwrap();
    story.tick_after(1);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Baking, 1.0));
    story.tick_after(3599);
    assert_eq!(story.status(), RolloutStatus::Baking, "the whole bake is due again");
}
