//! How a request, or one attempt at it, ended. Metrics and the judge read the same value.

use std::time::Duration;

/// The one class in which every request and every attempt ends. Only `VersionFault` is held against a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutcomeClass {
    /// A checked answer.
    Ok,
    /// The version could not answer: run error, invalid output, run timeout.
    VersionFault,
    /// The deadline passed while queued behind the version's own backlog.
    Saturation,
    /// The caller's mistake: malformed, unknown, unauthorised.
    Client,
    /// A deadline shorter than the operator's, set by the caller, passed.
    CallerDeadline,
    /// Refused at once because a bound was reached.
    Overload,
    /// The caller went away.
    Cancelled,
    /// No version could be asked: not ready, draining.
    Unavailable,
    /// A defect of the gateway itself.
    Internal,
}

impl OutcomeClass {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::VersionFault,
        Self::Saturation,
        Self::Client,
        Self::CallerDeadline,
        Self::Overload,
        Self::Cancelled,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The word used in metrics, logs and error bodies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::VersionFault => "version_fault",
            Self::Saturation => "saturation",
            Self::Client => "client",
            Self::CallerDeadline => "caller_deadline",
            Self::Overload => "overload",
            Self::Cancelled => "cancelled",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}

/// What a version did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// The runtime reported an error.
    Run,
    /// An output is not finite.
    NonFinite,
    /// An output is missing, or its type or shape differ from the signature.
    WrongOutput,
    /// The operator's run timeout passed while running.
    Timeout,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Run, Self::NonFinite, Self::WrongOutput, Self::Timeout];

    /// The word used in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::NonFinite => "non_finite",
            Self::WrongOutput => "wrong_output",
            Self::Timeout => "timeout",
        }
    }
}

/// Why this version was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The model has one version in traffic.
    Stable,
    /// Drawn by weight.
    Split,
    /// Drawn by weight and the caller's sticky key.
    Sticky,
    /// A rule of routing.toml matched.
    Rule,
    /// The caller named the version.
    Pin,
    /// The caller named a label.
    Label,
    /// The arm drawn has been rolled back or is not ready; stable stands in.
    Redirect,
    /// The first attempt was a version fault; stable answered.
    Fallback,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 8] =
        [Self::Stable, Self::Split, Self::Sticky, Self::Rule, Self::Pin, Self::Label, Self::Redirect, Self::Fallback];

    /// The word used in answers, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Split => "split",
            Self::Sticky => "sticky",
            Self::Rule => "rule",
            Self::Pin => "pin",
            Self::Label => "label",
            Self::Redirect => "redirect",
            Self::Fallback => "fallback",
        }
    }

    /// Whether the table chose the version for this request, so that the attempt may be held against it. Pins and
    /// labels are the caller's choice, a fallback is ours.
    pub fn is_evidence(self) -> bool {
        self.is_random() || self == Self::Rule
    }

    /// Whether the version was drawn at random, so that the attempt is evidence in a comparison.
    pub fn is_random(self) -> bool {
        matches!(self, Self::Stable | Self::Split | Self::Sticky | Self::Redirect)
    }
}

/// The end of one attempt at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The class.
    pub class: OutcomeClass,
    /// What went wrong, when the class is `VersionFault`.
    pub fault: Option<FaultKind>,
    /// Why this version was asked.
    pub reason: Reason,
    /// Time spent waiting for a runner.
    pub queue: Duration,
    /// Time spent in the runtime.
    pub run: Duration,
    /// From accepted to answered.
    pub total: Duration,
}
