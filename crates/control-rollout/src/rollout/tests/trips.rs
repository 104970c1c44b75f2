//! What rules lead to, in every status.

use base_types::{RolloutStatus, Standstill};

use super::story::*;
use crate::policy::OnFailure;
use crate::rollout::{Action, Event, NotifyKind, OrderKind, OutCause};

/// A rollout in each status that is not over, and with traffic.
fn everywhere() -> Vec<Story> {
    let awaiting = || {
        let mut story = Story::of(whole_life());
        story.all_goes_well();
        (0..7).for_each(|_| story.tick_after(60));
        story
    };
    let mut paused = Story::in_weight();
    paused.pause();
    let mut held = Story::in_weight();
    held.policy.steps[0].max = Some(seconds(100));
    held.tick_after(100);
    let stories = vec![Story::in_weight(), awaiting(), paused, held, Story::in_bake()];
    let statuses: Vec<_> = stories.iter().map(Story::status).collect();
    let all = RolloutStatus::ALL.into_iter().filter(|status| !status.is_over());
    assert_eq!(statuses, all.collect::<Vec<_>>());
    stories
}

#[test]
fn a_rule_that_convicts_rolls_back_from_every_status() {
    for mut story in everywhere() {
        story.done();
        story.trip("limit", OnFailure::RollBack);
        assert_eq!((story.status(), story.rollout.share), (RolloutStatus::RolledBack, 0.0));
        let done = story.done();
        let cause = OutCause::Rule { rule: "limit".into(), text: "5 faults in 20 requests".into() };
        assert_eq!(done[0], Action::RollBack { cause, is_quarantined: true });
        assert_eq!(done[2], Action::Finish);
        assert_eq!(&*story.rollout.note, "version 8 is out of traffic: 5 faults in 20 requests");
    }
}

#[test]
fn an_abort_beats_everything() {
    for mut story in everywhere() {
        story.abort();
        assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Aborted, 0.0));
    }
}

#[test]
fn a_rule_that_pauses_does_so_once_and_a_person_overrules_it() {
    let mut story = Story::in_weight();
    story.all_goes_well();
    for _ in 0..3 {
        story.trip("drift", OnFailure::Pause);
    }
    assert_eq!((story.status(), story.rollout.standstill), (RolloutStatus::Paused, Some(Standstill::Rule)));
    assert_eq!((story.told(), story.rollout.share), (vec![NotifyKind::Paused], 0.05));
    story.tick_after(600);
    assert_eq!(story.status(), RolloutStatus::Paused);
    story.order(OrderKind::Resume).unwrap();
    story.trip("drift", OnFailure::Pause);
    assert_eq!(story.status(), RolloutStatus::Running);
    story.trip("latency", OnFailure::Pause);
    assert_eq!(story.status(), RolloutStatus::Paused, "another rule is another reason");
}

#[test]
fn a_rule_that_alerts_tells_once_and_one_that_observes_is_silent() {
    let mut story = Story::in_weight();
    let before = story.rollout.clone();
    story.trip("latency", OnFailure::Observe);
    assert_eq!((story.rollout.clone(), story.done()), (before, vec![]));
    story.trip("latency", OnFailure::Alert);
    story.trip("latency", OnFailure::Alert);
    assert_eq!((story.status(), story.told()), (RolloutStatus::Running, vec![NotifyKind::Alert]));
}

#[test]
fn a_person_who_paused_is_told_what_rules_find_meanwhile() {
    let mut story = Story::in_weight();
    story.pause();
    story.done();
    story.trip("drift", OnFailure::Pause);
    assert_eq!(story.rollout.standstill, Some(Standstill::Order));
    assert_eq!(story.told(), [NotifyKind::Alert]);
}

#[test]
fn a_shared_incident_freezes_the_ramp_and_blames_nobody() {
    let mut story = Story::in_weight();
    story.all_goes_well();
    story.facts.is_shared_incident = true;
    story.take(&Event::SharedIncident { text: "limit: both".into() });
    story.tick_after(3600);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Held, 0.05));
    assert_eq!(story.told(), [NotifyKind::SharedIncident]);
    assert!(story.order(OrderKind::Resume).is_err());
    story.facts.is_shared_incident = false;
    story.tick_after(1);
    assert_eq!(story.status(), RolloutStatus::Running);
    story.tick_after(58);
    assert_eq!(story.rollout.step, 0, "an incident is no time of the step");
    story.tick_after(2);
    assert_eq!(story.rollout.step, 1);
}

#[test]
fn a_shared_incident_is_seen_by_a_tick_too_and_delays_a_confirmation() {
    let mut story = Story::in_bake();
    story.facts.is_shared_incident = true;
    story.tick_after(3600);
    assert_eq!((story.status(), story.rollout.share), (RolloutStatus::Held, 1.0));
    story.take(&Event::SharedIncidentOver);
    assert_eq!(story.status(), RolloutStatus::Baking);
}

#[test]
fn a_pause_outlasts_a_shared_incident() {
    let mut story = Story::in_weight();
    story.take(&Event::SharedIncident { text: "both".into() });
    story.pause();
    story.take(&Event::SharedIncidentOver);
    story.tick_after(1);
    assert_eq!(story.status(), RolloutStatus::Paused);
}
