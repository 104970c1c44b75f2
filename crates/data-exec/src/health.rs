//! Whether batching does a version good, by what became of its batches.

use std::time::{Duration, Instant};

/// The first batches in which one member is run by itself as well, and its outputs compared.
const VERIFIED_FIRST: u64 = 4;
/// After those, one batch out of so many.
const VERIFIED_EVERY: u64 = 1024;
/// So many batches in a row that fail, and requests are run by themselves for a while.
const FAILED_IN_A_ROW: u32 = 3;
/// How long a bound holds that was set because batches failed or took too long.
const BOUND_HOLDS: Duration = Duration::from_secs(60);

/// What is known of a version's batches.
#[derive(Default)]
pub(crate) struct Health {
    /// Why requests of this version are never put together.
    flaw: Option<String>,
    /// Fewer rows than asked for, until then.
    bound: Option<(usize, Instant)>,
    n_failed_in_a_row: u32,
    n_batches: u64,
}

/// How a batch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    Failed,
    TimedOut,
    /// It gave outputs that are not those of its rows.
    Unfit(String),
}

impl Health {
    pub(crate) fn new(flaw: Option<String>) -> Self {
        Self { flaw, ..Self::default() }
    }

    /// Most rows of a batch now, of those asked for.
    pub(crate) fn rows_max(&self, asked: usize, now: Instant) -> usize {
        match (&self.flaw, self.bound) {
            (Some(_), _) => 1,
            (None, Some((rows, until))) if now < until => rows.min(asked),
            (None, _) => asked,
        }
    }

    /// Whether the next batch is to be compared with a run alone.
    pub(crate) fn must_verify(&self) -> bool {
        self.n_batches < VERIFIED_FIRST || self.n_batches.is_multiple_of(VERIFIED_EVERY)
    }

    /// Takes note of a batch; gives what is to be told about it.
    pub(crate) fn ended(&mut self, ended: Ended, n_rows: usize, now: Instant) -> Option<String> {
        match ended {
            Ended::Well => {
                self.n_batches += 1;
                self.n_failed_in_a_row = 0;
                None
            }
            Ended::Failed => {
                self.n_failed_in_a_row += 1;
                if self.n_failed_in_a_row < FAILED_IN_A_ROW {
                    return None;
                }
                self.n_failed_in_a_row = 0;
                self.bound = Some((1, now + BOUND_HOLDS));
                let seconds = BOUND_HOLDS.as_secs();
                Some(format!("{FAILED_IN_A_ROW} batches in a row failed: none are made for {seconds} seconds"))
            }
            Ended::TimedOut => {
                let rows = (n_rows / 2).max(1);
                self.bound = Some((rows, now + BOUND_HOLDS));
                let seconds = BOUND_HOLDS.as_secs();
                Some(format!("a run of {n_rows} rows took too long: at most {rows} for {seconds} seconds"))
            }
            Ended::Unfit(why) if self.flaw.is_none() => {
                self.flaw = Some(why.clone());
                Some(format!("requests are not put together any more: {why}"))
            }
            Ended::Unfit(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_keep_failing_or_take_too_long_are_made_smaller_for_a_while() {
        let (mut health, now) = (Health::default(), Instant::now());
        assert_eq!(health.rows_max(32, now), 32);
        let told = health.ended(Ended::TimedOut, 32, now);
        assert!(told.is_some_and(|text| text.contains("at most 16")));
        assert_eq!((health.rows_max(32, now), health.rows_max(32, now + BOUND_HOLDS)), (16, 32));
        // A good one in between, and it is not the batching that fails.
        for ended in [Ended::Failed, Ended::Failed, Ended::Well, Ended::Failed, Ended::Failed] {
            assert_eq!(health.ended(ended, 4, now), None);
        }
        assert!(health.ended(Ended::Failed, 4, now).is_some());
        assert_eq!((health.rows_max(32, now), health.rows_max(32, now + BOUND_HOLDS)), (1, 32));
    }

    #[test]
    fn a_version_found_unfit_stays_so_and_is_told_once() {
        let (mut health, now) = (Health::default(), Instant::now());
        let unfit = || Ended::Unfit("one row for all".to_owned());
        assert!(health.ended(unfit(), 4, now).is_some_and(|text| text.contains("one row for all")));
        assert_eq!(health.ended(unfit(), 4, now), None);
        assert_eq!(health.rows_max(32, now + 100 * BOUND_HOLDS), 1);
        assert_eq!(Health::new(Some("fixed".to_owned())).rows_max(32, now), 1);
    }

    #[test]
    fn the_first_batches_and_then_a_few_are_compared() {
        let (mut health, now) = (Health::default(), Instant::now());
        let mut verified = Vec::new();
        for batch in 0..2_100_u64 {
            if health.must_verify() {
                verified.push(batch);
            }
            health.ended(Ended::Well, 2, now);
        }
        assert_eq!(verified, [0, 1, 2, 3, 1024, 2048]);
    }
}
