//! Metrics of gates.

use std::time::Duration;

use base_types::{Gate, ModelName};

use crate::Metrics;

impl Metrics {
    /// Counts a gate that was asked: `verdict` is passed, failed or skipped.
    pub fn gate(&self, model: &ModelName, gate: Gate, verdict: &'static str, took: Duration) {
        self.families.gates.with_label_values(&[model.as_str(), gate.as_str(), verdict]).inc();
        self.families.gate_seconds.with_label_values(&[model.as_str()]).observe(took.as_secs_f64());
    }
}
