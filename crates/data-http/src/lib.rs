//! The REST edge: accepts connections, reads requests of the Open Inference Protocol v2, hands them to data-path
//! and writes the answers.
//!
//! Reading order: `options` (what can be set), `listen` (accept, limit, drain), `connection` (time limits of one
//! connection), `edge` (one request), `path` (which route), `infer` and `inform` (the two kinds of route), `body`,
//! `facts`, `trace`, `respond` (the one table of status codes), `scrape` (the metrics listener).
//!
//! No request is spawned off: when a caller hangs up, its future is dropped and with it the work.

mod access;
mod body;
mod connection;
mod edge;
mod facts;
mod infer;
mod inform;
mod listen;
mod options;
mod path;
mod percent;
mod reply;
mod respond;
mod scrape;
mod trace;

pub use edge::serve;
pub use listen::Drained;
pub use options::{AccessLog, HttpLimits, HttpOptions, Phase, Readiness};
pub use respond::{LogLevel, Row, errors_page, row};
pub use scrape::serve_metrics;

#[cfg(test)]
mod tests;
