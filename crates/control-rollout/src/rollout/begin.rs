//! How a rollout begins.

use std::sync::Arc;

use base_types::{Digest, Rollout, RolloutStatus, Version};

use crate::plan::{Policy, StepKind};
use crate::rollout::action::{Advanced, NotifyKind};
use crate::rollout::shift::Shift;

/// What a rollout is begun with. Ask `may_start` first.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// Counts the rollouts of the model from 1.
    pub number: u32,
    /// The version that is brought into traffic.
    pub candidate: Version,
    /// Its content.
    pub digest: Digest,
    /// The version it is judged against.
    pub stable: Version,
    /// The policy's name.
    pub policy_name: Arc<str>,
    /// The policy in the form of routing.toml.
    pub policy_text: Arc<str>,
    /// Who ordered it.
    pub actor: Box<str>,
    /// Whether the candidate is one of the versions confirmed of late (`skips_judgement`): it is then promoted at
    /// once, for going back must be quick.
    pub skips_judgement: bool,
}

/// Begins a rollout. Whatever the first step is, traffic moves with the first tick that finds the candidate ready.
pub fn begin(policy: &Policy, start: Start, now_unix_ms: u64) -> Advanced {
    let rollout = Rollout {
        number: start.number,
        candidate: start.candidate,
        digest: start.digest,
        stable: start.stable,
        policy: start.policy_name,
        policy_text: start.policy_text,
        status: RolloutStatus::Running,
        step: 0,
        share: 0.0,
        shadow_share: 0.0,
        started_unix_ms: now_unix_ms,
        step_since_unix_ms: now_unix_ms,
        limit_since_unix_ms: now_unix_ms,
        status_since_unix_ms: now_unix_ms,
        retries: 0,
        standstill: None,
        noted: Vec::new(),
        has_told_silence: false,
        next: None,
        actor: start.actor,
        note: Box::default(),
    };
    let mut shift = Shift::new(policy, rollout, now_unix_ms);
    let first = if start.skips_judgement { promotion_step(policy, 0) } else { 0 };
    let (candidate, stable) = (start.candidate, start.stable);
    let how = if start.skips_judgement { "promoted without steps, it was confirmed before" } else { "step by step" };
    shift.notify(NotifyKind::Started, format!("version {candidate} is brought into traffic beside {stable}: {how}"));
    shift.enter(first);
    shift.done()
}

/// Position of the promotion at or after a step; one past the end stands for a promotion the policy does not have.
pub(super) fn promotion_step(policy: &Policy, from: usize) -> usize {
    let is_promotion = |kind: &StepKind| matches!(kind, StepKind::Promote { .. });
    let position = policy.steps.iter().skip(from).position(|step| is_promotion(&step.kind));
    position.map_or(policy.steps.len(), |offset| from + offset)
}
