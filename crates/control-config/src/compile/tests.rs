#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::borrow::Cow;

use base_routing::{Facts, Source, assign};
use base_types::Reason;
use proptest::prelude::*;

use super::Availability::{NotReady, Quarantined, Ready, Unknown};
use super::*;
use crate::samples::{config, model, plan, style, version};

const CANARY: &str = "[models.fraud]\nstable = 7\nsplit = { 7 = 90, 8 = 10 }\nsticky = { header = \"k\" }\n";

fn stance(config: &RoutingConfig, stable: u64, candidate: Option<(u64, f64)>, phase: Phase) -> Stance {
    let candidate = candidate.map(|(number, share)| Candidate { version: version(number), share });
    let meaning = config.meaning(&model("fraud"));
    Stance { stable: version(stable), candidate, phase, meaning, since_unix_ms: 0 }
}

fn table(
    config: &RoutingConfig,
    stance: Option<&Stance>,
    unready: &[(u64, Availability)],
) -> Result<Compiled, Unroutable> {
    let available = |v: Version| unready.iter().find(|(number, _)| *number == v.get()).map_or(Ready, |(_, a)| *a);
    compile(config, &model("fraud"), stance, &available)
}

/// Stable, arms as `name:version:share`, with `!` behind redirected ones.
fn shape(compiled: &Compiled) -> String {
    let route = &compiled.route;
    let total: f64 = route.split.arms().iter().map(|a| a.weight).sum();
    let arms = route.split.arms().iter().map(|a| {
        let mark = if a.is_redirected { "!" } else { "" };
        format!("{}:{}:{:.2}{mark}", a.name, a.version, a.weight / total)
    });
    format!("{} = {}", route.stable, arms.collect::<Vec<_>>().join(" "))
}

#[test]
fn config_alone_makes_the_table() {
    let compiled = table(&config(CANARY), None, &[]).unwrap();
    assert_eq!(shape(&compiled), "7 = 7:7:0.90 8:8:0.10");
    assert_eq!(compiled.route.sticky, [Source::Header("k".into())]);
    assert!(compiled.notices.is_empty() && compiled.route.barred.is_empty());
}

#[test]
fn a_stance_overrides_stable_and_split_and_nothing_else() {
    let text = format!(
        "{CANARY}labels = {{ old = 3 }}\n[[models.fraud.rules]]\nwhen = {{ header = \"a\", equals = \"b\" }}\nuse = 3\n"
    );
    let config = config(&text);
    let check = |stable, candidate, phase, expected: &str| {
        let compiled = table(&config, Some(&stance(&config, stable, candidate, phase)), &[]).unwrap();
        assert_eq!(shape(&compiled), expected);
        let without = table(&config, None, &[]).unwrap().route;
        assert_eq!((compiled.route.rules, compiled.route.sticky), (without.rules, without.sticky));
        assert_eq!(compiled.route.labels.get("old"), Some(&version(3)));
    };
    check(8, None, Phase::Settled, "8 = 8:8:1.00");
    check(7, Some((8, 0.25)), Phase::Canary, "7 = 7:7:0.75 8:8:0.25");
    check(7, Some((9, 1.0)), Phase::Provisional, "7 = 7:7:0.00 9:9:1.00");
    check(7, Some((9, 0.1)), Phase::Provisional, "7 = 7:7:0.00 9:9:1.00");
    check(7, Some((9, 1.0)), Phase::Interrupted, "7 = 7:7:1.00");
    check(7, Some((9, 0.5)), Phase::Settled, "7 = 7:7:1.00");
    check(7, Some((7, 0.5)), Phase::Canary, "7 = 7:7:1.00");
    check(7, Some((9, f64::NAN)), Phase::Canary, "7 = 7:7:1.00");
    check(7, Some((9, 1.5)), Phase::Canary, "7 = 7:7:1.00");
}

