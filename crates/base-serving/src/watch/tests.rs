#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use base_routing::{Assignment, Experiment, ModelRoute, Split, SplitId, assign};
use base_types::{Comparison, DataType, FaultKind, ModelName, Outcome, OutcomeClass, Reason, Version};

use super::*;
use crate::prediction::{Prediction, PredictionKey, experiment_tag};

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn split(arms: &[(&str, u64, f64)]) -> Split {
    Split::new(arms.iter().map(|(name, n, weight)| (Arc::from(*name), version(*n), *weight))).unwrap()
}

/// Stable 1 has 90 %, candidate 2 has 10 %, and half of all keys are in an A/A/B test that holds a fifth out.
fn route() -> ModelRoute {
    let mut route = ModelRoute::to_one(ModelName::new("m").unwrap(), version(1));
    route.split = split(&[("1", 1, 90.0), ("2", 2, 10.0)]);
    route.sticky = vec![base_routing::Source::Header("x-user".into())];
    route.experiments.push(Experiment {
        name: "price".into(),
        layer: "m".into(),
        from: 0.0,
        to: 0.5,
        holdout: 0.2,
        split: split(&[("a", 1, 1.0), ("a2", 1, 1.0), ("b", 3, 2.0)]),
    });
    route
}

fn plan() -> WatchPlan {
    let ms = Duration::from_millis;
    WatchPlan { latency_bounds: vec![ms(10), ms(100)], ..WatchPlan::of(&route()) }
}

fn drawn(n: u64, reason: Reason) -> Assignment {
    let pinned = Assignment::pinned(version(n));
    Assignment { reason, split: Some(SplitId::Default), ..pinned }
}

fn outcome(class: OutcomeClass, reason: Reason, took: Duration) -> Outcome {
    let fault = (class == OutcomeClass::VersionFault).then_some(FaultKind::Run);
    let is_late = class != OutcomeClass::Ok;
    let run = if is_late { Duration::ZERO } else { took };
    Outcome { class, fault, reason, queue: Duration::ZERO, run, total: took }
}

#[test]
fn arms_are_found_in_the_table_with_their_shares() {
    let plan = WatchPlan::of(&route());
    let arms: Vec<_> = plan.arms.iter().map(|arm| (arm.split, arm.version.get(), arm.share)).collect();
    let of = SplitId::Experiment(0);
    let expected = [
        (SplitId::Default, 1, 0.9),
        (SplitId::Default, 2, 0.1),
        (of, 1, 0.25),
        (of, 1, 0.25),
        (of, 3, 0.5),
        (of, 1, 0.0),
    ];
    assert_eq!(arms, expected);
    let shares: Vec<f64> = plan.arms.iter().map(|arm| plan.pair_share(arm)).collect();
    assert_eq!(shares, [0.1, 0.1, 0.5, 0.5, 0.5, 0.5]);
}

#[test]
fn a_redirected_arm_is_stables_and_no_arm_of_its_experiment() {
    let mut route = route();
    route.split.redirect(|v| v == version(2));
    route.experiments[0].split.redirect(|v| v == version(3));
    let arms = WatchPlan::of(&route).arms;
    assert_eq!(arms.iter().filter(|arm| arm.split == SplitId::Default).count(), 1);
    assert!((arms[0].share - 1.0).abs() < 1e-12, "{}", arms[0].share);
    assert!(arms.iter().all(|arm| arm.version == version(1)));
}

