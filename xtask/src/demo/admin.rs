//! Asks the gateway's admin API what is in force, and reads the parts the demo shows.

use serde_json::Value;
use ureq::Agent;

use super::DemoError;
use super::traffic::{MODEL, agent};

/// Rows of the journal looked at.
const HISTORY_ROWS: usize = 100;

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// A client of the admin API.
pub struct Admin {
    agent: Agent,
    address: String,
}

/// The model under demonstration, as the gateway sees it.
#[derive(Debug, Clone, Default)]
pub struct ModelView {
    /// The generation in force.
    pub generation: u64,
    /// The stable version, once there is one.
    pub stable: Option<u64>,
    /// Where the rollout stands.
    pub phase: String,
    /// Its versions, by number.
    pub versions: Vec<VersionView>,
    /// The trial under way.
    pub trial: Option<TrialView>,
}

/// A version.
#[derive(Debug, Clone, Default)]
pub struct VersionView {
    /// Its number.
    pub version: u64,
    /// Its state.
    pub state: String,
    /// Why it is in that state, where there is a reason.
    pub reason: String,
    /// The share of the traffic it is to have, 0 to 1.
    pub share: f64,
    /// The time its load took.
    pub load_seconds: f64,
    /// Its inputs and outputs.
    pub signature: String,
}

/// A candidate under judgement.
#[derive(Debug, Clone, Default)]
pub struct TrialView {
    /// The version under trial.
    pub candidate: u64,
    /// Its requests so far that are judged.
    pub n_requests: u64,
    /// Evidence against it, as natural logarithm of the e-value, and where it is rolled back.
    pub doubt: (f64, f64),
    /// Evidence for it, likewise, and where it counts as proven.
    pub proof: (f64, f64),
    /// Whether it is proven.
    pub is_proven: bool,
    /// Further requests without a fault that would prove it.
    pub n_requests_needed: u64,
}

/// A rollback, as the journal has it.
#[derive(Debug, Clone, Default)]
pub struct RollbackView {
    /// When it was decided, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The generation that put it in force.
    pub generation: u64,
    /// The rule that tripped.
    pub rule: String,
    /// Faults counted against the version.
    pub n_faults: u64,
    /// Requests counted in all.
    pub n_requests: u64,
    /// Evidence against it, and where it was to be rolled back.
    pub doubt: (f64, f64),
}

impl Admin {
    /// A client for an address.
    pub fn new(address: &str) -> Self {
        Self { agent: agent(), address: address.to_owned() }
    }

    /// The model.
    pub fn model(&self) -> Result<ModelView, DemoError> {
        Ok(model(&self.get(&format!("/v1/models/{MODEL}"))?))
    }

    /// The last rollback of a version.
    pub fn rollback_of(&self, version: u64) -> Result<Option<RollbackView>, DemoError> {
        let history = self.get(&format!("/v1/history?model={MODEL}&limit={HISTORY_ROWS}"))?;
        let rows = history["rows"].as_array();
        let mut rows = rows.into_iter().flatten();
        Ok(rows.find(|row| row["action"] == "rolled_back" && row["version"] == version).map(rollback))
    }

    fn get(&self, path: &str) -> Result<Value, DemoError> {
        let failed = |why: String| DemoError::Admin { path: path.to_owned(), why };
        let mut answer =
            self.agent.get(format!("http://{}{path}", self.address)).call().map_err(|e| failed(e.to_string()))?;
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
        let text = text.map_err(|e| failed(e.to_string()))?;
        if answer.status() != 200 {
            return Err(failed(format!("status {}: {text}", answer.status())));
        }
        serde_json::from_str(&text).map_err(|e| failed(e.to_string()))
    }
}

fn model(value: &Value) -> ModelView {
    let list = |key: &str| value[key].as_array().map(Vec::as_slice).unwrap_or_default();
    ModelView {
        generation: number(&value["generation"]),
        stable: value["stable"].as_u64(),
        phase: text(&value["phase"]),
        versions: list("versions").iter().map(version).collect(),
        trial: list("trials").first().map(trial),
    }
}

fn version(value: &Value) -> VersionView {
    let specs = |key: &str| {
        let specs: Vec<String> = value[key].as_array().into_iter().flatten().map(text).collect();
        specs.join(", ")
    };
    VersionView {
        version: value["version"].as_u64().unwrap_or_default(),
        state: text(&value["state"]),
        reason: text(&value["reason"]["text"]),
        share: value["share_wanted"].as_f64().unwrap_or_default(),
        load_seconds: value["load_seconds"].as_f64().unwrap_or_default(),
        signature: format!("{} -> {}", specs("inputs"), specs("outputs")),
    }
}

fn trial(value: &Value) -> TrialView {
    let evidence = &value["evidence"];
    let proof = &evidence["promotion"];
    let limit = limit_rule(evidence);
    TrialView {
        candidate: value["candidate"].as_u64().unwrap_or_default(),
        n_requests: number(&limit["faults"]) + number(&limit["others"]),
        doubt: level(&evidence["all_rules"]),
        proof: level(proof),
        is_proven: proof["proven"] == true,
        n_requests_needed: number(&proof["clean_requests_needed"]),
    }
}

fn rollback(row: &Value) -> RollbackView {
    let evidence = &row["evidence"];
    let limit = limit_rule(evidence);
    RollbackView {
        at_unix_ms: number(&row["at_unix_ms"]),
        generation: number(&row["generation"]),
        rule: text(&evidence["verdict"]["rule"]),
        n_faults: number(&limit["faults"]),
        n_requests: number(&limit["faults"]) + number(&limit["others"]),
        doubt: level(&evidence["verdict"]),
    }
}

/// The test of the candidate alone: it counts all the candidate's requests.
fn limit_rule(evidence: &Value) -> &Value {
    let rules = evidence["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    rules.iter().find(|rule| rule["rule"] == "limit").unwrap_or(&Value::Null)
}

fn level(value: &Value) -> (f64, f64) {
    (value["log_e"].as_f64().unwrap_or_default(), value["threshold"].as_f64().unwrap_or(f64::INFINITY))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