#[test]
fn a_stance_gives_way_to_an_edit_and_holds_without_a_block() {
    let before = config(CANARY);
    let promoted = stance(&before, 8, None, Phase::Settled);
    let edited = config("[models.fraud]\nstable = 7\nsplit = { 7 = 80, 8 = 20 }\n");
    assert_eq!(shape(&table(&edited, Some(&promoted), &[]).unwrap()), "7 = 7:7:0.80 8:8:0.20");
    let reformatted = config(&CANARY.replace("90, 8 = 10", "9, 8 = 1"));
    assert_eq!(shape(&table(&reformatted, Some(&promoted), &[]).unwrap()), "8 = 8:8:1.00");
    let no_block = config("[defaults]\nsticky = { cookie = \"uid\" }\n");
    let compiled = table(&no_block, Some(&promoted), &[]).unwrap();
    assert_eq!(shape(&compiled), "8 = 8:8:1.00");
    assert_eq!(compiled.route.sticky, [Source::Cookie("uid".into())]);
}

#[test]
fn a_decision_keeps_the_names_that_arms_have_in_the_file() {
    let config = config(
        "[models.fraud]\nstable = 7\narms = [{ name = \"control\", version = 7, weight = 1 }, { name = \"new\", version = 8, weight = 1 }]\n",
    );
    let compiled = table(&config, Some(&stance(&config, 7, Some((8, 0.25)), Phase::Canary)), &[]).unwrap();
    assert_eq!(shape(&compiled), "7 = control:7:0.75 new:8:0.25");
}

