#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

mod healthy;
mod orders;
mod other_versions;
mod properties;
mod standstill;
mod story;
mod trips;
