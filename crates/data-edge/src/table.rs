//! Failures on every wire. The one table that decides status, log level and retry hint of each code, and the
//! reference page made of it.

use std::fmt::Write;
use std::time::Duration;

use data_path::{Code, Failure};

/// What Retry-After says when nothing better is known.
const RETRY_DEFAULT: Duration = Duration::from_secs(1);

/// How loud a failure is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nobody here needs to act.
    Debug,
    /// A version failed: an operator may want to know.
    Warn,
    /// The gateway itself failed.
    Error,
}

/// Status codes of gRPC that we give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the protocol's own names and numbers")]
pub enum GrpcCode {
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

impl GrpcCode {
    /// The protocol's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
        }
    }
}

/// What a code means on the wires.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The code.
    pub code: Code,
    /// The status on HTTP.
    pub status: u16,
    /// The status on gRPC. Overload is no `UNAVAILABLE`, which some clients answer with three more requests.
    pub grpc: GrpcCode,
    /// The level of its log event.
    pub level: LogLevel,
    /// Whether the answer says when to come back.
    pub has_retry_after: bool,
    /// When it occurs.
    pub meaning: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// The row of a code.
pub fn row(code: Code) -> Row {
    use GrpcCode as G;
    use LogLevel::{Debug, Error, Warn};
    let (status, grpc, level, has_retry_after) = match code {
        Code::Malformed
        | Code::InputUnknown
        | Code::InputMissing
        | Code::InputMismatch
        | Code::OutputUnknown
        | Code::BatchTooLarge => (400, G::InvalidArgument, Debug, false),
        Code::Unsupported => (400, G::Unimplemented, Debug, false),
        Code::ChangeRefused => (400, G::FailedPrecondition, Debug, false),
        Code::NoSuchRoute => (404, G::Unimplemented, Debug, false),
        Code::ServiceUnknown | Code::ModelUnknown | Code::VersionUnknown | Code::LabelUnknown => {
            (404, G::NotFound, Debug, false)
        }
        Code::MethodNotAllowed => (405, G::Unimplemented, Debug, false),
        Code::BodyTooSlow => (408, G::DeadlineExceeded, Debug, false),
        Code::BodyTooLarge => (413, G::ResourceExhausted, Debug, false),
        Code::UnsupportedEncoding => (415, G::Unimplemented, Debug, false),
        Code::QueueFull | Code::DeadlineTooShort => (429, G::ResourceExhausted, Debug, true),
        Code::ConnectionLimit => (503, G::ResourceExhausted, Debug, true),
        Code::NotImplemented => (501, G::Unimplemented, Debug, false),
        Code::ModelNotReady | Code::VersionNotReady | Code::Draining => (503, G::Unavailable, Debug, true),
        Code::VersionQuarantined => (503, G::FailedPrecondition, Debug, false),
        Code::DeadlineInQueue | Code::DeadlineInRun => (504, G::DeadlineExceeded, Debug, false),
        Code::CallerGone => (499, G::Cancelled, Debug, false),
        Code::VersionFault => (500, G::Internal, Warn, false),
        Code::Internal => (500, G::Internal, Error, false),
    };
    let (meaning, remedy) = explanation(code);
    Row { code, status, grpc, level, has_retry_after, meaning, remedy }
}

