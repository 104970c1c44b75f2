//! What a rollout leaves behind: what was done and on what evidence, enough for a person to compute the verdict again.
//! It is the evidence of the journal's last row about the rollout.

use base_types::Rollout;
use serde_json::{Value, json};

/// The report of a rollout that is over.
pub(crate) fn of(rollout: &Rollout, evidence: Option<Value>) -> Value {
    json!({
        "rollout": {
            "number": rollout.number,
            "candidate": rollout.candidate.get(),
            "digest": rollout.digest.to_string(),
            "stable": rollout.stable.get(),
            "policy": &*rollout.policy,
            "policy_text": &*rollout.policy_text,
            "status": rollout.status.as_str(),
            "last_step": rollout.step,
            "started_unix_ms": rollout.started_unix_ms,
            "ended_unix_ms": rollout.status_since_unix_ms,
            "retries": rollout.retries,
            "ordered_by": &*rollout.actor,
            "why": &*rollout.note,
        },
        "evidence": evidence,
    })
}
