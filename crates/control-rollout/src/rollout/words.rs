//! What a display of a rollout says again and again.

use crate::plan::Policy;
use crate::rollout::shift::step_kind;

/// A span of time to two units, rounded up to seconds: a countdown, where the estimates of `words` are round.
pub(super) fn span(ms: u64) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let seconds = ms.div_ceil(1000);
    let largest = UNITS.iter().position(|(_, size)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let mut left = seconds;
    let mut words = Vec::new();
    for (name, size) in UNITS.iter().skip(largest).take(2) {
        let n = left / size;
        left %= size;
        if n > 0 || words.is_empty() {
            words.push(format!("{n} {name}"));
        }
    }
    words.truncate(2);
    words.join(" ")
}

/// A step by position and kind.
pub(super) fn step_name(policy: &Policy, index: usize) -> String {
    format!("step {} of {} ({})", index + 1, policy.steps.len().max(index + 1), step_kind(policy, index))
}

#[cfg(test)]
mod tests;
