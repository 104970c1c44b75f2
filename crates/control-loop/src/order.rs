//! What operators may order, and what becomes of it.

use base_types::{Gate, ModelName, Selector, Version};
use thiserror::Error;

/// An operation on a model's traffic.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Gives a version a share of the traffic, judged against stable.
    Canary {
        /// Which version.
        version: Selector,
        /// Its share, in (0, 1).
        share: f64,
    },
    /// Gives a version all traffic; the stable one stays its fallback until that is confirmed.
    Promote {
        /// Which version; the only candidate when `None`.
        version: Option<Selector>,
        /// Confirm at once.
        is_confirmed: bool,
        /// Without proof.
        is_forced: bool,
    },
    /// Takes candidates out; without any, goes back to the version confirmed before.
    Rollback {
        /// The version to go back to.
        to: Option<Selector>,
        /// Whether the version left is quarantined.
        is_quarantined: bool,
    },
    /// Lets a quarantined version back.
    Release {
        /// Which version.
        version: Version,
    },
    /// Says that a failed gate does not matter for a version's content. Needs a reason.
    Override {
        /// Which version.
        version: Version,
        /// Which gate.
        gate: Gate,
    },
    /// Something about the model's rollout.
    Rollout(RolloutOrder),
}

/// What may be ordered about a rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutOrder {
    /// Begins one.
    Start {
        /// The version to bring into traffic.
        version: Selector,
        /// Its policy; `None`: the model's.
        policy: Option<String>,
        /// Although the last rollback is recent.
        is_forced: bool,
    },
    /// Approves the step that waits for it.
    Approve,
    /// Has it stand still; shares stay, rules stay armed.
    Pause,
    /// Lets it go on.
    Resume,
    /// Takes the candidate out of traffic and ends the rollout.
    Abort {
        /// Whether the candidate's content is quarantined.
        is_quarantined: bool,
    },
    /// Gives the candidate all traffic, whatever steps are left.
    Promote {
        /// Without proof; needs a reason.
        is_forced: bool,
    },
    /// Makes a promotion final before its bake is over.
    Confirm,
    /// Begins a rollout again that was rolled back or aborted.
    Retry,
    /// Lets rollouts begin again that too many rollbacks had frozen; needs a reason.
    Thaw,
}

/// An operation, on what, by whom and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The model.
    pub model: ModelName,
    /// What to do.
    pub operation: Operation,
    /// Who orders it.
    pub actor: String,
    /// Why. Required where a guard is overridden.
    pub reason: Option<String>,
}

/// What an order did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// In a sentence.
    pub message: String,
    /// The generation in force.
    pub generation: u64,
    /// Whether it is on disk: a rollback is in force before that.
    pub is_provisional: bool,
}

/// Why an order was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Refused {
    /// Stable code.
    pub code: &'static str,
    /// In a sentence, with the remedy.
    pub message: String,
}

pub(crate) fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { code, message: message.into() })
}
