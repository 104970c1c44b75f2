//! The change log of a model, version by version: what changed, why, how it did, what became of it, and when it served.
//!
//! Folded from the journal's rows alone, so that the command line can write it without a gateway. Rows about routing
//! (`published`) say when a version served with what share; the others say why.

mod fold;
mod markdown;

use std::collections::BTreeMap;

use control_registry::journal::{ModelLife, Performance};
use serde::Serialize;
use serde_json::{Value, json};

pub use markdown::markdown;

use crate::time::rfc3339;

/// Stretches of one version that are listed, the newest; the total time counts all.
const STRETCHES_MAX: usize = 200;
/// Events of one version that are listed, the newest.
const EVENTS_MAX: usize = 500;

/// A model's change log.
#[derive(Debug, Clone, PartialEq)]
pub struct Changelog {
    /// The model.
    pub model: String,
    /// Whether older rows were left out.
    pub is_cut: bool,
    /// The versions by number.
    pub versions: BTreeMap<u64, VersionLog>,
}

/// What there is to tell about one version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VersionLog {
    /// Its content.
    pub digest: Option<String>,
    /// When it was first recorded, in milliseconds since 1970, and by whom.
    pub registered: Option<(u64, String)>,
    /// Its semantic tag, where one was given.
    pub tag: Option<String>,
    /// Who pushed it, and where it came from, as the store has it.
    pub pushed: Option<Value>,
    /// Inputs and outputs, as `name TYPE[dims]`.
    pub signature: Option<Value>,
    /// What differs from the version before it, one sentence each.
    pub changed: Vec<String>,
    /// What was done with it, oldest first.
    pub events: Vec<Event>,
    /// When it took a share of the unpinned traffic, oldest first.
    pub served: Vec<Stretch>,
    /// How long in all, in milliseconds.
    pub served_ms: u64,
    /// What became of it.
    pub fate: String,
    /// How it did.
    pub performance: Option<Performance>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// When, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The journal's row.
    pub seq: u64,
    /// What.
    pub action: &'static str,
    /// By whom.
    pub actor: String,
    /// Shares before.
    pub before: Option<String>,
    /// Shares afterwards.
    pub after: Option<String>,
    /// Why, or on what evidence.
    pub reason: Option<String>,
}

/// Time with one share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stretch {
    /// From when, in milliseconds since 1970.
    pub from_unix_ms: u64,
    /// Until when; `None` while it goes on.
    pub until_unix_ms: Option<u64>,
    /// The share of the unpinned traffic, 0 to 1.
    pub share: f64,
}

/// Folds what is recorded about a model.
pub fn changelog(life: &ModelLife, now_unix_ms: u64) -> Changelog {
    fold::fold(life, now_unix_ms)
}

/// The change log as JSON.
pub fn json(log: &Changelog) -> Value {
    let versions = log.versions.iter().rev().map(|(version, about)| {
        json!({
            "version": version,
            "digest": about.digest,
            "tag": about.tag,
            "registered_at": about.registered.as_ref().map(|(at, _)| rfc3339(*at)),
            "registered_by": about.registered.as_ref().map(|(_, by)| by),
            "pushed": about.pushed,
            "signature": about.signature,
            "changed": about.changed,
            "events": about.events,
            "served": about.served,
            "served_ms": about.served_ms,
            "fate": about.fate,
            "performance": about.performance.as_ref().map(performance),
        })
    });
    json!({ "model": log.model, "is_cut": log.is_cut, "versions": versions.collect::<Vec<_>>() })
}

/// How a version did, as JSON.
pub fn performance(sums: &Performance) -> Value {
    let quantile = |q| sums.latency.quantile(q).map(|seconds| seconds * 1000.0);
    let mean = (sums.latency.n > 0).then(|| sums.latency.sum * 1000.0 / sums.latency.n as f64);
    let run = (sums.run.n > 0).then(|| sums.run.sum * 1000.0 / sums.run.n as f64);
    let feedback = (sums.feedback.n > 0).then(|| {
        json!({ "n": sums.feedback.n, "mean_score": sums.feedback.score_sum / sums.feedback.n as f64,
            "labels": sums.feedback.labels, "mistakes": sums.feedback.mistakes })
    });
    json!({
        "requests": sums.requests,
        "by_class": sums.by_class,
        "error_rate": sums.error_rate(),
        "latency_ms": { "mean": mean, "p50": quantile(0.5), "p95": quantile(0.95), "p99": quantile(0.99) },
        "run_ms_mean": run,
        "feedback": feedback,
        "traffic_ms": sums.traffic_ms,
        "first_served_unix_ms": sums.first_served_unix_ms,
        "last_served_unix_ms": sums.last_served_unix_ms,
        "updated_unix_ms": sums.updated_unix_ms,
    })
}

#[cfg(test)]
mod tests;
