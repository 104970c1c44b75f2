//! Thompson sampling: each arm gets traffic in proportion to the probability that it is the best one.
//!
//! The shares follow from what was seen, so the rates of the arms must not be read off as if they had been drawn
//! at fixed shares: decide by the report, whose tests keep their level while shares move.

use crate::chance::{Uniform, beta};
use crate::experiment::totals::ARMS_MAX;

/// How often the arms are drawn against each other for one allocation.
pub const ALLOCATION_ROUNDS: u32 = 2000;

/// What an arm has shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BanditArm {
    /// Good outcomes; scores in [0, 1] may be added up instead of counted.
    pub successes: f64,
    /// Bad ones; of a score what it lacks to 1.
    pub failures: f64,
    /// Whether it may get traffic at all: its rules hold.
    pub is_passing: bool,
}

/// Shares for the arms, in their order, with the sum 1. An arm that passes gets at least `floor`, exactly so where
/// it looks bad, and at most `cap` while another one can take the rest; one that does not pass gets 0. With more
/// arms than the floor allows all get the same. When none passes all shares are 0: stable has to answer.
pub fn thompson(arms: &[BanditArm], floor: f64, cap: f64, draw: &mut Uniform<'_>) -> Vec<f64> {
    let passing: Vec<_> = (0..arms.len().min(ARMS_MAX)).filter(|at| arms[*at].is_passing).collect();
    let mut shares = vec![0.0; arms.len()];
    let n = passing.len() as f64;
    if passing.len() < 2 {
        passing.iter().for_each(|at| shares[*at] = 1.0);
        return shares;
    }
    let floor = floor.max(0.0).min(1.0 / n);
    // A cap below an even division cannot be kept.
    let cap = cap.min(1.0).max(1.0 / n);
    let chances = chances_to_be_best(arms, &passing, draw);
    for (at, chance) in passing.iter().zip(chances) {
        shares[*at] = floor + (1.0 - n * floor) * chance;
    }
    keep_cap(&mut shares, &passing, cap);
    shares
}

/// Brings shares down to the cap, and gives what is over to the others evenly. Each round brings one more to the cap or
/// is the last; since the cap allows for an even division, everything finds its place.
fn keep_cap(shares: &mut [f64], positions: &[usize], cap: f64) {
    for _ in positions {
        let excess: f64 = positions.iter().map(|at| (shares[*at] - cap).max(0.0)).sum();
        let n_below = positions.iter().filter(|at| shares[**at] < cap).count();
        if excess <= 0.0 || n_below == 0 {
            return;
        }
        for at in positions {
            shares[*at] = if shares[*at] < cap { shares[*at] + excess / n_below as f64 } else { cap };
        }
    }
}

/// For each of the arms at these positions the part of the rounds that it wins. One that has shown nothing may
/// be anything.
fn chances_to_be_best(arms: &[BanditArm], positions: &[usize], draw: &mut Uniform<'_>) -> Vec<f64> {
    let mut wins = vec![0_u32; positions.len()];
    for _ in 0..ALLOCATION_ROUNDS {
        let mut best = (0, f64::NEG_INFINITY);
        for (i, at) in positions.iter().enumerate() {
            let (good, bad) = (arms[*at].successes.max(0.0), arms[*at].failures.max(0.0));
            let value = beta(1.0 + good, 1.0 + bad, draw);
            if value > best.1 {
                best = (i, value);
            }
        }
        wins[best.0] += 1;
    }
    wins.into_iter().map(|n| f64::from(n) / f64::from(ALLOCATION_ROUNDS)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chance::Draws;

    fn arm(successes: f64, failures: f64) -> BanditArm {
        BanditArm { successes, failures, is_passing: true }
    }

    fn shares(arms: &[BanditArm], floor: f64, cap: f64) -> Vec<f64> {
        let mut draws = Draws::seeded(9);
        thompson(arms, floor, cap, &mut || draws.unit())
    }

    #[test]
    fn the_arm_that_is_better_for_sure_gets_all_but_the_floors() {
        let shares = shares(&[arm(900.0, 100.0), arm(500.0, 500.0), arm(100.0, 900.0)], 0.05, 0.95);
        assert_eq!(shares[1..], [0.05, 0.05]);
        assert!((shares[0] - 0.9).abs() < 1e-12, "{shares:?}");
    }

    #[test]
    fn arms_that_have_shown_nothing_share_about_evenly() {
        let shares = shares(&[arm(0.0, 0.0), arm(0.0, 0.0)], 0.05, 0.95);
        assert!((shares[0] - 0.5).abs() < 0.05, "{shares:?}");
    }

    #[test]
    fn only_arms_that_pass_get_traffic() {
        let failing = BanditArm { is_passing: false, ..arm(1000.0, 0.0) };
        let some = shares(&[arm(10.0, 90.0), failing, arm(12.0, 88.0)], 0.1, 0.9);
        assert_eq!(some[1], 0.0);
        assert!((some[0] + some[2] - 1.0).abs() < 1e-12);
        assert_eq!(shares(&[failing, arm(1.0, 9.0)], 0.05, 0.95), [0.0, 1.0]);
        assert_eq!(shares(&[failing, failing], 0.05, 0.95), [0.0, 0.0]);
        assert!(shares(&[], 0.05, 0.95).is_empty());
    }

    #[test]
    fn better_arms_get_more_and_the_best_one_no_more_than_the_cap() {
        let some = shares(&[arm(60.0, 40.0), arm(50.0, 50.0)], 0.05, 0.95);
        assert!(some[0] > 0.75 && some[0] < 0.95, "{some:?}");
        assert_eq!(shares(&[arm(900.0, 1.0), arm(1.0, 900.0)], 0.0, 0.8)[0], 0.8);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn shares_sum_up_and_keep_floor_and_cap(
            arms in prop::collection::vec((0.0..500.0_f64, 0.0..500.0_f64, prop::bool::weighted(0.8)), 0..8),
            floor in 0.0..0.3_f64,
            cap in 0.3..1.0_f64,
            seed in any::<u64>(),
        ) {
            let arms: Vec<_> = arms
                .into_iter()
                .map(|(successes, failures, is_passing)| BanditArm { successes, failures, is_passing })
                .collect();
            let mut draws = Draws::seeded(seed);
            let shares = thompson(&arms, floor, cap, &mut || draws.unit());
            let n = arms.iter().filter(|arm| arm.is_passing).count();
            let sum: f64 = shares.iter().sum();
            let whole = if n == 0 { 0.0 } else { 1.0 };
            prop_assert!((sum - whole).abs() < 1e-9, "{shares:?}");
            let least = floor.min(1.0 / n.max(1) as f64);
            for (arm, share) in arms.iter().zip(&shares) {
                let is_kept = if arm.is_passing { *share >= least } else { *share == 0.0 };
                prop_assert!(is_kept, "{shares:?}");
                prop_assert!(n < 2 || *share <= cap.max(1.0 / n as f64) + 1e-9, "{shares:?}");
            }
        }
    }
}
