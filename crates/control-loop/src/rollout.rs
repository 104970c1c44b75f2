//! Rollouts in the live gateway: what the pure state machine of control-rollout decides is recorded and put in force.
//!
//! `drive` gathers the facts of each rollout a few times a second and takes it on; `order` has people's orders carried
//! out; `enact` turns what a rollout wants into one journal entry and one publication; `convict` is the way out, taken by
//! verdicts on the thread that saw the fault. What a rollout is made of outside the journal is in `live`, what it leaves
//! behind is made by `report`.

mod convict;
mod drive;
mod enact;
mod facts;
mod live;
mod order;
pub(crate) mod report;

pub(crate) use convict::Ended;
pub(crate) use facts::{facts, requests_per_second};
pub(crate) use live::Live;
