//! Quantiles, medians and their intervals.

/// The quantile by nearest rank of values in ascending order; 0 of none.
pub fn quantile(sorted: &[u64], q: f64) -> u64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0)
}

/// A median with the interval that holds the true one with a probability of at least 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median {
    /// The median.
    pub value: f64,
    /// The interval's lower end. With fewer than six values it is the least of them and promises less.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

/// The median of some values and its interval by order statistics, which asks nothing of their distribution.
pub fn median(values: impl IntoIterator<Item = f64>) -> Median {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let value = (at((n.max(1) - 1) / 2) + at(n / 2)) / 2.0;
    let outer = outer_ranks(n);
    Median { value, low: at(outer), high: at(n.max(outer + 1) - 1 - outer) }
}

/// How many values may be left out at each end: the largest `k` with a chance of at most 2.5 % that no more than `k`
/// of `n` values lie below the true median.
fn outer_ranks(n: usize) -> usize {
    let mut term = 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut below = term;
    let mut k = 0;
    while below <= 0.025 && k < n / 2 {
        term *= (n - k) as f64 / (k + 1) as f64;
        below += term;
        k += 1;
    }
    k.saturating_sub(1)
}

#[cfg(test)]
mod tests;
