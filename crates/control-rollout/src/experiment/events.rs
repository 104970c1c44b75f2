//! T2 in both directions: does an event (a fault, a slow answer, a mistake) strike one arm more often than stable, or
//! less often?
//!
//! Given that an event fell on one of the two arms, it fell on this arm with a probability that depends on the share
//! of the traffic it had and on the ratio of the two probabilities; stable's own probability cancels, and with it
//! everything that strikes both arms alike. The share in force for each event is used, so the level is kept while
//! shares move, also when a bandit moves them by what it has seen.

use crate::logs::log_mean_exp;

/// Ratios that the test looks for, upward; downward their inverses. Finer than a guardrail's: an experiment is about
/// small differences. One of half a percent or less is not looked for.
pub(crate) const RATIOS: [f64; 12] = [1.01, 1.02, 1.05, 1.1, 1.2, 1.4, 1.7, 2.0, 3.0, 5.0, 10.0, 50.0];

/// The events of one arm and of stable, as log products of likelihood ratios. Counts add up in any portions.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct EventTest {
    more_often: [f64; RATIOS.len()],
    less_often: [f64; RATIOS.len()],
}

impl EventTest {
    /// Takes events that fell while the arm had `share` of the requests of both. A share that leaves one arm
    /// without requests compares nothing.
    pub(crate) fn take(&mut self, share: f64, of_arm: u64, of_stable: u64) {
        if !(share > 0.0 && share < 1.0) || (of_arm == 0 && of_stable == 0) {
            return;
        }
        for (k, ratio) in RATIOS.into_iter().enumerate() {
            self.more_often[k] += log_product(share, ratio, of_arm, of_stable);
            self.less_often[k] += log_product(share, 1.0 / ratio, of_arm, of_stable);
        }
    }

    /// The log products, upward and then downward.
    pub(crate) fn log_products(&self) -> impl Iterator<Item = f64> {
        self.more_often.into_iter().chain(self.less_often)
    }

    /// Continues from [`Self::log_products`]; what is missing counts as nothing seen.
    pub(crate) fn from_log_products(log_products: &[f64]) -> Self {
        let mut test = Self::default();
        let places = test.more_often.iter_mut().chain(&mut test.less_often);
        places.zip(log_products).for_each(|(place, log_product)| *place = *log_product);
        test
    }

    /// `ln E` against "at most as often as stable".
    pub(crate) fn log_e_more_often(&self) -> f64 {
        log_mean_exp(self.more_often.into_iter())
    }

    /// `ln E` against "at least as often as stable".
    pub(crate) fn log_e_less_often(&self) -> f64 {
        log_mean_exp(self.less_often.into_iter())
    }
}

/// With `theta = w*x / (w*x + 1 - w)`: an event of the arm has the factor `theta / w`, one of stable
/// `(1 - theta) / (1 - w)`; written without differences.
fn log_product(share: f64, ratio: f64, of_arm: u64, of_stable: u64) -> f64 {
    let log_stable = -(share * ratio + 1.0 - share).ln();
    of_arm as f64 * (ratio.ln() + log_stable) + of_stable as f64 * log_stable
}

/// Mean log factor of one event when the arm's events come `ratio` times as often: how fast evidence grows.
pub(crate) fn growth_per_event(share: f64, ratio: f64) -> f64 {
    let of_arm = share * ratio / (share * ratio + 1.0 - share);
    let with = |p: f64, q: f64| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    with(of_arm, share) + with(1.0 - of_arm, 1.0 - share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Draws;

    fn assert_close(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-9 * want.abs().max(1.0), "got {got}, want {want}");
    }

    #[test]
    fn one_event_has_the_likelihood_ratio_of_its_share() {
        let mut test = EventTest::default();
        test.take(0.1, 1, 0);
        let mean: f64 = RATIOS.iter().map(|x| x / (0.1 * x + 0.9)).sum::<f64>() / RATIOS.len() as f64;
        assert_close(test.log_e_more_often(), mean.ln());
    }

    #[test]
    fn vectors_of_both_directions() {
        let vectors = [
            (0.1, 5, 3, 4.521_778_306_740, -1.047_735_292_288),
            (0.5, 40, 20, 2.006_599_477_693, -1.445_630_903_766),
            (0.3, 2, 60, -1.679_587_536_638, 12.945_327_980_533),
            (0.5, 0, 12, -1.205_146_225_687, 6.068_783_920_058),
        ];
        for (share, of_arm, of_stable, more, less) in vectors {
            let mut test = EventTest::default();
            test.take(share, of_arm, of_stable);
            assert_close(test.log_e_more_often(), more);
            assert_close(test.log_e_less_often(), less);
        }
    }

    #[test]
    fn portions_add_up() {
        let (mut whole, mut parts) = (EventTest::default(), EventTest::default());
        whole.take(0.3, 17, 40);
        for _ in 0..17 {
            parts.take(0.3, 1, 2);
        }
        parts.take(0.3, 0, 6);
        assert_close(whole.log_e_more_often(), parts.log_e_more_often());
        assert_close(whole.log_e_less_often(), parts.log_e_less_often());
    }

    #[test]
    fn the_two_directions_mirror_each_other_at_equal_shares() {
        let (mut one, mut other) = (EventTest::default(), EventTest::default());
        one.take(0.5, 30, 10);
        other.take(0.5, 10, 30);
        assert_close(one.log_e_more_often(), other.log_e_less_often());
        assert!(one.log_e_more_often() > 0.0 && one.log_e_less_often() < 0.0);
    }

    #[test]
    fn no_event_and_no_comparison_say_nothing() {
        let mut test = EventTest::default();
        test.take(0.5, 0, 0);
        test.take(1.0, 100, 0);
        test.take(0.0, 0, 100);
        test.take(f64::NAN, 5, 5);
        assert_eq!((test.log_e_more_often(), test.log_e_less_often()), (0.0, 0.0));
    }

    #[test]
    fn shares_that_move_with_what_was_seen_keep_the_level() {
        let mut draws = Draws::seeded(3);
        let (alpha, n_runs) = (0.05, 600);
        let mut n_alarms = 0;
        for _ in 0..n_runs {
            let (mut test, mut share, mut is_alarm) = (EventTest::default(), 0.5, false);
            for _ in 0..150 {
                let is_of_arm = draws.unit() < share;
                test.take(share, u64::from(is_of_arm), u64::from(!is_of_arm));
                is_alarm |= test.log_e_more_often().max(test.log_e_less_often()) >= (2.0_f64 / alpha).ln();
                // As unkind as can be: traffic runs away from whoever had the event.
                share = if is_of_arm { 0.1 } else { 0.9 };
            }
            n_alarms += u32::from(is_alarm);
        }
        let rate = f64::from(n_alarms) / f64::from(n_runs);
        assert!(rate <= alpha + 3.0 * (alpha * (1.0 - alpha) / f64::from(n_runs)).sqrt(), "{rate}");
    }

    #[test]
    fn growth_is_zero_for_equals_and_grows_with_the_difference() {
        assert_close(growth_per_event(0.3, 1.0), 0.0);
        assert!(growth_per_event(0.3, 1.2) < growth_per_event(0.3, 2.0));
        assert!(growth_per_event(0.3, 0.5) > 0.0 && growth_per_event(0.3, 0.0) > 0.0);
    }
}
