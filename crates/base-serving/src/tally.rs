//! Counts of one loaded version for the judge: totals since it was loaded, and by second for classic windows.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The longest classic window, in seconds.
pub const WINDOW_SECONDS_MAX: u64 = 600;
const N_SLOTS: usize = WINDOW_SECONDS_MAX as usize + 1;
/// Latency slots grow by a quarter of an octave from 10 µs; the last holds everything slower.
const N_LATENCIES: usize = 88;
const LATENCY_FIRST_SECONDS: f64 = 10e-6;
const SLOTS_PER_OCTAVE: f64 = 4.0;

/// What happened over a window.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct WindowTotals {
    /// Good answers.
    pub successes: u64,
    /// Version faults.
    pub faults: u64,
    /// The asked-for quantile of the time an attempt took, in seconds: the upper edge of its slot.
    pub latency_seconds: Option<f64>,
}

struct Second {
    /// The second this slot holds, plus one; 0 when it never held any.
    stamp: AtomicU64,
    successes: AtomicU64,
    faults: AtomicU64,
    latencies: [AtomicU64; N_LATENCIES],
}

/// Counters of one loaded version. Only attempts that may be held for or against it are counted: not pinned
/// ones, and of those that fell back only what the judge accepts.
#[derive(Default)]
pub struct ArmTally {
    successes: AtomicU64,
    drawn: AtomicU64,
    window: OnceLock<Box<[Second]>>,
}

impl ArmTally {
    /// Good answers since the version was loaded.
    pub fn successes(&self) -> u64 {
        self.successes.load(Ordering::Acquire)
    }

    /// Attempts drawn by weight since the version was loaded, however they ended.
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// Counts an attempt that was drawn by weight.
    pub fn count_drawn(&self) {
        self.drawn.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a good answer.
    pub fn count_success(&self) {
        self.successes.fetch_add(1, Ordering::Release);
    }

    /// Counts an attempt in the window of the second `now_seconds`, a monotonic time.
    pub fn count_in_window(&self, now_seconds: u64, took: Duration, is_fault: bool) {
        let slots = self.window.get_or_init(|| (0..N_SLOTS).map(|_| Second::default()).collect());
        let slot = &slots[(now_seconds % N_SLOTS as u64) as usize];
        slot.claim(now_seconds);
        if is_fault { &slot.faults } else { &slot.successes }.fetch_add(1, Ordering::Relaxed);
        slot.latencies[latency_slot(took)].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds up the last `seconds` seconds before and including `now_seconds`.
    pub fn window(&self, now_seconds: u64, seconds: u64, quantile: Option<f64>) -> WindowTotals {
        let mut totals = WindowTotals::default();
        let Some(slots) = self.window.get() else { return totals };
        let mut latencies = [0u64; N_LATENCIES];
        let first = now_seconds.saturating_sub(seconds.clamp(1, WINDOW_SECONDS_MAX) - 1);
        for second in first..=now_seconds {
            let slot = &slots[(second % N_SLOTS as u64) as usize];
            if slot.stamp.load(Ordering::Acquire) != second + 1 {
                continue;
            }
            totals.successes += slot.successes.load(Ordering::Relaxed);
            totals.faults += slot.faults.load(Ordering::Relaxed);
            for (sum, count) in latencies.iter_mut().zip(&slot.latencies) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        totals.latency_seconds = quantile.and_then(|q| latency_quantile(&latencies, q));
        totals
    }
}

impl Default for Second {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Self { stamp: zero(), successes: zero(), faults: zero(), latencies: std::array::from_fn(|_| zero()) }
    }
}

impl Second {
    /// Makes the slot hold `second`, emptying what it held ten minutes ago. Counts that race with the emptying
    /// can be lost: a handful per window at most, and only for the dashboards and classic rules it feeds.
    fn claim(&self, second: u64) {
        let held = self.stamp.load(Ordering::Acquire);
        if held == second + 1 {
            return;
        }
        if self.stamp.compare_exchange(held, second + 1, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.successes.store(0, Ordering::Relaxed);
            self.faults.store(0, Ordering::Relaxed);
            self.latencies.iter().for_each(|l| l.store(0, Ordering::Relaxed));
        }
    }
}

fn latency_slot(took: Duration) -> usize {
    let octaves = (took.as_secs_f64() / LATENCY_FIRST_SECONDS).max(1.0).log2();
    ((octaves * SLOTS_PER_OCTAVE).ceil() as usize).min(N_LATENCIES - 1)
}

fn latency_quantile(latencies: &[u64], quantile: f64) -> Option<f64> {
    let n: u64 = latencies.iter().sum();
    if n == 0 {
        return None;
    }
    let wanted = ((n as f64 * quantile).ceil() as u64).clamp(1, n);
    let mut seen = 0;
    let slot = latencies.iter().position(|count| {
        seen += count;
        seen >= wanted
    })?;
    Some(LATENCY_FIRST_SECONDS * (slot as f64 / SLOTS_PER_OCTAVE).exp2())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_window_forgets_what_is_older() {
        let tally = ArmTally::default();
        (0..10).for_each(|_| tally.count_in_window(5, MS, true));
        (0..20).for_each(|_| tally.count_in_window(14, MS, false));
        let window = |now, seconds| tally.window(now, seconds, None);
        assert_eq!((window(14, 10).faults, window(14, 10).successes), (10, 20));
        assert_eq!((window(15, 10).faults, window(15, 10).successes), (0, 20));
        // The slot of second 5 is used again one round later.
        tally.count_in_window(5 + N_SLOTS as u64, MS, false);
        assert_eq!(window(5 + N_SLOTS as u64, 1).faults, 0);
    }

    #[test]
    fn a_quantile_is_at_most_a_fifth_too_high() {
        let tally = ArmTally::default();
        (1..=1000u32).for_each(|i| tally.count_in_window(1, i * MS, false));
        for q in [0.5, 0.9, 0.99] {
            let got = tally.window(1, 1, Some(q)).latency_seconds.unwrap();
            assert!((q..q * 1.2).contains(&got), "{q} {got}");
        }
        assert_eq!(ArmTally::default().window(1, 1, Some(0.5)).latency_seconds, None);
    }
}
