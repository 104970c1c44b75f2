//! The retry budget of fallbacks: a share of the candidate's requests, plus a reserve so that the first faults
//! are always covered. Without it a candidate that fails everything would double the load on stable.

use std::sync::atomic::{AtomicI64, Ordering};

/// Tokens are counted in thousandths.
const TOKEN: i64 = 1000;

/// A token bucket that is filled by requests, not by time.
#[derive(Debug)]
pub struct RetryBudget {
    thousandths: AtomicI64,
    per_request: i64,
    capacity: i64,
}

impl RetryBudget {
    /// A bucket that starts full: `reserve` tokens, and `ratio` of a token for each request.
    pub fn new(ratio: f64, reserve: u32) -> Self {
        let reserve = i64::from(reserve) * TOKEN;
        // Room for what 1,000 requests earn, so that a quiet hour does not buy a storm.
        let per_request = (ratio.clamp(0.0, 1.0) * TOKEN as f64) as i64;
        Self { thousandths: AtomicI64::new(reserve), per_request, capacity: reserve + per_request * 1000 }
    }

    /// A request was sent to a candidate.
    pub fn earn(&self) {
        if self.thousandths.load(Ordering::Relaxed) < self.capacity {
            self.thousandths.fetch_add(self.per_request, Ordering::Relaxed);
        }
    }

    /// Takes one fallback out of the bucket; `false` when it is empty.
    pub fn spend(&self) -> bool {
        let take = |left: i64| (left >= TOKEN).then_some(left - TOKEN);
        self.thousandths.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_covers_the_first_faults_and_requests_earn_more() {
        let budget = RetryBudget::new(0.1, 32);
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 32);
        (0..95).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.spend()).count(), 9);
        (0..1_000_000).for_each(|_| budget.earn());
        assert_eq!((0..1_000).filter(|_| budget.spend()).count(), 132);
    }
}
