//! Arithmetic on natural logs, so that products over millions of requests neither overflow nor vanish.

/// `ln(1 + e^x)`.
pub(crate) fn log_one_plus_exp(x: f64) -> f64 {
    if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() }
}

/// `ln(e^x - 1)` for `x >= 0`; negative infinity at 0.
pub(crate) fn log_exp_minus_one(x: f64) -> f64 {
    if x > std::f64::consts::LN_2 { x + (-(-x).exp()).ln_1p() } else { x.exp_m1().ln() }
}

/// `ln(e^a + e^b)`; either may be negative infinity.
pub(crate) fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}

/// Log of the mean of `e^x`; negative infinity for no terms or when every term is.
pub(crate) fn log_mean_exp(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let high = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if high == f64::NEG_INFINITY {
        return high;
    }
    let (sum, n) = terms.fold((0.0, 0.0), |(sum, n), x| (sum + (x - high).exp(), n + 1.0));
    high + (sum / n).ln()
}

/// `ln B(a, b)` of the beta function, for positive arguments.
pub(crate) fn log_beta(a: f64, b: f64) -> f64 {
    log_gamma(a) + log_gamma(b) - log_gamma(a + b)
}

/// `ln Γ(x)` for `x > 0`: Stirling's series, after the recurrence has made the argument large enough for it.
pub(crate) fn log_gamma(x: f64) -> f64 {
    const SERIES_FROM: f64 = 12.0;
    let mut shifted = x;
    let mut product = 1.0;
    while shifted < SERIES_FROM {
        product *= shifted;
        shifted += 1.0;
    }
    let inverse = 1.0 / shifted;
    let square = inverse * inverse;
    // Bernoulli terms 1/12, -1/360, 1/1260, -1/1680, 1/1188, -691/360360: the next is below 1e-15 from 12 on.
    let tail = 1.0 / 1188.0 - square * (691.0 / 360_360.0);
    let series =
        1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square * tail)));
    let half_log_two_pi = 0.5 * (2.0 * std::f64::consts::PI).ln();
    (shifted - 0.5) * shifted.ln() - shifted + half_log_two_pi + inverse * series - product.ln()
}

#[cfg(test)]
mod tests;
