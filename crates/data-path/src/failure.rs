//! Every way a request can end badly: a stable code, whose fault it is, and two texts: one for the caller, one
//! for the log. Status codes and retry hints are the edges' business.

use std::time::Duration;

use base_types::{OutcomeClass, Reason};

use crate::Served;

/// A stable code of an error, the same on every wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is explained by the text it comes with and in docs/errors.md")]
pub enum Code {
    /// The bytes are no request of this protocol.
    Malformed,
    /// The path or method leads nowhere.
    NoSuchRoute,
    MethodNotAllowed,
    ServiceUnknown,
    ModelUnknown,
    VersionUnknown,
    LabelUnknown,
    InputUnknown,
    InputMissing,
    InputMismatch,
    OutputUnknown,
    BatchTooLarge,
    BodyTooLarge,
    BodyTooSlow,
    UnsupportedEncoding,
    Unsupported,
    NotImplemented,
    ChangeRefused,
    QueueFull,
    DeadlineTooShort,
    ConnectionLimit,
    ModelNotReady,
    VersionNotReady,
    VersionQuarantined,
    Draining,
    DeadlineInQueue,
    DeadlineInRun,
    CallerGone,
    VersionFault,
    Internal,
}

impl Code {
    /// Every code, in the order of the reference page.
    pub const ALL: [Self; 30] = [
        Self::Malformed,
        Self::NoSuchRoute,
        Self::MethodNotAllowed,
        Self::ServiceUnknown,
        Self::ModelUnknown,
        Self::VersionUnknown,
        Self::LabelUnknown,
        Self::InputUnknown,
        Self::InputMissing,
        Self::InputMismatch,
        Self::OutputUnknown,
        Self::BatchTooLarge,
        Self::BodyTooLarge,
        Self::BodyTooSlow,
        Self::UnsupportedEncoding,
        Self::Unsupported,
        Self::NotImplemented,
        Self::ChangeRefused,
        Self::QueueFull,
        Self::DeadlineTooShort,
        Self::ConnectionLimit,
        Self::ModelNotReady,
        Self::VersionNotReady,
        Self::VersionQuarantined,
        Self::Draining,
        Self::DeadlineInQueue,
        Self::DeadlineInRun,
        Self::CallerGone,
        Self::VersionFault,
        Self::Internal,
    ];

    /// The code as callers see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoSuchRoute => "no_such_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::ServiceUnknown => "service_unknown",
            Self::ModelUnknown => "model_unknown",
            Self::VersionUnknown => "version_unknown",
            Self::LabelUnknown => "label_unknown",
            Self::InputUnknown => "input_unknown",
            Self::InputMissing => "input_missing",
            Self::InputMismatch => "input_mismatch",
            Self::OutputUnknown => "output_unknown",
            Self::BatchTooLarge => "batch_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::Unsupported => "unsupported",
            Self::NotImplemented => "not_implemented",
            Self::ChangeRefused => "change_refused",
            Self::QueueFull => "queue_full",
            Self::DeadlineTooShort => "deadline_too_short",
            Self::ConnectionLimit => "connection_limit",
            Self::ModelNotReady => "model_not_ready",
            Self::VersionNotReady => "version_not_ready",
            Self::VersionQuarantined => "version_quarantined",
            Self::Draining => "draining",
            Self::DeadlineInQueue => "deadline_in_queue",
            Self::DeadlineInRun => "deadline_in_run",
            Self::CallerGone => "caller_gone",
            Self::VersionFault => "version_fault",
            Self::Internal => "internal",
        }
    }

    /// The class the code falls into when nothing more is known.
    pub fn class(self) -> OutcomeClass {
        match self {
            Self::QueueFull | Self::DeadlineTooShort | Self::ConnectionLimit => OutcomeClass::Overload,
            Self::ModelNotReady | Self::VersionNotReady | Self::VersionQuarantined | Self::Draining => {
                OutcomeClass::Unavailable
            }
            Self::DeadlineInQueue => OutcomeClass::Saturation,
            Self::DeadlineInRun => OutcomeClass::CallerDeadline,
            Self::CallerGone => OutcomeClass::Cancelled,
            Self::VersionFault => OutcomeClass::VersionFault,
            Self::Internal => OutcomeClass::Internal,
            _ => OutcomeClass::Client,
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// The class the request is counted in.
    pub class: OutcomeClass,
    /// For the caller: what is wrong and, if it is theirs, how to mend it. No internals.
    pub message: String,
    /// For the log: what the runtime said. Empty when the message says it all.
    pub detail: String,
    /// When to come back, for overload.
    pub retry_after: Option<Duration>,
    /// The version that was asked last, if any was.
    pub served: Option<Served>,
    /// Why it was asked.
    pub reason: Option<Reason>,
}

impl Failure {
    /// A failure that happened before any version was asked.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            class: code.class(),
            message: message.into(),
            detail: String::new(),
            retry_after: None,
            served: None,
            reason: None,
        }
    }
}
