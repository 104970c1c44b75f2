//! The doorway between the planes. Down crosses a [`Snapshot`] through the [`SnapshotCell`], up crosses an
//! outcome through the [`OutcomeLedger`], and nothing else.
//!
//! Reading order: `engine` (what we ask of the runtime), `lane` (what the request path asks of a loaded
//! version), `snapshot` (what the control plane publishes), `cell` (the one swap), `ledger` (what comes back). Beside
//! them, for rollouts and experiments: `watch` (what is counted while something is on trial), `shadow` (copies of
//! requests), `prediction` and `feedback` (what answers were worth, told later), `exposure` (who was shown what). And `capture`
//! (requests kept with their answers).

pub mod batching;
mod budget;
mod capture;
mod cell;
mod change;
mod declaration;
mod demand;
pub mod engine;
mod exposure;
mod feedback;
pub mod lane;
mod ledger;
mod limits;
mod prediction;
mod provider;
mod shadow;
mod snapshot;
mod stats;
mod tally;
pub mod watch;

pub use budget::RetryBudget;
pub use capture::{Capture, CapturePlan, CaptureSink, CapturedTensor};
pub use cell::SnapshotCell;
pub use change::{ChangeKind, ChangeRefused, ChangeRequest, Changed};
pub use declaration::{Declaration, DeclaredBatching, WantedVersions};
pub use demand::{Demand, NotLoaded, OnDemand};
pub use exposure::{Exposure, ExposureSink};
pub use feedback::{FEEDBACK_MAX, Feedback, FeedbackResult, FeedbackSink, FeedbackTally, FeedbackValue};
pub use ledger::{Attempt, FaultReport, Judge, OutcomeLedger, OutcomeSink, Rerun};
pub use limits::ModelLimits;
pub use prediction::{
    ExperimentMark, Known, PREDICTION_ID_CHARS, Prediction, PredictionId, PredictionKey, experiment_tag,
};
pub use provider::Provider;
pub use shadow::{ShadowEnd, ShadowSink, ShadowTask};
pub use snapshot::{InFlightMark, ServingModel, ServingVersion, Snapshot, Unready};
pub use stats::{AnswerTimes, Stats, Sum, VersionStats};
pub use tally::{ArmTally, WINDOW_SECONDS_MAX, WindowTotals};
pub use watch::{Watch, WatchPlan, WatchTotals};
