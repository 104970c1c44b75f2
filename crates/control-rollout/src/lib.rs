//! Judges a candidate version against the stable one, and decides what follows.
//!
//! Everything here is a pure function of the numbers that come in: no clock, no IO, no threads, no randomness.
//! A [`Trial`] takes the faults of both arms, one at a time, and says after each what the evidence shows (a
//! [`Verdict`]); [`decide`] turns that, under a [`Guardrail`], into what is to be done (a [`Decision`]).
//!
//! The tests are sequential: they may be read after every fault, for ever, and the probability that a healthy
//! candidate is ever rolled back stays below the guardrail's `alpha`. Bad events alone move a verdict, and no data
//! gives none. Read on with `trial`, then `evidence` and `verdict`; each statistic has a module of its own.

// One trial: its state, what the evidence says, what follows.
mod evidence;
mod trial;
mod verdict;

// What goes in and what is kept.
mod checkpoint;
mod error;
mod keys;
mod plan;
mod policy;
mod window;

// The statistics.
mod horizon;
mod interval;
mod limit;
mod logs;
mod promotion;
mod relative;
mod restart;

pub use checkpoint::{ArmCheckpoint, Checkpoint, RelativeCheckpoint};
pub use error::{CheckpointFlaw, RolloutError};
pub use evidence::{Evidence, Findings, Rule, RuleEvidence};
pub use interval::{Interval, anytime_interval};
pub use keys::ERRING_KEYS_MAX;
pub use limit::{limit_alternatives, limit_log_e};
pub use plan::{
    FreezeAfter, OnInconclusive, OnNewCandidate, Policy, ProofOf, STEPS_MAX, Step, StepKind,
};
pub use policy::{
    Bins, ClassicWindow, DisagreementLimit, Drift, Guardrail, LATENCY_QUANTILES_MAX, LatencyBound, LatencyComparison,
    LatencyLimit, LossComparison, MistakeComparison, Mode, OnFailure, OnSharedIncident, OutOfRange, RuleWeights,
    SampleRatio, SteadyState,
};
pub use promotion::{Proof, clean_requests_needed, promotion_log_e};
pub use relative::{SHARES_MAX, ShareTally, relative_log_e};
pub use trial::{Arm, CRASH_LOOP_EXITS, Count, FaultEvent, Successes, Trial};
pub use verdict::{Cause, CrashCounts, Decision, Grounds, Verdict, decide};
pub use window::{Breach, WindowTotals};
