//! The REST edge: reads requests of the Open Inference Protocol v2, hands them to data-path and writes the answers.
//!
//! Reading order: `edge` (one request), `path` (which route), `infer`, `inform` and `manage` (ask a model,
//! ask about models, change something),
//! `respond`, `tfs` (everything under `/v1`), `scrape` (the metrics listener).

mod edge;
mod infer;
mod inform;
mod manage;
mod path;
mod respond;
mod scrape;
mod tfs;

pub use edge::{serve, serve_beside};
pub use scrape::serve_metrics;

#[cfg(test)]
mod tests;