#[test]
fn what_cannot_answer_is_redirected_and_named() {
    let text = "[models.fraud]\nstable = 7\nsplit = { 7 = 80, 8 = 15, 9 = 5 }\nlabels = { next = 8 }\nrules = [\n\
        { name = \"r\", when = { header = \"h\", equals = \"a\" }, use = 8 },\n\
        { name = \"s\", when = { header = \"h\", equals = \"b\" }, split = { 8 = 1, 9 = 1 } },\n]\n";
    let compiled = table(&config(text), None, &[(8, Quarantined)]).unwrap();
    assert_eq!(shape(&compiled), "7 = 7:7:0.80 8:8:0.15! 9:9:0.05");
    assert_eq!(compiled.route.barred, BTreeSet::from([version(8)]));
    assert_eq!(compiled.route.labels.get("next"), Some(&version(8)));
    assert_eq!(
        compiled.notices,
        [
            "version 8 is quarantined: its 15 % goes to stable 7",
            "version 8 is quarantined: rule \"r\" uses stable 7",
            "version 8 is quarantined: rule \"s\" uses stable 7",
            "version 8 is quarantined: label next cannot be answered",
        ]
    );
    let Target::Split(split) = &compiled.route.rules[1].then else { panic!() };
    assert_eq!(split.arms().iter().map(|a| a.is_redirected).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_redirected_arm_moves_nobody_else() {
    let text = "[models.fraud]\nstable = 7\nsplit = { 7 = 50, 8 = 30, 9 = 20 }\n";
    let (before, after) =
        (table(&config(text), None, &[]).unwrap().route, table(&config(text), None, &[(8, NotReady)]).unwrap().route);
    for draw in 0..10_000u64 {
        let draw = draw.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let of = |route: &ModelRoute| assign(route, None, &Header(None), draw).unwrap().version.get();
        let expected = if of(&before) == 8 { 7 } else { of(&before) };
        assert_eq!(of(&after), expected);
    }
}

#[test]
fn without_a_stable_version_nothing_is_routed() {
    for availability in [NotReady, Quarantined, Unknown] {
        let error = table(&config(CANARY), None, &[(7, availability)]).unwrap_err();
        assert!(matches!(error, Unroutable::StableUnavailable { availability: a, .. } if a == availability));
    }
    let open = config("[models.fraud]\ndeadline_ms = 5\n");
    assert_eq!(table(&open, None, &[]).unwrap_err(), Unroutable::NoStable { model: model("fraud") });
    assert_eq!(
        table(&config(CANARY), None, &[(7, Quarantined)]).unwrap_err().to_string(),
        "stable version 7 of fraud is quarantined"
    );
}

#[test]
fn stable_and_canary_are_labels_by_themselves() {
    let check = |text: &str, expected: &[(&str, u64)]| {
        let route = table(&config(&format!("[models.fraud]\n{text}")), None, &[]).unwrap().route;
        let labels: Vec<_> = route.labels.iter().map(|(l, v)| (l.as_str(), v.get())).collect();
        assert_eq!(labels, expected, "{text}");
    };
    check("stable = 7", &[("stable", 7)]);
    check("stable = 7\nsplit = { 7 = 1, 8 = 0 }", &[("canary", 8), ("stable", 7)]);
    check("stable = 7\nsplit = { 7 = 1, 8 = 1, 9 = 1 }", &[("stable", 7)]);
    check("stable = 7\nsplit = { 7 = 1, 8 = 1 }\nlabels = { canary = 3, stable = 4 }", &[("canary", 3), ("stable", 4)]);
}

#[test]
fn wanted_are_all_versions_that_are_named() {
    let text = "[models.fraud]\nstable = 1\nsplit = { 1 = 1, 2 = 0 }\nlabels = { x = 3 }\nrules = [\n\
        { name = \"r\", when = { header = \"h\", equals = \"a\" }, use = 4 },\n\
        { name = \"s\", when = { header = \"h\", equals = \"b\" }, split = { 5 = 1, 6 = 0 } },\n]\n";
    let config = config(text);
    let wanted = |stance: Option<&Stance>| -> Vec<u64> {
        versions_wanted(&config, &model("fraud"), stance).iter().map(|v| v.get()).collect()
    };
    assert_eq!(wanted(None), [1, 2, 3, 4, 5, 6]);
    let held = stance(&config, 7, Some((8, 0.1)), Phase::Canary);
    assert_eq!(wanted(Some(&held)), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(wanted(Some(&Stance { meaning: None, ..held })), [1, 2, 3, 4, 5, 6]);
}

/// A request with one value everywhere, or none.
struct Header(Option<&'static str>);

impl Facts for Header {
    fn value(&self, _: &Source) -> Option<Cow<'_, str>> {
        self.0.map(Cow::Borrowed)
    }
}

proptest! {
    #[test]
    fn never_routes_to_a_version_that_may_not_answer(
        plan in plan(),
        style in style(),
        decided in proptest::option::of((1u64..6, proptest::option::of((1u64..6, -0.5f64..1.5)), 0usize..4, any::<bool>())),
        states in proptest::collection::vec(0usize..6, 6),
        draws in proptest::collection::vec(any::<u64>(), 50),
    ) {
        let config = config(&plan.render(&style));
        let phases = [Phase::Canary, Phase::Provisional, Phase::Interrupted, Phase::Settled];
        let stance = decided.map(|(stable, candidate, phase, is_stale)| {
            let stance = stance(&config, stable, candidate, phases[phase]);
            if is_stale { Stance { meaning: Some(1), ..stance } } else { stance }
        });
        let availability = |v: Version| match states[v.get() as usize] {
            0 => Quarantined,
            1 => NotReady,
            2 => Unknown,
            _ => Ready,
        };
        let stable = stance.as_ref().filter(|s| s.meaning != Some(1)).map_or(version(plan.stable), |s| s.stable);
        let compiled = compile(&config, &model("fraud"), stance.as_ref(), &availability);
        prop_assert_eq!(compiled.is_ok(), availability(stable) == Ready);
        let Ok(Compiled { route, notices }) = compiled else { return Ok(()) };
        prop_assert_eq!(route.stable, stable);
        prop_assert!(route.routed_versions().iter().all(|v| availability(*v) == Ready));
        prop_assert!(route.barred.iter().all(|v| availability(*v) != Ready));
        prop_assert_eq!(route.barred.is_empty(), notices.is_empty() || !notices.iter().any(|n| n.contains("is ")));
        let wanted = versions_wanted(&config, &model("fraud"), stance.as_ref());
        for (draw, value) in draws.iter().zip([None, Some("v"), Some("w"), Some("other")].iter().cycle()) {
            let assignment = assign(&route, None, &Header(*value), *draw).unwrap();
            prop_assert_eq!(availability(assignment.version), Ready);
            prop_assert!(wanted.contains(&assignment.version));
            let is_redirected = assignment.reason == Reason::Redirect;
            prop_assert_eq!(is_redirected, availability(assignment.drawn) != Ready);
        }
    }
}

const EXPERIMENT: &str = "[models.fraud]\nstable = 7\nsticky = { header = \"k\" }\n\
    [experiments.b]\nmodel = \"fraud\"\nunits = [0, 1]\narms = { 7 = 1, 8 = 1 }\n\
    [experiments.a]\nmodel = \"fraud\"\nlayer = \"a\"\nunits = [0, 0.5]\narms = { 7 = 1, 9 = 1 }\n\
    [models.other]\nstable = 1\nsticky = { header = \"k\" }\n\
    [experiments.c]\nmodel = \"other\"\nshare = 1\narms = { 1 = 1, 2 = 1 }\n";

#[test]
fn the_experiments_of_a_model_are_in_its_table_by_name() {
    let compiled = table(&config(EXPERIMENT), None, &[]).unwrap();
    let names: Vec<_> = compiled.route.experiments.iter().map(|e| e.name.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
    let candidates: Vec<_> = compiled.route.candidates().iter().map(|v| v.get()).collect();
    assert_eq!(candidates, [8, 9]);
    assert!(compiled.notices.is_empty());
    let wanted = versions_wanted(&config(EXPERIMENT), &model("fraud"), None);
    assert_eq!(wanted.iter().map(|v| v.get()).collect::<Vec<_>>(), [7, 8, 9]);
}

#[test]
fn an_arm_of_an_experiment_that_cannot_answer_is_redirected_and_named() {
    let compiled = table(&config(EXPERIMENT), None, &[(8, Quarantined)]).unwrap();
    assert_eq!(compiled.notices, ["version 8 is quarantined: experiment \"b\" uses stable 7"]);
    assert_eq!(compiled.route.barred, BTreeSet::from([version(8)]));
    let is_redirected: Vec<_> = compiled.route.experiments[1].split.arms().iter().map(|a| a.is_redirected).collect();
    assert_eq!(is_redirected, [false, true]);
    for key in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let assignment = assign(&compiled.route, None, &Header(Some(key)), 0).unwrap();
        assert_ne!(assignment.version, version(8));
    }
}

#[test]
fn an_experiments_other_version_is_the_canary_where_the_split_has_none() {
    let one = "[models.fraud]\nstable = 7\nsticky = { header = \"k\" }\nsplit = { 7 = 1 }\n\
        [experiments.b]\nmodel = \"fraud\"\nshare = 1\narms = { 7 = 1, 8 = 1 }\n";
    let canary = |text: &str| table(&config(text), None, &[]).unwrap().route.labels.get("canary").map(|v| v.get());
    assert_eq!(canary(one), Some(8));
    assert_eq!(canary(&one.replace("{ 7 = 1 }\n[", "{ 7 = 1, 9 = 1 }\n[")), Some(9));
    assert_eq!(canary(EXPERIMENT), None);
}

#[test]
fn policies_and_experiments_do_not_end_a_decision() {
    let plain = "[models.fraud]\nstable = 7\nsticky = { header = \"k\" }\n";
    let meaning = |text: &str| config(text).meaning(&model("fraud"));
    let more = format!("{plain}policy = \"fast\"\n[policies.p]\nretries = 0\n");
    assert_eq!(meaning(plain), meaning(&more));
    assert_eq!(meaning(plain), meaning(EXPERIMENT));
}
