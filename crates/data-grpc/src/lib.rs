//! The gRPC edge: the Open Inference Protocol with Triton's extensions, TensorFlow Serving's prediction and status
//! services, health checks and reflection, in front of the same request path as the REST edge.
//!
//! Reading order: `edge` (one call), `message` and `reply` (the wire's frames), `oip` and `stream` (the calls that ask a
//! model), `tfs` (the same in TensorFlow's words), `ask` (what they share), `inform` (what is told about server and
//! models), `manage` (what callers may change), `health`, `reflection`.
//!
//! Messages that carry tensors are read by hand (`wire`, `frames`, `infer`, `contents`): a tensor shares the memory it
//! arrived in or is copied once, and what a caller can have allocated is bounded while it is read. All other messages
//! are small and read by generated code (`proto`).

mod ask;
mod contents;
mod edge;
mod frames;
mod health;
mod infer;
mod inform;
mod manage;
mod message;
mod model_config;
mod oip;
mod parameters;
pub mod proto;
mod reflection;
mod reply;
mod steps;
mod stream;
mod tfs;
mod wire;

pub use edge::{Grpc, is_grpc, serve};
pub use infer::{InferMessage, decode_infer_request};
pub use tfs::{PredictMessage, decode_predict_request};
