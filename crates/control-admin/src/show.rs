//! Journal rows, diagnostics, differences and routing tables as JSON. The command line shows the same offline.

use base_routing::{ModelRoute, Source};
use base_types::{Change, Stance, Version};
use control_config::{Diagnostic, Difference, explain};
use control_registry::journal::Row;
use serde_json::{Value, json};

use crate::explain::NoFacts;
use crate::time::rfc3339;

/// A row of the journal.
pub fn row(row: &Row) -> Value {
    let entry = &row.entry;
    let evidence = entry.evidence_json.as_deref().map(|text| {
        // Written by ourselves as JSON; were it damaged, the text is better than nothing.
        serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
    });
    json!({
        "seq": row.seq,
        "at": rfc3339(entry.at_unix_ms),
        "at_unix_ms": entry.at_unix_ms,
        "actor": entry.actor,
        "action": entry.action.as_str(),
        "model": entry.model.as_ref().map(ToString::to_string),
        "version": entry.version.map(Version::get),
        "digest": entry.digest.map(|d| d.to_string()),
        "generation": entry.generation.map(|g| g.0),
        "before": entry.before,
        "after": entry.after,
        "reason": entry.reason,
        "evidence": evidence,
        "changes": entry.changes.iter().map(change).collect::<Vec<_>>(),
    })
}

/// What is wrong with a file, where, and how to mend it.
pub fn diagnostic(diagnostic: &Diagnostic) -> Value {
    json!({
        "file": diagnostic.file.display().to_string(),
        "line": diagnostic.line,
        "column": diagnostic.column,
        "severity": diagnostic.severity.to_string(),
        "code": diagnostic.code.as_str(),
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    })
}

/// Several diagnostics.
pub fn diagnostics(list: &[Diagnostic]) -> Vec<Value> {
    list.iter().map(diagnostic).collect()
}

/// One change of a routing file. `model` is null for the defaults.
pub fn difference(difference: &Difference) -> Value {
    json!({
        "model": difference.model.as_ref().map(ToString::to_string),
        "aspect": difference.aspect.to_string(),
        "before": difference.before,
        "after": difference.after,
        "text": difference.to_string(),
    })
}

/// A routing table in force.
pub fn route(route: &ModelRoute) -> Value {
    let total: f64 = route.split.arms().iter().map(|arm| arm.weight).sum();
    let arms = route.split.arms().iter().map(|arm| {
        json!({ "name": &*arm.name, "version": arm.version.get(), "share": arm.weight / total,
            "redirected": arm.is_redirected })
    });
    // What a rule asks and does is in words already where a decision is explained.
    let rules = explain(route, None, &NoFacts, 0).rules;
    let rules = rules.iter().map(|rule| {
        let when: Vec<&str> = rule.conditions.iter().map(|c| c.text.as_str()).collect();
        json!({ "name": &*rule.name, "when": when, "then": rule.then })
    });
    let labels = route.labels.iter().map(|(label, version)| (label.to_string(), Value::from(version.get())));
    json!({
        "stable": route.stable.get(),
        "arms": arms.collect::<Vec<_>>(),
        "rules": rules.collect::<Vec<_>>(),
        "sticky": route.sticky.iter().map(Source::to_string).collect::<Vec<_>>(),
        "labels": labels.collect::<serde_json::Map<_, _>>(),
        "barred": route.barred.iter().map(|v| v.get()).collect::<Vec<_>>(),
    })
}

fn change(change: &Change) -> Value {
    match change {
        Change::Registered { id, digest } => {
            json!({ "kind": "registered", "model": id.model.as_str(), "version": id.version.get(),
                "digest": digest.to_string() })
        }
        Change::Stance { model, stance } => stance_set(model.as_str(), stance),
        Change::StanceCleared { model } => json!({ "kind": "stance_cleared", "model": model.as_str() }),
        Change::Confirmed { id } => {
            json!({ "kind": "confirmed", "model": id.model.as_str(), "version": id.version.get() })
        }
        Change::Unconfirmed { id } => {
            json!({ "kind": "unconfirmed", "model": id.model.as_str(), "version": id.version.get() })
        }
        Change::Quarantined { digest, quarantine } => {
            json!({ "kind": "quarantined", "model": quarantine.id.model.as_str(),
                "version": quarantine.id.version.get(), "digest": digest.to_string(), "cause": quarantine.cause })
        }
        Change::Released { digest } => json!({ "kind": "released", "digest": digest.to_string() }),
        Change::Residence { model, version, residence } => {
            json!({ "kind": "residence", "model": model.as_str(), "version": version.map(|v| v.get()),
                "residence": residence.as_str() })
        }
        Change::GateOverridden { model, digest, by } => {
            json!({ "kind": "gate_overridden", "model": model.as_str(), "digest": digest.to_string(),
                "gate": by.gate.to_string() })
        }
        Change::Thawed { model } => json!({ "kind": "thawed", "model": model.as_str() }),
        Change::Rollout { model, rollout } => {
            json!({ "kind": "rollout", "model": model.as_str(), "number": rollout.number,
                "candidate": rollout.candidate.get(), "stable": rollout.stable.get(), "policy": &*rollout.policy,
                "status": rollout.status.as_str(), "step": rollout.step, "share": rollout.share,
                "shadow_share": rollout.shadow_share, "note": &*rollout.note })
        }
    }
}

fn stance_set(model: &str, stance: &Stance) -> Value {
    let candidate = stance.candidate.map(|c| json!({ "version": c.version.get(), "share": c.share }));
    json!({ "kind": "stance", "model": model, "stable": stance.stable.get(), "candidate": candidate,
        "phase": stance.phase.as_str() })
}
