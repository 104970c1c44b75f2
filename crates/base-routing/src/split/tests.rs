#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use proptest::prelude::*;

use super::*;

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn split(weights: &[f64]) -> Split {
    let arms = weights.iter().enumerate().map(|(i, w)| (format!("arm{i}").into(), version(i as u64 + 1), *w));
    Split::new(arms).unwrap()
}

fn keys(n: u64) -> impl Iterator<Item = u64> {
    let model = ModelName::new("fraud").unwrap();
    (0..n).map(move |i| key_hash(&model, format!("account-{i}").as_bytes()))
}

#[test]
fn shares_follow_weights() {
    let split = split(&[75.0, 20.0, 5.0]);
    let n = 200_000;
    let mut counts = [0u64; 3];
    keys(n).for_each(|k| counts[split.pick(k).version.get() as usize - 1] += 1);
    for (count, share) in counts.iter().zip([0.75, 0.2, 0.05]) {
        let sigma = (n as f64 * share * (1.0 - share)).sqrt();
        assert!((*count as f64 - n as f64 * share).abs() < 4.5 * sigma, "{counts:?}");
    }
}

#[test]
fn models_are_independent() {
    let split = split(&[50.0, 50.0]);
    let (a, b) = (ModelName::new("a").unwrap(), ModelName::new("b").unwrap());
    let falls = |m: &ModelName, i: u32| split.pick(key_hash(m, &i.to_le_bytes())).version.get() == 1;
    let both = (0..100_000).filter(|i| falls(&a, *i) && falls(&b, *i)).count();
    assert!((both as f64 - 25_000.0).abs() < 4.5 * (100_000.0f64 * 0.25 * 0.75).sqrt(), "{both}");
}

#[test]
fn weights_that_make_no_split_are_refused() {
    let make = |weights: &[(&str, f64)]| Split::new(weights.iter().map(|(n, w)| ((*n).into(), version(1), *w)));
    assert!(matches!(make(&[]), Err(SplitError::NoWeight)));
    assert!(matches!(make(&[("a", 0.0)]), Err(SplitError::NoWeight)));
    assert!(matches!(make(&[("a", f64::MAX), ("b", f64::MAX)]), Err(SplitError::NoWeight)));
    assert!(matches!(make(&[("a", -1.0)]), Err(SplitError::Weight { .. })));
    assert!(matches!(make(&[("a", f64::NAN)]), Err(SplitError::Weight { .. })));
    assert!(matches!(make(&[("a", 1.0), ("a", 2.0)]), Err(SplitError::Duplicate(_))));
}

#[test]
fn an_arm_of_weight_zero_takes_nothing() {
    let split = split(&[1.0, 0.0]);
    assert!(keys(10_000).all(|k| split.pick(k).version.get() == 1));
}

#[test]
fn a_redirected_arm_keeps_its_keys_and_moves_nobody() {
    let before = split(&[60.0, 30.0, 10.0]);
    let mut after = before.clone();
    after.redirect(|v| v == version(3));
    for key in keys(20_000) {
        assert_eq!(before.pick(key).version, after.pick(key).version);
    }
    assert!((after.share(version(1), version(1)) - 0.7).abs() < 1e-12);
    assert_eq!(after.share(version(3), version(1)), 0.0);
    assert!((before.pair_share(version(3), version(1)) - 10.0 / 70.0).abs() < 1e-12);
}

proptest! {
    #[test]
    fn raising_a_weight_moves_keys_only_toward_that_arm(
        weights in proptest::collection::vec(0.01f64..100.0, 2..6),
        raised in any::<proptest::sample::Index>(),
        factor in 1.0f64..50.0,
        seed in any::<u64>(),
    ) {
        let raised = raised.index(weights.len());
        let mut grown = weights.clone();
        grown[raised] *= factor;
        let (before, after) = (split(&weights), split(&grown));
        for i in 0..2_000 {
            let key = mix(seed.wrapping_add(i));
            let (old, new) = (before.pick(key).version, after.pick(key).version);
            prop_assert!(old == new || new == version(raised as u64 + 1));
        }
    }

    #[test]
    fn two_arms_given_as_shares_are_monotone_too(share in 0.0f64..0.5, more in 0.0f64..0.5, seed in any::<u64>()) {
        let (before, after) = (split(&[1.0 - share, share]), split(&[1.0 - share - more, share + more]));
        for i in 0..2_000 {
            let key = mix(seed.wrapping_add(i));
            let (old, new) = (before.pick(key).version, after.pick(key).version);
            prop_assert!(old == new || new == version(2));
        }
    }
}