fn explanation(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::Malformed => {
            ("The path, a header or the body is no request of this protocol.", "Mend the request; the text says where.")
        }
        Code::NoSuchRoute => ("The path leads nowhere.", "The protocol starts at `/v2`."),
        Code::MethodNotAllowed => ("The path exists, the method does not.", "Use a method of the `Allow` header."),
        Code::ServiceUnknown => (
            "The health of a gRPC service was asked for that is not here.",
            "Reflection lists the services; the empty name is the whole gateway.",
        ),
        Code::ModelUnknown => ("No model has this name.", "`GET /v2/models` lists them."),
        Code::VersionUnknown => {
            ("The model has no version of this number.", "The model's metadata lists the ready ones.")
        }
        Code::LabelUnknown => {
            ("The model has no version of this label.", "Labels are set in `routing.toml` or by command.")
        }
        Code::InputUnknown => {
            ("An input has a name the model does not know.", "The model's metadata names the inputs.")
        }
        Code::InputMissing => ("An input the model needs was not sent.", "Send every input of the metadata."),
        Code::InputMismatch => (
            "Type, shape or number of elements of an input do not fit.",
            "The text names input, expectation and what was sent.",
        ),
        Code::OutputUnknown => {
            ("An output was asked for that the model does not have.", "Leave `outputs` out to get all of them.")
        }
        Code::BatchTooLarge => (
            "The first dimension of an input is beyond the batch limit.",
            "Split the request, or raise `max_batch_size` of the model's config.pbtxt; without it, `batch_rows` of the model.",
        ),
        Code::BodyTooLarge => (
            "The body is larger than allowed, or unpacks to more than allowed.",
            "Split the request, or raise `body_bytes`; send what shrinks to less than a twentieth as it is.",
        ),
        Code::BodyTooSlow => (
            "The body did not arrive in time, or comes too slowly.",
            "Send it again over a better connection, in smaller requests; or raise `body_timeout_ms`.",
        ),
        Code::UnsupportedEncoding => (
            "The body is compressed in a way that is not accepted.",
            "Send it as it is, or as `Accept-Encoding` of the answer says.",
        ),
        Code::Unsupported => (
            "The request asks for something this edge does not do.",
            "The text names it and, where there is one, another way.",
        ),
        Code::ChangeRefused => (
            "A version could not be loaded or unloaded as asked.",
            "The text says why; the repository index shows the states.",
        ),
        Code::NotImplemented => (
            "A part of the protocol that is left out on purpose.",
            "The text names it; the server metadata lists what is there.",
        ),
        Code::QueueFull => {
            ("Too much is waiting already.", "Come back after `Retry-After`; add capacity if it persists.")
        }
        Code::DeadlineTooShort => (
            "The request would expire in the queue and was refused at once.",
            "Come back after `Retry-After`, or allow more time.",
        ),
        Code::ConnectionLimit => (
            "Too many connections are open. Over gRPC there is no answer: the connection is closed.",
            "Reuse connections; raise `connections` if it persists.",
        ),
        Code::ModelNotReady => {
            ("The model is known, and no version of it can take traffic yet.", "Come back after `Retry-After`.")
        }
        Code::VersionNotReady => {
            ("The version is known and not in memory.", "Come back after `Retry-After`, or look up its state.")
        }
        Code::VersionQuarantined => {
            ("The version was judged bad and takes no traffic.", "Ask without a version, or have its digest released.")
        }
        Code::Draining => ("The version or the gateway is going out of service.", "Send the request again."),
        Code::DeadlineInQueue => ("The deadline passed before the run began.", "Allow more time, or add capacity."),
        Code::DeadlineInRun => ("The caller's deadline passed during the run.", "Allow more time."),
        Code::CallerGone => {
            ("The caller closed the connection before the answer, or its body broke off.", "Seen in logs only.")
        }
        Code::VersionFault => (
            "The version could not answer: it failed, took too long, or gave outputs it must not give.",
            "Nothing is wrong with the request. The operator finds the cause in the log.",
        ),
        Code::Internal => ("The gateway itself failed.", "Please report it with the request id."),
    }
}

/// What Retry-After says: whole seconds, rounded up.
pub fn retry_after_seconds(failure: &Failure) -> u64 {
    let wait = failure.retry_after.unwrap_or(RETRY_DEFAULT);
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The reference page docs/errors.md.
pub fn errors_page() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         Every error has the body `{\"error\": text, \"code\": code, \"fault\": class}` and the content type \
         `application/json`.\nThe code is stable, the text is not. The class says in whose hands it lies; only \
         `version_fault` is held against a version.\n`Retry-After` is given where coming back helps. A failure after \
         a version was asked names it in `switchrail-version`,\n`switchrail-digest`, `switchrail-generation` and \
         `switchrail-reason`. On gRPC the status carries the text, and the metadata `switchrail-code` and\n\
         `switchrail-fault` the rest.\n\n\
         What never becomes a request has no such body: a head that is no HTTP (400), one beyond every bound (431, 414), and \
         a\nbroken HTTP/2 frame, which ends its stream or its connection. A head that is only larger than its limits is told \
         as\n`malformed`. A caller who takes nothing of an answer for `limits.answer_timeout_ms` is cut off.\n\n\
         | Code | HTTP | gRPC | Fault | Retry-After | Meaning | Remedy |\n|---|---|---|---|---|---|---|\n",
    );
    for row in Code::ALL.map(row) {
        let retry = if row.has_retry_after { "yes" } else { "" };
        let (code, fault) = (row.code.as_str(), row.code.class().as_str());
        let Row { status, grpc, meaning, remedy, .. } = row;
        let grpc = grpc.as_str();
        // Writing to a string cannot fail.
        let _infallible =
            writeln!(page, "| `{code}` | {status} | `{grpc}` | `{fault}` | {retry} | {meaning} | {remedy} |");
    }
    page.push_str(
        "\nGenerated from `crates/data-edge/src/table.rs`: `UPDATE_DOCS=1 cargo test -p data-edge errors_page`.\n",
    );
    page
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn the_errors_page_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, errors_page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), errors_page(), "UPDATE_DOCS=1 writes it anew");
    }

    #[test]
    fn statuses_agree_with_whose_fault_it_is() {
        use base_types::OutcomeClass::*;
        for row in Code::ALL.map(row) {
            let is_as_expected = match row.code.class() {
                Client => (400..429).contains(&row.status) || row.status == 501,
                Overload => matches!(row.status, 429 | 503) && row.has_retry_after,
                Unavailable => row.status == 503,
                Saturation | CallerDeadline => row.status == 504,
                Cancelled => row.status == 499,
                VersionFault | Internal => row.status == 500 && row.level != LogLevel::Debug,
                Ok => false,
            };
            assert!(is_as_expected, "{row:?}");
        }
    }

    #[test]
    fn retry_after_rounds_up() {
        let retry = |wait: Duration| {
            retry_after_seconds(&Failure { retry_after: Some(wait), ..Failure::new(Code::QueueFull, "full") })
        };
        assert_eq!(retry(Duration::from_millis(1)), 1);
        assert_eq!(retry(Duration::from_millis(1001)), 2);
        assert_eq!(retry(Duration::ZERO), 1);
    }
}
