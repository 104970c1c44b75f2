//! Reads a version's own metrics back: for what is kept of it after it is gone.

use std::collections::BTreeMap;

use base_types::OutcomeClass;
use prometheus::Histogram;
use prometheus::core::Metric;

use super::VersionMetrics;

/// What was counted of one version since its series began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Attempts at it, by class; classes without one are left out. A fault that another version covered up is one, too.
    pub attempts: BTreeMap<OutcomeClass, u64>,
    /// Seconds from decoded to answered.
    pub request_seconds: HistogramFigures,
    /// Seconds in the runtime.
    pub run_seconds: HistogramFigures,
}

/// A histogram as it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramFigures {
    /// Upper bounds of the buckets, rising.
    pub bounds: Vec<f64>,
    /// Values in each bucket alone; those above the last bound are in `n` alone.
    pub counts: Vec<u64>,
    /// Values in all.
    pub n: u64,
    /// Their sum.
    pub sum: f64,
}

impl VersionMetrics {
    /// What was counted until now. Takes a moment: not for the request path.
    pub fn figures(&self) -> Figures {
        let count = |class: OutcomeClass| {
            let counters = self.attempts.0[class as usize].iter().filter_map(|counter| counter.get());
            (class, counters.map(prometheus::IntCounter::get).sum::<u64>())
        };
        let attempts = OutcomeClass::ALL.into_iter().map(count).filter(|(_, n)| *n > 0).collect();
        let request_seconds = read(&self.request_seconds);
        Figures { attempts, request_seconds, run_seconds: read(&self.run_seconds) }
    }
}

fn read(histogram: &Histogram) -> HistogramFigures {
    let metric = histogram.metric();
    let shown = metric.get_histogram();
    let mut below = 0;
    let mut figures =
        HistogramFigures { n: shown.get_sample_count(), sum: shown.get_sample_sum(), ..HistogramFigures::default() };
    for bucket in shown.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        let upto = bucket.cumulative_count();
        figures.bounds.push(bucket.upper_bound());
        figures.counts.push(upto.saturating_sub(below));
        below = upto;
    }
    figures
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::time::Duration;

    use base_types::{FaultKind, ModelName, Outcome, Protocol, Reason, Version};

    use crate::Metrics;

    use super::*;

    #[test]
    fn what_was_counted_is_read_back_by_class_and_bucket() {
        let metrics = Metrics::new("0", "0").unwrap();
        let version = metrics.version(&ModelName::new("m").unwrap(), Version::new(1).unwrap());
        assert_eq!(version.figures().attempts, BTreeMap::new());
        for (class, reason, ms) in [
            (OutcomeClass::Ok, Reason::Stable, 1),
            (OutcomeClass::Ok, Reason::Split, 20),
            (OutcomeClass::VersionFault, Reason::Split, 5),
        ] {
            let (queue, run, total) = (Duration::ZERO, Duration::from_millis(ms), Duration::from_millis(ms));
            let fault = (class == OutcomeClass::VersionFault).then_some(FaultKind::Run);
            version.attempt(&Outcome { class, fault, reason, queue, run, total });
            version.request(Protocol::ALL[0], class, reason, total);
        }
        let figures = version.figures();
        assert_eq!(figures.attempts, BTreeMap::from([(OutcomeClass::Ok, 2), (OutcomeClass::VersionFault, 1)]));
        let seconds = &figures.request_seconds;
        assert_eq!((seconds.n, seconds.counts.iter().sum::<u64>()), (3, 3));
        assert!((seconds.sum - 0.026).abs() < 1e-9);
        assert!(seconds.bounds.is_sorted() && seconds.bounds.len() == seconds.counts.len());
    }
}
