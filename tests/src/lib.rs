//! The harness of the tests at the boundary: the real binary, real ONNX files, real sockets.
//!
//! A test describes a gateway ([`Gateway::builder`]), starts it in a temporary folder on free ports, talks to it over
//! HTTP and signals, and looks at what anybody outside can see: answers, metrics, the admin API, the log, the exit
//! code. Nothing sleeps for a fixed time: what takes a moment is waited for with [`wait_until`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answer;
mod builder;
mod gateway;
mod grpc;
mod h2;
mod http;
mod listener;
mod load;
mod metrics;
mod process;
mod rollout;
mod wait;

pub use answer::{Answer, Infer, float_input};
pub use builder::Builder;
pub use gateway::{Addresses, Gateway};
pub use grpc::{Calls, GrpcInfer, GrpcReply};
pub use h2::{Came, RawH2};
pub use http::{Client, Response};
pub use listener::Webhook;
pub use load::under_load;
pub use metrics::Metrics;
pub use process::{Exit, binary, run};
pub use wait::{PATIENCE, wait_for, wait_until};
