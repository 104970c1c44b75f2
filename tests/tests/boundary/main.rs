//! Every promise of the main job, tested at the boundary: the real binary, real ONNX files, real sockets. One file
//! per theme; `switchrail_tests` is the harness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod admin;
mod commands;
mod durability;
mod fallback;
mod formats;
mod load_stop;
mod metrics;
mod reload;
mod repository;
mod repository_live;
mod requests;
mod rollback;
mod rollout;
mod routing;
mod start;
mod sticky;
mod switching;
