//! What rules, restarts and other versions do to a rollout.

use base_types::{NOTED_MAX, NextCandidate, RolloutStatus, Standstill, Version};

use crate::plan::OnNewCandidate;
use crate::policy::OnFailure;
use crate::rollout::action::{Action, NotifyKind, OutCause, Refusal, RefusalCode};
use crate::rollout::event::Trip;
use crate::rollout::shift::Shift;

/// Takes the verdict of a rule, in whatever status.
pub(super) fn on_trip(shift: &mut Shift<'_>, trip: &Trip) {
    let Trip { rule, text, on_failure } = trip;
    match on_failure {
        OnFailure::RollBack => {
            let cause = OutCause::Rule { rule: rule.clone(), text: text.clone() };
            shift.take_out(RolloutStatus::RolledBack, cause, true);
        }
        OnFailure::Pause if note(shift, rule) => pause_by_rule(shift, trip),
        OnFailure::Alert if note(shift, rule) => shift.notify(NotifyKind::Alert, format!("{rule}: {text}")),
        OnFailure::Pause | OnFailure::Alert | OnFailure::Observe => {}
    }
}

/// Notes a rule, and says whether that is news: what was told, or overruled by a person's `resume`, is not told again.
fn note(shift: &mut Shift<'_>, rule: &str) -> bool {
    let noted = &mut shift.rollout.noted;
    if noted.len() >= NOTED_MAX || noted.iter().any(|known| &**known == rule) {
        return false;
    }
    noted.push(rule.into());
    true
}

fn pause_by_rule(shift: &mut Shift<'_>, trip: &Trip) {
    let text = format!("{}: {}; resume overrules the rule for this rollout", trip.rule, trip.text);
    if shift.rollout.standstill == Some(Standstill::Order) {
        return shift.notify(NotifyKind::Alert, text);
    }
    shift.stand_still(RolloutStatus::Paused, Standstill::Rule, text);
}

/// Freezes the ramp while both versions are ill.
pub(super) fn on_shared_incident(shift: &mut Shift<'_>, text: &str) {
    let is_moving = matches!(
        shift.rollout.status,
        RolloutStatus::Running | RolloutStatus::AwaitingApproval | RolloutStatus::Baking
    );
    if is_moving {
        let text = format!("both versions are ill and neither is to blame, shares stand still: {text}");
        shift.stand_still(RolloutStatus::Held, Standstill::SharedIncident, text);
    }
}

pub(super) fn on_shared_incident_over(shift: &mut Shift<'_>) {
    if shift.rollout.standstill == Some(Standstill::SharedIncident) {
        shift.go_on(NotifyKind::SharedIncidentOver, "the shared incident is over, the rollout goes on");
    }
}

pub(super) fn on_gone(shift: &mut Shift<'_>, reason: &str) {
    shift.take_out(RolloutStatus::Aborted, OutCause::Gone(reason.into()), false);
}

/// Evidence against one stable version says nothing about another.
pub(super) fn on_stable_changed(shift: &mut Shift<'_>, version: Version) {
    if version == shift.rollout.stable {
        return;
    }
    if version != shift.rollout.candidate {
        return shift.take_out(RolloutStatus::Aborted, OutCause::StableChanged(version), false);
    }
    // The candidate has what it was to get, by its own promotion or by someone's edit; nothing is to be taken away.
    if shift.rollout.status != RolloutStatus::Baking {
        let text = format!("version {version} became stable by other means; nothing is left to roll out");
        shift.end(RolloutStatus::Aborted, text);
    }
}

/// Goes on after a restart. The step's time begins again, because nobody watched while the process was away; a
/// promotion that was not confirmed is taken back, as the journal's recovery has done already.
pub(super) fn on_restart(shift: &mut Shift<'_>) {
    if shift.rollout.share >= 1.0 {
        (shift.rollout.share, shift.rollout.shadow_share) = (0.0, 0.0);
        shift.act(Action::SetTraffic { share: 0.0, shadow_share: 0.0 });
        if shift.rollout.standstill == Some(Standstill::Order) {
            return;
        }
        let text = "a restart came before the promotion was confirmed: stable serves, resume promotes again";
        // One that a rule has paused stays paused by it.
        return match shift.rollout.standstill {
            Some(Standstill::Rule) => shift.notify(NotifyKind::Interrupted, text),
            _ => shift.stand_still(RolloutStatus::Held, Standstill::Interrupted, text),
        };
    }
    if shift.rollout.status == RolloutStatus::Running {
        shift.restart_step_clock();
        shift.ask();
    }
    let (share, shadow_share) = (shift.rollout.share, shift.rollout.shadow_share);
    if share > 0.0 || shadow_share > 0.0 {
        shift.act(Action::SetTraffic { share, shadow_share });
    }
}

/// Takes note of a rollback that someone else has carried out.
pub(super) fn on_rolled_back_elsewhere(shift: &mut Shift<'_>, text: &str) {
    let text = format!("version {} is out of traffic: {text}", shift.rollout.candidate);
    shift.end(RolloutStatus::RolledBack, text);
}

/// Decides what becomes of another candidate.
pub(super) fn on_new_candidate(shift: &mut Shift<'_>, newcomer: &NextCandidate) -> Result<(), Refusal> {
    if shift.rollout.status.is_over() {
        shift.act(Action::StartNext(newcomer.clone()));
        return Ok(());
    }
    let version = newcomer.version;
    let candidate = shift.rollout.candidate;
    if version == candidate {
        let text = format!("version {version} is being rolled out already");
        return Err(Refusal::new(RefusalCode::SameCandidate, text));
    }
    // A newcomer does not undo a promotion.
    let has_all_traffic = shift.rollout.share >= 1.0;
    match shift.policy.on_new_candidate {
        OnNewCandidate::Refuse => {
            let text = format!("version {candidate} is being rolled out: wait until that is over, or abort it first");
            Err(Refusal::new(RefusalCode::IsUnderWay, text))
        }
        OnNewCandidate::Replace if !has_all_traffic => {
            shift.rollout.next = Some(newcomer.clone());
            shift.take_out(RolloutStatus::Replaced, OutCause::Replaced(version), false);
            Ok(())
        }
        OnNewCandidate::Queue | OnNewCandidate::Replace => {
            if shift.rollout.next.as_ref() != Some(newcomer) {
                shift.rollout.next = Some(newcomer.clone());
                let text: Box<str> = format!("version {version} is next when version {candidate} is through").into();
                shift.act(Action::Notify { kind: NotifyKind::Queued, text });
            }
            Ok(())
        }
    }
}
