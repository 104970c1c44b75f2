//! A person's word that a failed gate does not matter for some content.

use base_types::{Change, Gate, GateOverride, Version, VersionId};
use control_gate::{failing, refusal};
use control_registry::journal::{Action, Entry};

use super::desk::overrides;
use crate::operate::Plan;
use crate::order::{Done, Order, Refused, refuse};
use crate::state::State;
use crate::turn::Core;

impl Core {
    /// Overrides a failed gate of a version. Its content is loaded again at the next look.
    pub(crate) fn override_gate(&self, order: &Order, version: Version, gate: Gate) -> Result<Done, Refused> {
        let plan = self.plan_override(order, version, gate)?;
        let done = self.record_and_apply(plan, false)?;
        let mut state = self.lock();
        if let Some(entry) = state.entry_mut(&State::id(&order.model, version)) {
            super::try_again(entry);
        }
        Ok(done)
    }

    fn plan_override(&self, order: &Order, version: Version, gate: Gate) -> Result<Plan, Refused> {
        let state = self.lock();
        let id = State::id(&order.model, version);
        let reason = order.reason.as_deref().map(str::trim).unwrap_or_default();
        if reason.is_empty() {
            return refuse("reason_missing", "an override needs a reason");
        }
        let Some(gated) = state.gates.get(&id) else {
            return refuse("gate_not_failed", format!("no gate of {id} has been asked; see its gates"));
        };
        let known = overrides(&state, &id.model, gated.digest);
        let Some(report) = failing(&gated.reports, known, false).find(|report| report.gate() == Some(gate)) else {
            return refuse(
                "gate_not_failed",
                format!("the gate {gate} of {id} has not failed, or is overridden already"),
            );
        };
        let by = GateOverride {
            gate,
            actor: order.actor.clone(),
            reason: reason.to_owned(),
            since_unix_ms: self.clock.unix_ms(),
        };
        let mut after = known.to_vec();
        after.push(by.clone());
        let left = refusal(&id, &gated.reports, &after);
        let message = message(&id, gate, left.as_deref());
        let entry = Entry {
            model: Some(id.model.clone()),
            version: Some(version),
            digest: Some(gated.digest),
            before: Some(format!("gate {gate} failed: {}", report.text)),
            after: Some(format!("gate {gate} overridden")),
            reason: order.reason.clone(),
            changes: vec![Change::GateOverridden { model: id.model.clone(), digest: gated.digest, by }],
            ..Entry::new(self.clock.unix_ms(), order.actor.clone(), Action::GateOverridden)
        };
        Ok(Plan { entries: vec![entry], message, epoch: state.epoch(&order.model) })
    }
}

fn message(id: &VersionId, gate: Gate, left: Option<&str>) -> String {
    match left {
        None => {
            format!("gate {gate} of {id} is overridden for this content; it takes traffic only by a further decision")
        }
        Some(text) => format!("gate {gate} of {id} is overridden for this content; it is still kept out: {text}"),
    }
}
