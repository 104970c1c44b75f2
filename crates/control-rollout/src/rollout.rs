//! The life of a rollout: a pure state machine over `base_types::Rollout`.
//!
//! [`begin`] makes a rollout, [`advance`] takes one event and says how the rollout stands then and what is to be
//! done. Nothing else changes a rollout. What must hold, whatever comes in which order:
//!
//! - A step is over when everything it asks for holds, and only then. What it asks for is listed in one place
//!   (`waiting`), which also tells people what is missing.
//! - A share rises only for a candidate that is ready, and is 0 once the candidate is out.
//! - Silence is no evidence: without requests nothing advances and nothing is rolled back; a person is told.
//! - Rules are armed in every status. An abort is possible in every status that is not over.
//! - What time alone leads to is never riskier than what was there before, unless the policy says so in words.
//! - After a restart a rollout is where it was, or somewhere safer.
//!
//! Read on with `event`, `facts` and `action`, then `tick` and `order`; `shift` holds the moves they share.

mod action;
mod begin;
mod event;
mod facts;
mod happening;
mod history;
mod order;
mod shift;
mod tick;
mod view;
mod waiting;
mod words;

use base_types::Rollout;

pub use action::{Action, Advanced, NotifyKind, OutCause, Refusal, RefusalCode};
pub use begin::{Start, begin};
pub use event::{Event, Order, OrderKind, Trip};
pub use facts::{Check, Facts};
pub use history::{History, cooldown_left, is_frozen, may_start, skips_judgement};
pub use view::{StepState, StepView, step_views};
pub use waiting::{Missing, Waiting, describe};

use crate::plan::Policy;
use shift::Shift;

/// Takes one event. The policy is the one the rollout began with; `now_unix_ms` may stand still or jump back, which
/// then counts as no time passed.
pub fn advance(policy: &Policy, rollout: &Rollout, event: &Event, now_unix_ms: u64) -> Advanced {
    let mut shift = Shift::new(policy, rollout.clone(), now_unix_ms);
    let taken = match event {
        Event::Ordered { order, facts } => order::on_order(&mut shift, order, facts),
        Event::NewCandidate(newcomer) => happening::on_new_candidate(&mut shift, newcomer),
        _ if rollout.status.is_over() => Ok(()),
        event => {
            happen(&mut shift, event);
            Ok(())
        }
    };
    match taken {
        Ok(()) => shift.done(),
        Err(refusal) => Advanced { rollout: rollout.clone(), actions: Vec::new(), refusal: Some(refusal) },
    }
}

/// Takes what nobody can refuse, in a rollout that is not over.
fn happen(shift: &mut Shift<'_>, event: &Event) {
    match event {
        Event::Tick(facts) => tick::on_tick(shift, facts),
        Event::Tripped(trip) => happening::on_trip(shift, trip),
        Event::SharedIncident { text } => happening::on_shared_incident(shift, text),
        Event::SharedIncidentOver => happening::on_shared_incident_over(shift),
        Event::CandidateGone { reason } => happening::on_gone(shift, reason),
        Event::StableChanged { version } => happening::on_stable_changed(shift, *version),
        Event::Restarted => happening::on_restart(shift),
        Event::RolledBackElsewhere { text } => happening::on_rolled_back_elsewhere(shift, text),
        // Both can be refused, and are taken by the caller.
        Event::Ordered { .. } | Event::NewCandidate(_) => {}
    }
}

#[cfg(test)]
mod tests;
