//! Every promise of the main job, tested at the boundary: the real binary, real ONNX files, real sockets. One file
//! per theme; `switchrail_tests` is the harness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod admin;
mod binary;
mod buckets;
mod commands;
mod compression;
mod contracts;
mod durability;
mod edges;
mod experiment_life;
mod experiment_routing;
mod fallback;
mod feedback;
mod formats;
mod grpc;
mod grpc_services;
mod grpc_stream;
mod load_stop;
mod metrics;
mod model_control;
mod protocol;
mod reload;
mod repository;
mod repository_live;
mod requests;
mod rollback;
mod rollout;
mod rollout_commands;
mod rollout_guard;
mod rollout_life;
mod rollout_policy;
mod rollout_rules;
mod rollout_shadow;
mod routing;
mod shadow;
mod start;
mod sticky;
mod switching;
mod tfs_grpc;
mod tfs_rest;
