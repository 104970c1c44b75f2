//! The operators' door: JSON over HTTP onto the control plane.
//!
//! This crate owns the HTTP shape and nothing else: what an order means, and whether it is carried out, is
//! control-loop's business. Everything that can be asked stands in one table, [`ROUTES`], from which the router is
//! built and docs/admin-api.md is checked.
//!
//! Who is let in is decided in `guard`, before a route is looked up: a known `Host` (a page of another origin cannot
//! pass for us by DNS), no foreign `Origin`, and the token where one is set. An address beyond loopback without a
//! token lets nobody in.
//!
//! The shapes of answers (`show`), explanations (`explain`), what can be found out before a rollout or an experiment
//! (`power`, `plan`) and times (`time`) are public, because the command line shows the same things offline.
//!
//! Reading order: `options`, `token`, `guard`, `routes`, `problem`, `body`, then the handlers `read`, `wish`,
//! `explain`, `order`, `rollout`, `power`, `experiment` (with `plan`); `serve` is the listener.

mod body;
pub mod changelog;
mod experiment;
pub mod explain;
mod gate;
mod guard;
mod openapi;
mod options;
mod order;
pub mod past;
pub mod plan;
pub mod power;
mod problem;
mod read;
mod report;
mod rollout;
mod routes;
mod serve;
pub mod show;
pub mod time;
mod token;
mod wish;

pub use openapi::{openapi_page, undescribed_routes};
pub use options::{AdminLimits, AdminOptions};
pub use problem::{CODES, CodeRow};
pub use routes::{Method, ROUTES, Role, Route, routes_page};
pub use serve::serve;
pub use token::{Token, TokenError};

#[cfg(test)]
mod tests;
