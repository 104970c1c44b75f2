//! What time and numbers lead to.

use base_types::{RolloutStatus, Standstill};

use crate::plan::{OnInconclusive, Policy, StepKind};
use crate::rollout::Facts;
use crate::rollout::action::{NotifyKind, OutCause};
use crate::rollout::facts::Check;
use crate::rollout::shift::{Shift, step_at, step_kind};
use crate::rollout::waiting::{missing, missing_text};
use crate::rollout::words::span;

/// Takes a tick. At most one step is left in each.
pub(super) fn on_tick(shift: &mut Shift<'_>, facts: &Facts) {
    match (shift.rollout.status, shift.rollout.standstill) {
        (RolloutStatus::Running | RolloutStatus::AwaitingApproval | RolloutStatus::Baking, _) => move_on(shift, facts),
        (RolloutStatus::Held, Some(Standstill::SharedIncident)) if !facts.is_shared_incident => {
            shift.go_on(NotifyKind::SharedIncidentOver, "the shared incident is over, the rollout goes on");
        }
        _ => {}
    }
}

/// Leaves the step if it is over, or sees to it that nothing waits for ever in silence.
fn move_on(shift: &mut Shift<'_>, facts: &Facts) {
    if facts.is_shared_incident {
        let text = "both versions are over the limit and neither is to blame: shares stand still";
        return shift.stand_still(RolloutStatus::Held, Standstill::SharedIncident, text);
    }
    if let Some(reason) = failed_check(shift, facts) {
        return shift.take_out(RolloutStatus::Aborted, OutCause::Check(reason), false);
    }
    if shift.settle(facts) {
        return;
    }
    tell_silence(shift, facts);
    if missing(shift.policy, &shift.rollout, facts, shift.now_unix_ms).is_empty() {
        return leave_step(shift, facts);
    }
    if let Some(overrun) = overrun(shift) {
        inconclusive(shift, facts, overrun);
    }
}

/// What the gate or the warm-up has against the candidate.
fn failed_check(shift: &Shift<'_>, facts: &Facts) -> Option<Box<str>> {
    let (check, what) = match step_kind(shift.policy, shift.rollout.step) {
        StepKind::Gate => (&facts.gate, "the gate"),
        StepKind::WarmUp { .. } => (&facts.warm_up, "the warm-up"),
        StepKind::Shadow { .. } | StepKind::Weight { .. } | StepKind::Pause { .. } | StepKind::Promote { .. } => {
            return None;
        }
    };
    match check {
        Some(Check::Failed(reason)) => Some(format!("{what} refused it: {reason}").into()),
        Some(Check::Passed) | None => None,
    }
}

/// Leaves a step that is over.
pub(super) fn leave_step(shift: &mut Shift<'_>, facts: &Facts) {
    if shift.rollout.status == RolloutStatus::Baking {
        let text = format!("version {} is confirmed: its watch is over", shift.rollout.candidate);
        return shift.confirm(text);
    }
    enter_or_end(shift, shift.rollout.step + 1, facts);
}

/// Begins a step and moves its traffic, or stands still where none is left.
fn enter_or_end(shift: &mut Shift<'_>, index: usize, facts: &Facts) {
    if index >= shift.policy.steps.len() {
        let text = "every step is over: promote it or abort";
        return shift.stand_still(RolloutStatus::Held, Standstill::NoStepsLeft, text);
    }
    shift.enter(index);
    shift.settle(facts);
}

/// Tells a person, once in a step, that the candidate should get requests and gets none.
fn tell_silence(shift: &mut Shift<'_>, facts: &Facts) {
    let rollout = &shift.rollout;
    let is_fed = rollout.share > 0.0 || rollout.shadow_share > 0.0;
    // A rollout that cannot begin for want of a loaded candidate is as silent.
    let is_expected = is_fed || !facts.is_candidate_ready;
    let last_unix_ms = facts.last_request_unix_ms.unwrap_or(0).max(rollout.step_since_unix_ms);
    let silent_ms = shift.now_unix_ms.saturating_sub(last_unix_ms);
    if rollout.has_told_silence || !is_expected || silent_ms < millis(shift.policy.progress_deadline) {
        return;
    }
    let (candidate, silent) = (rollout.candidate, span(silent_ms));
    let text = if facts.is_candidate_ready {
        format!("no request has reached version {candidate} for {silent}; the rollout waits")
    } else {
        format!("version {candidate} has not been in memory for {silent}; the rollout waits")
    };
    shift.rollout.has_told_silence = true;
    shift.notify(NotifyKind::NoTraffic, text);
}

