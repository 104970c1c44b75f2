//! The moves a rollout can make, and what happens to its clocks with each.

use std::time::Duration;

use base_types::{Rollout, RolloutStatus, Standstill};

use crate::plan::{Policy, Step, StepKind};
use crate::rollout::Facts;
use crate::rollout::action::{Action, Advanced, NotifyKind, OutCause};
use crate::rollout::words::step_name;

/// How long a promotion is watched whose policy has no step for it: one ordered by a person.
const BAKE_WITHOUT_STEP: Duration = Duration::from_secs(600);

/// A rollout on its way from before an event to after it.
pub(super) struct Shift<'a> {
    pub(super) policy: &'a Policy,
    pub(super) rollout: Rollout,
    pub(super) now_unix_ms: u64,
    actions: Vec<Action>,
}

impl<'a> Shift<'a> {
    pub(super) fn new(policy: &'a Policy, rollout: Rollout, now_unix_ms: u64) -> Self {
        Self { policy, rollout, now_unix_ms, actions: Vec::new() }
    }

    pub(super) fn done(self) -> Advanced {
        Advanced { rollout: self.rollout, actions: self.actions, refusal: None }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Tells a person, and keeps the text as the rollout's note.
    pub(super) fn notify(&mut self, kind: NotifyKind, text: impl Into<Box<str>>) {
        let text = text.into();
        self.rollout.note = text.clone();
        self.act(Action::Notify { kind, text });
    }

    /// Changes the status. Standing still stops the clocks: they move on by as long as it lasted. Waiting for an
    /// approval stops the clock of the whole alone, for the step may have a longest time for the approval.
    pub(super) fn set_status(&mut self, status: RolloutStatus, standstill: Option<Standstill>) {
        let rollout = &mut self.rollout;
        rollout.standstill = standstill;
        if rollout.status == status {
            return;
        }
        let lasted_ms = self.now_unix_ms.saturating_sub(rollout.status_since_unix_ms);
        let is_still = matches!(rollout.status, RolloutStatus::Paused | RolloutStatus::Held);
        if is_still {
            rollout.step_since_unix_ms = rollout.step_since_unix_ms.saturating_add(lasted_ms);
        }
        if is_still || rollout.status == RolloutStatus::AwaitingApproval {
            rollout.limit_since_unix_ms = rollout.limit_since_unix_ms.saturating_add(lasted_ms);
        }
        rollout.status = status;
        rollout.status_since_unix_ms = self.now_unix_ms;
    }

    /// Begins a step. Traffic does not move yet: `settle` does that once the candidate is ready.
    pub(super) fn enter(&mut self, index: usize) {
        let kind = step_kind(self.policy, index);
        let is_approval = matches!(kind, StepKind::Pause { .. });
        let status = if is_approval { RolloutStatus::AwaitingApproval } else { RolloutStatus::Running };
        self.set_status(status, None);
        self.rollout.step = index;
        self.restart_step_clock();
        match kind {
            StepKind::Pause { approval } => {
                let text = format!("{} waits for the approval of {approval}", self.here());
                self.notify(NotifyKind::AwaitingApproval, text);
            }
            // A promotion is told of when it happens.
            StepKind::Promote { .. } => {}
            _ => {
                let text = format!("{} began", self.here());
                self.notify(NotifyKind::Advanced, text);
            }
        }
        self.ask();
    }

    /// Asks for what a gate or a warm-up needs.
    pub(super) fn ask(&mut self) {
        match step_kind(self.policy, self.rollout.step) {
            StepKind::Gate => self.act(Action::RunGate),
            StepKind::WarmUp { runs } => self.act(Action::WarmUp { runs }),
            StepKind::Shadow { .. } | StepKind::Weight { .. } | StepKind::Pause { .. } | StepKind::Promote { .. } => {}
        }
    }

    /// Gives the traffic that a step which runs is to have, and says whether it moved. The step's time counts from then.
    pub(super) fn settle(&mut self, facts: &Facts) -> bool {
        if self.rollout.status != RolloutStatus::Running || !facts.is_candidate_ready {
            return false;
        }
        let Rollout { share, shadow_share, .. } = self.rollout;
        let wanted = match step_kind(self.policy, self.rollout.step) {
            StepKind::Weight { share } => (share, 0.0),
            StepKind::Shadow { share: copied } => (share, copied),
            StepKind::Promote { .. } => {
                let may_promote = !facts.is_sample_ratio_broken && !facts.is_shared_incident;
                if may_promote {
                    self.promote(false);
                }
                return may_promote;
            }
            StepKind::Gate | StepKind::WarmUp { .. } | StepKind::Pause { .. } => (share, shadow_share),
        };
        if wanted == (share, shadow_share) {
            return false;
        }
        (self.rollout.share, self.rollout.shadow_share) = wanted;
        self.restart_step_clock();
        self.act(Action::SetTraffic { share: wanted.0, shadow_share: wanted.1 });
        true
    }

    /// Gives the candidate all traffic. The rollout must be in the step of the promotion.
    pub(super) fn promote(&mut self, is_forced: bool) {
        self.set_status(RolloutStatus::Baking, None);
        (self.rollout.share, self.rollout.shadow_share) = (1.0, 0.0);
        self.restart_step_clock();
        self.act(Action::Promote { is_forced });
        let (candidate, stable) = (self.rollout.candidate, self.rollout.stable);
        let text = format!("version {candidate} has all traffic and is watched; {stable} stays ready");
        self.notify(NotifyKind::Promoted, text);
    }

    /// Ends it well.
    pub(super) fn confirm(&mut self, text: impl Into<Box<str>>) {
        self.set_status(RolloutStatus::Promoted, None);
        self.act(Action::Confirm);
        self.notify(NotifyKind::Confirmed, text);
        self.finish();
    }

    /// Ends it with the candidate out of traffic.
    pub(super) fn take_out(&mut self, status: RolloutStatus, cause: OutCause, is_quarantined: bool) {
        let text = format!("version {} is out of traffic: {cause}", self.rollout.candidate);
        self.act(Action::RollBack { cause, is_quarantined });
        self.end(status, text);
    }

    /// Ends it where the traffic needs no further order.
    pub(super) fn end(&mut self, status: RolloutStatus, text: impl Into<Box<str>>) {
        self.set_status(status, None);
        (self.rollout.share, self.rollout.shadow_share) = (0.0, 0.0);
        let kind = match status {
            RolloutStatus::RolledBack => NotifyKind::RolledBack,
            RolloutStatus::Replaced => NotifyKind::Replaced,
            _ => NotifyKind::Aborted,
        };
        self.notify(kind, text);
        self.finish();
    }

    fn finish(&mut self) {
        self.act(Action::Finish);
        if let Some(next) = self.rollout.next.take() {
            self.act(Action::StartNext(next));
        }
    }

    /// Stands still; shares stay.
    pub(super) fn stand_still(&mut self, status: RolloutStatus, standstill: Standstill, text: impl Into<Box<str>>) {
        self.set_status(status, Some(standstill));
        let kind = match (status, standstill) {
            (_, Standstill::SharedIncident) => NotifyKind::SharedIncident,
            (_, Standstill::Interrupted) => NotifyKind::Interrupted,
            (RolloutStatus::Paused, _) => NotifyKind::Paused,
            _ => NotifyKind::Held,
        };
        self.notify(kind, text);
    }

    /// Goes on where it stood.
    pub(super) fn go_on(&mut self, kind: NotifyKind, text: impl Into<Box<str>>) {
        let status = match step_kind(self.policy, self.rollout.step) {
            StepKind::Pause { .. } => RolloutStatus::AwaitingApproval,
            // Without its traffic the promotion is still to be made, as after a restart in its bake.
            StepKind::Promote { .. } if self.rollout.share >= 1.0 => RolloutStatus::Baking,
            _ => RolloutStatus::Running,
        };
        self.set_status(status, None);
        self.notify(kind, text);
    }

    /// The step's time, and what is told once in a step, begin again.
    pub(super) fn restart_step_clock(&mut self) {
        self.rollout.step_since_unix_ms = self.now_unix_ms;
        self.rollout.has_told_silence = false;
    }

    /// The step it is in, for people.
    pub(super) fn here(&self) -> String {
        step_name(self.policy, self.rollout.step)
    }
}

/// What a step does; one past the end is a promotion the policy does not have.
pub(super) fn step_kind(policy: &Policy, index: usize) -> StepKind {
    let step = policy.steps.get(index);
    step.map_or(StepKind::Promote { bake: BAKE_WITHOUT_STEP }, |step| step.kind.clone())
}

/// A step whole; one past the end as in `step_kind`.
pub(super) fn step_at(policy: &Policy, index: usize) -> Step {
    policy.steps.get(index).cloned().unwrap_or_else(|| Step {
        kind: StepKind::Promote { bake: BAKE_WITHOUT_STEP },
        min: Duration::ZERO,
        max: None,
        proofs: Vec::new(),
        min_requests: 0,
        min_feedback: 0,
    })
}
