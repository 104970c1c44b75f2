#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::samples::{config, plan, style};

const BEFORE: &str = "[models.fraud]\nstable = 7\nsplit = { 7 = 90, 8 = 10 }\nlabels = { champion = 7 }\n\
    [[models.fraud.rules]]\nname = \"a\"\nwhen = { header = \"t\", in = [\"1\", \"2\", \"3\", \"4\", \"5\"] }\nuse = 7\n\
    [[models.fraud.rules]]\nname = \"b\"\nwhen = { cookie = \"c\", present = false }\nuse = 8\n";

fn check(from: &str, to: &str, expected: &[&str]) {
    let after = BEFORE.replace(from, to);
    assert_ne!(after, BEFORE);
    let found: Vec<_> = diff(&config(BEFORE), &config(&after)).iter().map(Difference::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn each_kind_of_edit_is_put_in_words() {
    check(
        "7 = 90, 8 = 10",
        "7 = 75, 8 = 25",
        &["fraud: share of version 7 changes from 90 % to 75 %", "fraud: share of version 8 changes from 10 % to 25 %"],
    );
    check(
        "8 = 10",
        "9 = 10",
        &["fraud: share of version 8 is removed (was 10 %)", "fraud: share of version 9 is added: 10 %"],
    );
    check(
        "split = { 7 = 90, 8 = 10 }",
        "arms = [{ version = 7, weight = 9 }, { name = \"new\", version = 8, weight = 1 }]",
        &["fraud: arms changes from version 7 90 %, version 8 10 % to version 7 90 %, \"new\" version 8 10 %"],
    );
    check("stable = 7", "stable = 8", &["fraud: stable version changes from 7 to 8"]);
    check(
        "champion = 7",
        "champion = 8, x = 1",
        &["fraud: label champion changes from 7 to 8", "fraud: label x is added: 1"],
    );
    check(
        "use = 7",
        "use = 9",
        &["fraud: rule \"a\" changes from when header t is one of \"1\", \"2\", \"3\", \"4\", 1 more: version 7 \
         to when header t is one of \"1\", \"2\", \"3\", \"4\", 1 more: version 9"],
    );
    check(
        "name = \"b\"",
        "name = \"c\"",
        &[
            "fraud: rule \"b\" is removed (was when cookie c is absent: version 8)",
            "fraud: rule \"c\" is added: when cookie c is absent: version 8",
        ],
    );
    check(
        "stable = 7",
        "sticky = { header = \"k\" }\ndeadline_ms = 5\nguardrail = { limit = 0.1 }\nstable = 7",
        &[
            "fraud: sticky key is added: header k",
            "fraud: deadline_ms changes from 30000 to 5",
            "fraud: run_timeout_ms changes from 10000 to 2",
            "fraud: guardrail.limit changes from 0.01 to 0.1",
        ],
    );
    check("[models.fraud]", "[models.a]\nretry_ratio = 0\n[models.fraud]", &["a: block is added: no versions chosen"]);
    check(
        "[models.fraud]",
        "[defaults]\ndeadline_ms = 1\n[models.fraud]\ndeadline_ms = 30_000",
        &[
            "defaults: deadline_ms changes from 30000 to 1",
            "defaults: run_timeout_ms changes from 10000 to 1",
            "fraud: run_timeout_ms changes from 10000 to 1",
        ],
    );
}

#[test]
fn the_order_of_rules_and_the_hidden_values_of_a_rule_count() {
    let swapped = BEFORE
        .replace("name = \"a\"", "name = \"x\"")
        .replace("name = \"b\"", "name = \"a\"")
        .replace("name = \"x\"", "name = \"b\"");
    assert!(!diff(&config(BEFORE), &config(&swapped)).is_empty());
    let hidden = BEFORE.replace("\"5\"", "\"6\"");
    let [only] = &diff(&config(BEFORE), &config(&hidden))[..] else { panic!() };
    assert!(only.before.as_ref().unwrap().contains("\"5\"") && only.after.as_ref().unwrap().contains("\"6\""));
    let (head, rules) = BEFORE.split_once("[[").unwrap();
    let (first, second) = rules.split_once("[[").unwrap();
    let reordered = diff(&config(BEFORE), &config(&format!("{head}[[{second}[[{first}")));
    assert_eq!(reordered.iter().map(|d| d.aspect.clone()).collect::<Vec<_>>(), [Aspect::RuleOrder]);
}

#[test]
fn a_removed_model_is_told() {
    let found = diff(&config(BEFORE), &RoutingConfig::default());
    let expected = "fraud: block is removed (was stable 7; split version 7 90 %, version 8 10 %; 2 rules)";
    assert_eq!(found.iter().map(Difference::to_string).collect::<Vec<_>>(), [expected]);
}

proptest! {
    /// No edit that means something goes untold, and one that means nothing is not told.
    #[test]
    fn a_difference_is_told_if_and_only_if_the_meaning_changes(one in plan(), other in plan(), a in style(), b in style()) {
        let a = crate::samples::Style { has_comments: false, ..a };
        let b = crate::samples::Style { has_comments: false, ..b };
        let same = diff(&config(&one.render(&a)), &config(&one.render(&b)));
        prop_assert_eq!(same, vec![]);
        let (one, other) = (config(&one.render(&a)), config(&other.render(&b)));
        let meaning = |config: &RoutingConfig| config.models["fraud"].meaning();
        prop_assert_eq!(diff(&one, &other).is_empty(), meaning(&one) == meaning(&other));
    }
}

#[test]
fn names_of_inputs_and_outputs_are_compared_by_version() {
    let old = config("[models.m]\nstable = 1\nversions.2 = { outputs = { y = \"z\" } }\n");
    let new = config("[models.m]\nstable = 1\nversions.2 = { outputs = { y = \"w\" }, inputs = { x = \"a\" } }\n");
    let texts: Vec<String> = diff(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "m: names of the inputs of version 2 is added: { \"x\" = \"a\" }",
            "m: names of the outputs of version 2 changes from { \"y\" = \"z\" } to { \"y\" = \"w\" }",
        ]
    );
}

#[track_caller]
fn differences(old: &str, new: &str, expected: &[&str]) {
    let found: Vec<_> = diff(&config(old), &config(new)).iter().map(Difference::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn policies_are_compared_key_by_key() {
    let old = "[models.m]\n[policies.p]\nretries = 2\nsteps = [{ gate = true }, { promote = true }]\n";
    differences(old, &old.replace("retries = 2", "retries = 3"), &["policy \"p\": retries changes from 2 to 3"]);
    differences(
        old,
        &old.replace("[models.m]", "[models.m]\npolicy = \"p\""),
        &["m: policy changes from default to p"],
    );
    differences("", "[defaults]\npolicy = \"fast\"", &["defaults: policy changes from default to fast"]);
    differences("[models.m]", "[models.m]\npolicy = \"default\"", &[]);
    let judged = old.replace("retries", "guardrail = { alpha = 0.01 }\nretries");
    let found = diff(&config(old), &config(&judged));
    let alpha = found.iter().find(|d| d.aspect == Aspect::Policy("p".to_owned(), Some("guardrail.alpha".to_owned())));
    assert_eq!(alpha.unwrap().to_string(), "policy \"p\": guardrail.alpha is added: 0.01");
    let steps = old.replace("{ gate = true }, ", "");
    let [only] = &diff(&config(old), &config(&steps))[..] else { panic!() };
    assert!(
        only.before.as_ref().unwrap().contains("{ gate = true,") && only.to_string().starts_with("policy \"p\": steps")
    );
    let [only] = &diff(&config(""), &config(old))[1..] else { panic!() };
    assert!(only.to_string().starts_with("policy \"p\" is added: steps = ["), "{only}");
}

#[test]
fn a_policy_that_takes_the_place_of_a_built_in_one_is_compared_with_it() {
    differences("", "[policies.default]\nretries = 5\n", &["policy \"default\": retries changes from 1 to 5"]);
    differences("", "[policies.default]\n", &[]);
}

#[test]
fn experiments_are_compared_key_by_key() {
    let old = "[models.m]\nstable = 1\nsticky = { header = \"k\" }\n\
        [experiments.e]\nmodel = \"m\"\nshare = 0.5\narms = { 1 = 1, 2 = 1 }\n";
    differences(old, &old.replace("1, 2 = 1", "2.0, 2 = 2"), &[]);
    differences(
        old,
        &old.replace("share = 0.5", "share = 0.25\nholdout = 0.1"),
        &[
            "experiment \"e\": holdout changes from 0 to 0.1",
            "experiment \"e\": units changes from [0, 0.5] to [0, 0.25]",
        ],
    );
    differences(
        old,
        &old.replace("2 = 1 }", "2 = 3 }\nallocation = { thompson = {} }"),
        &[
            "experiment \"e\": allocation changes from fixed to thompson with floor 0.05, update 30s",
            "experiment \"e\": arms changes from version 1 50 %, version 2 50 % to version 1 25 %, version 2 75 %",
        ],
    );
    let without = old.split("[experiments").next().unwrap();
    let [only] = &diff(&config(old), &config(without))[..] else { panic!() };
    assert!(only.to_string().starts_with("experiment \"e\" is removed (was model = m, layer = m, units = [0, 0.5]"));
}

#[test]
fn the_rules_of_a_guardrail_are_compared() {
    differences(
        "[models.m]\nguardrail = { latency = { slower_than_ms = 80 } }",
        "[models.m]\nguardrail = { sample_ratio = false, on_failure = \"pause\" }",
        &[
            "m: guardrail.on_failure changes from rollback to pause",
            "m: guardrail.latency changes from { slower_than_ms = 80, limit = 0.01, weight = 0.2, \
             on_failure = \"rollback\" } to none",
            "m: guardrail.sample_ratio changes from { alpha = 0.001, on_failure = \"pause\" } to none",
        ],
    );
}
