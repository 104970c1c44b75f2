//! What tests, benchmarks and the demo need and the product must not have: real ONNX files written from
//! nothing, faulty versions derived from real models, model repositories on disk, and a scripted engine.
//!
//! Everything is deterministic: the same arguments give the same bytes. Nothing here is downloaded.

pub mod fake;
pub mod onnx;
pub mod repository;
