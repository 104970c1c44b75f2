//! Metrics of requests that are put together into one run.

use std::sync::{Arc, OnceLock};

use prometheus::{Histogram, IntCounter};

use crate::family::Families;
use crate::version::{VersionMetrics, forget};

/// Why a batch was taken when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchReason {
    /// No more rows would have fitted.
    Full,
    /// A preferred number of rows was there.
    Preferred,
    /// The longest wait was over, or a deadline allowed no more of it.
    Delay,
    /// No other run of the version was under way: what was there was taken at once.
    Idle,
    /// Nobody else was expected in time.
    Sparse,
}

impl BatchReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Full, Self::Preferred, Self::Delay, Self::Idle, Self::Sparse];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Preferred => "preferred",
            Self::Delay => "delay",
            Self::Idle => "idle",
            Self::Sparse => "sparse",
        }
    }
}

/// Why requests of a batch were run again, each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RerunCause {
    /// The run of the batch failed.
    Error,
    /// The run of the batch took longer than a run may.
    Timeout,
    /// The outputs were not those of the rows: the version cannot be batched.
    Unfit,
    /// The outputs of this one request were wrong or not finite.
    Output,
}

impl RerunCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Error, Self::Timeout, Self::Unfit, Self::Output];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Unfit => "unfit",
            Self::Output => "output",
        }
    }
}

/// Handles of one version's batches, each resolved when it is first used.
pub struct BatchMetrics {
    families: Arc<Families>,
    key: (String, String),
    rows: OnceLock<Histogram>,
    batches: [OnceLock<IntCounter>; BatchReason::ALL.len()],
}

impl BatchMetrics {
    /// Model and version.
    pub fn version(&self) -> (&str, &str) {
        (&self.key.0, &self.key.1)
    }

    /// Counts a batch that was taken.
    pub fn taken(&self, reason: BatchReason, n_rows: usize) {
        let (model, version) = (self.key.0.as_str(), self.key.1.as_str());
        let rows = || self.families.batch_rows.with_label_values(&[model, version]);
        self.rows.get_or_init(rows).observe(n_rows as f64);
        let batches = || self.families.batches.with_label_values(&[model, version, reason.as_str()]);
        self.batches[reason as usize].get_or_init(batches).inc();
    }

    /// Counts requests that are run again, each by itself.
    pub fn rerun(&self, cause: RerunCause, n_requests: usize) {
        let labels = [self.key.0.as_str(), self.key.1.as_str(), cause.as_str()];
        self.families.batch_reruns.with_label_values(&labels).inc_by(n_requests as u64);
    }
}

impl VersionMetrics {
    /// The handles of this version's batches.
    pub fn batches(&self) -> BatchMetrics {
        let (rows, batches) = Default::default();
        let key = (self.model().to_owned(), self.version().to_owned());
        BatchMetrics { families: self.shared_families(), key, rows, batches }
    }
}

/// Removes the series of a version.
pub(crate) fn retire(families: &Families, key: [&str; 2]) {
    forget(&families.batch_rows, &key);
    for reason in BatchReason::ALL {
        forget(&families.batches, &[key[0], key[1], reason.as_str()]);
    }
    for cause in RerunCause::ALL {
        forget(&families.batch_reruns, &[key[0], key[1], cause.as_str()]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use base_types::{ModelName, Version};

    use super::*;
    use crate::Metrics;

    #[test]
    fn batches_are_counted_by_size_and_reason_until_their_version_is_gone() {
        let metrics = Metrics::new("0", "1").unwrap();
        let (model, one) = (ModelName::new("m").unwrap(), Version::new(1).unwrap());
        let text = || String::from_utf8(metrics.render().unwrap()).unwrap();
        let batches = metrics.version(&model, one).batches();
        assert!(!text().contains("switchrail_batch"), "a version without batches shows none");
        batches.taken(BatchReason::Full, 32);
        batches.taken(BatchReason::Full, 1);
        batches.rerun(RerunCause::Error, 3);
        let shown = text();
        for line in [
            r#"switchrail_batch_rows_bucket{model="m",version="1",le="1"} 1"#,
            r#"switchrail_batch_rows_sum{model="m",version="1"} 33"#,
            r#"switchrail_batches_total{model="m",reason="full",version="1"} 2"#,
            r#"switchrail_batch_reruns_total{cause="error",model="m",version="1"} 3"#,
        ] {
            assert!(shown.contains(line), "{line}\n{shown}");
        }
        metrics.retire(&model, one);
        assert!(!text().contains("switchrail_batch"));
    }
}
