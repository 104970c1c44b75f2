//! A rollout as JSON.

use base_types::{NOTED_MAX, NextCandidate, Rollout, RolloutStatus, Standstill};
use serde::{Deserialize, Serialize};

use super::{digest, version};

/// A rollout on disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredRollout {
    number: u32,
    candidate: u64,
    digest: String,
    stable: u64,
    policy: String,
    policy_text: String,
    status: String,
    step: usize,
    share: f64,
    shadow_share: f64,
    started_unix_ms: u64,
    step_since_unix_ms: u64,
    limit_since_unix_ms: u64,
    status_since_unix_ms: u64,
    retries: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    standstill: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    noted: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    has_told_silence: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    next: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    next_policy: Option<String>,
    actor: String,
    note: String,
}

pub(super) fn store(rollout: &Rollout) -> StoredRollout {
    StoredRollout {
        number: rollout.number,
        candidate: rollout.candidate.get(),
        digest: rollout.digest.to_string(),
        stable: rollout.stable.get(),
        policy: rollout.policy.to_string(),
        policy_text: rollout.policy_text.to_string(),
        status: rollout.status.as_str().to_owned(),
        step: rollout.step,
        share: rollout.share,
        shadow_share: rollout.shadow_share,
        started_unix_ms: rollout.started_unix_ms,
        step_since_unix_ms: rollout.step_since_unix_ms,
        limit_since_unix_ms: rollout.limit_since_unix_ms,
        status_since_unix_ms: rollout.status_since_unix_ms,
        retries: rollout.retries,
        standstill: rollout.standstill.map(|reason| reason.as_str().to_owned()),
        noted: rollout.noted.iter().take(NOTED_MAX).map(ToString::to_string).collect(),
        has_told_silence: rollout.has_told_silence,
        next: rollout.next.as_ref().map(|next| next.version.get()),
        next_policy: rollout.next.as_ref().and_then(|next| next.policy.as_deref()).map(str::to_owned),
        actor: rollout.actor.to_string(),
        note: rollout.note.to_string(),
    }
}

pub(super) fn restore(stored: StoredRollout) -> Result<Rollout, String> {
    let status = RolloutStatus::parse(&stored.status);
    Ok(Rollout {
        number: stored.number,
        candidate: version(stored.candidate)?,
        digest: digest(&stored.digest)?,
        stable: version(stored.stable)?,
        policy: stored.policy.into(),
        policy_text: stored.policy_text.into(),
        status: status.ok_or_else(|| format!("has the unknown rollout status {:?}", stored.status))?,
        step: stored.step,
        share: stored.share,
        shadow_share: stored.shadow_share,
        started_unix_ms: stored.started_unix_ms,
        step_since_unix_ms: stored.step_since_unix_ms,
        limit_since_unix_ms: stored.limit_since_unix_ms,
        status_since_unix_ms: stored.status_since_unix_ms,
        retries: stored.retries,
        standstill: stored.standstill.as_deref().map(standstill).transpose()?,
        noted: stored.noted.into_iter().take(NOTED_MAX).map(Into::into).collect(),
        has_told_silence: stored.has_told_silence,
        next: stored.next.map(|next| next_candidate(next, stored.next_policy.as_deref())).transpose()?,
        actor: stored.actor.into(),
        note: stored.note.into(),
    })
}

fn next_candidate(number: u64, policy: Option<&str>) -> Result<NextCandidate, String> {
    Ok(NextCandidate { version: version(number)?, policy: policy.map(Into::into) })
}

fn standstill(word: &str) -> Result<Standstill, String> {
    Standstill::parse(word).ok_or_else(|| format!("has the unknown standstill {word:?}"))
}

#[cfg(test)]
mod tests;
