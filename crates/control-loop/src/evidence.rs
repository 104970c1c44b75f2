//! Evidence and checkpoints as JSON: for the journal, the log, webhooks and the API. Everything a person needs to
//! compute a verdict again is in it.

use base_types::Digest;
use control_rollout::{
    ArmCheckpoint, Cause, Checkpoint, CrashCounts, Evidence, Findings, Interval, RelativeCheckpoint, RuleEvidence,
    ShareTally, Successes,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::{OpenTrial, StoredTrial};

/// The rules shown as metrics of a trial.
pub(crate) const RULES: [&str; 5] = ["limit", "relative", "stable_limit", "all", "promotion"];

/// `(rule, log_e, threshold)` of everything a trial shows.
pub(crate) fn rules(evidence: &Evidence) -> [(&'static str, f64, f64); 5] {
    let Findings { limit, relative, stable_limit, log_e, threshold, .. } = evidence.findings;
    [
        (RULES[0], limit.log_e, limit.threshold),
        (RULES[1], relative.log_e, relative.threshold),
        (RULES[2], stable_limit.log_e, stable_limit.threshold),
        (RULES[3], log_e, threshold),
        (RULES[4], evidence.proof.log_e, evidence.proof.threshold),
    ]
}

/// A trial's evidence; with the cause, when there was a verdict.
pub(crate) fn of_trial(open: &OpenTrial, cause: Option<&Cause>) -> Value {
    let mut value = of_evidence(&open.trial.evidence(open.successes()));
    if let Some(fields) = value.as_object_mut() {
        fields.insert("candidate".into(), open.candidate.id.version.get().into());
        fields.insert("stable".into(), open.stable.id.version.get().into());
        if let Some(cause) = cause {
            fields.insert("cause".into(), cause.as_str().into());
            fields.insert("verdict".into(), of_cause(cause));
        }
    }
    value
}

fn of_evidence(evidence: &Evidence) -> Value {
    let interval = |i: &Interval| json!({ "low": i.low, "high": i.high });
    json!({
        "rules": evidence.findings.rules().map(of_rule),
        "all_rules": { "log_e": evidence.findings.log_e, "threshold": evidence.findings.threshold,
            "tripped": evidence.findings.is_tripped },
        "shares": evidence.shares.iter().map(of_share).collect::<Vec<_>>(),
        "promotion": { "log_e": evidence.proof.log_e, "threshold": evidence.proof.threshold,
            "proven": evidence.proof.is_proven, "clean_requests_needed": evidence.proof.clean_requests_needed },
        "fault_rate": { "candidate": interval(&evidence.candidate_interval),
            "stable": interval(&evidence.stable_interval) },
        "crashes": { "exits": evidence.crashes.exits, "requests": evidence.crashes.requests },
    })
}

fn of_rule(rule: &RuleEvidence) -> Value {
    json!({ "rule": rule.rule.as_str(), "weight": rule.weight, "faults": rule.faults, "others": rule.others,
        "log_plain": rule.log_plain, "log_restart": rule.log_restart, "horizon": rule.horizon,
        "stage_budget": rule.stage_budget, "log_e": rule.log_e, "threshold": rule.threshold,
        "tripped": rule.is_tripped })
}

fn of_share(tally: &ShareTally) -> Value {
    json!({ "share": tally.share, "candidate_faults": tally.candidate_faults, "stable_faults": tally.stable_faults })
}

fn of_cause(cause: &Cause) -> Value {
    match cause {
        Cause::Evidence(grounds) | Cause::SharedIncident(grounds) => json!({
            "rule": grounds.rule.as_str(), "share": grounds.share, "rules": grounds.findings.rules().map(of_rule),
            "log_e": grounds.findings.log_e, "threshold": grounds.findings.threshold,
            "shares": grounds.shares.iter().map(of_share).collect::<Vec<_>>() }),
        Cause::Window(breach) => json!({
            "rule": breach.rule.as_str(), "value": breach.value, "bound": breach.bound,
            "requests": breach.totals.requests, "faults": breach.totals.faults,
            "latency_seconds": breach.totals.latency_seconds, "window_seconds": breach.window.seconds }),
        Cause::CrashLoop(crashes) => json!({ "exits": crashes.exits, "requests": crashes.requests }),
    }
}

/// A checkpoint as stored. Its fields are the trial's own; names stay put, because files outlive programs.
#[derive(Serialize, Deserialize)]
struct Stored {
    stable: String,
    since_unix_ms: u64,
    limit: f64,
    tolerate_ratio: f64,
    candidate_arm: StoredArm,
    stable_arm: StoredArm,
    relative_faults: [u64; 2],
    log_products: Vec<f64>,
    log1p_restart: Vec<f64>,
    shares: Vec<(f64, u64, u64)>,
    pending: [u64; 2],
    crashes: [u64; 2],
    is_shared_incident: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredArm {
    faults: u64,
    successes: u64,
    log1p_restart: Vec<f64>,
    erring_keys: Vec<u64>,
}

/// A trial's state, to be stored.
pub(crate) fn checkpoint_json(open: &OpenTrial) -> String {
    let c = open.trial.checkpoint(open.successes());
    let arm = |a: ArmCheckpoint| StoredArm {
        faults: a.faults,
        successes: a.successes,
        log1p_restart: a.log1p_restart,
        erring_keys: a.erring_keys,
    };
    let stored = Stored {
        stable: open.stable.digest.to_string(),
        since_unix_ms: open.since_unix_ms,
        limit: c.limit,
        tolerate_ratio: c.tolerate_ratio,
        candidate_arm: arm(c.candidate),
        stable_arm: arm(c.stable),
        relative_faults: [c.relative.candidate_faults, c.relative.stable_faults],
        log_products: c.relative.log_products,
        log1p_restart: c.relative.log1p_restart,
        shares: c.relative.shares.iter().map(|s| (s.share, s.candidate_faults, s.stable_faults)).collect(),
        pending: [c.pending.candidate, c.pending.stable],
        crashes: [c.crashes.exits, c.crashes.requests],
        is_shared_incident: c.is_shared_incident,
    };
    // Plain numbers and a text: there is nothing that could fail to be written.
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads a stored checkpoint; `None` when it is not one: evidence is lost then, nothing else.
pub(crate) fn parse_checkpoint(json: &str) -> Option<StoredTrial> {
    let s: Stored = serde_json::from_str(json).ok()?;
    let arm = |a: StoredArm| ArmCheckpoint {
        faults: a.faults,
        successes: a.successes,
        log1p_restart: a.log1p_restart,
        erring_keys: a.erring_keys,
    };
    let share = |(share, candidate_faults, stable_faults)| ShareTally { share, candidate_faults, stable_faults };
    let stable: Digest = s.stable.parse().ok()?;
    let checkpoint = Checkpoint {
        limit: s.limit,
        tolerate_ratio: s.tolerate_ratio,
        candidate: arm(s.candidate_arm),
        stable: arm(s.stable_arm),
        relative: RelativeCheckpoint {
            candidate_faults: s.relative_faults[0],
            stable_faults: s.relative_faults[1],
            log_products: s.log_products,
            log1p_restart: s.log1p_restart,
            shares: s.shares.into_iter().map(share).collect(),
        },
        pending: Successes { candidate: s.pending[0], stable: s.pending[1] },
        crashes: CrashCounts { exits: s.crashes[0], requests: s.crashes[1] },
        is_shared_incident: s.is_shared_incident,
    };
    Some(StoredTrial { checkpoint, stable, since_unix_ms: s.since_unix_ms })
}
