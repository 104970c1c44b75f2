//! The edge over real sockets, in front of a gateway with fake versions.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

mod client;
mod document;
mod feedback;
mod h2;
mod limits;
mod log;
mod manage;
mod routes;
mod scrape;
mod stop;
mod world;
