//! What the admin API answers, as far as it is shown. What a newer gateway adds is passed over.

use serde::Deserialize;

/// `GET /v1/status`.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) generation: u64,
    pub(super) started: bool,
    pub(super) models: Vec<Model>,
    pub(super) quarantine: Vec<Quarantined>,
    pub(super) config: Config,
}

#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) problems: Vec<Problem>,
    #[serde(default)]
    pub(super) source: Option<Source>,
}

/// The commit that routing.toml is of.
#[derive(Debug, Deserialize)]
pub(super) struct Source {
    pub(super) short: String,
    pub(super) branch: Option<String>,
    pub(super) dirty: bool,
    pub(super) remote: Option<String>,
}

/// A remark on a file.
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    pub(super) file: String,
    pub(super) line: u64,
    pub(super) column: u64,
    pub(super) severity: String,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) stable: Option<u64>,
    pub(super) phase: String,
    pub(super) versions: Vec<Version>,
    pub(super) trials: Vec<Trial>,
    pub(super) rollout: Option<UnderWay>,
    pub(super) notices: Vec<String>,
}

/// A rollout, where everything is shown.
#[derive(Debug, Deserialize)]
pub(super) struct UnderWay {
    pub(super) number: u32,
    pub(super) candidate: u64,
    pub(super) policy: String,
    pub(super) status: String,
    pub(super) note: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) version: u64,
    pub(super) state: String,
    pub(super) digest: Option<String>,
    pub(super) reason: Option<Reason>,
    pub(super) share_wanted: f64,
    pub(super) share_actual: Option<f64>,
    pub(super) load_seconds: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
    #[serde(default)]
    pub(super) gates: Vec<VersionGate>,
    #[serde(default)]
    pub(super) source: VersionSource,
}

/// Where a version came from; nothing from gateways that do not say.
#[derive(Debug, Default, Deserialize)]
pub(super) struct VersionSource {
    pub(super) place: String,
    pub(super) tag: Option<String>,
    pub(super) git_commit: Option<String>,
    pub(super) pushed_by: Option<String>,
}

/// A gate that was asked before traffic.
#[derive(Debug, Deserialize)]
pub(super) struct VersionGate {
    pub(super) gate: String,
    pub(super) verdict: String,
    pub(super) text: String,
    pub(super) overridden: Option<Overridden>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Overridden {
    pub(super) actor: String,
    pub(super) reason: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    pub(super) code: String,
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Trial {
    pub(super) candidate: u64,
    pub(super) stable: u64,
    pub(super) since_unix_ms: u64,
    pub(super) mode: String,
    pub(super) evidence: Evidence,
}

#[derive(Debug, Deserialize)]
pub(super) struct Quarantined {
    pub(super) model: String,
    pub(super) version: u64,
    pub(super) digest: String,
    pub(super) cause: String,
    pub(super) since_unix_ms: u64,
}

/// The numbers of a trial. Logarithms of nothing come as null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Evidence {
    pub(super) rules: Vec<Rule>,
    pub(super) all_rules: Sum,
    pub(super) promotion: Promotion,
    pub(super) fault_rate: FaultRates,
    pub(super) crashes: Crashes,
    pub(super) candidate: Option<u64>,
    pub(super) stable: Option<u64>,
    pub(super) cause: Option<String>,
    pub(super) verdict: Option<Verdict>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Rule {
    pub(super) rule: String,
    pub(super) faults: u64,
    pub(super) others: u64,
    pub(super) log_e: Option<f64>,
    pub(super) threshold: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Sum {
    pub(super) log_e: Option<f64>,
    pub(super) threshold: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Promotion {
    pub(super) log_e: Option<f64>,
    pub(super) threshold: Option<f64>,
    pub(super) proven: bool,
    pub(super) clean_requests_needed: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FaultRates {
    pub(super) candidate: Interval,
    pub(super) stable: Interval,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Interval {
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Crashes {
    pub(super) exits: u64,
    pub(super) requests: u64,
}

/// A verdict's grounds: those of a classic window have a value and a bound.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Verdict {
    pub(super) rule: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) bound: Option<f64>,
    pub(super) requests: Option<u64>,
    pub(super) window_seconds: Option<f64>,
}

/// `GET /v1/models/{model}/rollout`.
#[derive(Debug, Deserialize)]
pub(super) struct Rollout {
    pub(super) model: String,
    pub(super) number: u32,
    pub(super) candidate: u64,
    pub(super) stable: u64,
    pub(super) policy: String,
    pub(super) status: String,
    pub(super) standstill: Option<String>,
    pub(super) steps: Vec<Step>,
    pub(super) share: f64,
    pub(super) shadow_share: f64,
    pub(super) started_unix_ms: u64,
    pub(super) status_since_unix_ms: u64,
    pub(super) actor: String,
    pub(super) note: String,
    pub(super) next: Option<u64>,
    pub(super) waits_for: Option<String>,
    pub(super) step_left_ms: Option<u64>,
    pub(super) whole_left_ms: Option<u64>,
    pub(super) requests_per_second: Option<f64>,
    pub(super) n_requests: u64,
    pub(super) n_shadowed: u64,
    pub(super) rules: Vec<RolloutRule>,
    pub(super) evidence: Option<RolloutEvidence>,
}

/// One step of a rollout.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) state: String,
}

/// One rule of a rollout against its threshold.
#[derive(Debug, Deserialize)]
pub(super) struct RolloutRule {
    pub(super) rule: String,
    pub(super) counts: String,
    pub(super) log_e: Option<f64>,
    pub(super) threshold: Option<f64>,
    pub(super) tripped: bool,
    pub(super) on_failure: String,
}

/// What of a rollout's evidence is shown beside its rules.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RolloutEvidence {
    pub(super) all_rules: Sum,
    pub(super) proofs: Vec<RolloutProof>,
}

/// One proof of a rollout.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RolloutProof {
    pub(super) of: String,
    pub(super) log_e: Option<f64>,
    pub(super) threshold: Option<f64>,
    pub(super) proven: bool,
    pub(super) clean_requests_needed: u64,
}

/// A row of `GET /v1/history`.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) at: String,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) model: Option<String>,
    pub(super) version: Option<u64>,
    pub(super) generation: Option<u64>,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) evidence: serde_json::Value,
}

/// The answer to an order.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    pub(super) message: String,
    pub(super) generation: u64,
}

/// The answer of an explanation.
#[derive(Debug, Deserialize)]
pub(super) struct Explained {
    pub(super) sentences: Vec<String>,
    #[serde(default)]
    pub(super) by_chance: bool,
}

/// A change of a routing file.
#[derive(Debug, Deserialize)]
pub(super) struct Difference {
    pub(super) text: String,
}
