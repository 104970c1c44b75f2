#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use base_routing::Membership;
use proptest::prelude::*;

use super::*;
use crate::samples::{config, model, parse, version};

const MODEL: &str = "[models.fraud]\nstable = 7\nlabels = { new = 8 }\nsticky = { header = \"k\" }\n";

const SAMPLE: &str = r#"
[models.fraud]
stable = 7
labels = { new = 8 }
sticky = { header = "k" }
[experiments.checkout]
model = "fraud"
layer = "page"
share = 0.2
holdout = 0.1
arms = [{ name = "control", version = 7, weight = 1 }, { name = "treatment", version = "new", weight = 3 }]
primary = "latency"
slower_than_ms = 80
alpha = 0.05
allocation = { thompson = { floor = 0.1, update = "2m" } }
on_equal = "ask"
max_duration = "3d"
"#;

/// Line, code and message of every remark on a text.
fn remarks(text: &str) -> Vec<(usize, &'static str, String)> {
    let diagnostics = match parse(text) {
        Ok(parsed) => parsed.warnings,
        Err(invalid) => invalid.diagnostics,
    };
    let all = diagnostics.into_iter();
    all.map(|d| (d.line, d.code.as_str(), format!("{} ({})", d.message, d.hint.unwrap_or_default()))).collect()
}

/// The range of each experiment, rounded for comparison.
fn ranges(experiments: &[(&str, &str)]) -> Vec<(f64, f64)> {
    let tables = experiments
        .iter()
        .map(|(name, claim)| format!("[experiments.{name}]\nmodel = \"fraud\"\narms = {{ 7 = 1, 8 = 1 }}\n{claim}\n"));
    let config = config(&format!("{MODEL}{}", tables.collect::<String>()));
    let round = |x: f64| (x * 1e6).round() / 1e6;
    experiments
        .iter()
        .map(|(name, _)| &config.experiments[*name].routing)
        .map(|routing| (round(routing.from), round(routing.to)))
        .collect()
}

#[test]
fn every_key_of_an_experiment_arrives_where_it_belongs() {
    let config = config(SAMPLE);
    let block = &config.experiments["checkout"];
    let routing = &block.routing;
    assert_eq!((block.model.as_str(), &*routing.name, &*routing.layer), ("fraud", "checkout", "page"));
    assert_eq!((routing.from, routing.to, routing.holdout), (0.0, 0.2, 0.1));
    let arms: Vec<_> = routing.split.arms().iter().map(|a| (&*a.name, a.version.get(), a.weight)).collect();
    assert_eq!(arms, [("control", 7, 1.0), ("treatment", 8, 3.0)]);
    assert_eq!((block.primary, block.slower_than_seconds, block.alpha), (Primary::Latency, Some(0.08), 0.05));
    assert_eq!(block.allocation, Allocation::Thompson { floor: 0.1, update: Duration::from_secs(120) });
    assert_eq!((block.on_equal, block.max_duration), (OnEqual::Ask, Duration::from_secs(3 * 86_400)));
    let of_model: Vec<_> = config.experiments(&model("fraud")).map(|(name, _)| name).collect();
    assert_eq!(of_model, ["checkout"]);
    assert_eq!(config.experiments(&model("other")).count(), 0);
}

#[test]
fn what_is_left_out_has_its_default() {
    let config =
        config(&format!("{MODEL}[experiments.e]\nmodel = \"fraud\"\nshare = 1\narms = {{ 7 = 50, new = 50 }}\n"));
    let block = &config.experiments["e"];
    assert_eq!((&*block.routing.layer, block.routing.holdout), ("fraud", 0.0));
    assert_eq!((block.routing.from, block.routing.to), (0.0, 1.0));
    assert_eq!((block.primary, block.slower_than_seconds, block.alpha), (Primary::Errors, None, 0.01));
    assert_eq!((block.allocation, block.on_equal), (Allocation::Fixed, OnEqual::KeepStable));
    assert_eq!(block.max_duration, Duration::from_secs(14 * 86_400));
    assert_eq!(block.routing.split.arms()[1].version, version(8));
}

#[test]
fn shares_take_the_first_gap_in_the_order_of_names() {
    let check = |experiments: &[(&str, &str)], expected: &[(f64, f64)]| assert_eq!(ranges(experiments), expected);
    check(&[("b", "share = 0.2"), ("a", "share = 0.1")], &[(0.1, 0.3), (0.0, 0.1)]);
    check(&[("a", "share = 0.3"), ("b", "units = [0.1, 0.5]")], &[(0.5, 0.8), (0.1, 0.5)]);
    check(
        &[("a", "share = 0.1"), ("b", "units = [0.1, 0.5]"), ("c", "share = 0.5")],
        &[(0.0, 0.1), (0.1, 0.5), (0.5, 1.0)],
    );
    check(&[("a", "share = 0.7"), ("b", "share = 0.7\nlayer = \"other\"")], &[(0.0, 0.7), (0.0, 0.7)]);
    // A tenth, two tenths and seven tenths fill a layer, whatever their sum is in binary.
    check(&[("a", "share = 0.1"), ("b", "share = 0.2"), ("c", "share = 0.7")], &[(0.0, 0.1), (0.1, 0.3), (0.3, 1.0)]);
}

