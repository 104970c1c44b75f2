//! One request from decoded to answered: route, check, admit, execute, fall back, record.
//!
//! Reading order: `infer` (route), `course` (attempt, fall back, record), `check` (the caller's tensors against
//! the signature), `attempt` (one try at one version), `failure` (every way a request can end badly, and whose fault it is).

mod attempt;
mod check;
mod course;
mod failure;
mod infer;

pub use failure::{Code, Failure};
pub use infer::{Answer, Gateway, InferRequest, Served};

#[cfg(test)]
mod tests;
