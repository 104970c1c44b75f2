//! The doorway between the planes. Down crosses a [`Snapshot`] through the [`SnapshotCell`], up crosses an
//! outcome through the [`OutcomeLedger`], and nothing else.
//!
//! Reading order: `engine` (what we ask of the runtime), `lane` (what the request path asks of a loaded
//! version), `snapshot` (what the control plane publishes), `cell` (the one swap), `ledger` (what comes back).

mod budget;
mod cell;
mod change;
mod declaration;
pub mod engine;
pub mod lane;
mod ledger;
mod limits;
mod snapshot;
mod stats;
mod tally;

pub use budget::RetryBudget;
pub use cell::SnapshotCell;
pub use change::{ChangeKind, ChangeRefused, ChangeRequest, Changed};
pub use declaration::{Declaration, DeclaredBatching, WantedVersions};
pub use ledger::{Attempt, FaultReport, Judge, OutcomeLedger, Rerun};
pub use limits::ModelLimits;
pub use snapshot::{InFlightMark, ServingModel, ServingVersion, Snapshot, Unready};
pub use stats::{AnswerTimes, Stats, Sum, VersionStats};
pub use tally::{ArmTally, WINDOW_SECONDS_MAX, WindowTotals};
