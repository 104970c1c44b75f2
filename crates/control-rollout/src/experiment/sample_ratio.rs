//! T8 with one bin and several arms: does each arm get the share of the units that it is meant to get?
//!
//! A Dirichlet mixture around the intended shares against the shares themselves. It starts anew at each change of
//! shares, and the values of the closed stretches multiply.

use crate::logs::log_gamma;

/// How close to the intended shares the alternatives lie: as if so many units had been seen before.
const KAPPA: f64 = 100.0;

/// `ln E` against "each arm gets its share": `shares` above 0 with the sum 1, and one count for each. An arm with the
/// share 0 is left out. 0 for lists that do not belong together.
pub fn sample_ratio_log_e(shares: &[f64], counts: &[u64]) -> f64 {
    if shares.len() != counts.len() {
        return 0.0;
    }
    let arms = || shares.iter().zip(counts).filter(|(share, _)| **share > 0.0);
    let (n, prior) = arms().fold((0.0, 0.0), |(n, prior), (share, count)| (n + *count as f64, prior + KAPPA * share));
    if n == 0.0 {
        return 0.0;
    }
    let of_arms = arms().map(|(share, count)| {
        let (prior, count) = (KAPPA * share, *count as f64);
        log_gamma(prior + count) - log_gamma(prior) - count * share.ln()
    });
    log_gamma(prior) - log_gamma(prior + n) + of_arms.sum::<f64>()
}

/// Whether the arms get the units they are meant to get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatioCheck {
    /// `ln E` against it.
    pub log_e: f64,
    /// `ln(1/alpha)`: broken when `log_e` reaches it.
    pub threshold: f64,
    /// Whether it is reached.
    pub is_broken: bool,
}

/// The units counted under the shares in force, and what earlier shares have shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct SampleRatioTest {
    /// `ln E` of the closed stretches.
    pub(crate) closed: f64,
    /// The shares in force.
    pub(crate) shares: Vec<f64>,
    /// What came under them.
    pub(crate) counts: Vec<u64>,
}

impl SampleRatioTest {
    /// Takes units that came under these shares.
    pub(crate) fn take(&mut self, shares: &[f64], counts: &[u64]) {
        if self.shares != shares {
            self.closed = self.log_e();
            self.shares = shares.to_vec();
            self.counts = vec![0; shares.len()];
        }
        for (sum, n) in self.counts.iter_mut().zip(counts) {
            *sum = sum.saturating_add(*n);
        }
    }

    fn log_e(&self) -> f64 {
        self.closed + sample_ratio_log_e(&self.shares, &self.counts)
    }

    /// Reads it off.
    pub(crate) fn check(&self, alpha: f64) -> SampleRatioCheck {
        let (log_e, threshold) = (self.log_e(), -alpha.ln());
        SampleRatioCheck { log_e, threshold, is_broken: log_e >= threshold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Draws;
    use crate::logs::log_beta;

    #[test]
    fn two_arms_have_the_value_of_the_one_bin_test() {
        let (w, c, b) = (0.1, 250_u64, 1900_u64);
        let (a, other) = (KAPPA * w, KAPPA * (1.0 - w));
        let (c_f, b_f) = (c as f64, b as f64);
        let want = log_beta(a + c_f, other + b_f) - log_beta(a, other) - c_f * w.ln() - b_f * (1.0 - w).ln();
        assert!((sample_ratio_log_e(&[w, 1.0 - w], &[c, b]) - want).abs() < 1e-9);
    }

    #[test]
    fn vectors_of_several_arms() {
        let check = |shares: &[f64], counts: &[u64], want: f64| {
            let got = sample_ratio_log_e(shares, counts);
            assert!((got - want).abs() <= 1e-8, "{shares:?} {counts:?}: got {got}, want {want}");
        };
        check(&[0.5, 0.3, 0.2], &[520, 280, 200], -1.413_556_979_181);
        check(&[0.6, 0.4], &[6500, 3500], 50.100_718_849_688);
        check(&[0.25; 4], &[10, 0, 0, 0], 1.170_950_963_715);
    }

    #[test]
    fn a_wrong_ratio_is_found_and_a_right_one_is_not() {
        assert!(sample_ratio_log_e(&[0.5, 0.3, 0.2], &[6000, 2000, 2000]) > 100.0);
        assert!(sample_ratio_log_e(&[0.5, 0.3, 0.2], &[5000, 3000, 2000]) < 0.0);
        assert_eq!(sample_ratio_log_e(&[0.5, 0.5], &[0, 0]), 0.0);
        assert_eq!(sample_ratio_log_e(&[0.5, 0.5], &[7]), 0.0);
    }

    #[test]
    fn an_arm_without_a_share_is_left_out() {
        let (with, without) =
            (sample_ratio_log_e(&[0.5, 0.0, 0.5], &[9, 4, 3]), sample_ratio_log_e(&[0.5, 0.5], &[9, 3]));
        assert_eq!(with, without);
    }

    #[test]
    fn three_arms_as_intended_are_called_broken_no_more_often_than_alpha() {
        let mut draws = Draws::seeded(23);
        let (n_runs, alpha) = (1500_u32, 0.05);
        let is_broken = |draws: &mut Draws| {
            let mut test = SampleRatioTest::default();
            (0..400).any(|i| {
                // The shares change half way.
                let shares = if i < 200 { [0.6, 0.3, 0.1] } else { [0.2, 0.3, 0.5] };
                let u = draws.unit();
                let arm = usize::from(u >= shares[0]) + usize::from(u >= shares[0] + shares[1]);
                let mut counts = [0; 3];
                counts[arm] = 1;
                test.take(&shares, &counts);
                test.check(alpha).is_broken
            })
        };
        let n_broken = (0..n_runs).filter(|_| is_broken(&mut draws)).count();
        let rate = n_broken as f64 / f64::from(n_runs);
        assert!(rate <= alpha + 3.0 * (alpha * (1.0 - alpha) / f64::from(n_runs)).sqrt(), "{rate}");
    }
}
