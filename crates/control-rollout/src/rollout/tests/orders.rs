//! What people may order, and when.

use base_types::RolloutStatus;

use super::story::*;
use crate::plan::ProofOf;
use crate::policy::OnFailure;
use crate::rollout::{Action, OrderKind, RefusalCode};

fn promote(force: Option<&str>) -> OrderKind {
    OrderKind::Promote { force: force.map(Into::into) }
}

#[test]
fn a_promotion_by_order_needs_its_proof() {
    let mut story = Story::in_weight();
    assert_eq!(story.order(promote(None)), Err(RefusalCode::NotProven));
    assert_eq!(story.rollout.share, 0.05);
    story.facts.proofs.insert(ProofOf::Errors, PROVEN);
    story.order(promote(None)).unwrap();
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Baking, 1.0));
    assert!(story.done().contains(&Action::Promote { is_forced: false }));
    assert_eq!(story.order(promote(None)), Err(RefusalCode::WrongStatus));
}

#[test]
fn a_forced_promotion_needs_a_reason_and_a_candidate_in_memory() {
    let mut story = Story::in_weight();
    story.facts.is_sample_ratio_broken = true;
    assert_eq!(story.order(promote(Some(" "))), Err(RefusalCode::ReasonNeeded));
    story.facts.is_candidate_ready = false;
    assert_eq!(story.order(promote(Some("the old one leaks"))), Err(RefusalCode::NotReady));
    story.facts.is_candidate_ready = true;
    story.order(promote(Some("the old one leaks"))).unwrap();
    assert!(story.done().contains(&Action::Promote { is_forced: true }));
    assert!(story.rollout.note.contains("without proof: the old one leaks"));
}

#[test]
fn a_broken_sample_ratio_or_a_shared_incident_blocks_a_promotion() {
    let mut story = Story::in_weight();
    story.all_goes_well();
    story.facts.is_sample_ratio_broken = true;
    assert_eq!(story.order(promote(None)), Err(RefusalCode::SampleRatio));
    story.facts.is_sample_ratio_broken = false;
    story.facts.is_shared_incident = true;
    assert_eq!(story.order(promote(None)), Err(RefusalCode::SharedIncident));
}

#[test]
fn an_approval_needs_a_name_and_something_that_waits_for_it() {
    let mut story = Story::in_weight();
    assert_eq!(story.order(OrderKind::Approve), Err(RefusalCode::WrongStatus));
    let mut story = Story::of(whole_life());
    story.all_goes_well();
    (0..7).for_each(|_| story.tick_after(60));
    assert_eq!(story.order_by(" ", OrderKind::Approve), Err(RefusalCode::NameNeeded));
    assert_eq!(story.order_by("", promote(None)), Err(RefusalCode::NameNeeded));
    assert_eq!(story.status(), RolloutStatus::AwaitingApproval);
    story.order_by("grace", OrderKind::Approve).unwrap();
    assert_eq!(story.rollout.share, 0.5);
}

#[test]
fn orders_that_do_not_fit_change_nothing() {
    let mut story = Story::in_weight();
    let before = story.rollout.clone();
    for kind in [OrderKind::Approve, OrderKind::Resume, OrderKind::Confirm, OrderKind::Retry] {
        assert_eq!(story.order(kind), Err(RefusalCode::WrongStatus));
    }
    assert_eq!((story.rollout.clone(), story.done()), (before, vec![]));
    story.pause();
    assert_eq!(story.order(OrderKind::Pause { reason: "".into() }), Err(RefusalCode::WrongStatus));
}

#[test]
fn a_person_may_confirm_before_the_bake_is_over() {
    let mut story = Story::in_bake();
    story.order(OrderKind::Confirm).unwrap();
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Promoted, 1.0));
    assert!(story.done().contains(&Action::Confirm));
}

#[test]
fn a_bad_version_is_tried_again_as_often_as_the_policy_allows() {
    let mut story = Story::in_weight();
    story.trip("drift", OnFailure::Pause);
    story.trip("limit", OnFailure::RollBack);
    story.done();
    story.facts.is_frozen = true;
    assert_eq!(story.order(OrderKind::Retry), Err(RefusalCode::Frozen));
    story.facts.is_frozen = false;
    story.order(OrderKind::Retry).unwrap();
    assert_eq!(story.done()[0], Action::Release);
    assert_eq!((story.status(), story.rollout.step, story.rollout.share), (RolloutStatus::Running, 0, 0.0));
    assert!(story.rollout.noted.is_empty(), "nobody has overruled a rule in this attempt");
    story.tick_after(1);
    assert_eq!(story.rollout.share, 0.05);
    story.abort();
    assert_eq!(story.order(OrderKind::Retry), Err(RefusalCode::NoRetriesLeft));
    assert_eq!(story.order(OrderKind::Resume), Err(RefusalCode::IsOver));
}

#[test]
fn what_was_promoted_is_not_tried_again() {
    let mut story = Story::in_bake();
    story.order(OrderKind::Confirm).unwrap();
    assert_eq!(story.order(OrderKind::Retry), Err(RefusalCode::WrongStatus));
}

#[test]
fn an_abort_may_quarantine() {
    let mut story = Story::in_weight();
    story.order(OrderKind::Abort { reason: "wrong labels".into(), is_quarantined: true }).unwrap();
    assert!(matches!(&story.done()[0], Action::RollBack { is_quarantined: true, .. }));
    assert_eq!(&*story.rollout.note, "version 8 is out of traffic: ordered by ada: wrong labels");
}
