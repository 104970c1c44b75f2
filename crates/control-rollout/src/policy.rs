//! The guardrail: what an operator allows a candidate, and what is to follow when it does worse.
//!
//! Errors are always judged, by the limit and against stable. Each further judgement is there when its table is.
//! They share one budget `alpha`: each rule has the part `weight / sum of the weights`.

mod parts;
mod problems;

use std::fmt;

use base_types::Comparison;

/// How a candidate is judged. Part of a model's configuration; reading it from a file happens elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Guardrail {
    /// What a verdict leads to.
    pub mode: Mode,
    /// Probability with which a healthy candidate may be rolled back in one rollout, over all rules and for ever;
    /// in (0, 0.5]. Where several replicas may roll back, each gets its part.
    pub alpha: f64,
    /// Probability with which a candidate above the limit may count as proven, in (0, 0.5]; also that of the
    /// interval shown.
    pub promote_alpha: f64,
    /// Tolerated fault probability of a version, from 0.000001 to 0.5.
    pub limit: f64,
    /// How many times as often as the stable version the candidate may fault, from 1 to 1,000.
    pub tolerate_ratio: f64,
    /// Foreseen length of the rollout in requests of one arm; the limit rule keeps its level beyond it.
    pub planned_requests: u64,
    /// Foreseen length of the rollout in faults of both arms; the relative rule keeps its level beyond it.
    pub planned_events: u64,
    /// What the rules on errors weigh in the budget `alpha`.
    pub weights: RuleWeights,
    /// What follows when the rules on errors convict.
    pub on_failure: OnFailure,
    /// Bound on the share of slow answers.
    pub latency: Option<LatencyLimit>,
    /// Slow answers against stable's.
    pub latency_vs_stable: Option<LatencyComparison>,
    /// Bound on the share of shadowed requests answered otherwise than by stable.
    pub disagreement: Option<DisagreementLimit>,
    /// Whether the outputs are distributed as stable's.
    pub drift: Option<Drift>,
    /// Whether each arm gets the share of the traffic it is meant to get.
    pub sample_ratio: Option<SampleRatio>,
    /// Answers that labels show to be wrong, against stable's.
    pub mistakes: Option<MistakeComparison>,
    /// The mean loss that feedback reports, against stable's.
    pub loss: Option<LossComparison>,
    /// The watch over a version after its promotion.
    pub steady_state: Option<SteadyState>,
    /// What follows when both versions are over the limit and neither is to blame.
    pub on_shared_incident: OnSharedIncident,
    /// Classic rules over a sliding window, for those who ask for them. They are outside the budget `alpha`.
    pub window: Option<ClassicWindow>,
}

/// What a verdict leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is carried out.
    Enforce,
    /// It is reported only.
    Observe,
    /// Nothing.
    Off,
}

/// What follows a shared incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSharedIncident {
    /// The rollout stands still and a person is called.
    Hold,
    /// The candidate is rolled back all the same.
    RollBack,
}

/// What follows when a rule convicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// The candidate's traffic goes to stable, and its content is quarantined.
    RollBack,
    /// The rollout stands still until a person decides; shares stay.
    Pause,
    /// A person is told; the rollout goes on.
    Alert,
    /// It is counted and shown, nothing else: a dry run of the rule.
    Observe,
}

/// T6: at most `limit` of the answers may take longer than `slower_than_seconds`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyLimit {
    /// The bound on one answer's time in queue and run, in seconds.
    pub slower_than_seconds: f64,
    /// Tolerated share of slower answers, from 0.000001 to 0.5.
    pub limit: f64,
    /// Weight in the budget.
    pub weight: f64,
    /// What follows.
    pub on_failure: OnFailure,
}

/// T6: answers slower than stable's quantiles, which are frozen before anything is judged by them.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencyComparison {
    /// Which quantiles of stable, each in (0, 1); one to [`LATENCY_QUANTILES_MAX`] of them.
    pub quantiles: Vec<f64>,
    /// How many answers of stable the quantiles are taken from, at least 100. They are not judged.
    pub freeze_after: u64,
    /// How many times as often as stable the candidate may be slower, from 1 to 1,000.
    pub tolerate_ratio: f64,
    /// Weight in the budget.
    pub weight: f64,
    /// What follows.
    pub on_failure: OnFailure,
}

