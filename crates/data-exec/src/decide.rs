//! When a batch is taken, and how much of what waits: the whole decision, without a clock and without effects.
//!
//! A free worker takes what is there at once, unless another run of the version is under way and more requests are
//! expected in time: only then is anybody held back, and never beyond `max_delay_us` or a deadline.

use std::time::{Duration, Instant};

use base_metrics::BatchReason;
use base_serving::batching::Batching;

/// The requests at the head of a queue that may run together.
pub(crate) struct Offer<'a> {
    /// Rows of the first one, of the first two, and so on; never empty.
    pub(crate) sums: &'a [usize],
    /// The earliest deadline of the first one, of the first two, and so on.
    pub(crate) deadlines: &'a [Instant],
    /// Whether one more of their kind waits for which there is no room.
    pub(crate) is_cut: bool,
    /// When the first one came.
    pub(crate) oldest: Instant,
}

/// What else matters.
pub(crate) struct Situation<'a> {
    pub(crate) now: Instant,
    /// Whether another run of the version is under way.
    pub(crate) is_busy: bool,
    /// The usual time from one request to the next, if there is one.
    pub(crate) gap: Option<Duration>,
    /// What a run of so many rows will take.
    pub(crate) cost: &'a dyn Fn(usize) -> Duration,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Run the first so many together.
    Take(usize, BatchReason),
    /// Look again then, or when something changes.
    Wait(Instant),
}

/// Decides about an offer. `rows_max` is what a run may hold now.
pub(crate) fn decide(offer: &Offer<'_>, at: &Situation<'_>, settings: &Batching, rows_max: usize) -> Decision {
    use BatchReason::{Delay, Full, Idle, Preferred, Sparse};
    let n_offered = offer.sums.len();
    let n_in_time = (1..=n_offered).rev().find(|n| ends_in_time(offer, at, *n)).unwrap_or(1);
    if n_in_time < n_offered {
        return Decision::Take(n_in_time, Delay);
    }
    let rows = offer.sums[n_offered - 1];
    if offer.is_cut || rows >= rows_max {
        return Decision::Take(n_offered, Full);
    }
    let is_preferred = |n: &usize| settings.preferred_rows.binary_search(&offer.sums[*n - 1]).is_ok();
    if let Some(n) = (1..=n_offered).rev().find(is_preferred) {
        return Decision::Take(n, Preferred);
    }
    if !at.is_busy {
        return Decision::Take(n_offered, Idle);
    }
    let latest_start = offer.deadlines[n_offered - 1].checked_sub((at.cost)(rows)).unwrap_or(at.now);
    let until = (offer.oldest + settings.delay_max).min(latest_start);
    match at.gap {
        _ if until <= at.now => Decision::Take(n_offered, Delay),
        Some(gap) if at.now + gap <= until => Decision::Wait(until),
        _ => Decision::Take(n_offered, Sparse),
    }
}

/// Whether a run of the first `n` is expected to be over before the earliest of their deadlines.
fn ends_in_time(offer: &Offer<'_>, at: &Situation<'_>, n: usize) -> bool {
    at.now + (at.cost)(offer.sums[n - 1]) <= offer.deadlines[n - 1]
}

#[cfg(test)]
mod tests;
