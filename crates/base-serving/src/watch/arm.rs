//! The counters of one arm.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::drift::BINS_MAX;
use super::histogram::Histogram;
use super::plan::{ArmPlan, LATENCY_BOUNDS_MAX};
use super::totals::ArmTotals;

/// Each on cache lines of its own, so that arms do not slow each other down.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct ArmCounters {
    assigned: AtomicU64,
    repeated: AtomicU64,
    ok: AtomicU64,
    faults: AtomicU64,
    poisoned: AtomicU64,
    slow: [AtomicU64; LATENCY_BOUNDS_MAX],
    left_slow: [AtomicU64; LATENCY_BOUNDS_MAX],
    slow_once: [AtomicU64; LATENCY_BOUNDS_MAX],
    bins: [AtomicU64; BINS_MAX],
    latencies: Histogram,
}

impl ArmCounters {
    pub(super) fn count_assigned(&self, is_own_draw: bool) {
        self.assigned.fetch_add(1, Ordering::Relaxed);
        if !is_own_draw {
            self.repeated.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_ok(&self, took: Duration, bounds: &[Duration], is_own: impl Fn(usize) -> bool) {
        // First the whole, then the part: whoever reads the part first never sees more of it than of the whole.
        self.ok.fetch_add(1, Ordering::Release);
        self.latencies.count(took);
        for (_, slow) in bounds.iter().zip(&self.slow).filter(|(bound, _)| took > **bound) {
            slow.fetch_add(1, Ordering::Release);
        }
        self.count_slow_once(took, bounds, is_own);
    }

    pub(super) fn count_fault(&self, is_poisoned: bool) {
        self.faults.fetch_add(1, Ordering::Release);
        if is_poisoned {
            self.poisoned.fetch_add(1, Ordering::Release);
        }
    }

    /// Somebody left after so long without an answer.
    pub(super) fn count_left(&self, after: Duration, bounds: &[Duration], is_own: impl Fn(usize) -> bool) {
        for (_, left) in bounds.iter().zip(&self.left_slow).filter(|(bound, _)| after > **bound) {
            left.fetch_add(1, Ordering::Relaxed);
        }
        self.count_slow_once(after, bounds, is_own);
    }

    fn count_slow_once(&self, took: Duration, bounds: &[Duration], is_own: impl Fn(usize) -> bool) {
        for (at, (bound, slow)) in bounds.iter().zip(&self.slow_once).enumerate() {
            if took > *bound && is_own(at) {
                slow.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn count_bin(&self, bin: usize) {
        if let Some(count) = self.bins.get(bin) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self, plan: ArmPlan, n_bounds: usize) -> ArmTotals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let slow_answers: Vec<u64> = self.slow.iter().take(n_bounds).map(read).collect();
        let left: Vec<u64> = self.left_slow.iter().take(n_bounds).map(read).collect();
        let (poisoned, faults) = (read(&self.poisoned), read(&self.faults));
        let ok = read(&self.ok);
        ArmTotals {
            plan,
            repeated: read(&self.repeated),
            assigned: read(&self.assigned),
            ok,
            faults,
            poisoned,
            within: slow_answers.iter().map(|slow| ok.saturating_sub(*slow)).collect(),
            slow: slow_answers.iter().zip(&left).map(|(answers, left)| answers + left).collect(),
            slow_once: self.slow_once.iter().take(n_bounds).map(read).collect(),
            bins: self.bins.iter().map(read).collect(),
            latencies: self.latencies.read(),
        }
    }
}
