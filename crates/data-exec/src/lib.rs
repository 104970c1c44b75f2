//! Execution: one pool of worker threads per process, one bounded queue (a lane) per loaded version.
//!
//! Reading order: `pool` (threads, fair turns between lanes), `lane` (admission, the short path), `run` (one
//! job on one thread, and what counts as the version's fault), `output` (checks of what came out), `watch`
//! (run timeouts), `shadow` (copies of requests that give way to all others). Requests put together into one run:
//! `queue` (which ones), `decide` (when), `join` (their tensors), `together` (the run), `health` (whether it does good),
//! `costs` (what runs take). No job waits without a bound, and a job that nobody waits for any more never begins.

mod costs;
mod decide;
mod health;
mod join;
mod lane;
mod output;
mod pool;
mod queue;
mod run;
mod shadow;
mod together;
mod watch;

pub use lane::ExecLane;
pub use pool::{Executor, ExecutorError};
pub use shadow::{ShadowOptions, ShadowPool};

#[cfg(test)]
mod tests;
