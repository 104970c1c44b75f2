//! A rollout as a row of steps, for a display of its progress.

use base_types::{Rollout, RolloutStatus};

use crate::plan::Policy;
use crate::rollout::shift::step_kind;

/// One step in a display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepView {
    /// Its position.
    pub index: usize,
    /// What it does, such as "weight 5 %".
    pub name: String,
    /// Where the rollout is with it.
    pub state: StepState,
}

/// Where a rollout is with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// Over, or passed by a promotion ordered.
    Done,
    /// Under way.
    Current,
    /// The rollout ended in it without success.
    Stopped,
    /// To come; in a rollout that ended without success, never reached.
    ToCome,
}

impl StepState {
    /// The word used in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Current => "current",
            Self::Stopped => "stopped",
            Self::ToCome => "to_come",
        }
    }
}

/// Every step. A promotion ordered where the policy has none is shown as one step more.
pub fn step_views(policy: &Policy, rollout: &Rollout) -> Vec<StepView> {
    let n_steps = policy.steps.len().max(rollout.step.min(policy.steps.len()) + 1);
    let state = |index: usize| match index.cmp(&rollout.step) {
        std::cmp::Ordering::Less => StepState::Done,
        std::cmp::Ordering::Greater => StepState::ToCome,
        std::cmp::Ordering::Equal if rollout.status == RolloutStatus::Promoted => StepState::Done,
        std::cmp::Ordering::Equal if rollout.status.is_over() => StepState::Stopped,
        std::cmp::Ordering::Equal => StepState::Current,
    };
    let view = |index| StepView { index, name: step_kind(policy, index).to_string(), state: state(index) };
    (0..n_steps).map(view).collect()
}
