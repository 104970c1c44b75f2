//! What runs of so many rows took lately, so that a wait in the queue can be foretold.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Sizes are told apart by powers of two: 1, 2, up to 4, up to 8, and so on; the last holds everything larger.
const N_SIZES: usize = 17;
/// Share of a new measurement in the moving average, as a divisor.
const AVERAGE_OVER: u64 = 8;
/// A run counts for at most this many times the average.
const OUTLIER_FACTOR: u64 = 8;

/// A moving average of times; zero until the first.
#[derive(Default)]
pub(crate) struct Average(AtomicU64);

impl Average {
    /// Adds a measurement. A run that the system interrupted says little about the model: one sample moves the average
    /// by a bounded factor, a few slow runs in a row move it all the way.
    pub(crate) fn add(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1);
        let average = self.0.load(Ordering::Relaxed);
        let took = if average == 0 { took } else { took.min(average.saturating_mul(OUTLIER_FACTOR)) };
        let next = if average == 0 { took } else { average - average / AVERAGE_OVER + took / AVERAGE_OVER };
        self.0.store(next.max(1), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// Averages by size.
#[derive(Default)]
pub(crate) struct Costs([Average; N_SIZES]);

impl Costs {
    /// Adds a run.
    pub(crate) fn add(&self, n_rows: usize, took: Duration) {
        self.0[size(n_rows)].add(took);
    }

    /// What a run of so many rows will take: as runs of that size did; where there were none, as if the next smaller
    /// ones were made one after the other; else as the next larger ones. Zero before the first run.
    pub(crate) fn of(&self, n_rows: usize) -> Duration {
        let at = size(n_rows);
        let known = |index: &usize| !self.0[*index].get().is_zero();
        if known(&at) {
            return self.0[at].get();
        }
        match (0..at).rev().find(known) {
            Some(smaller) => {
                let times = n_rows.div_ceil(1 << smaller);
                self.0[smaller].get().saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))
            }
            None => (at..N_SIZES).find(known).map_or(Duration::ZERO, |larger| self.0[larger].get()),
        }
    }

    /// What so many rows will take one worker, in runs of at most `rows_max`.
    pub(crate) fn of_all(&self, n_rows: usize, rows_max: usize) -> Duration {
        let (n_full, rest) = (n_rows / rows_max.max(1), n_rows % rows_max.max(1));
        let full = if n_full == 0 { Duration::ZERO } else { self.of(rows_max) };
        let rest = if rest == 0 { Duration::ZERO } else { self.of(rest) };
        full.saturating_mul(u32::try_from(n_full).unwrap_or(u32::MAX)).saturating_add(rest)
    }
}

/// The place of a size: that of the next power of two.
fn size(n_rows: usize) -> usize {
    (n_rows.max(1).next_power_of_two().trailing_zeros() as usize).min(N_SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_not_known_yet_is_no_better_than_one_by_one() {
        let costs = Costs::default();
        assert_eq!(costs.of(8), Duration::ZERO);
        costs.add(1, 10 * MS);
        assert_eq!((costs.of(1), costs.of(2), costs.of(7)), (10 * MS, 20 * MS, 70 * MS));
        costs.add(8, 16 * MS);
        assert_eq!((costs.of(5), costs.of(8), costs.of(16), costs.of(2)), (16 * MS, 16 * MS, 32 * MS, 20 * MS));
        // 20 rows by 8: two full runs, and one of four rows that is not known yet.
        assert_eq!(costs.of_all(20, 8), 2 * 16 * MS + 40 * MS);
        assert_eq!(costs.of_all(0, 8), Duration::ZERO);
    }

    #[test]
    fn one_interrupted_run_moves_the_average_by_a_bounded_factor() {
        let average = Average::default();
        average.add(MS);
        average.add(10_000 * MS);
        assert!(average.get() < 3 * MS, "{:?}", average.get());
    }

    #[test]
    fn any_number_of_rows_has_a_place() {
        let costs = Costs::default();
        for rows in [0, 1, 3, 1 << 16, (1 << 16) + 1, 1 << 40] {
            costs.add(rows, MS);
            assert!(costs.of(rows) >= MS);
        }
        assert!(costs.of_all(usize::MAX >> 1, 1) > MS);
    }
}
