//! Bounds and policies of one model that the request path needs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::CapturePlan;
use crate::Provider;
use crate::batching::BatchingRule;

/// Bounds of one model. Every field has a key of the same name in routing.toml.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelLimits {
    /// A request that has no deadline of its own gets this one.
    pub deadline: Duration,
    /// A run longer than this is the version's fault and is terminated.
    pub run_timeout: Duration,
    /// Attempts waiting per version; one more is refused.
    pub queue_requests: usize,
    /// Outputs that may hold NaN or infinities.
    pub allow_non_finite: BTreeSet<Box<str>>,
    /// The largest first dimension of an input of a batching model.
    pub batch_rows: usize,
    /// Whether and how requests are put together into one run.
    pub batching: BatchingRule,
    /// What the versions run on, from their next load on.
    pub provider: Provider,
    /// Which requests are captured; `None` where none are.
    pub capture: Option<Arc<CapturePlan>>,
    /// Whether a fault of a version under trial is answered by stable.
    pub has_fallback: bool,
    /// Share of a candidate's requests that may fall back to stable, beyond the reserve.
    pub retry_ratio: f64,
    /// Fallbacks that are always covered.
    pub retry_reserve: u32,
    /// Whether a classic window watches this model, so that attempts are counted by second as well.
    pub is_windowed: bool,
}

impl Default for ModelLimits {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            run_timeout: Duration::from_secs(10),
            queue_requests: 1024,
            allow_non_finite: BTreeSet::new(),
            batch_rows: 1024,
            batching: BatchingRule::AsDeclared,
            provider: Provider::Cpu,
            capture: None,
            has_fallback: true,
            retry_ratio: 0.1,
            retry_reserve: 32,
            is_windowed: false,
        }
    }
}
