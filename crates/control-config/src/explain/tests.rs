#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::borrow::Cow;

use base_types::Selector;

use super::*;
use crate::samples::{config, model, version};
use crate::{Availability, compile};

const TEXT: &str = "[models.fraud]\nstable = 7\nsplit = { 7 = 90, 8 = 10 }\nsticky = { header = \"account\" }\nrules = [\n\
    { name = \"acme\", when = [{ header = \"tenant\", equals = \"acme\" }, { header = \"beta\", present = true }], use = 8 },\n\
    { name = \"globex\", when = { header = \"tenant\", equals = \"globex\" }, use = 9 },\n\
    { name = \"all eu\", when = { header = \"tenant\", present = true }, split = { 7 = 1, 9 = 1 } },\n]\n";

struct Headers<'a>(&'a [(&'a str, &'a str)]);

impl Facts for Headers<'_> {
    fn value(&self, source: &Source) -> Option<Cow<'_, str>> {
        let Source::Header(name) = source else { return None };
        self.0.iter().find(|(n, _)| *n == &**name).map(|(_, value)| Cow::Borrowed(*value))
    }
}

fn route() -> ModelRoute {
    let available = |v: Version| if v == version(9) { Availability::Quarantined } else { Availability::Ready };
    compile(&config(TEXT), &model("fraud"), None, &available).unwrap().route
}

#[test]
fn rules_are_followed_to_the_one_that_decides() {
    let explanation = explain(&route(), None, &Headers(&[("tenant", "globex"), ("account", "a1")]), 0);
    let outcomes: Vec<_> = explanation.rules.iter().map(|rule| rule.outcome).collect();
    assert_eq!(outcomes, [RuleOutcome::Failed, RuleOutcome::Matched, RuleOutcome::NotReached]);
    assert_eq!(
        explanation.sentences(),
        [
            "rule \"acme\" does not match: header tenant is \"acme\" (it is \"globex\"); header beta is present (there is none)",
            "rule \"globex\" matches: version 9",
            "rule \"all eu\" is not reached",
            "the sticky key is \"a1\", from header account",
            "version 7 answers, reason redirect",
        ]
    );
    assert!(explanation.arms.is_empty());
}

#[test]
fn the_arms_show_shares_and_where_the_draw_fell() {
    for draw in 0..200u64 {
        let draw = draw << 56;
        let explanation = explain(&route(), None, &Headers(&[]), draw);
        let drawn: Vec<_> = explanation.arms.iter().filter(|arm| arm.is_drawn).map(|arm| arm.version).collect();
        assert_eq!(drawn, [explanation.assignment.unwrap().version]);
        let shares: Vec<_> = explanation.arms.iter().map(|arm| arm.share).collect();
        assert_eq!(shares, [0.9, 0.1]);
    }
    let in_rule = explain(&route(), None, &Headers(&[("tenant", "eu"), ("account", "a")]), 0);
    let arms: Vec<_> = in_rule.arms.iter().map(|a| (a.version.get(), a.is_redirected)).collect();
    assert_eq!(arms, [(7, false), (9, true)]);
    let of_key = |draw| explain(&route(), None, &Headers(&[("account", "a7")]), draw).arms;
    assert_eq!(of_key(0), of_key(u64::MAX));
}

#[test]
fn a_pin_meets_no_rule_and_an_unknown_label_is_said() {
    let facts = Headers(&[("tenant", "globex")]);
    let pinned = explain(&route(), Some(&"8".parse::<Selector>().unwrap()), &facts, 0);
    assert_eq!(pinned.sentences(), ["version 8 answers, reason pin"]);
    let labelled = explain(&route(), Some(&"canary".parse::<Selector>().unwrap()), &facts, 0);
    assert_eq!(labelled.sentences(), ["version 8 answers, reason label"]);
    let unknown = explain(&route(), Some(&"nobody".parse::<Selector>().unwrap()), &facts, 0);
    assert!(unknown.sentences()[0].contains("nobody"));
}

#[test]
fn experiments_are_explained_where_they_stand() {
    let text = "[models.fraud]\nstable = 7\nsticky = { header = \"account\" }\n\
        rules = [{ name = \"vip\", when = { header = \"vip\", present = true }, use = 7 }]\n\
        [experiments.page]\nmodel = \"fraud\"\nunits = [0, 0.5]\nholdout = 0.5\narms = { 7 = 1, 8 = 1 }\n";
    let available = |_: Version| Availability::Ready;
    let route = compile(&config(text), &model("fraud"), None, &available).unwrap().route;
    let outcome_of = |pairs: &[(&str, &str)]| {
        let explanation = explain(&route, None, &Headers(pairs), 0);
        (explanation.experiments[0].outcome, explanation)
    };
    let (outcome, explanation) = outcome_of(&[]);
    assert_eq!(outcome, ExperimentOutcome::NoKey);
    let needs = "experiment \"page\" of layer \"fraud\" needs a sticky key, and the request has none";
    assert!(explanation.sentences().contains(&needs.to_owned()));
    assert_eq!(outcome_of(&[("vip", "1"), ("account", "a")]).0, ExperimentOutcome::NotReached);
    let mut seen = Vec::new();
    for account in 0..64 {
        let (outcome, explanation) = outcome_of(&[("account", &account.to_string())]);
        let assignment = explanation.assignment.as_ref().unwrap();
        match outcome {
            ExperimentOutcome::Outside => assert_eq!(assignment.split, Some(SplitId::Default)),
            ExperimentOutcome::HeldOut => {
                assert!(assignment.is_held_out && explanation.arms.is_empty());
                assert_eq!(assignment.version, version(7));
            }
            ExperimentOutcome::Inside => {
                let drawn: Vec<_> = explanation.arms.iter().filter(|arm| arm.is_drawn).map(|arm| arm.version).collect();
                assert_eq!(drawn, [assignment.version]);
                assert_eq!(explanation.arms.len(), 2);
            }
            ExperimentOutcome::NoKey | ExperimentOutcome::NotReached => panic!("{explanation:?}"),
        }
        seen.push((outcome, assignment.version));
    }
    for expected in [
        (ExperimentOutcome::Outside, version(7)),
        (ExperimentOutcome::HeldOut, version(7)),
        (ExperimentOutcome::Inside, version(7)),
        (ExperimentOutcome::Inside, version(8)),
    ] {
        assert!(seen.contains(&expected), "{expected:?}");
    }
}
