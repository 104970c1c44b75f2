//! The only door to ONNX Runtime: from an artifact's bytes to a runner that several threads use at once.
//!
//! The library is found by [`locate`], checked before it is loaded, and started once per process by
//! [`OnnxEngine::start`], without telemetry. Models are read from memory, run on the CPU with one thread each and
//! no spinning: how many run at a time is the business of the caller's workers. This crate is also the only home of
//! `unsafe`; the modules under `raw` wrap the C interface and everything else builds on them.

mod apart;
mod contract;
mod engine;
mod error;
mod fingerprint;
mod locate;
mod marks;
mod memory;
mod priority;
mod probe;
mod raw;
mod runner;
mod sharing;
mod weights;

pub use engine::{OnnxEngine, Options, disable_telemetry};
pub use error::RuntimeError;
pub use fingerprint::{SESSION_OPTIONS, cpu_features};
pub use locate::{LIBRARY_VARIABLE, RUNTIME_VERSION, locate};
pub use marks::InFlightMarks;
pub use memory::free_memory_to_system;
pub use priority::lower_priority;
pub use probe::{RuntimeLibrary, probe};
