//! One request from decoded to answered: route, check, admit, execute, fall back, record.
//!
//! Reading order: `infer` (the entrance), `locate` (route), `course` (attempt, fall back, record), `check` (the caller's tensors against
//! the signature), `attempt` (one try at one version), `failure` (every way a request can end badly, and whose fault it is).

mod attempt;
mod check;
mod course;
mod failure;
mod infer;
mod locate;

pub use failure::{Code, Failure};
pub use infer::{Answer, Gateway, InferRequest, Served};
pub use locate::{find, no_such_model};

#[cfg(test)]
mod tests;