#[test]
fn each_draw_falls_to_the_arm_it_was_made_for() {
    let (route, watch) = (route(), Watch::new(plan()));
    let mut seen = vec![0u32; watch.plan().arms.len()];
    for i in 0..4000u64 {
        let facts = [("x-user", format!("user-{i}"))];
        let assignment = assign(&route, None, &Headers(&facts), i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap();
        let arm = watch.arm(&assignment).unwrap();
        let plan = &watch.plan().arms[arm];
        assert_eq!((plan.version, Some(plan.split)), (assignment.version, assignment.split));
        if let Some(within) = &plan.experiment {
            assert_eq!(within.arm.is_none(), assignment.is_held_out);
            assert_eq!(watch.mark(arm).1.unwrap().tag, experiment_tag("price"));
            assert_eq!(watch.mark(arm).1.unwrap().arm.map(usize::from), assignment.arm);
        }
        seen[arm] += 1;
    }
    // 2,000 outside, of which 200 on the candidate; 400 held out; 1,600 in the arms.
    for (n, expected) in seen.iter().zip([1800u32, 200, 400, 400, 800, 400]) {
        assert!(n.abs_diff(expected) < expected / 4 + 20, "{seen:?}");
    }
}

struct Headers<'a>(&'a [(&'a str, String)]);

impl base_routing::Facts for Headers<'_> {
    fn value(&self, _: &base_routing::Source) -> Option<std::borrow::Cow<'_, str>> {
        self.0.first().map(|(_, value)| value.as_str().into())
    }
}

#[test]
fn only_what_is_drawn_at_random_has_an_arm() {
    let watch = Watch::new(plan());
    for reason in [Reason::Pin, Reason::Label, Reason::Rule, Reason::Fallback] {
        assert_eq!(watch.arm(&drawn(2, reason)), None, "{reason:?}");
    }
    assert_eq!(watch.arm(&drawn(2, Reason::Split)), Some(1));
    assert_eq!(watch.arm(&drawn(7, Reason::Split)), None, "of a version that is not watched");
    assert_eq!(watch.arm(&Assignment { split: None, ..drawn(2, Reason::Split) }), None);
}

#[test]
fn slow_answers_and_those_who_left_waiting_are_slow() {
    let (watch, ms) = (Watch::new(plan()), Duration::from_millis);
    let end = |class, took| watch.attempted((1, None), &outcome(class, Reason::Split, took), Rerun::None);
    (0..10).for_each(|_| watch.assigned(1, None));
    for took in [1, 10, 11, 100, 101] {
        end(OutcomeClass::Ok, ms(took));
    }
    end(OutcomeClass::Cancelled, ms(5));
    end(OutcomeClass::Cancelled, ms(50));
    end(OutcomeClass::CallerDeadline, ms(500));
    end(OutcomeClass::Overload, ms(500));
    watch.attempted((1, None), &outcome(OutcomeClass::VersionFault, Reason::Split, ms(500)), Rerun::Failed);
    let totals = watch.totals();
    let pairs = totals.pairs(version(2), version(1));
    let [pair] = pairs.as_slice() else { unreachable!("{pairs:?}") };
    assert!((pair.share - 0.1).abs() < 1e-12);
    let candidate = pair.candidate;
    assert_eq!((candidate.assigned, candidate.ok, candidate.faults, candidate.poisoned), (10, 5, 1, 1));
    // Over 10 ms: three answers, one who left after 50 ms, one whose time was over.
    assert_eq!((&*candidate.within, &*candidate.slow), (&[2, 4][..], &[5, 2][..]));
    assert_eq!(candidate.latencies.count(), 5);
    assert_eq!((pair.stable.ok, pair.stable.assigned), (0, 0));
}

#[test]
fn one_key_is_one_draw_over_all_watches_of_a_trial() {
    let (watch, ms) = (Watch::new(plan()), Duration::from_millis);
    let slow = outcome(OutcomeClass::Ok, Reason::Split, ms(50));
    let ask = |watch: &Watch, key| {
        watch.assigned(1, key);
        watch.attempted((1, key), &slow, Rerun::None);
        watch.binned((1, key), 3);
    };
    (0..10).for_each(|_| ask(&watch, Some(7)));
    (0..10).for_each(|_| ask(&watch, None));
    let later = Watch::after(&watch, plan());
    [Some(7), Some(8)].into_iter().for_each(|key| ask(&later, key));
    let read = |watch: &Watch| watch.totals().arms[1].clone();
    let (first, second) = (read(&watch), read(&later));
    assert_eq!((first.assigned, first.repeated, first.ok), (20, 9, 20));
    assert_eq!((&*first.slow, &*first.slow_once, first.bins[3]), (&[20, 0][..], &[11, 0][..], 11));
    assert_eq!((second.assigned, second.repeated, &*second.slow_once, second.bins[3]), (2, 1, &[1, 0][..], 1));
}

#[test]
fn what_is_beyond_the_bounds_of_a_watch_is_dropped_or_shares_the_last_place() {
    let mut many = plan();
    many.arms = (0..200).map(|_| many.arms[0].clone()).collect();
    many.latency_bounds = vec![Duration::ZERO; 9];
    let watch = Watch::new(many);
    assert_eq!((watch.plan().arms.len(), watch.plan().latency_bounds.len()), (ARMS_MAX, LATENCY_BOUNDS_MAX));
    watch.assigned(ARMS_MAX, Some(1));
    watch.binned((0, None), 3);
    watch.binned((0, None), 31);
    watch.binned((0, None), usize::MAX);
    let bins = &watch.totals().arms[0].bins;
    assert_eq!((bins[3], bins[BINS_MAX - 1], bins.len()), (1, 2, BINS_MAX));
    (0..2 * DECILE_SAMPLE_MAX).for_each(|i| watch.sampled(i as f64));
    assert_eq!((watch.sample().len(), watch.wants_sample()), (DECILE_SAMPLE_MAX, false));
}

#[test]
fn a_first_value_falls_between_the_edges() {
    let edges = DriftBins::Deciles(std::array::from_fn(|i| (i + 1) as f64));
    assert_eq!([-1.0, 1.0, 1.5, 9.0, 99.0, f64::INFINITY].map(|v| edges.decile(v).unwrap()), [0, 0, 1, 8, 9, 9]);
    assert_eq!(
        (edges.decile(f64::NAN), DriftBins::Gather.decile(1.0), DriftBins::Classes.decile(1.0)),
        (None, None, None)
    );
}

#[test]
fn shadows_are_counted_by_result_and_the_last_examples_are_kept() {
    let candidate = version(2);
    let shadow = ShadowPlan { candidate, share: 0.5, comparison: Comparison::default(), is_redacted: false };
    let watch = Watch::new(WatchPlan { shadow: Some(shadow), ..plan() });
    let took = Some(Duration::from_millis(50));
    watch.shadowed(ShadowResult::Agreed, took);
    watch.shadowed(ShadowResult::Disagreed, took);
    watch.shadowed(ShadowResult::Disagreed, took);
    watch.shadowed(ShadowResult::Fault, None);
    watch.shadowed(ShadowResult::Timeout, None);
    watch.shadowed(ShadowResult::Shed, None);
    let totals = watch.totals().shadow.unwrap();
    assert_eq!((totals.agreed, totals.disagreed, totals.compared()), (1, 2, 3));
    assert_eq!((totals.faults, totals.timeouts, totals.shed), (1, 1, 1));
    assert_eq!((&*totals.slow, totals.latencies.count()), (&[3, 0][..], 3));
    let prediction =
        Prediction { version: version(1), is_random: true, experiment: None, share: 0.0, unix_ms: 0, sequence: 0 };
    let id = PredictionKey::random().sign(&ModelName::new("m").unwrap(), &prediction);
    for unix_ms in 0..40 {
        let tensor =
            ExampleTensor { name: "y".to_owned(), datatype: DataType::Fp32, shape: vec![1], values: vec![1.0] };
        let (inputs, stable, candidate) = (vec![tensor.clone()], vec![tensor.clone()], vec![tensor]);
        let outputs = Vec::new();
        watch.keep_example(Example { unix_ms, prediction: id, outputs, inputs, stable, candidate });
    }
    let kept: Vec<u64> = watch.examples().iter().map(|example| example.unix_ms).collect();
    assert_eq!(kept, (8..40).collect::<Vec<u64>>());
}

#[test]
fn counts_of_many_threads_add_up() {
    let watch = Arc::new(Watch::new(plan()));
    let ok = outcome(OutcomeClass::Ok, Reason::Split, Duration::from_millis(20));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    watch.assigned(0, None);
                    watch.attempted((0, None), &ok, Rerun::None);
                    let now = &watch.totals().arms[0];
                    assert!(now.slow[0] <= now.ok, "no part is larger than the whole");
                }
            });
        }
    });
    let arm = &watch.totals().arms[0];
    assert_eq!((arm.assigned, arm.ok, arm.slow[0], arm.within[0]), (4000, 4000, 4000, 0));
}
