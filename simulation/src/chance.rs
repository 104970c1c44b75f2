//! Chance: a seeded generator and the few distributions the simulation draws from.
//!
//! Own code, and not a package, so that a seed gives the same figures for ever.

/// Above it a Poisson number is drawn by rejection, below it by searching from 0.
const REJECTION_FROM: f64 = 10.0;

/// xoshiro256++ of Blackman and Vigna, seeded through SplitMix64.
#[derive(Debug, Clone)]
pub struct Chance {
    state: [u64; 4],
}

impl Chance {
    /// The generator of one run of one cell: runs can be made in any order and by any number of threads.
    pub fn of_run(seed: u64, cell: &str, run: u64) -> Self {
        // FNV-1a of the cell's name.
        let name = cell
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3));
        let mut mixer = seed ^ name.rotate_left(32) ^ run.wrapping_mul(0xD1B5_4A32_D192_ED03);
        let state = std::array::from_fn(|_| split_mix(&mut mixer));
        Self { state }
    }

    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Uniform in (0, 1]: its logarithm is always finite.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// True with that probability.
    pub fn is(&mut self, probability: f64) -> bool {
        self.unit() <= probability
    }

    /// A position below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Waiting time to the next event of this rate; infinite for rate 0.
    pub fn wait(&mut self, rate: f64) -> f64 {
        if rate > 0.0 { -self.unit().ln() / rate } else { f64::INFINITY }
    }

    /// Trials before the first one that has this probability comes true.
    pub fn misses(&mut self, probability: f64) -> u64 {
        if probability >= 1.0 { 0 } else { (self.unit().ln() / (-probability).ln_1p()) as u64 }
    }

    /// A Poisson number.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            0
        } else if mean < REJECTION_FROM {
            self.small_poisson(mean)
        } else {
            self.large_poisson(mean)
        }
    }

    fn small_poisson(&mut self, mean: f64) -> u64 {
        let mut left = self.unit();
        let mut probability = (-mean).exp();
        let mut n = 0_u64;
        // The tail beyond a hundred has no weight left that a number could hold.
        while left > probability && n < 100 {
            left -= probability;
            n += 1;
            probability *= mean / n as f64;
        }
        n
    }

    /// Transformed rejection, after Hoermann (1993).
    fn large_poisson(&mut self, mean: f64) -> u64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let log_inverse_alpha = (1.1239 + 1.1328 / (b - 3.4)).ln();
        let quick_below = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.unit() - 0.5;
            let v = self.unit();
            let distance = 0.5 - u.abs();
            let n = ((2.0 * a / distance + b) * u + mean + 0.43).floor();
            if distance >= 0.07 && v <= quick_below {
                return n as u64;
            }
            if n < 0.0 || distance < 0.013 && v > distance {
                continue;
            }
            let log_proposed = v.ln() + log_inverse_alpha - (a / (distance * distance) + b).ln();
            if log_proposed <= n * mean.ln() - mean - log_factorial(n) {
                return n as u64;
            }
        }
    }

    /// Standard normal, after Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Gamma with a shape of at least 1, after Marsaglia and Tsang.
    fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let cube = (1.0 + c * x).powi(3);
            if cube > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * cube + d * cube.ln() {
                return d * cube;
            }
        }
    }

    /// Beta with parameters of at least 1.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let one = self.gamma(a);
        one / (one + self.gamma(b))
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `ln n!` by Stirling's series, good to ten digits from 10 on.
fn log_factorial(n: f64) -> f64 {
    if n < 10.0 {
        return (2..=n as u32).map(|k| f64::from(k).ln()).sum();
    }
    let x = n + 1.0;
    let square = 1.0 / (x * x);
    let tail = (1.0 / 12.0 - square * (1.0 / 360.0 - square / 1260.0)) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + tail
}

/// Probability that a standard normal value is above `z`, to seven digits (Abramowitz and Stegun's way of erfc by a
/// fitted exponential).
pub fn normal_above(z: f64) -> f64 {
    const FIT: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * x);
    let series = FIT.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
    let above = 0.5 * t * (series - x * x).exp();
    if z >= 0.0 { above } else { 1.0 - above }
}

#[cfg(test)]
mod tests;
