//! What other versions, and other hands, do to a rollout.

use base_types::RolloutStatus;

use super::story::*;
use crate::plan::OnNewCandidate;
use crate::rollout::{Action, Event, NotifyKind, OutCause, RefusalCode};

fn newcomer(story: &mut Story, number: u64) -> Option<RefusalCode> {
    story.take(&Event::NewCandidate(waiting(number))).map(|refusal| refusal.code)
}

#[test]
fn another_candidate_is_refused_while_one_is_under_way() {
    let mut story = Story::in_weight();
    assert_eq!(newcomer(&mut story, 9), Some(RefusalCode::IsUnderWay));
    assert_eq!(newcomer(&mut story, 8), Some(RefusalCode::SameCandidate));
    assert_eq!(story.status(), RolloutStatus::Running);
    story.abort();
    story.done();
    assert_eq!(newcomer(&mut story, 9), None);
    assert_eq!(story.done(), [Action::StartNext(waiting(9))]);
}

#[test]
fn the_last_candidate_that_queued_is_next() {
    let mut story = Story::in_weight();
    story.policy.on_new_candidate = OnNewCandidate::Queue;
    for number in [9, 10, 10] {
        assert_eq!(newcomer(&mut story, number), None);
    }
    assert_eq!(story.told(), [NotifyKind::Queued, NotifyKind::Queued]);
    story.abort();
    assert_eq!(story.done().last(), Some(&Action::StartNext(waiting(10))));
    assert_eq!(story.rollout.next, None);
}

#[test]
fn a_newcomer_takes_the_place_of_a_canary_but_not_of_a_promotion() {
    let mut story = Story::in_weight();
    story.policy.on_new_candidate = OnNewCandidate::Replace;
    assert_eq!(newcomer(&mut story, 9), None);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Replaced, 0.0));
    let done = story.done();
    let cause = OutCause::Replaced(version(9));
    assert_eq!(done[0], Action::RollBack { cause, is_quarantined: false });
    assert_eq!(done.last(), Some(&Action::StartNext(waiting(9))));

    let mut story = Story::in_bake();
    story.policy.on_new_candidate = OnNewCandidate::Replace;
    assert_eq!(newcomer(&mut story, 9), None);
    assert_eq!((story.status(), story.rollout.next.clone()), (RolloutStatus::Baking, Some(waiting(9))));
}

#[test]
fn evidence_against_one_stable_version_is_not_used_with_another() {
    let mut story = Story::in_weight();
    story.take(&Event::StableChanged { version: version(7) });
    assert_eq!(story.status(), RolloutStatus::Running);
    story.take(&Event::StableChanged { version: version(6) });
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Aborted, 0.0));
    assert!(matches!(story.done()[0], Action::RollBack { is_quarantined: false, .. }));
}

#[test]
fn a_candidate_made_stable_by_other_hands_keeps_what_it_has() {
    let mut story = Story::in_weight();
    story.take(&Event::StableChanged { version: version(8) });
    assert_eq!(story.status(), RolloutStatus::Aborted);
    assert!(!story.done().iter().any(|action| matches!(action, Action::RollBack { .. } | Action::SetTraffic { .. })));
    let mut story = Story::in_bake();
    story.take(&Event::StableChanged { version: version(8) });
    assert_eq!(story.status(), RolloutStatus::Baking, "that was its own promotion");
}

#[test]
fn a_candidate_that_is_gone_ends_its_rollout() {
    let mut story = Story::in_bake();
    story.take(&Event::CandidateGone { reason: "its content was quarantined by grace".into() });
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Aborted, 0.0));
    assert!(story.rollout.note.contains("quarantined by grace"));
}

#[test]
fn a_rollback_by_other_hands_is_taken_note_of() {
    let mut story = Story::in_weight();
    story.take(&Event::RolledBackElsewhere { text: "by the command of ada".into() });
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::RolledBack, 0.0));
    assert_eq!(story.done().last(), Some(&Action::Finish));
}
