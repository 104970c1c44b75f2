//! A rollout as the admin door shows it: the step, the shares, the evidence of each rule against its threshold, what it
//! waits for and when it will likely have it.

use base_types::{ModelName, Rollout};
use control_rollout::rollout::{StepView, describe, step_views};
use control_rollout::{Policy, RuleEvidence};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::evidence;
use crate::rollout::facts;
use crate::state::State;

/// A model's last rollout.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RolloutStatus {
    /// The model.
    pub model: String,
    /// Counts the rollouts of the model from 1.
    pub number: u32,
    /// The version brought into traffic.
    pub candidate: u64,
    /// The version it is judged against.
    pub stable: u64,
    /// The policy's name.
    pub policy: String,
    /// running, awaiting_approval, paused, held, baking, promoted, rolled_back, aborted or replaced.
    pub status: &'static str,
    /// Why it stands still, where it does.
    pub standstill: Option<&'static str>,
    /// Every step.
    pub steps: Vec<StepStatus>,
    /// The candidate's share of the traffic, 0 to 1.
    pub share: f64,
    /// The share of stable's requests that is copied to it.
    pub shadow_share: f64,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Since when it has been in its step.
    pub step_since_unix_ms: u64,
    /// Since when it has been in its status.
    pub status_since_unix_ms: u64,
    /// How often it was tried again.
    pub retries: u32,
    /// Who ordered it.
    pub actor: String,
    /// What happened last, in words.
    pub note: String,
    /// The candidate that is next.
    pub next: Option<u64>,
    /// What it waits for, in a line.
    pub waits_for: Option<String>,
    /// How long its step is likely to last, in milliseconds, if all goes well at today's traffic.
    pub step_left_ms: Option<u64>,
    /// The same for the whole rollout.
    pub whole_left_ms: Option<u64>,
    /// Requests of the model in a second, lately.
    pub requests_per_second: Option<f64>,
    /// Requests the candidate has answered in this step.
    pub n_requests: u64,
    /// Copies it has answered in this step.
    pub n_shadowed: u64,
    /// Every rule.
    pub rules: Vec<RuleStatus>,
    /// The numbers, whole.
    pub evidence: Value,
}

/// One step.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StepStatus {
    /// What it does, such as "weight 5 %".
    pub name: String,
    /// done, current, stopped or to_come.
    pub state: &'static str,
}

/// One rule against its threshold.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RuleStatus {
    /// Its name.
    pub rule: &'static str,
    /// Its counts in words.
    pub counts: String,
    /// The statistic; null is less than any number.
    #[schemars(with = "Option<f64>")]
    pub log_e: f64,
    /// It convicts from here on; null where nothing can.
    #[schemars(with = "Option<f64>")]
    pub threshold: f64,
    /// Whether it convicts.
    pub tripped: bool,
    /// rollback, pause, alert or observe.
    pub on_failure: &'static str,
}

/// A rollout in one line of the status of everything.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct UnderWay {
    /// Counts the rollouts of the model from 1.
    pub number: u32,
    /// The version that is brought into traffic.
    pub candidate: u64,
    /// The policy's name.
    pub policy: String,
    /// running, paused, held, awaiting_approval, baking and so on.
    pub status: &'static str,
    /// What it waits for, or why it stands still.
    pub note: String,
}

/// The rollout of a model that is not over yet.
pub(crate) fn under_way(state: &State, name: &ModelName) -> Option<UnderWay> {
    let rollout = state.rollout(name)?;
    Some(UnderWay {
        number: rollout.number,
        candidate: rollout.candidate.get(),
        policy: rollout.policy.to_string(),
        status: rollout.status.as_str(),
        note: rollout.note.to_string(),
    })
}

/// A model's last rollout, if it had one.
pub(crate) fn of(state: &State, name: &ModelName, now_unix_ms: u64) -> Option<RolloutStatus> {
    let rollout = state.decisions.rollouts.get(name)?;
    let model = state.models.get(name);
    let live = model.and_then(|m| m.live.as_ref());
    let policy = live.map(|live| live.policy.clone());
    let policy = policy.or_else(|| control_config::parse_policy(&rollout.policy_text).ok().map(Into::into));
    let facts = facts(state, name);
    let waiting = policy.as_ref().filter(|_| !rollout.status.is_over());
    let waiting = waiting.map(|policy| describe(policy, rollout, &facts, now_unix_ms));
    let open = model.and_then(|m| m.trials.get(&rollout.candidate)).filter(|_| !rollout.status.is_over());
    let evidence = open.map(|open| open.evidence());
    let rules = evidence.iter().flat_map(|evidence| evidence.findings.all()).map(rule);
    Some(RolloutStatus {
        model: name.to_string(),
        number: rollout.number,
        candidate: rollout.candidate.get(),
        stable: rollout.stable.get(),
        policy: rollout.policy.to_string(),
        status: rollout.status.as_str(),
        standstill: rollout.standstill.map(|standstill| standstill.as_str()),
        steps: policy.map(|policy| steps(&policy, rollout)).unwrap_or_default(),
        share: rollout.share,
        shadow_share: rollout.shadow_share,
        started_unix_ms: rollout.started_unix_ms,
        step_since_unix_ms: rollout.step_since_unix_ms,
        status_since_unix_ms: rollout.status_since_unix_ms,
        retries: rollout.retries,
        actor: rollout.actor.to_string(),
        note: rollout.note.to_string(),
        next: rollout.next.as_ref().map(|next| next.version.get()),
        waits_for: waiting.as_ref().map(|waiting| waiting.text.clone()),
        step_left_ms: waiting.as_ref().and_then(|waiting| waiting.step_left_ms),
        whole_left_ms: waiting.as_ref().and_then(|waiting| waiting.whole_left_ms),
        requests_per_second: facts.requests_per_second,
        n_requests: facts.n_requests,
        n_shadowed: facts.n_shadowed,
        rules: rules.collect(),
        evidence: open.map_or(Value::Null, evidence::of_trial),
    })
}

fn steps(policy: &Policy, rollout: &Rollout) -> Vec<StepStatus> {
    let status = |step: StepView| StepStatus { name: step.name, state: step.state.as_str() };
    step_views(policy, rollout).into_iter().map(status).collect()
}

fn rule(evidence: &RuleEvidence) -> RuleStatus {
    let (bad, good) = evidence.rule.counts();
    RuleStatus {
        rule: evidence.rule.as_str(),
        counts: format!("{} {bad}, {} {good}", evidence.faults, evidence.others),
        log_e: evidence.log_e,
        threshold: evidence.threshold,
        tripped: evidence.is_tripped,
        on_failure: evidence.on_failure.as_str(),
    }
}
