//! What can be wrong with what a trial is made of.

use std::fmt;

use crate::policy::OutOfRange;

/// A trial could not be started or continued.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RolloutError {
    /// A value of the guardrail is not allowed; `Guardrail::problems` lists all of them.
    Guardrail(OutOfRange),
    /// The checkpoint does not belong to the guardrail, or is damaged.
    Checkpoint(CheckpointFlaw),
}

/// Why a checkpoint cannot be continued. The way out is a new trial, which starts without evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CheckpointFlaw {
    /// Its evidence was weighed against other bounds than the guardrail's.
    OtherBounds {
        /// The limit it was weighed against.
        limit: f64,
        /// The ratio it was weighed against.
        tolerate_ratio: f64,
    },
    /// The same for the watch after a promotion, which knows no ratio.
    OtherLimit {
        /// The limit it was weighed against.
        limit: f64,
    },
    /// A list has the wrong number of values, or more than its bound.
    Length {
        /// Which list.
        list: &'static str,
        /// How many values it has.
        n_values: usize,
        /// How many it should have, or may have at most.
        n_allowed: usize,
    },
    /// A list holds a value that no evidence leads to.
    Value {
        /// Which list.
        list: &'static str,
    },
}

impl fmt::Display for RolloutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guardrail(problem) => problem.fmt(f),
            Self::Checkpoint(flaw) => write!(f, "the checkpoint cannot be continued: {flaw}"),
        }
    }
}

impl fmt::Display for CheckpointFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherBounds { limit, tolerate_ratio } => {
                write!(f, "it was weighed against limit {limit} and tolerate_ratio {tolerate_ratio}")
            }
            Self::OtherLimit { limit } => write!(f, "it was weighed against limit {limit}"),
            Self::Length { list, n_values, n_allowed } => {
                write!(f, "{list} has {n_values} values where {n_allowed} are allowed")
            }
            Self::Value { list } => write!(f, "{list} holds a value that no evidence leads to"),
        }
    }
}

impl std::error::Error for RolloutError {}
