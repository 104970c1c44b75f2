//! Why a measurement could not be made, or found the gateway wrong.

use std::io;

use thiserror::Error;

/// Why a measurement ended early.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The system refused something.
    #[error("could not {what}")]
    Io {
        /// What was attempted.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// A process that is measured did not start, or ended.
    #[error("{program} did not serve: {what}\n{log}")]
    Process {
        /// Which one.
        program: String,
        /// What was seen of it.
        what: String,
        /// The last lines it wrote.
        log: String,
    },
    /// Something expected did not come about.
    #[error("waited {seconds} s in vain: {what}; last seen: {seen}")]
    Timeout {
        /// For what.
        what: String,
        /// For how long.
        seconds: u64,
        /// The state when the time was up.
        seen: String,
    },
    /// An answer of the admin API is not as documented.
    #[error("unexpected answer to {request}: {answer}")]
    Answer {
        /// What was asked.
        request: String,
        /// What was answered.
        answer: String,
    },
    /// The model could not be run in-process.
    #[error("the model does not run in-process: {0}")]
    Floor(String),
    /// Parts of the gateway could not be run in-process.
    #[error("a part of the gateway does not run in-process: {0}")]
    InProcess(String),
    /// The gateway gave wrong answers, or none.
    #[error("the gateway did wrong: {0}")]
    Incorrect(String),
}

/// Names what was attempted when the system refuses.
pub(crate) fn io_at(what: impl Into<String>) -> impl FnOnce(io::Error) -> BenchError {
    let what = what.into();
    move |source| BenchError::Io { what, source }
}
