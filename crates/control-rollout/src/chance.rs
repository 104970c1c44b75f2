//! Draws for simulations and for allocation by chance: everything from one source of uniform numbers, which comes in
//! as an argument. The same seed gives the same result, on every machine.

use std::f64::consts::TAU;

/// A source of numbers in [0, 1).
pub type Uniform<'a> = dyn FnMut() -> f64 + 'a;

/// A seeded source: SplitMix64. Good enough for simulations, not for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// Starts from a seed.
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A number in (0, 1), whose logarithm is finite.
fn open(draw: &mut Uniform<'_>) -> f64 {
    draw().clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON)
}

/// Standard normal, by Box and Muller.
pub(crate) fn normal(draw: &mut Uniform<'_>) -> f64 {
    let radius = (-2.0 * open(draw).ln()).sqrt();
    radius * (TAU * draw()).cos()
}

/// Gamma with scale 1, by Marsaglia and Tsang; `shape` above 0.
fn gamma(shape: f64, draw: &mut Uniform<'_>) -> f64 {
    // A candidate is taken with a probability above 0.95; a source that is stuck must not hold us up.
    const TRIES_MAX: u32 = 1000;
    if shape < 1.0 {
        let boost = open(draw).powf(1.0 / shape);
        return boost * gamma(shape + 1.0, draw);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    for _ in 0..TRIES_MAX {
        let x = normal(draw);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && open(draw).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
    d
}

/// Beta; both arguments above 0.
pub(crate) fn beta(a: f64, b: f64, draw: &mut Uniform<'_>) -> f64 {
    let (x, y) = (gamma(a, draw), gamma(b, draw));
    if x + y > 0.0 { x / (x + y) } else { 0.5 }
}

/// How many successes come before the next event of probability `p`; `u64::MAX` when none will come.
pub(crate) fn gap(p: f64, draw: &mut Uniform<'_>) -> u64 {
    if p >= 1.0 {
        return 0;
    }
    if p <= 0.0 {
        return u64::MAX;
    }
    (open(draw).ln() / (-p).ln_1p()) as u64
}

/// Binomial: exact while few are expected, by the normal approximation beyond.
pub(crate) fn binomial(n: u64, p: f64, draw: &mut Uniform<'_>) -> u64 {
    const EXACT_TO: f64 = 30.0;
    if p.is_nan() || p <= 0.0 {
        return 0;
    }
    if p > 0.5 {
        return n - binomial(n, 1.0 - p, draw);
    }
    let mean = n as f64 * p;
    if mean > EXACT_TO {
        let spread = (mean * (1.0 - p)).sqrt();
        return (mean + spread * normal(draw)).round().clamp(0.0, n as f64) as u64;
    }
    let (mut left, mut hits) = (n, 0);
    loop {
        let skipped = gap(p, draw);
        if skipped >= left {
            return hits;
        }
        left -= skipped + 1;
        hits += 1;
    }
}

/// The probability that a standard normal number is above `z`; absolute error below 1.5e-7 (Abramowitz and Stegun,
/// 7.1.26), which is enough for plans.
pub(crate) fn normal_above(z: f64) -> f64 {
    const SERIES: [f64; 5] = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = SERIES.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    let tail = 0.5 * polynomial * (-x * x).exp();
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// The number that a standard normal number is above with probability `p`, in (0, 1).
pub(crate) fn normal_quantile_above(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_above(middle) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// The value below which the part `q` of the sorted values lies; `None` without values.
pub(crate) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1).min(last)).copied()
}

#[cfg(test)]
mod tests;
