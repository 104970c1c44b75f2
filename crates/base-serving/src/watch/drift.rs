//! The output whose distribution is watched, and how its values become one of a few bins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Most bins: positions of the largest value from the 31st on share one.
pub const BINS_MAX: usize = 31;
/// Edges between ten bins.
pub const DECILE_EDGES: usize = 9;
/// Values of stable that deciles are taken from.
pub const DECILE_SAMPLE_MAX: usize = 1000;

/// One output's distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftPlan {
    /// The output, by the name callers use.
    pub output: Box<str>,
    /// How.
    pub bins: DriftBins,
}

/// How an answer becomes a bin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DriftBins {
    /// By the position of the largest value of its first row.
    Classes,
    /// By its first value, between these edges in ascending order.
    Deciles([f64; DECILE_EDGES]),
    /// Not yet: first values of stable are gathered, to find the edges by.
    Gather,
}

impl DriftBins {
    /// The bin of a first value between the edges; `None` where there are no edges, or it is not a number.
    pub fn decile(&self, value: f64) -> Option<usize> {
        match self {
            Self::Deciles(edges) if !value.is_nan() => Some(edges.iter().filter(|edge| value > **edge).count()),
            _ => None,
        }
    }
}

/// The first values seen, up to a bound.
#[derive(Default)]
pub(super) struct Sample {
    is_full: AtomicBool,
    values: Mutex<Vec<f64>>,
}

impl Sample {
    fn lock(&self) -> MutexGuard<'_, Vec<f64>> {
        self.values.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(super) fn is_open(&self) -> bool {
        !self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, value: f64) {
        if !self.is_open() || value.is_nan() {
            return;
        }
        let mut values = self.lock();
        if values.len() < DECILE_SAMPLE_MAX {
            values.push(value);
        }
        self.is_full.store(values.len() >= DECILE_SAMPLE_MAX, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Vec<f64> {
        self.lock().clone()
    }
}