#[test]
fn an_experiment_that_comes_does_not_move_the_ranges_that_are_written_out() {
    let before = ranges(&[("m", "units = [0.2, 0.4]")]);
    let after = ranges(&[("m", "units = [0.2, 0.4]"), ("a", "share = 0.2"), ("b", "share = 0.6")]);
    assert_eq!((before[0], &after[1..]), (after[0], &[(0.0, 0.2), (0.4, 1.0)][..]));
}

#[track_caller]
fn check(lines: &str, code: &str, expected: &str) {
    let text = format!("{MODEL}[experiments.e]\n{lines}\n");
    let found = remarks(&text);
    let is_there = |(line, c, message): &(usize, &str, String)| *line >= 5 && *c == code && message.contains(expected);
    assert!(found.iter().any(is_there), "{found:#?}\nlacks {code} {expected}\n{text}");
}

#[test]
fn each_problem_of_an_experiment_is_found_with_a_hint() {
    let usual = "model = \"fraud\"\narms = { 7 = 1, 8 = 1 }\nshare = 0.1";
    let with = |line: &str| format!("{usual}\n{line}");
    check("arms = { 7 = 1, 8 = 1 }\nshare = 0.1", "missing-key", "add model");
    check("model = \"fraud\"\nshare = 0.1", "missing-key", "arms = { 7 = 50, 8 = 50 }");
    check("model = \"fraud\"\narms = { 7 = 1, 8 = 1 }", "missing-key", "add share = 0.1");
    check("model = \"fraud\"\narms = { 7 = 1 }\nshare = 1", "out-of-range", "allowed is 2 to 15");
    check("model = \"fraud\"\narms = { 8 = 1, 9 = 1 }\nshare = 1", "idle-stable", "give version 7 a weight");
    check("model = \"fraud\"\narms = { 7 = 0, 9 = 1 }\nshare = 1", "idle-stable", "give version 7 a weight");
    check("model = \"fraud\"\narms = { 7 = 1, nwe = 1 }\nshare = 1", "unknown-label", "did you mean \"new\"?");
    check("model = \"fruad\"\narms = { 7 = 1, 8 = 1 }\nshare = 1", "missing-key", "did you mean \"fraud\"?");
    check("model = \"other\"\narms = { 7 = 1, 8 = 1 }\nshare = 1", "missing-key", "sticky = { header");
    check("model = \"a b\"\narms = { 7 = 1, 8 = 1 }\nshare = 1", "bad-name", "letters, digits");
    check("model = \"fraud\"\narms = { 7 = 1, 8 = 1 }\nshare = 0", "out-of-range", "above 0, at most 1");
    check("model = \"fraud\"\narms = { 7 = 1, 8 = 1 }\nshare = nan", "out-of-range", "above 0, at most 1");
    check("model = \"fraud\"\narms = { 7 = 1, 8 = 1 }\nunits = [0.5, 0.2]", "out-of-range", "the first one smaller");
    check("model = \"fraud\"\narms = { 7 = 1, 8 = 1 }\nunits = [0.5]", "out-of-range", "two numbers from 0 to 1");
    check(&with("units = [0, 1]"), "conflict", "keep one");
    check(&with("holdout = 0.95"), "out-of-range", "0 to 0.9");
    check(&with("primary = \"eror\""), "unknown-word", "allowed is one of");
    check(&with("primary = \"latency\""), "missing-key", "add slower_than_ms");
    check(&with("slower_than_ms = 0"), "out-of-range", "above 0");
    check(&with("alpha = 0.6"), "out-of-range", "at most 0.5");
    check(&with("allocation = \"thompson\""), "unknown-word", "fixed");
    check(&with("allocation = { }"), "missing-key", "thompson = {");
    check(&with("allocation = { thompson = { floor = 0.6 } }"), "out-of-range", "at most 0.5");
    check(&with("allocation = { thompson = { update = 30 } }"), "bad-duration", "\"30s\"");
    check(&with("allocation = { thompson = { update = \"5ms\" } }"), "out-of-range", "shorter than a second");
    check(&with("max_duration = \"2 weeks\""), "bad-duration", "write a whole number and a unit");
    check(&with("on_equal = \"keep\""), "unknown-word", "keep_stable");
    check(&with("layr = \"x\""), "unknown-key", "did you mean \"layer\"?");
    check(&with("layer = \"\""), "bad-name", "1 to 128 bytes");
    check(
        &with("[experiments.\"a b\"]\nmodel = \"fraud\"\nshare = 1\narms = { 7 = 1 }"),
        "bad-name",
        "letters, digits",
    );
    let no_sticky = "[models.m]\nstable = 1\n[experiments.e]\nmodel = \"m\"\narms = { 1 = 1, 2 = 1 }\nshare = 1\n";
    let [(line, code, message)] = &remarks(no_sticky)[..] else { panic!() };
    assert_eq!((*line, *code), (4, "missing-key"));
    assert!(message.contains("nobody would stay in one arm") && message.contains("[models.m]"), "{message}");
}

