#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::borrow::Cow;

use base_types::{ModelName, Reason, Version};
use proptest::prelude::*;

use super::*;
use crate::{Assignment, Condition, Facts, ModelRoute, Rule, Source, SplitId, Target, Test, assign};

const STABLE: u64 = 7;

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn split(weights: &[(u64, f64)]) -> Split {
    Split::new(weights.iter().map(|(n, weight)| (n.to_string().into(), version(*n), *weight))).unwrap()
}

fn experiment(name: &str, layer: &str, (from, to): (f64, f64)) -> Experiment {
    let split = split(&[(STABLE, 50.0), (8, 50.0)]);
    Experiment { name: name.into(), layer: layer.into(), from, to, holdout: 0.0, split }
}

fn keys(n: u32) -> impl Iterator<Item = String> {
    (0..n).map(|i| format!("account-{i}"))
}

fn is_inside(experiment: &Experiment, key: &str) -> bool {
    experiment.membership(key.as_bytes()) == Membership::Inside
}

/// Whether `count` of `n` is what a share would give by chance, at 4.5 standard deviations.
fn is_near(count: usize, n: f64, share: f64) -> bool {
    (count as f64 - n * share).abs() < 4.5 * (n * share * (1.0 - share)).sqrt()
}

/// A request with a sticky key, or none.
struct Caller<'a>(Option<&'a str>);

impl Facts for Caller<'_> {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        self.0.map(Cow::Borrowed)
    }
}

fn route(experiments: Vec<Experiment>) -> ModelRoute {
    let stable = ModelRoute::to_one(ModelName::new("fraud").unwrap(), version(STABLE));
    ModelRoute { experiments, sticky: vec![Source::Header("account".into())], ..stable }
}

fn decide(route: &ModelRoute, key: Option<&str>, draw: u64) -> Assignment {
    assign(route, None, &Caller(key), draw).unwrap()
}

#[test]
fn an_experiment_takes_its_share_of_the_units_and_splits_it_by_weight() {
    let route = route(vec![experiment("e", "l", (0.2, 0.5))]);
    let all: Vec<_> = keys(40_000).map(|key| decide(&route, Some(&key), 0)).collect();
    let inside: Vec<_> = all.iter().filter(|a| a.split == Some(SplitId::Experiment(0))).collect();
    assert!(is_near(inside.len(), 40_000.0, 0.3), "{}", inside.len());
    let on_8 = inside.iter().filter(|a| a.version == version(8)).count();
    assert!(is_near(on_8, inside.len() as f64, 0.5), "{on_8}");
    assert!(inside.iter().all(|a| a.reason == Reason::Sticky && !a.is_held_out && a.key.is_some()));
    assert!(all.iter().filter(|a| a.version == version(8)).all(|a| a.split == Some(SplitId::Experiment(0))));
    assert!(inside.iter().all(|a| a.arm == Some(usize::from(a.version == version(8)))));
}

#[test]
fn who_is_held_out_gets_stable_and_can_be_told_apart() {
    let whole = Experiment { holdout: 0.25, ..experiment("e", "l", (0.0, 1.0)) };
    assert!((whole.share() - 0.75).abs() < 1e-12);
    let route = route(vec![whole]);
    let held: Vec<_> = keys(20_000).map(|key| decide(&route, Some(&key), 0)).filter(|a| a.is_held_out).collect();
    assert!(is_near(held.len(), 20_000.0, 0.25), "{}", held.len());
    for assignment in held {
        assert_eq!((assignment.version, assignment.arm), (version(STABLE), None));
        assert_eq!((assignment.split, assignment.drawn), (Some(SplitId::Experiment(0)), version(STABLE)));
    }
}

#[test]
fn who_is_held_out_of_one_experiment_is_not_held_out_of_all() {
    let held = |name: &str| Experiment { holdout: 0.5, ..experiment(name, "l", (0.0, 1.0)) };
    let (a, b) = (held("a"), held("b"));
    let both = keys(20_000).filter(|key| !is_inside(&a, key) && !is_inside(&b, key)).count();
    assert!(is_near(both, 20_000.0, 0.25), "{both}");
}

#[test]
fn a_request_without_a_key_is_in_no_experiment() {
    let mut route = route(vec![experiment("e", "l", (0.0, 1.0))]);
    for draw in 0..200 {
        let assignment = decide(&route, None, draw << 56);
        assert_eq!((assignment.version, assignment.split), (version(STABLE), Some(SplitId::Default)));
    }
    route.sticky.clear();
    assert!(keys(100).all(|key| decide(&route, Some(&key), 0).split == Some(SplitId::Default)));
}

#[test]
fn rules_come_before_experiments_and_the_first_experiment_before_the_next() {
    let mut route = route(vec![experiment("a", "one", (0.0, 0.5)), experiment("b", "two", (0.0, 1.0))]);
    let ids: Vec<_> = keys(2_000).map(|key| decide(&route, Some(&key), 0).split.unwrap()).collect();
    assert!(is_near(ids.iter().filter(|id| **id == SplitId::Experiment(0)).count(), 2_000.0, 0.5));
    assert!(!ids.contains(&SplitId::Default));
    let when = vec![Condition { source: Source::Header("account".into()), test: Test::Present }];
    route.rules = vec![Rule { name: "all".into(), when, then: Target::Version(version(9)) }];
    assert!(keys(100).all(|key| decide(&route, Some(&key), 0).reason == Reason::Rule));
}

