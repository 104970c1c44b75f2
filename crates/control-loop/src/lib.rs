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
//! `rollout`, `change`, `shelf`, `source` and `shelved`, `reconcile`, `load`, `warm_up`, `gate`, `install`, `first`, `retire`, `tick`, `recover`, `turn`, `control`.

mod admissible;
mod asked;
mod batching;
mod change;
mod checkpoint;
mod configure;
mod contract;
mod control;
mod declare;
mod demand;
mod effect;
mod evidence;
mod experiment;
mod feedback;
mod first;
mod gate;
mod install;
mod judge;
mod leave;
mod load;
mod memory;
mod operate;
mod order;
mod past;
mod performance;
mod provider;
mod publish;
mod published;
mod reconcile;
mod recorder;
mod records;
mod recover;
mod residency;
mod restore;
mod retire;
mod rollout;
mod routing_source;
mod sample;
mod shelf;
mod shelved;
mod source;
mod state;
mod steady;
mod tick;
mod traffic;
mod turn;
pub mod view;
mod warm_up;
mod watching;
mod webhook;

pub use control::{Connections, Control, ControlError, Settings};
pub use load::Loader;
pub use order::{Done, Operation, Order, Refused, RolloutOrder};
pub use records::{Exposures, Outcomes};
pub use residency::MemoryBounds;
pub use restore::{Difference, Obstacle, Restore, Restored};
pub use routing_source::RoutingSource;
pub use shelf::{ShelfError, StoreSource};
