//! Bounds taken from stable's first answers, and then never moved: a bound must be fixed before the data it judges.
//!
//! The answers a bound is taken from are not judged by it. Where none is frozen yet, the rule that needs it waits.

/// How many of stable's first values the deciles of an output are taken from.
pub const DECILE_SAMPLE: usize = 1000;

/// The bounds frozen so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frozen {
    /// The quantiles of stable's latency that were asked for.
    pub latency_quantiles: Vec<f64>,
    /// Stable's latency at them, in seconds; empty until frozen.
    pub latency_seconds: Vec<f64>,
    /// The nine deciles of stable's output; empty until frozen.
    pub decile_edges: Vec<f64>,
}

/// The values at the given quantiles of a sample: the smallest ones that at least such a part of it does not exceed.
/// Values that are not finite are left out; `None` when no others are there.
pub fn sample_quantiles(sample: &[f64], quantiles: &[f64]) -> Option<Vec<f64>> {
    let mut sorted: Vec<f64> = sample.iter().copied().filter(|x| x.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let rank = |q: f64| ((q * n as f64).ceil() as usize).clamp(1, n.max(1)) - 1;
    (n > 0).then(|| quantiles.iter().map(|q| sorted[rank(*q)]).collect())
}

/// The same from a histogram of `(upper end, count)`, ends rising: gives upper ends, so a quantile may be too high by
/// the width of a slot. Any fixed bound is sound. `None` when nothing was counted.
pub fn histogram_quantiles(slots: &[(f64, u64)], quantiles: &[f64]) -> Option<Vec<f64>> {
    let total = slots.iter().fold(0_u64, |sum, (_, n)| sum.saturating_add(*n));
    let at = |q: f64| {
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut below = 0_u64;
        let found = slots.iter().find(|(_, n)| {
            below = below.saturating_add(*n);
            below >= rank
        });
        found.map(|(end, _)| *end)
    };
    if total == 0 {
        return None;
    }
    quantiles.iter().map(|q| at(*q)).collect()
}

/// The nine edges that part a sample into tenths; see [`decile_bin`].
pub fn decile_edges(sample: &[f64]) -> Option<Vec<f64>> {
    let tenths: [f64; 9] = std::array::from_fn(|i| (i + 1) as f64 / 10.0);
    sample_quantiles(sample, &tenths)
}

/// The bin of a value: how many edges are below it. What is not a number has a bin of its own after the last.
pub fn decile_bin(edges: &[f64], value: f64) -> usize {
    if value.is_nan() { edges.len() + 1 } else { edges.partition_point(|edge| *edge < value) }
}

#[cfg(test)]
mod tests;
