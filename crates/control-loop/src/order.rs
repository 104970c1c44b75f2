//! What operators may order, and what becomes of it.

use base_types::{ModelName, Selector, Version};
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
