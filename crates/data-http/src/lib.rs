//! The REST edge: reads requests of the Open Inference Protocol v2, hands them to data-path and writes the answers.
//!
//! Reading order: `edge` (one request), `path` (which route), `infer` and `inform` (the two kinds of route),
//! `respond`, `scrape` (the metrics listener).

mod edge;
mod infer;
mod inform;
mod path;
mod respond;
mod scrape;

pub use edge::serve;
pub use scrape::serve_metrics;

#[cfg(test)]
mod tests;
