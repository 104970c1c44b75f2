//! The only writer of live state.
//!
//! One thread (`turn`) takes events one at a time: commands of operators, new texts of routing.toml, scans of the
//! repository, loaded versions, the tick. The one exception is the judge (`judge`), which acts on a fault at once on
//! the thread that saw it. Both change `State` under one lock that is never held across IO, and both publish through
//! `publish`. What has to be done outside (journal, markers, webhooks, logs) is collected as `Effect`s under the
//! lock and performed after it.
//!
//! Toward safety: act, then record. Toward risk: record durably, then act.
//!
//! Reading order: `state`, `contract`, `publish`, `judge`, `effect`, `order`, `operate` and `leave` (with `admissible`), `configure`,
//! `rollout`, `change`, `reconcile`, `load`, `warm_up`, `install`, `first`, `retire`, `tick`, `recover`, `turn`, `control`.

mod admissible;
mod asked;
mod change;
mod checkpoint;
mod configure;
mod contract;
mod control;
mod declare;
mod effect;
mod evidence;
mod experiment;
mod feedback;
mod first;
mod install;
mod judge;
mod leave;
mod load;
mod operate;
mod order;
mod publish;
mod reconcile;
mod recorder;
mod records;
mod recover;
mod retire;
mod rollout;
mod sample;
mod state;
mod steady;
mod tick;
mod turn;
pub mod view;
mod warm_up;
mod watching;
mod webhook;

pub use control::{Connections, Control, ControlError, Settings};
pub use load::Loader;
pub use order::{Done, Operation, Order, Refused, RolloutOrder};
pub use records::{Exposures, Outcomes};