#[test]
fn experiments_that_would_share_units_are_named_both() {
    let two = |a: &str, b: &str| {
        let one = |name: &str, claim: &str| {
            format!("[experiments.{name}]\nmodel = \"fraud\"\narms = {{ 7 = 1, 8 = 1 }}\n{claim}\n")
        };
        remarks(&format!("{MODEL}{}{}", one("first", a), one("second", b)))
    };
    let overlap = two("units = [0.0, 0.3]", "units = [0.2, 0.5]");
    let [(12, "overlap", message)] = &overlap[..] else { panic!("{overlap:?}") };
    assert!(message.contains("\"second\" and \"first\" would share units of layer \"fraud\": 0.2 to 0.5 and 0 to 0.3"));
    assert_eq!(two("units = [0.0, 0.3]", "units = [0.3, 0.5]"), []);
    let full = two("share = 0.7", "share = 0.4");
    let [(12, "overlap", message)] = &full[..] else { panic!("{full:?}") };
    assert!(message.contains("no room for 0.4") && message.contains("\"first\" has 0 to 0.7"), "{message}");
    assert!(message.contains("the widest gap is 0.3000"), "{message}");
}

#[test]
fn there_are_bounds_on_how_many_experiments_there_are() {
    let many = |n: usize, layer: &str| -> String {
        (0..n)
            .map(|i| {
                format!("[experiments.e{i}]\nmodel = \"fraud\"\nlayer = \"{layer}{i}\"\nshare = 1\narms = {{ 7 = 1, 8 = 1 }}\n")
            })
            .collect()
    };
    assert_eq!(remarks(&format!("{MODEL}{}", many(EXPERIMENTS_MAX, "l"))), []);
    let found = remarks(&format!("{MODEL}{}", many(EXPERIMENTS_MAX + 1, "l")));
    assert!(found.iter().any(|(_, code, text)| *code == "too-many" && text.contains("fraud has more than 16")));
    let found = remarks(&format!("{MODEL}{}", many(EXPERIMENTS_IN_FILE_MAX + 1, "l")));
    assert!(found.iter().any(|(_, code, text)| *code == "too-many" && text.contains("at most 256")));
}

proptest! {
    /// Whatever the file asks for: either it is refused, or no unit of a layer is in two experiments.
    #[test]
    fn accepted_experiments_of_a_layer_never_share_a_unit(
        claims in proptest::collection::vec((0usize..2, 0usize..3, 0u32..10, 1u32..6), 1..6),
        seed in any::<u32>(),
    ) {
        let table = |(index, (kind, layer, from, width)): (usize, &(usize, usize, u32, u32))| {
            let (from, to) = (f64::from(*from) / 10.0, (f64::from(from + width) / 10.0).min(1.0));
            let claim = if *kind == 0 { format!("share = {}", to - from) } else { format!("units = [{from}, {to}]") };
            format!("[experiments.e{index}]\nmodel = \"fraud\"\nlayer = \"l{layer}\"\narms = {{ 7 = 1, 8 = 1 }}\n{claim}\n")
        };
        let tables: String = claims.iter().enumerate().map(table).collect();
        let Ok(parsed) = parse(&format!("{MODEL}{tables}")) else { return Ok(()) };
        let all: Vec<_> = parsed.value.experiments.values().map(|block| &block.routing).collect();
        for key in 0..200u32 {
            let key = format!("{seed}/{key}");
            for layer in ["l0", "l1", "l2"] {
                let is_in = |e: &&&Experiment| &*e.layer == layer && e.membership(key.as_bytes()) != Membership::Outside;
                prop_assert!(all.iter().filter(is_in).count() <= 1);
            }
        }
        for (experiment, (_, _, from, width)) in all.iter().zip(&claims) {
            let asked = (f64::from(from + width) / 10.0).min(1.0) - f64::from(*from) / 10.0;
            prop_assert!((experiment.to - experiment.from - asked).abs() < 1e-6);
        }
    }
}
