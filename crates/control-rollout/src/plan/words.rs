//! The words of a policy.

use std::fmt;

use crate::plan::{OnInconclusive, OnNewCandidate, ProofOf, StepKind};
use crate::words::percent;

impl ProofOf {
    /// Every proof.
    pub const ALL: [Self; 3] = [Self::Errors, Self::Latency, Self::Disagreement];

    /// The word used in configuration, API and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Disagreement => "disagreement",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.as_str() == text)
    }
}

impl OnInconclusive {
    /// Everything that may follow.
    pub const ALL: [Self; 3] = [Self::Hold, Self::RollBack, Self::Promote];

    /// The word used in configuration, API and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::RollBack => "rollback",
            Self::Promote => "promote",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }
}

impl OnNewCandidate {
    /// Everything that may become of one.
    pub const ALL: [Self; 3] = [Self::Refuse, Self::Queue, Self::Replace];

    /// The word used in configuration, API and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Queue => "queue",
            Self::Replace => "replace",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.as_str() == text)
    }
}

impl StepKind {
    /// The word used in configuration, API and logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::WarmUp { .. } => "warm_up",
            Self::Shadow { .. } => "shadow",
            Self::Weight { .. } => "weight",
            Self::Pause { .. } => "pause",
            Self::Promote { .. } => "promote",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate => f.write_str("gate"),
            Self::WarmUp { runs } => write!(f, "warm-up, {runs} runs"),
            Self::Shadow { share } => write!(f, "shadow {}", percent(*share)),
            Self::Weight { share } => write!(f, "weight {}", percent(*share)),
            Self::Pause { approval } => write!(f, "approval of {approval}"),
            Self::Promote { .. } => f.write_str("promote"),
        }
    }
}
