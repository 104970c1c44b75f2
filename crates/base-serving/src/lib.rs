//! base-serving
pub mod engine;
