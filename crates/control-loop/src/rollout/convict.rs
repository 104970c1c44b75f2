//! The end of a rollout by what was decided elsewhere: a verdict on the thread that saw the fault, or a person's
//! rollback. Under the writer's lock; what has to be told comes as effects.

use base_types::{Change, ModelName, Rollout, Version};
use control_rollout::rollout::{Action, Event, Order, OrderKind, Trip, advance};
use control_rollout::{Cause, OnFailure};

use crate::effect::EndedRollout;
use crate::rollout::live::Live;
use crate::state::State;
use crate::turn::Core;

/// Why a version leaves the traffic.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ended<'a> {
    /// A rule convicted it.
    Rule {
        /// Its name.
        rule: &'a str,
        /// Its numbers.
        cause: &'a Cause,
    },
    /// A person wanted it.
    Order {
        /// Who.
        by: &'a str,
        /// Why.
        reason: &'a str,
    },
}

impl Core {
    /// Ends the rollout that brings this version into traffic, if there is one, and adds that to the changes to record.
    /// The version's traffic and quarantine are the caller's.
    pub(crate) fn end_rollout(
        &self,
        state: &mut State,
        (name, version): (&ModelName, Version),
        ended: Ended<'_>,
        changes: &mut Vec<Change>,
    ) -> Option<EndedRollout> {
        let rollout = state.rollout(name).filter(|r| r.candidate == version)?;
        // A verdict may come before the first turn after a restart, which reads the policy from what was recorded.
        let known = state.models.get(name).and_then(|m| m.live.as_ref()).map(|live| live.policy.clone());
        let policy = known.or_else(|| Live::of(rollout).map(|live| live.policy))?;
        let event = match ended {
            Ended::Rule { rule, cause } => {
                let trip = Trip { rule: rule.into(), text: cause.to_string().into(), on_failure: OnFailure::RollBack };
                Event::Tripped(trip)
            }
            Ended::Order { by, reason } => {
                let kind = OrderKind::Abort { reason: reason.into(), is_quarantined: false };
                let order = Order { by: by.into(), kind };
                Event::Ordered { order, facts: Default::default() }
            }
        };
        let advanced = advance(&policy, rollout, &event, self.clock.unix_ms());
        let ended: Rollout = advanced.rollout;
        let change = Change::Rollout { model: name.clone(), rollout: Box::new(ended.clone()) };
        state.decisions.apply(&change);
        let told = |action: &Action| matches!(action, Action::Notify { .. } | Action::StartNext(_) | Action::Finish);
        let actions = advanced.actions.into_iter().filter(told).collect();
        changes.push(change);
        Some(EndedRollout { rollout: Box::new(ended), actions })
    }
}
