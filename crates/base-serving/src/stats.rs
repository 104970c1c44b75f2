//! Sums of what a version did since it was loaded, as the protocols' statistics show them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::batching::Batched;

/// Batch sizes counted apart; rarer ones beyond it are counted in the sums alone.
const BATCH_SIZES_MAX: usize = 128;

/// How often, and how long in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// How often.
    pub count: u64,
    /// How long.
    pub time: Duration,
}

impl Sum {
    fn add(&mut self, time: Duration) {
        self.count += 1;
        self.time += time;
    }
}

/// The times of one answered request.
#[derive(Debug, Clone, Copy, Default)]
pub struct AnswerTimes {
    /// In the queue.
    pub queue: Duration,
    /// In the runtime.
    pub run: Duration,
    /// From decoded to answered.
    pub total: Duration,
    /// The run it shared with other requests.
    pub batch: Option<Batched>,
}

/// Figures of one version. A request is counted once, at the version that ended it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Answered requests, by their whole time.
    pub success: Sum,
    /// Requests that got no answer, by their whole time.
    pub fail: Sum,
    /// Time in the queue. Counted for every answered request, also where nothing queued.
    pub queue: Sum,
    /// Time around the run: checks, hand-over, output checks.
    pub input: Sum,
    /// Time in the runtime.
    pub infer: Sum,
    /// Rows of all answered requests.
    pub n_rows: u64,
    /// Runs that gave an answer.
    pub n_runs: u64,
    /// When the last answer was made, in milliseconds of Unix time; 0 before the first.
    pub last_unix_ms: u64,
    /// Times of runs by number of rows.
    pub batches: BTreeMap<usize, Sum>,
}

/// The figures as they grow.
#[derive(Default)]
pub struct VersionStats(Mutex<Stats>);

impl VersionStats {
    fn lock(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Counts an answered request of so many rows.
    pub fn answered(&self, times: &AnswerTimes, n_rows: usize, unix_ms: u64) {
        let around = times.total.saturating_sub(times.queue + times.run);
        let mut stats = self.lock();
        stats.success.add(times.total);
        stats.queue.add(times.queue);
        stats.input.add(around);
        stats.infer.add(times.run);
        stats.n_rows += n_rows as u64;
        stats.last_unix_ms = stats.last_unix_ms.max(unix_ms);
        // A run that several requests shared is counted by one of them, with all its rows.
        let Batched { n_rows, is_counted } = times.batch.unwrap_or(Batched { n_rows, is_counted: true });
        if !is_counted {
            return;
        }
        stats.n_runs += 1;
        if stats.batches.len() < BATCH_SIZES_MAX || stats.batches.contains_key(&n_rows) {
            stats.batches.entry(n_rows).or_default().add(times.run);
        }
    }

    /// Counts a request that got no answer.
    pub fn failed(&self, total: Duration) {
        self.lock().fail.add(total);
    }

    /// The figures now.
    pub fn read(&self) -> Stats {
        self.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_rows_are_counted() {
        let stats = VersionStats::default();
        let ms = Duration::from_millis;
        stats.answered(&AnswerTimes { queue: ms(1), run: ms(5), total: ms(8), batch: None }, 4, 70);
        stats.answered(&AnswerTimes { queue: ms(0), run: ms(1), total: ms(1), batch: None }, 1, 60);
        stats.failed(ms(3));
        let read = stats.read();
        assert_eq!((read.success, read.fail), (Sum { count: 2, time: ms(9) }, Sum { count: 1, time: ms(3) }));
        assert_eq!(read.queue.time + read.input.time + read.infer.time, read.success.time);
        assert_eq!((read.n_rows, read.n_runs, read.last_unix_ms), (5, 2, 70));
        assert_eq!(read.batches[&4], Sum { count: 1, time: ms(5) });
    }

    #[test]
    fn a_run_shared_by_requests_counts_once_with_all_its_rows() {
        let stats = VersionStats::default();
        for is_counted in [true, false, false] {
            let batch = Some(Batched { n_rows: 7, is_counted });
            stats.answered(&AnswerTimes { batch, ..AnswerTimes::default() }, 2, 1);
        }
        let read = stats.read();
        assert_eq!((read.n_rows, read.n_runs, read.success.count), (6, 1, 3));
        assert_eq!(read.batches.keys().copied().collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn batch_sizes_are_bounded() {
        let stats = VersionStats::default();
        (0..1000).for_each(|n| stats.answered(&AnswerTimes::default(), n, 1));
        assert_eq!(stats.read().batches.len(), BATCH_SIZES_MAX);
        assert_eq!(stats.read().n_runs, 1000);
    }
}
