//! What versions exist, where they come from, whether they may be loaded, and what was decided about them.
//!
//! - [`repository`] looks at the model repository and reads a version: once, hashed, contained in its folder.
//! - [`preflight`] scans an ONNX file before the runtime sees a byte of it.
//! - [`difference`] says how two versions differ as files.
//! - [`model_config`] reads `config.pbtxt` and refuses what the gateway would not honour.
//! - [`journal`] remembers decisions across restarts, in order and tamper-evident.
//! - [`LineLog`] keeps what is worth analysing later: exposures, outcomes.
//! - [`captures`] are answered requests, kept to be run again.
//!
//! A version is refused with a [`Refusal`]: a stable code and a text that says how to mend it. One refusal never
//! stops the other versions. This crate knows nothing about traffic weights, and speaks no network protocol.

pub mod captures;
pub mod difference;
pub mod journal;
pub mod limits;
mod line_log;
pub mod model_config;
pub mod preflight;
mod refusal;
pub mod repository;
#[cfg(test)]
mod test_model;

pub use limits::Limits;
pub use line_log::{LineLog, LineLogLimits};
pub use refusal::{Refusal, RefusalCode};
