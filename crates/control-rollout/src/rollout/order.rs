//! What people order.

use std::collections::BTreeSet;

use base_types::{RolloutStatus, Standstill};

use crate::plan::{ProofOf, StepKind};
use crate::rollout::Facts;
use crate::rollout::action::{Action, NotifyKind, OutCause, Refusal, RefusalCode};
use crate::rollout::begin::promotion_step;
use crate::rollout::event::{Order, OrderKind};
use crate::rollout::shift::Shift;
use crate::rollout::tick::leave_step;
use crate::rollout::waiting::missing;

/// Takes an order, or says why not.
pub(super) fn on_order(shift: &mut Shift<'_>, order: &Order, facts: &Facts) -> Result<(), Refusal> {
    if shift.rollout.status.is_over() && order.kind != OrderKind::Retry {
        let text = format!("the rollout is over ({}): start another, or retry", shift.rollout.status.as_str());
        return Err(Refusal::new(RefusalCode::IsOver, text));
    }
    match &order.kind {
        OrderKind::Approve => approve(shift, order, facts),
        OrderKind::Pause { reason } => pause(shift, order, reason),
        OrderKind::Resume => resume(shift, order, facts),
        OrderKind::Abort { reason, is_quarantined } => {
            let cause = OutCause::Order { by: order.by.clone(), reason: reason.clone() };
            shift.take_out(RolloutStatus::Aborted, cause, *is_quarantined);
            Ok(())
        }
        OrderKind::Promote { force } => promote(shift, order, force.as_deref(), facts),
        OrderKind::Confirm => confirm(shift, order),
        OrderKind::Retry => retry(shift, order, facts),
    }
}

/// An approval is one condition of its step; the others still have to hold.
fn approve(shift: &mut Shift<'_>, order: &Order, facts: &Facts) -> Result<(), Refusal> {
    if shift.rollout.status != RolloutStatus::AwaitingApproval {
        return Err(wrong_status(shift, "nothing waits for an approval"));
    }
    let by = named(order, "an approval")?;
    shift.set_status(RolloutStatus::Running, None);
    shift.notify(NotifyKind::Resumed, format!("approved by {by}"));
    if !facts.is_shared_incident && missing(shift.policy, &shift.rollout, facts, shift.now_unix_ms).is_empty() {
        leave_step(shift, facts);
    }
    Ok(())
}

fn pause(shift: &mut Shift<'_>, order: &Order, reason: &str) -> Result<(), Refusal> {
    if shift.rollout.status == RolloutStatus::Paused {
        return Err(wrong_status(shift, "it is paused already"));
    }
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let text = format!("paused by {}{because}; shares stay, rules stay armed", who(order));
    shift.stand_still(RolloutStatus::Paused, Standstill::Order, text);
    Ok(())
}

fn resume(shift: &mut Shift<'_>, order: &Order, facts: &Facts) -> Result<(), Refusal> {
    let by = who(order);
    match shift.rollout.standstill {
        Some(Standstill::SharedIncident) if facts.is_shared_incident => {
            let text = "both versions are ill: it goes on by itself when they are well; abort is possible now";
            Err(Refusal::new(RefusalCode::SharedIncident, text))
        }
        Some(Standstill::NoStepsLeft) => Err(wrong_status(shift, "every step is over: promote it or abort")),
        Some(Standstill::Inconclusive) => {
            shift.go_on(NotifyKind::Resumed, format!("resumed by {by}: the time it may take counts anew"));
            shift.restart_step_clock();
            shift.rollout.limit_since_unix_ms = shift.now_unix_ms;
            Ok(())
        }
        Some(_) => {
            shift.go_on(NotifyKind::Resumed, format!("resumed by {by}"));
            Ok(())
        }
        None => Err(wrong_status(shift, "it does not stand still")),
    }
}

fn promote(shift: &mut Shift<'_>, order: &Order, force: Option<&str>, facts: &Facts) -> Result<(), Refusal> {
    if shift.rollout.status == RolloutStatus::Baking || shift.rollout.share >= 1.0 {
        return Err(wrong_status(shift, "it has all traffic already; confirm ends its watch"));
    }
    if !facts.is_candidate_ready {
        let text = "the candidate is not in memory: wait until it is loaded, or abort";
        return Err(Refusal::new(RefusalCode::NotReady, text));
    }
    match force {
        Some(reason) if reason.trim().is_empty() => {
            let text = "a promotion without proof needs a reason";
            return Err(Refusal::new(RefusalCode::ReasonNeeded, text));
        }
        Some(_) => {}
        None => check_promotion(shift, order, facts)?,
    }
    shift.rollout.step = promotion_step(shift.policy, shift.rollout.step);
    shift.promote(force.is_some());
    let forced = force.map(|reason| format!(" without proof: {reason}")).unwrap_or_default();
    shift.rollout.note = format!("promoted by {}{forced}; {}", who(order), shift.rollout.note).into();
    Ok(())
}

