//! The handles of one version: resolved when it is loaded, held by it, removed when it is gone.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base_types::{FaultKind, MemoryUse, ModelName, Outcome, OutcomeClass, Protocol, Reason, Version, VersionState};
use prometheus::core::{MetricVec, MetricVecBuilder};
use prometheus::{Histogram, IntCounter, IntGauge};

use crate::family::Families;
use crate::{FallbackResult, ShadowResult, batch, rollout};

mod figures;

pub use figures::{Figures, HistogramFigures};

const N_CLASSES: usize = OutcomeClass::ALL.len();
const N_REASONS: usize = Reason::ALL.len();
const N_PROTOCOLS: usize = Protocol::ALL.len();

/// Counters by class and reason; each is resolved at its first increment, so that a quiet version shows few series.
struct Grid([[OnceLock<IntCounter>; N_REASONS]; N_CLASSES]);

impl Grid {
    fn new() -> Self {
        Self(std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())))
    }

    fn inc(&self, class: OutcomeClass, reason: Reason, resolve: impl FnOnce() -> IntCounter) {
        self.0[class as usize][reason as usize].get_or_init(resolve).inc();
    }
}

/// Handles of one version's metrics.
pub struct VersionMetrics {
    families: Arc<Families>,
    key: (String, String),
    requests: [Grid; N_PROTOCOLS],
    attempts: Grid,
    queue_seconds: Histogram,
    run_seconds: Histogram,
    request_seconds: Histogram,
    in_flight: IntGauge,
    queue_depth: IntGauge,
    /// Resolved at the first increment.
    pub(crate) shadows: [OnceLock<IntCounter>; ShadowResult::ALL.len()],
    pub(crate) scores: OnceLock<Histogram>,
}

impl VersionMetrics {
    pub(crate) fn new(families: Arc<Families>, model: &ModelName, version: Version) -> Self {
        let key = (model.to_string(), version.to_string());
        let labels = [key.0.as_str(), key.1.as_str()];
        Self {
            requests: std::array::from_fn(|_| Grid::new()),
            attempts: Grid::new(),
            queue_seconds: families.queue_seconds.with_label_values(&labels),
            run_seconds: families.run_seconds.with_label_values(&labels),
            request_seconds: families.request_seconds.with_label_values(&labels),
            in_flight: families.in_flight.with_label_values(&labels),
            queue_depth: families.queue_depth.with_label_values(&labels),
            shadows: std::array::from_fn(|_| OnceLock::new()),
            scores: OnceLock::new(),
            families,
            key,
        }
    }

    pub(crate) fn families(&self) -> &Families {
        &self.families
    }

    pub(crate) fn shared_families(&self) -> Arc<Families> {
        self.families.clone()
    }

    pub(crate) fn model(&self) -> &str {
        &self.key.0
    }

    pub(crate) fn version(&self) -> &str {
        &self.key.1
    }

    /// Counts an attempt.
    pub fn attempt(&self, outcome: &Outcome) {
        let (model, version) = (self.key.0.as_str(), self.key.1.as_str());
        let (class, reason) = (outcome.class, outcome.reason);
        self.attempts.inc(class, reason, || {
            self.families.attempts.with_label_values(&[model, version, class.as_str(), reason.as_str()])
        });
        if let Some(kind) = outcome.fault {
            self.families.faults.with_label_values(&[model, version, kind.as_str()]).inc();
        }
        if matches!(outcome.class, OutcomeClass::Ok | OutcomeClass::VersionFault) {
            self.queue_seconds.observe(outcome.queue.as_secs_f64());
            self.run_seconds.observe(outcome.run.as_secs_f64());
        }
    }

    /// Counts a request that ended at this version.
    pub fn request(&self, protocol: Protocol, class: OutcomeClass, reason: Reason, total: Duration) {
        self.requests[protocol as usize].inc(class, reason, || {
            let (model, version) = (self.key.0.as_str(), self.key.1.as_str());
            let labels = [model, version, protocol.as_str(), class.as_str(), reason.as_str()];
            self.families.requests.with_label_values(&labels)
        });
        self.request_seconds.observe(total.as_secs_f64());
    }

    /// Counts a fault that called for a fallback.
    pub fn fallback(&self, result: FallbackResult) {
        let labels = [self.key.0.as_str(), self.key.1.as_str(), result.as_str()];
        self.families.fallbacks.with_label_values(&labels).inc();
    }

    /// An attempt began.
    pub fn begin(&self) {
        self.in_flight.inc();
    }

    /// An attempt ended.
    pub fn end(&self) {
        self.in_flight.dec();
    }

    /// Sets the number of attempts waiting.
    pub fn set_queue_depth(&self, n_waiting: usize) {
        self.queue_depth.set(n_waiting as i64);
    }

    /// Sets what the version holds in memory.
    pub fn set_memory(&self, memory: MemoryUse) {
        for (part, bytes) in parts(memory) {
            let labels = [self.key.0.as_str(), self.key.1.as_str(), part];
            self.families.memory.with_label_values(&labels).set(bytes as i64);
        }
    }
}

fn parts(memory: MemoryUse) -> [(&'static str, u64); 3] {
    [("arena", memory.arena_bytes), ("arena_peak", memory.arena_peak_bytes), ("mapped", memory.mapped_bytes)]
}

/// Removes every series of a version.
pub(crate) fn retire(families: &Families, model: &ModelName, version: Version) {
    let version = version.to_string();
    let key = [model.as_str(), version.as_str()];
    for class in OutcomeClass::ALL {
        for reason in Reason::ALL {
            let (class, reason) = (class.as_str(), reason.as_str());
            for protocol in Protocol::ALL {
                forget(&families.requests, &[key[0], key[1], protocol.as_str(), class, reason]);
            }
            forget(&families.attempts, &[key[0], key[1], class, reason]);
        }
    }
    for kind in FaultKind::ALL {
        forget(&families.faults, &[key[0], key[1], kind.as_str()]);
    }
    for result in FallbackResult::ALL {
        forget(&families.fallbacks, &[key[0], key[1], result.as_str()]);
    }
    for state in VersionState::ALL {
        forget(&families.version_state, &[key[0], key[1], state.as_str()]);
    }
    for (part, _) in parts(MemoryUse::default()) {
        forget(&families.memory, &[key[0], key[1], part]);
    }
    for histogram in [&families.queue_seconds, &families.run_seconds, &families.request_seconds] {
        forget(histogram, &key);
    }
    rollout::retire(families, key);
    batch::retire(families, key);
    forget(&families.in_flight, &key);
    forget(&families.queue_depth, &key);
    forget(&families.share_wanted, &key);
    forget(&families.share_actual, &key);
    forget(&families.load_seconds, &key);
}

/// Removes a series; one that was never shown is no error.
pub(crate) fn forget<T: MetricVecBuilder>(family: &MetricVec<T>, labels: &[&str]) {
    let _absent = family.remove_label_values(labels);
}
