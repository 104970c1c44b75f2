//! What earlier rollouts of a model say about the next one.

use std::time::Duration;

use base_types::Version;

use crate::plan::{FreezeAfter, Policy};
use crate::rollout::action::{Refusal, RefusalCode};
use crate::rollout::words::span;

/// What a model has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History<'a> {
    /// When its candidates were rolled back by a rule since a person last thawed its rollouts, in milliseconds since
    /// 1970, in any order.
    pub rollbacks_unix_ms: &'a [u64],
    /// Whether a rollout is under way.
    pub is_under_way: bool,
}

/// Whether a rollout may begin now. A person who insists gets past the cooldown, not past the freeze: for that, thaw.
pub fn may_start(policy: &Policy, history: &History<'_>, is_insisting: bool, now_unix_ms: u64) -> Result<(), Refusal> {
    if history.is_under_way {
        let text = "a rollout of this model is under way: wait until it is over, or abort it first";
        return Err(Refusal::new(RefusalCode::IsUnderWay, text));
    }
    if is_frozen(history.rollbacks_unix_ms, policy.freeze_after) {
        let FreezeAfter { rollbacks, within } = policy.freeze_after;
        let within = span(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
        let text =
            format!("{rollbacks} rollbacks within {within} have frozen the rollouts of this model: thaw them first");
        return Err(Refusal::new(RefusalCode::Frozen, text));
    }
    let last_unix_ms = history.rollbacks_unix_ms.iter().copied().max();
    match cooldown_left(last_unix_ms, policy.cooldown, now_unix_ms) {
        Some(left) if !is_insisting => {
            let left = span(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            let text = format!("the last rollback is too recent: wait {left} more, or insist");
            Err(Refusal::new(RefusalCode::Cooldown, text))
        }
        _ => Ok(()),
    }
}

/// Whether so many of the rollbacks lie so close together. It lasts: `rollbacks_unix_ms` must begin anew when a
/// person thaws.
pub fn is_frozen(rollbacks_unix_ms: &[u64], freeze_after: FreezeAfter) -> bool {
    let n_rollbacks = freeze_after.rollbacks.max(1) as usize;
    let mut sorted = rollbacks_unix_ms.to_vec();
    sorted.sort_unstable();
    let within_ms = freeze_after.within.as_millis();
    sorted.windows(n_rollbacks).any(|near| match near {
        [first, .., last] => u128::from(last - first) <= within_ms,
        _ => true,
    })
}

/// How long no rollout may begin yet; `None` when it may.
pub fn cooldown_left(last_rollback_unix_ms: Option<u64>, cooldown: Duration, now_unix_ms: u64) -> Option<Duration> {
    let since = Duration::from_millis(now_unix_ms.saturating_sub(last_rollback_unix_ms?));
    cooldown.checked_sub(since).filter(|left| !left.is_zero())
}

/// Whether a version may be gone back to without being judged again: it is one of the `rollback_window` versions
/// that were confirmed last. `confirmed` has the latest last; the version that serves is passed over in it.
pub fn skips_judgement(confirmed: &[Version], stable: Version, version: Version, rollback_window: u32) -> bool {
    let mut recent: Vec<Version> = Vec::new();
    for known in confirmed.iter().rev().filter(|known| **known != stable) {
        if recent.len() >= rollback_window as usize {
            break;
        }
        if !recent.contains(known) {
            recent.push(*known);
        }
    }
    recent.contains(&version)
}

#[cfg(test)]
mod tests;