/// What took too long.
#[derive(Clone, Copy)]
enum Overrun {
    Step,
    Whole,
}

fn overrun(shift: &Shift<'_>) -> Option<Overrun> {
    let rollout = &shift.rollout;
    let since = |unix_ms: u64| shift.now_unix_ms.saturating_sub(unix_ms);
    let step = step_at(shift.policy, rollout.step);
    if step.max.is_some_and(|max| since(rollout.step_since_unix_ms) >= millis(max)) {
        return Some(Overrun::Step);
    }
    // A promoted candidate is past its proof, and a person's answer is not the candidate's delay.
    let is_running = rollout.status == RolloutStatus::Running;
    let is_over = since(rollout.limit_since_unix_ms) >= millis(shift.policy.max_duration);
    (is_running && is_over).then_some(Overrun::Whole)
}

/// Does what the policy wants when there is no proof in time. Without requests it only ever stands still.
fn inconclusive(shift: &mut Shift<'_>, facts: &Facts, overrun: Overrun) {
    let what = match overrun {
        Overrun::Step => format!("{} took its longest time", shift.here()),
        Overrun::Whole => format!("the rollout took its longest time, {}", span(millis(shift.policy.max_duration))),
    };
    let open = missing(shift.policy, &shift.rollout, facts, shift.now_unix_ms);
    let text = format!("{what} without proof: {}", missing_text(&open));
    let kind = step_kind(shift.policy, shift.rollout.step);
    let is_silent = match kind {
        StepKind::Shadow { .. } => facts.n_shadowed == 0,
        StepKind::Weight { .. } | StepKind::Pause { .. } | StepKind::Promote { .. } => facts.n_requests == 0,
        StepKind::Gate | StepKind::WarmUp { .. } => true,
    };
    match shift.policy.on_inconclusive {
        OnInconclusive::RollBack if !is_silent => {
            shift.take_out(RolloutStatus::RolledBack, OutCause::Inconclusive(text.into()), false);
        }
        OnInconclusive::Promote if !is_silent && may_skip_proof(&kind, facts) => skip_proof(shift, facts, overrun),
        OnInconclusive::Hold | OnInconclusive::RollBack | OnInconclusive::Promote => {
            shift.stand_still(RolloutStatus::Held, Standstill::Inconclusive, text);
        }
    }
}

/// Time can stand in for a proof, never for a gate or an approval, and not while the routing is suspect.
fn may_skip_proof(kind: &StepKind, facts: &Facts) -> bool {
    let is_proof_all = matches!(kind, StepKind::Shadow { .. } | StepKind::Weight { .. } | StepKind::Promote { .. });
    is_proof_all && facts.is_candidate_ready && !facts.is_sample_ratio_broken
}

fn skip_proof(shift: &mut Shift<'_>, facts: &Facts, overrun: Overrun) {
    match overrun {
        Overrun::Step => leave_step(shift, facts),
        Overrun::Whole => {
            let next = first_without_proof(shift.policy, shift.rollout.step + 1);
            enter_or_end(shift, next, facts);
        }
    }
}

/// The next promotion, or the approval or check that comes before it.
fn first_without_proof(policy: &Policy, from: usize) -> usize {
    let is_only_proof = |kind: &StepKind| matches!(kind, StepKind::Shadow { .. } | StepKind::Weight { .. });
    let offset = policy.steps.iter().skip(from).position(|step| !is_only_proof(&step.kind));
    offset.map_or(policy.steps.len(), |offset| from + offset)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