/// T7: at most `limit` of the shadowed requests may be answered otherwise than by stable.
#[derive(Debug, Clone, PartialEq)]
pub struct DisagreementLimit {
    /// Tolerated share, from 0.000001 to 0.5.
    pub limit: f64,
    /// What counts as the same answer.
    pub compare: Comparison,
    /// Whether examples of disagreement keep values from view and show shapes alone.
    pub is_redacted: bool,
    /// Weight in the budget.
    pub weight: f64,
    /// What follows.
    pub on_failure: OnFailure,
}

/// T8: a two-sided test of one output's distribution against stable's.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The output that is binned; `None`: the first one.
    pub output: Option<Box<str>>,
    /// How.
    pub bins: Bins,
    /// Probability of a false alarm, in (0, 0.5]; outside the common budget, because drift may be meant.
    pub alpha: f64,
    /// What follows.
    pub on_failure: OnFailure,
}

/// How an output becomes one of a few bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bins {
    /// By the position of the largest value; positions from the 31st on share a bin.
    Classes,
    /// By the deciles of stable's first value, frozen before anything is judged by them.
    Deciles,
}

/// T8 with one bin: the arms' counts against their shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Probability of a false alarm, in (0, 0.5].
    pub alpha: f64,
    /// What follows. A failure means that the routing is suspect, and blocks a promotion.
    pub on_failure: OnFailure,
}

/// T9: wrong answers, by labels that came back, against stable's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MistakeComparison {
    /// How many times as often as stable the candidate may be wrong, from 1 to 1,000.
    pub tolerate_ratio: f64,
    /// Weight in the budget.
    pub weight: f64,
    /// What follows.
    pub on_failure: OnFailure,
}

/// T9: the loss that feedback reports, in \[0, 1\], against stable's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LossComparison {
    /// Extra mean loss tolerated, from 0 to 0.9.
    pub tolerate_extra: f64,
    /// Weight in the budget.
    pub weight: f64,
    /// What follows.
    pub on_failure: OnFailure,
}

/// T11: after a promotion the version's faults are watched without end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteadyState {
    /// Mean number of requests between false alarms, at least 1,000.
    pub mean_requests_between_false_alarms: f64,
    /// What follows; a rollback goes to the version confirmed before, one step.
    pub on_failure: OnFailure,
}

/// Most quantiles of one comparison.
pub const LATENCY_QUANTILES_MAX: usize = 3;

/// What the rules on errors weigh in the budget; each above 0, and only in relation to the other weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RuleWeights {
    /// Of the limit rule.
    pub limit: f64,
    /// Of the relative rule.
    pub relative: f64,
}

/// Classic rules: bounds on what a sliding window shows, once it holds enough requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicWindow {
    /// Length of the window in seconds, from 1 to 86,400.
    pub seconds: u64,
    /// Requests the window must hold before anything is judged, at least 1.
    pub min_requests: u64,
    /// Largest part of the window's requests that may be faults, in [0, 1).
    pub max_error_rate: Option<f64>,
    /// Bound on the window's latency.
    pub latency: Option<LatencyBound>,
}

/// A bound on a quantile of the latency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyBound {
    /// Which quantile, in (0, 1): 0.99 is the p99.
    pub quantile: f64,
    /// Its largest value in seconds, above 0.
    pub max_seconds: f64,
}

/// A value outside what is allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutOfRange {
    /// The field, by its path within the guardrail.
    pub field: &'static str,
    /// What it says.
    pub value: f64,
    /// What it may say.
    pub allowed: &'static str,
}

impl Default for Guardrail {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            alpha: 0.001,
            promote_alpha: 0.05,
            limit: 0.01,
            tolerate_ratio: 2.0,
            planned_requests: 1_000_000,
            planned_events: 100_000,
            weights: RuleWeights::default(),
            on_failure: OnFailure::RollBack,
            latency: None,
            latency_vs_stable: None,
            disagreement: None,
            drift: None,
            sample_ratio: Some(SampleRatio::default()),
            mistakes: None,
            loss: None,
            steady_state: None,
            on_shared_incident: OnSharedIncident::Hold,
            window: None,
        }
    }
}

impl Default for SampleRatio {
    fn default() -> Self {
        Self { alpha: 0.001, on_failure: OnFailure::Pause }
    }
}

impl Default for RuleWeights {
    fn default() -> Self {
        Self { limit: 0.5, relative: 0.5 }
    }
}

impl Mode {
    /// The word used in configuration, API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

impl OnFailure {
    /// The word used in configuration, API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RollBack => "rollback",
            Self::Pause => "pause",
            Self::Alert => "alert",
            Self::Observe => "observe",
        }
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, allowed is {}", self.field, self.value, self.allowed)
    }
}

impl std::error::Error for OutOfRange {}