#[test]
fn an_arm_that_may_not_answer_keeps_its_units_and_is_answered_by_stable() {
    let before = route(vec![experiment("e", "l", (0.0, 0.5))]);
    assert_eq!(before.candidates(), [version(8)].into());
    let mut after = before.clone();
    after.experiments[0].split.redirect(|v| v == version(8));
    assert!(after.candidates().is_empty());
    for key in keys(2_000) {
        let (old, new) = (decide(&before, Some(&key), 0), decide(&after, Some(&key), 0));
        assert_eq!((old.split, old.arm, old.drawn), (new.split, new.arm, new.drawn));
        assert_eq!(new.version, version(STABLE));
        assert_eq!(new.reason == Reason::Redirect, old.version == version(8));
    }
}

#[test]
fn arms_are_drawn_anew_in_each_experiment() {
    let (a, b) = (experiment("a", "one", (0.0, 1.0)), experiment("b", "two", (0.0, 1.0)));
    let on_8 = |e: &Experiment, key: &str| e.split.pick(e.draw(key.as_bytes())).version == version(8);
    let both = keys(20_000).filter(|key| on_8(&a, key) && on_8(&b, key)).count();
    assert!(is_near(both, 20_000.0, 0.25), "{both}");
}

#[test]
fn places_do_not_move_between_builds() {
    let e = experiment("checkout", "fraud", (0.0, 0.5));
    assert_eq!((e.draw(b"account-1"), hash(LAYER_SEED, "fraud", b"account-1")), PINNED);
}

/// Units that moved after an upgrade would spoil every experiment under way.
const PINNED: (u64, u64) = (5_110_549_402_046_167_214, 5_330_131_212_864_751_533);

proptest! {
    #[test]
    fn experiments_of_one_layer_never_share_a_unit(
        cuts in proptest::collection::vec(0.0f64..1.0, 1..6),
        layer in "[a-z]{1,8}",
        seed in any::<u32>(),
    ) {
        let mut cuts = cuts;
        cuts.sort_by(f64::total_cmp);
        let ends = cuts.iter().copied().chain([1.0]);
        let starts = [0.0].into_iter().chain(cuts.iter().copied());
        let all: Vec<_> =
            starts.zip(ends).enumerate().map(|(i, range)| experiment(&format!("e{i}"), &layer, range)).collect();
        for i in 0..500 {
            let key = format!("{seed}-{i}");
            // The ranges fill the layer, so that each unit is in exactly one.
            prop_assert_eq!(all.iter().filter(|e| is_inside(e, &key)).count(), 1);
        }
    }

    #[test]
    fn a_wider_range_and_a_smaller_holdout_only_add_units(
        from in 0.0f64..0.5,
        width in 0.0f64..0.25,
        more in 0.0f64..0.25,
        holdout in 0.0f64..0.9,
        less in 0.0f64..1.0,
    ) {
        let before = Experiment { holdout, ..experiment("e", "l", (from, from + width)) };
        let after = Experiment { holdout: holdout * less, ..experiment("e", "l", (from, from + width + more)) };
        for key in keys(500) {
            prop_assert!(!is_inside(&before, &key) || is_inside(&after, &key));
            let is_in = |e: &Experiment| e.membership(key.as_bytes()) != Membership::Outside;
            prop_assert!(!is_in(&before) || is_in(&after));
        }
    }

    #[test]
    fn layers_are_independent_of_each_other(one in "[a-m]{1,8}", two in "[n-z]{1,8}") {
        let (a, b) = (experiment("a", &one, (0.0, 0.5)), experiment("b", &two, (0.0, 0.5)));
        let both = keys(4_000).filter(|key| is_inside(&a, key) && is_inside(&b, key)).count();
        // Six standard deviations, because many pairs are tried.
        prop_assert!((both as f64 - 1_000.0).abs() < 6.0 * (4_000.0f64 * 0.25 * 0.75).sqrt(), "{}", both);
    }

    #[test]
    fn the_same_key_gets_the_same_arm_whatever_is_drawn(key in "[ -~]{1,40}", draws in proptest::collection::vec(any::<u64>(), 1..8)) {
        let held = Experiment { holdout: 0.3, ..experiment("e", "l", (0.1, 0.9)) };
        let route = route(vec![held, experiment("f", "m", (0.0, 0.5))]);
        let first = decide(&route, Some(&key), 0);
        for draw in draws {
            prop_assert_eq!(&decide(&route, Some(&key), draw), &first);
        }
    }

    #[test]
    fn adding_an_experiment_behind_others_moves_none_of_theirs(key in "[ -~]{1,40}") {
        let first = experiment("a", "one", (0.0, 0.5));
        let before = decide(&route(vec![first.clone()]), Some(&key), 0);
        let after = decide(&route(vec![first, experiment("b", "two", (0.0, 1.0))]), Some(&key), 0);
        prop_assert!(before.split != Some(SplitId::Experiment(0)) || before == after);
    }
}
