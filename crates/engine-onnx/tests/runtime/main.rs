//! The engine on the real runtime and on real ONNX files. Needs the library: `cargo xtask setup`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod concurrency;
mod contracts;
mod derived;
mod faults;
mod models;
mod providers;
mod support;
mod termination;
mod types;
