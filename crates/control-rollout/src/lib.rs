//! Judges a candidate version against the stable one, and decides what follows.
//!
//! Everything here is a pure function of the numbers that come in: no clock, no IO, no threads, no randomness.
//! A [`Trial`] takes the faults of both arms, one at a time, and says after each what the evidence shows (a
//! [`Verdict`]); [`decide`] turns that, under a [`Guardrail`], into what is to be done (a [`Decision`]).
//!
//! The tests are sequential: they may be read after every fault, for ever, and the probability that a healthy
//! candidate is ever rolled back stays below the guardrail's `alpha`. Bad events alone move a verdict, and no data
//! gives none. What is not an error (latency, copies answered otherwise, distributions, feedback) comes as totals,
//! [`Observed`] from time to time. Read on with `trial`, then `evidence` and `verdict`; each statistic has a module of
//! its own.

// One trial: its state, what the evidence says, what follows.
mod evidence;
mod rule;
mod totals;
mod trial;
mod verdict;

// What goes in and what is kept.
mod checkpoint;
mod error;
mod frozen;
mod keys;
mod observed;
mod plan;
mod policy;
mod window;

// The life of a rollout.
pub mod rollout;

// Beside a rollout: A/B tests, what can be found out before one, and what would have been.
pub mod experiment;
pub mod power;
pub mod replay;

// What all of them use.
mod chance;
mod words;

// The statistics.
mod drift;
mod horizon;
mod interval;
mod limit;
mod logs;
mod loss;
mod promotion;
mod relative;
mod restart;
mod steady;

pub use chance::{Draws, Uniform};
pub use checkpoint::{ArmCheckpoint, Checkpoint, RelativeCheckpoint, RuleCheckpoint};
pub use drift::{DRIFT_KAPPA, DriftEffect, SAMPLE_RATIO_KAPPA, bins_log_e, drift_effect};
pub use error::{CheckpointFlaw, RolloutError};
pub use evidence::{Basis, Evidence, Findings, LossBasis, Over, RuleEvidence};
pub use frozen::{DECILE_SAMPLE, Frozen, decile_bin, decile_edges, histogram_quantiles, sample_quantiles};
pub use interval::{Interval, anytime_interval};
pub use keys::ERRING_KEYS_MAX;
pub use limit::{limit_alternatives, limit_log_e};
pub use loss::{LOSS_STAKES, block_bet_log_e, loss_block, loss_stakes};
pub use observed::{ArmTotals, BINS_MAX, LossSample, Observed, ShadowTotals, ShareTotals};
pub use plan::{
    FreezeAfter, OnInconclusive, OnNewCandidate, POLICY_TIME_MAX, Policy, PolicyProblem, ProofOf, STEPS_MAX, Step,
    StepKind, WARM_UP_RUNS_MAX,
};
pub use policy::{
    Bins, ClassicWindow, DisagreementLimit, Drift, Guardrail, LATENCY_QUANTILES_MAX, LatencyBound, LatencyComparison,
    LatencyLimit, LossComparison, MistakeComparison, Mode, OnFailure, OnSharedIncident, OutOfRange, RuleWeights,
    SampleRatio, SteadyState,
};
pub use promotion::{Proof, clean_requests_needed, promotion_log_e};
pub use relative::{
    FAULT_ALTERNATIVES, LATENCY_ALTERNATIVES, MISTAKE_ALTERNATIVES, SHARES_MAX, ShareTally, relative_log_e,
    relative_log_e_among,
};
pub use rule::Rule;
pub use steady::{SteadyCheckpoint, SteadyEvidence, SteadyGuard};
pub use trial::{Arm, CRASH_LOOP_EXITS, Count, FaultEvent, Successes, Trial};
pub use verdict::{Blame, Cause, CrashCounts, Decision, Grounds, Verdict, decide};
pub use window::{Breach, WindowTotals};