/// What a promotion by order needs where nobody forces it: every proof any step asks for, and no doubt about routing.
fn check_promotion(shift: &Shift<'_>, order: &Order, facts: &Facts) -> Result<(), Refusal> {
    if facts.is_shared_incident {
        let text = "both versions are ill: wait until they are well, or force it with a reason";
        return Err(Refusal::new(RefusalCode::SharedIncident, text));
    }
    if facts.is_sample_ratio_broken {
        let text = "the versions do not get the shares they should, so the evidence is in doubt: \
                    find out why, or force it with a reason";
        return Err(Refusal::new(RefusalCode::SampleRatio, text));
    }
    let left = shift.policy.steps.iter().skip(shift.rollout.step);
    if left.into_iter().any(|step| matches!(step.kind, StepKind::Pause { .. })) {
        named(order, "a promotion past a step that asks for approval")?;
    }
    let asked: BTreeSet<ProofOf> = shift.policy.steps.iter().flat_map(|step| step.proofs.iter().copied()).collect();
    let asked = if asked.is_empty() { BTreeSet::from([ProofOf::Errors]) } else { asked };
    let is_open = |of: &ProofOf| !facts.proofs.get(of).is_some_and(|proof| proof.is_proven);
    let open: Vec<_> = asked.into_iter().filter(is_open).map(ProofOf::as_str).collect();
    if open.is_empty() {
        return Ok(());
    }
    let text = format!("not proven yet: {}; wait, or force it with a reason", open.join(", "));
    Err(Refusal::new(RefusalCode::NotProven, text))
}

fn confirm(shift: &mut Shift<'_>, order: &Order) -> Result<(), Refusal> {
    if shift.rollout.status != RolloutStatus::Baking {
        return Err(wrong_status(shift, "there is no promotion to confirm"));
    }
    let text = format!("version {} is confirmed by {}", shift.rollout.candidate, who(order));
    shift.confirm(text);
    Ok(())
}

/// Begins again from the first step, with evidence from nothing.
fn retry(shift: &mut Shift<'_>, order: &Order, facts: &Facts) -> Result<(), Refusal> {
    let status = shift.rollout.status;
    if !matches!(status, RolloutStatus::RolledBack | RolloutStatus::Aborted) {
        return Err(wrong_status(shift, "only what was rolled back or aborted is tried again"));
    }
    if facts.is_frozen {
        let text = "too many rollbacks have frozen the rollouts of this model: a person has to thaw them first";
        return Err(Refusal::new(RefusalCode::Frozen, text));
    }
    let allowed = shift.policy.retries;
    if shift.rollout.retries >= allowed {
        let text = format!("it was tried again {} times of {allowed}: make a new version", shift.rollout.retries);
        return Err(Refusal::new(RefusalCode::NoRetriesLeft, text));
    }
    let by = who(order);
    shift.rollout.retries += 1;
    shift.rollout.noted.clear();
    shift.rollout.limit_since_unix_ms = shift.now_unix_ms;
    shift.act(Action::Release);
    let text = format!("tried again by {by}, {} of {allowed}", shift.rollout.retries);
    shift.notify(NotifyKind::Started, text);
    shift.enter(0);
    Ok(())
}

fn named<'a>(order: &'a Order, what: &str) -> Result<&'a str, Refusal> {
    let by = order.by.trim();
    if by.is_empty() {
        return Err(Refusal::new(RefusalCode::NameNeeded, format!("{what} needs a name: say who you are")));
    }
    Ok(by)
}

fn who(order: &Order) -> &str {
    if order.by.is_empty() { "somebody" } else { &order.by }
}

fn wrong_status(shift: &Shift<'_>, why: &str) -> Refusal {
    let text = format!("{why} (the rollout is {})", shift.rollout.status.as_str());
    Refusal::new(RefusalCode::WrongStatus, text)
}
