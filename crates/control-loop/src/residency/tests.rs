#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use base_types::{ModelName, Version, VersionId};
use proptest::prelude::*;

use super::*;

const MIB: u64 = 1 << 20;

fn id(model: &str, version: u64) -> VersionId {
    VersionId { model: ModelName::new(model).unwrap(), version: Version::new(version).unwrap() }
}

fn held(model: &str, version: u64, mib: u64, want: Want, last_used: u64) -> Held {
    Held { id: id(model, version), bytes: mib * MIB, want, last_used, is_leaving: false }
}

fn coming(mib: u64, want: Want) -> Coming {
    let need = Need { loaded: mib * MIB, loading: mib * MIB };
    Coming { id: id("new", 1), need, want }
}

fn bounds(budget_mib: u64, keep_warm: usize) -> MemoryBounds {
    MemoryBounds { budget_bytes: Some(budget_mib * MIB), keep_warm, on_demand: false }
}

fn none() -> BTreeMap<VersionId, Need> {
    BTreeMap::new()
}

fn check(coming: &Coming, held: &[Held], bounds: MemoryBounds, expected: &[VersionId]) {
    assert_eq!(decide(coming, held, &none(), &bounds), Verdict::After(expected.to_vec()));
}

#[test]
fn without_a_budget_everything_is_loaded() {
    let held = [held("a", 1, 1_000_000, Want::Present, 0)];
    assert_eq!(decide(&coming(1_000_000, Want::Present), &held, &none(), &MemoryBounds::default()), Verdict::Load);
}

#[test]
fn who_was_not_asked_for_longest_goes_first_and_no_more_go_than_must() {
    let held = [
        held("a", 1, 40, Want::Present, 3),
        held("a", 2, 40, Want::Asked, 1),
        held("b", 1, 40, Want::Present, 2),
        held("b", 2, 40, Want::Needed, 0),
    ];
    check(&coming(30, Want::Asked), &held, bounds(160, 0), &[id("a", 2)]);
    check(&coming(70, Want::Needed), &held, bounds(160, 0), &[id("a", 2), id("b", 1)]);
}

#[test]
fn versions_kept_warm_stay_and_so_does_what_is_needed() {
    let held = [held("a", 1, 50, Want::Present, 1), held("a", 2, 50, Want::Present, 2)];
    check(&coming(50, Want::Asked), &held, bounds(100, 1), &[id("a", 1)]);
    let Verdict::Refuse(text) = decide(&coming(50, Want::Asked), &held, &none(), &bounds(100, 2)) else { panic!() };
    assert!(text.contains("50 MiB of the 100 MiB") && text.contains("a@1 50 MiB"), "{text}");
}

#[test]
fn a_version_that_only_lies_there_makes_nobody_go() {
    let held = [held("a", 1, 50, Want::Present, 1)];
    assert!(matches!(decide(&coming(60, Want::Present), &held, &none(), &bounds(100, 0)), Verdict::Refuse(_)));
    check(&coming(60, Want::Newest), &held, bounds(100, 0), &[id("a", 1)]);
}

#[test]
fn memory_that_is_coming_back_is_waited_for() {
    let leaving = Held { is_leaving: true, ..held("a", 1, 50, Want::Present, 1) };
    check(&coming(60, Want::Present), &[leaving], bounds(100, 0), &[]);
}

#[test]
fn loads_under_way_count_and_one_at_a_time_counts_for_its_peak() {
    let need = |mib: u64| Need { loaded: mib * MIB, loading: 3 * mib * MIB };
    let coming = Coming { id: id("new", 1), need: need(10), want: Want::Present };
    let underway = BTreeMap::from([(id("a", 1), need(10)), (id("b", 1), need(20))]);
    // 10 + 10 + 20 are held in the end, and the largest takes 40 more on its way.
    let verdict = |budget| decide(&coming, &[], &underway, &bounds(budget, 0));
    assert_eq!(verdict(80), Verdict::Load);
    // Once the others are loaded, it takes 20 more on its own way.
    assert_eq!(verdict(79), Verdict::After(Vec::new()));
    assert_eq!(verdict(60), Verdict::After(Vec::new()));
    let Verdict::Refuse(text) = verdict(59) else { panic!() };
    assert!(text.contains("held: b@1 20 MiB, a@1 10 MiB;"), "{text}");
}

#[test]
fn what_was_measured_counts_for_more_than_the_size_of_the_files() {
    assert_eq!(Need::of(1_000, None), Need { loaded: 1_100, loading: 3_600 });
    assert_eq!(Need::of(1_000, Some(200)), Need { loaded: 200, loading: 3_600 });
    assert_eq!(Need::of(1_000, Some(9_000)), Need { loaded: 9_000, loading: 9_000 });
}

fn any_want() -> impl Strategy<Value = Want> {
    prop_oneof![Just(Want::Present), Just(Want::Newest), Just(Want::Asked), Just(Want::Needed)]
}

fn any_held() -> impl Strategy<Value = Vec<Held>> {
    let one = (0..4usize, 0..200u64, any_want(), 0..9u64, proptest::bool::weighted(0.2));
    proptest::collection::vec(one, 0..12).prop_map(|all| {
        let model = |index: usize| ["a", "b", "c", "d"][index];
        let held = all.into_iter().enumerate().map(|(version, (index, mib, want, last_used, is_leaving))| Held {
            is_leaving,
            ..held(model(index), version as u64 + 1, mib, want, last_used)
        });
        held.collect()
    })
}

proptest! {
    #[test]
    fn what_is_needed_or_warm_never_goes_and_what_goes_is_enough(
        held in any_held(), mib in 0..300u64, want in any_want(), budget in 1..900u64, keep_warm in 0..3usize,
    ) {
        let bounds = bounds(budget, keep_warm);
        let coming = coming(mib, want);
        let total = |gone: &[VersionId]| -> u64 {
            held.iter().filter(|h| !h.is_leaving && !gone.contains(&h.id)).map(|h| h.bytes).sum::<u64>() + mib * MIB
        };
        match decide(&coming, &held, &none(), &bounds) {
            Verdict::Load => {
                let all: u64 = held.iter().map(|h| h.bytes).sum();
                prop_assert!(all + mib * MIB <= budget * MIB);
            }
            Verdict::After(gone) => {
                prop_assert!(total(&gone) <= budget * MIB, "they make room");
                for (n, id) in gone.iter().enumerate() {
                    prop_assert!(total(&gone[..n]) > budget * MIB, "no more go than must");
                    let victim = held.iter().find(|h| h.id == *id).unwrap();
                    prop_assert!(victim.want != Want::Needed && !victim.is_leaving);
                    let is_warmer = |h: &&Held| h.id.model == id.model && h.want != Want::Needed
                        && !h.is_leaving && (h.last_used, h.id.version) > (victim.last_used, id.version);
                    prop_assert!(held.iter().filter(is_warmer).count() >= keep_warm);
                }
                prop_assert!(want != Want::Present || gone.is_empty());
            }
            Verdict::Refuse(_) => {
                let needed: u64 = held.iter().filter(|h| h.want == Want::Needed && !h.is_leaving).map(|h| h.bytes).sum();
                let is_hopeless = needed + mib * MIB > budget * MIB;
                prop_assert!(is_hopeless || keep_warm > 0 || want == Want::Present);
            }
        }
    }
}
