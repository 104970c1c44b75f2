//! The routing table of one model and the pure decision which version answers a request.
//!
//! Nothing here reads a clock, draws a number or does IO: the draw and the facts come in as arguments, so the
//! same table, facts and draw give the same version in the gateway, in `switchrail explain` and in a test.

mod assign;
mod experiment;
mod rule;
mod split;
mod table;

pub use assign::{Assignment, NoSuchLabel, assign};
pub use experiment::{EXPERIMENTS_MAX, Experiment, Membership};
pub use rule::{Condition, Facts, Rule, Source, Target, Test};
pub use split::{Arm, Split, SplitError, key_hash};
pub use table::{ModelRoute, SplitId};
