//! What must hold whatever happens in which order.

mod arbitrary;

use base_types::{NOTED_MAX, Rollout, RolloutStatus, Standstill};
use proptest::prelude::*;

use super::story::*;
use crate::plan::{OnInconclusive, Policy, StepKind};
use crate::policy::OnFailure;
use crate::rollout::facts::Check;
use crate::rollout::shift::step_at;
use crate::rollout::{
    Action, Advanced, Event, Facts, NotifyKind, Order, OrderKind, Trip, advance, begin, describe, step_views,
};
use arbitrary::{happening, policy};

/// A transition: what was, what happened, what is.
struct Transition<'a> {
    policy: &'a Policy,
    before: &'a Rollout,
    event: &'a Event,
    after: &'a Advanced,
    now: u64,
}

/// Plays a whole life, and shows each transition of it.
fn play(policy: &Policy, happenings: &[(Event, u64)], check: impl Fn(&Transition<'_>)) {
    let mut now = 1_000_000;
    let mut rollout = begin(policy, start(), now).rollout;
    for (event, pause_ms) in happenings {
        now += pause_ms;
        let after = advance(policy, &rollout, event, now);
        check(&Transition { policy, before: &rollout, event, after: &after, now });
        rollout = after.rollout;
    }
}

fn facts_of(event: &Event) -> Option<&Facts> {
    match event {
        Event::Tick(facts) | Event::Ordered { facts, .. } => Some(facts),
        _ => None,
    }
}

fn order_of(event: &Event) -> Option<&OrderKind> {
    if let Event::Ordered { order, .. } = event { Some(&order.kind) } else { None }
}

/// Whether the step under way is over, said again in other words than the machine's.
fn is_step_over(transition: &Transition<'_>, facts: &Facts) -> bool {
    let step = step_at(transition.policy, transition.before.step);
    let (bake, is_asked_for_traffic, seen) = match step.kind {
        StepKind::Shadow { .. } => (seconds(0), true, facts.n_shadowed),
        StepKind::Weight { .. } => (seconds(0), true, facts.n_requests),
        StepKind::Promote { bake } => (bake, !bake.is_zero(), facts.n_requests),
        _ => (seconds(0), false, facts.n_requests),
    };
    let passed_ms = u128::from(transition.now.saturating_sub(transition.before.step_since_unix_ms));
    let is_baking = transition.before.share >= 1.0;
    let is_checked = match step.kind {
        StepKind::Gate => facts.gate == Some(Check::Passed),
        StepKind::WarmUp { .. } => facts.warm_up == Some(Check::Passed),
        _ => true,
    };
    facts.is_candidate_ready
        && is_checked
        && !facts.is_shared_incident
        && (is_baking || !facts.is_sample_ratio_broken)
        && passed_ms >= step.min.as_millis()
        && passed_ms >= bake.as_millis()
        && seen >= step.min_requests
        && (seen > 0 || !is_asked_for_traffic)
        && facts.n_feedback >= step.min_feedback
        && step.proofs.iter().all(|of| facts.proofs.get(of).is_some_and(|proof| proof.is_proven))
}

fn order(kind: OrderKind, facts: Facts) -> Event {
    Event::Ordered { order: Order { by: "ada".into(), kind }, facts }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_candidate_that_is_out_has_no_share(policy in policy(), life in prop::collection::vec(happening(), 1..60)) {
        play(&policy, &life, |t| {
            let rollout = &t.after.rollout;
            let is_out = rollout.status.is_over() && rollout.status != RolloutStatus::Promoted;
            assert!(!is_out || (rollout.share == 0.0 && rollout.shadow_share == 0.0));
            assert!((0.0..=1.0).contains(&rollout.share) && (0.0..=1.0).contains(&rollout.shadow_share));
            assert!(rollout.noted.len() <= NOTED_MAX);
        });
    }

    #[test]
    fn a_share_rises_only_for_a_candidate_in_memory(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        play(&policy, &life, |t| {
            let (before, after) = (t.before, &t.after.rollout);
            if after.share > before.share || after.shadow_share > before.shadow_share {
                assert!(facts_of(t.event).is_some_and(|facts| facts.is_candidate_ready));
            }
        });
    }

    #[test]
    fn a_step_is_left_only_when_it_is_over(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        let may_skip = policy.on_inconclusive == OnInconclusive::Promote;
        play(&policy, &life, |t| {
            let is_ordered = matches!(order_of(t.event), Some(OrderKind::Promote { .. } | OrderKind::Retry));
            let is_confirmed_by_order = matches!(order_of(t.event), Some(OrderKind::Confirm));
            let has_left = t.after.rollout.step > t.before.step && !is_ordered;
            let is_confirmed = t.after.rollout.status == RolloutStatus::Promoted
                && t.before.status != RolloutStatus::Promoted
                && !is_confirmed_by_order;
            if has_left || is_confirmed {
                let facts = facts_of(t.event).unwrap();
                let is_approval = matches!(step_at(t.policy, t.before.step).kind, StepKind::Pause { .. });
                let is_approved = t.before.status == RolloutStatus::Running
                    || matches!(order_of(t.event), Some(OrderKind::Approve));
                assert!(!is_approval || is_approved, "left an approval that nobody gave");
                assert!(is_step_over(t, facts) || may_skip, "left a step that was not over");
                assert!(is_confirmed || t.after.rollout.step == t.before.step + 1 || may_skip);
            }
        });
    }

    #[test]
    fn all_traffic_comes_through_a_promotion_alone(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        play(&policy, &life, |t| {
            let is_promoted = t.after.rollout.share >= 1.0 && t.before.share < 1.0;
            let has_action = t.after.actions.iter().any(|action| matches!(action, Action::Promote { .. }));
            assert_eq!(is_promoted, has_action);
            let is_forced = matches!(order_of(t.event), Some(OrderKind::Promote { force: Some(_) }));
            if is_promoted && !is_forced {
                let facts = facts_of(t.event).unwrap();
                assert!(!facts.is_sample_ratio_broken && !facts.is_shared_incident);
            }
        });
    }

    #[test]
    fn an_abort_ends_whatever_is_not_over(
        policy in policy(), life in prop::collection::vec(happening(), 1..60), is_quarantined: bool
    ) {
        play(&policy, &life, |t| {
            if !t.before.status.is_over() {
                let abort = order(OrderKind::Abort { reason: "".into(), is_quarantined }, Facts::default());
                let aborted = advance(t.policy, t.before, &abort, t.now);
                assert_eq!((aborted.rollout.status, aborted.rollout.share), (RolloutStatus::Aborted, 0.0));
                assert!(matches!(aborted.actions[0], Action::RollBack { is_quarantined: is, .. } if is == is_quarantined));
            }
        });
    }

    #[test]
    fn a_rule_that_convicts_ends_whatever_is_not_over(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        play(&policy, &life, |t| {
            let trip = Trip { rule: "limit".into(), text: "".into(), on_failure: OnFailure::RollBack };
            let after = advance(t.policy, t.before, &Event::Tripped(trip), t.now);
            if !t.before.status.is_over() {
                assert_eq!((after.rollout.status, after.rollout.share), (RolloutStatus::RolledBack, 0.0));
                assert!(matches!(after.actions[0], Action::RollBack { is_quarantined: true, .. }));
            }
        });
    }

    #[test]
    fn a_restart_is_never_riskier_than_what_was(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        play(&policy, &life, |t| {
            let after = advance(t.policy, t.before, &Event::Restarted, t.now);
            let (was, is) = (t.before, &after.rollout);
            assert!(is.share <= was.share && is.shadow_share <= was.shadow_share && is.step == was.step);
            assert!(is.share < 1.0 || is.status == RolloutStatus::Promoted, "unconfirmed, yet with all traffic");
            let is_same = is.status == was.status;
            assert!(is_same || (is.status == RolloutStatus::Held && is.standstill == Some(Standstill::Interrupted)));
            // A second one adds nothing.
            let again = advance(t.policy, is, &Event::Restarted, t.now);
            assert_eq!((&again.rollout.share, again.rollout.status), (&is.share, is.status));
        });
    }

    #[test]
    fn a_rollout_that_a_person_paused_does_nothing_by_itself(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        play(&policy, &life, |t| {
            let is_tick = matches!(t.event, Event::Tick(_));
            if t.before.status == RolloutStatus::Paused && is_tick {
                assert_eq!((&t.after.rollout, t.after.actions.len()), (t.before, 0));
            }
            let has_share_changed = t.after.rollout.share != t.before.share;
            if t.before.status == RolloutStatus::Paused && t.after.rollout.status == RolloutStatus::Paused {
                assert!(!has_share_changed || *t.event == Event::Restarted);
            }
        });
    }

    #[test]
    fn a_rollout_that_is_over_never_acts_again(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        play(&policy, &life, |t| {
            if !t.before.status.is_over() {
                return;
            }
            match (t.event, order_of(t.event)) {
                (Event::NewCandidate(newcomer), _) => {
                    assert_eq!(t.after.actions, [Action::StartNext(newcomer.clone())]);
                    assert_eq!(&t.after.rollout, t.before);
                }
                (_, Some(OrderKind::Retry)) if t.after.refusal.is_none() => {
                    assert!(t.after.rollout.retries <= t.policy.retries);
                    assert_eq!(t.after.actions[0], Action::Release);
                    assert_eq!(t.after.rollout.share, 0.0);
                }
                _ => assert_eq!((&t.after.rollout, t.after.actions.len()), (t.before, 0)),
            }
        });
    }

    #[test]
    fn silence_neither_advances_nor_rolls_back(
        policy in policy(), life in prop::collection::vec(happening(), 1..60), silent_ms in 0_u64..1_000_000_000
    ) {
        play(&policy, &life, |t| {
            let silence = Facts { is_candidate_ready: true, ..Facts::default() };
            let after = advance(t.policy, t.before, &Event::Tick(silence), t.now + silent_ms).rollout;
            let step = step_at(t.policy, t.before.step);
            let is_watching = match step.kind {
                StepKind::Shadow { .. } | StepKind::Weight { .. } => true,
                StepKind::Promote { bake } => !bake.is_zero(),
                _ => false,
            };
            if is_watching {
                assert_eq!(after.step, t.before.step);
                let is_ended = after.status.is_over() && !t.before.status.is_over();
                assert!(!is_ended, "{:?} by silence", after.status);
            }
        });
    }

    #[test]
    fn actions_and_rollout_tell_the_same_story(
        policy in policy(), life in prop::collection::vec(happening(), 1..60)
    ) {
        play(&policy, &life, |t| {
            let (before, after, actions) = (t.before, &t.after.rollout, &t.after.actions);
            let count = |is: fn(&Action) -> bool| actions.iter().filter(|action| is(action)).count();
            let has_ended = after.status.is_over() && !before.status.is_over();
            assert_eq!(count(|action| *action == Action::Finish), usize::from(has_ended));
            assert!(after.next.is_none() || !after.status.is_over(), "the next one was forgotten");
            if (after.share, after.shadow_share) != (before.share, before.shadow_share) && !has_ended {
                let last = actions.iter().rev().find_map(|action| match action {
                    Action::SetTraffic { share, shadow_share } => Some((*share, *shadow_share)),
                    Action::Promote { .. } => Some((1.0, 0.0)),
                    _ => None,
                });
                assert_eq!(last, Some((after.share, after.shadow_share)));
            }
            if t.after.refusal.is_some() {
                assert_eq!((after, actions.len()), (before, 0));
            }
            assert_eq!(after.standstill.is_some(), matches!(after.status, RolloutStatus::Paused | RolloutStatus::Held));
        });
    }

    #[test]
    fn whatever_happened_it_can_be_shown(policy in policy(), life in prop::collection::vec(happening(), 1..60)) {
        play(&policy, &life, |t| {
            let rollout = &t.after.rollout;
            assert!(step_views(t.policy, rollout).len() > rollout.step.min(t.policy.steps.len()));
            let facts = facts_of(t.event).cloned().unwrap_or_default();
            let waiting = describe(t.policy, rollout, &facts, t.now);
            assert!(!waiting.text.is_empty());
            assert!(waiting.whole_left_ms.is_none() || waiting.step_left_ms.is_some());
        });
    }

    #[test]
    fn a_healthy_rollout_ends_well_whenever_the_process_restarts(
        policy in policy(), restarts in prop::collection::vec(any::<bool>(), 60)
    ) {
        let mut story = Story::of(policy);
        story.all_goes_well();
        for is_restarted in restarts {
            // Longer than any step lasts at least, shorter than any may last.
            story.tick_after(20);
            if is_restarted {
                story.take(&Event::Restarted);
            }
            if story.told().contains(&NotifyKind::Interrupted) {
                story.order(OrderKind::Resume).unwrap();
            }
            if story.status() == RolloutStatus::AwaitingApproval {
                story.order(OrderKind::Approve).unwrap();
            }
        }
        (0..40).for_each(|_| {
            story.tick_after(20);
            if story.status() == RolloutStatus::AwaitingApproval {
                story.order(OrderKind::Approve).unwrap();
            }
        });
        let ends_with_promotion =
            matches!(story.policy.steps.last().map(|step| &step.kind), Some(StepKind::Promote { .. }));
        let expected = if ends_with_promotion { RolloutStatus::Promoted } else { RolloutStatus::Held };
        prop_assert_eq!(story.status(), expected, "{:?}", story.rollout);
    }
}
