//! What came of the copies a candidate got.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use base_types::DataType;

use super::histogram::Histogram;
use super::plan::LATENCY_BOUNDS_MAX;
use super::totals::ShadowTotals;
use crate::prediction::PredictionId;

/// Examples of disagreement kept by one watch.
pub const EXAMPLES_MAX: usize = 32;
/// First values of each tensor of an example.
pub const EXAMPLE_VALUES_MAX: usize = 64;

pub use base_metrics::ShadowResult;

/// One disagreement, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The id of stable's answer.
    pub prediction: PredictionId,
    /// What differs, output by output.
    pub outputs: Vec<OutputDifference>,
    /// The inputs.
    pub inputs: Vec<ExampleTensor>,
    /// What stable answered.
    pub stable: Vec<ExampleTensor>,
    /// What the candidate did.
    pub candidate: Vec<ExampleTensor>,
}

/// How two answers differ in one output.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputDifference {
    /// The output, by the name callers use.
    pub output: String,
    /// Whether it counts as the same.
    pub is_same: bool,
    /// The largest difference between two numbers at the same place; `None` where there are none to compare.
    pub largest: Option<f64>,
}

/// The beginning of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleTensor {
    /// Its name as callers know it.
    pub name: String,
    /// Its type.
    pub datatype: DataType,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its first numbers, at most [`EXAMPLE_VALUES_MAX`]; none where they are to be kept from view, or are no numbers.
    pub values: Vec<f64>,
}

#[derive(Default)]
pub(super) struct ShadowCounters {
    results: [AtomicU64; ShadowResult::ALL.len()],
    slow: [AtomicU64; LATENCY_BOUNDS_MAX],
    latencies: Histogram,
    examples: Mutex<VecDeque<Example>>,
}

impl ShadowCounters {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Example>> {
        self.examples.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(super) fn count(&self, result: ShadowResult, took: Option<Duration>, bounds: &[Duration]) {
        self.results[result as usize].fetch_add(1, Ordering::Release);
        let Some(took) = took else { return };
        self.latencies.count(took);
        for (_, slow) in bounds.iter().zip(&self.slow).filter(|(bound, _)| took > **bound) {
            slow.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn keep(&self, example: Example) {
        let mut examples = self.lock();
        if examples.len() >= EXAMPLES_MAX {
            examples.pop_front();
        }
        examples.push_back(example);
    }

    pub(super) fn examples(&self) -> Vec<Example> {
        self.lock().iter().cloned().collect()
    }

    pub(super) fn read(&self, n_bounds: usize) -> ShadowTotals {
        let slow = self.slow.iter().take(n_bounds).map(|slow| slow.load(Ordering::Acquire)).collect();
        let count = |result: ShadowResult| self.results[result as usize].load(Ordering::Acquire);
        ShadowTotals {
            agreed: count(ShadowResult::Agreed),
            disagreed: count(ShadowResult::Disagreed),
            faults: count(ShadowResult::Fault),
            timeouts: count(ShadowResult::Timeout),
            shed: count(ShadowResult::Shed),
            slow,
            latencies: self.latencies.read(),
        }
    }
}
