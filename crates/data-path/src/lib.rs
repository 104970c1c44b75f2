//! One request from decoded to answered: route, check, admit, execute, fall back, record.
//!
//! Reading order: `infer` (the entrance), `locate` (route), `course` (attempt, fall back, record), `check` (the caller's tensors against
//! the signature), `attempt` (one try at one version), `failure` (every way a request can end badly, and whose fault it is),
//! `inform` (what is told about models), `tracer` (which requests
//! leave their times in the log). What only happens while something is watched: `watched` (arms, ids of answers), `drift`
//! (bins), `shadow` (copies for a candidate) with `compare` and `numbers`; and `feedback` (what answers were worth).
//! And what is kept of drawn requests: `capture`.

mod attempt;
mod capture;
mod check;
mod compare;
mod course;
mod demand;
mod drift;
mod failure;
mod feedback;
mod infer;
mod inform;
mod locate;
mod numbers;
mod shadow;
mod tracer;
mod watched;

pub use failure::{Code, Failure};
pub use feedback::FeedbackItem;
pub use infer::{Answer, Gateway, InferRequest, Served, Uncarried};
pub use inform::{
    BACKEND, IndexEntry, IndexState, MODEL_FILE, ModelStatistics, PLATFORM, StateOfVersion, WireSignature, WireTensor,
    alias_figures, in_words_of_tfs, index, statistics, target, version_states, wire_signature,
};
pub use locate::{find, no_such_model};
pub use numbers::{argmax, numbers, row_length};
pub use tracer::{Setting, TraceChange, TraceSettings, Tracer};

#[cfg(test)]
mod tests;
