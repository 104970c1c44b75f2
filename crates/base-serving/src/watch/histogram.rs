//! Times by size, in slots that are at most a sixteenth wide.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bits of a time below its leading one that tell slots apart.
const FINE_BITS: u32 = 4;
const PER_OCTAVE: usize = 1 << FINE_BITS;
/// Times are counted in units of 1,024 nanoseconds.
const UNIT_BITS: u32 = 10;
/// The last slot begins at half an hour, and holds all that is slower.
const OCTAVES: usize = 28;
const N_SLOTS: usize = OCTAVES * PER_OCTAVE;

/// Counts of times, as they grow.
pub(super) struct Histogram(Box<[AtomicU64; N_SLOTS]>);

impl Default for Histogram {
    fn default() -> Self {
        Self(Box::new(std::array::from_fn(|_| AtomicU64::new(0))))
    }
}

impl Histogram {
    pub(super) fn count(&self, took: Duration) {
        self.0[slot(took)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> LatencyCounts {
        LatencyCounts(self.0.iter().map(|count| count.load(Ordering::Relaxed)).collect())
    }
}

/// Counts of times, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LatencyCounts(Vec<u64>);

impl LatencyCounts {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The time that a share `quantile` of them is not above: the upper edge of its slot, so at most a sixteenth too
    /// long. `None` where there are none.
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let n = self.count();
        if n == 0 {
            return None;
        }
        let wanted = ((n as f64 * quantile).ceil() as u64).clamp(1, n);
        let mut seen = 0;
        let slot = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(upper_edge(slot))
    }

    /// How many took longer than a bound; those in the bound's own slot are not among them.
    pub fn slower_than(&self, bound: Duration) -> u64 {
        self.0.iter().skip(slot(bound) + 1).sum()
    }

    /// Adds others to these.
    pub fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(sum, count)| *sum += count);
    }
}

fn slot(took: Duration) -> usize {
    let units = u64::try_from(took.as_nanos() >> UNIT_BITS).unwrap_or(u64::MAX);
    if units < PER_OCTAVE as u64 {
        return units as usize;
    }
    let leading = 63 - units.leading_zeros();
    let fine = (units >> (leading - FINE_BITS)) as usize & (PER_OCTAVE - 1);
    ((leading - FINE_BITS + 1) as usize * PER_OCTAVE + fine).min(N_SLOTS - 1)
}

fn upper_edge(slot: usize) -> Duration {
    let next = (slot + 1) as u64;
    let (octave, fine) = (next / PER_OCTAVE as u64, next % PER_OCTAVE as u64);
    let units = match octave {
        0 => fine,
        octave => (PER_OCTAVE as u64 + fine) << (octave - 1),
    };
    Duration::from_nanos(units << UNIT_BITS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn every_time_lies_below_the_edge_of_its_slot_by_at_most_a_sixteenth() {
        let mut nanos = 1.0f64;
        while nanos < 1e12 {
            let took = Duration::from_nanos(nanos as u64);
            let edge = upper_edge(slot(took));
            assert!(took < edge, "{took:?} {edge:?}");
            let unit = 2.0 / 1024.0;
            assert!(edge.as_secs_f64() <= took.as_secs_f64() * (1.0 + 1.0 / 16.0) + unit * 1e-3, "{took:?} {edge:?}");
            nanos *= 1.07;
        }
        assert_eq!(slot(Duration::MAX), N_SLOTS - 1);
    }

    #[test]
    fn quantiles_add_up_over_parts() {
        let (odd, even) = (Histogram::default(), Histogram::default());
        for i in 1..=1000u32 {
            if i % 2 == 0 { &even } else { &odd }.count(Duration::from_micros(100) * i);
        }
        let mut all = LatencyCounts::default();
        assert_eq!(all.quantile(0.5), None);
        all.add(&odd.read());
        all.add(&even.read());
        assert_eq!(all.count(), 1000);
        for q in [0.5, 0.9, 0.99] {
            let got = all.quantile(q).unwrap().as_secs_f64();
            assert!((q * 0.1..q * 0.1 * 1.0626).contains(&got), "{q} {got}");
        }
    }
}
