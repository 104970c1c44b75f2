#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use base_types::ModelName;

use super::*;
use crate::{Condition, Rule, Source, Test};

fn version(n: u64) -> Version {
    Version::new(n).unwrap()
}

fn header(name: &str) -> Source {
    Source::Header(name.into())
}

#[derive(Default)]
struct Request(BTreeMap<Source, String>);

impl Facts for Request {
    fn value(&self, source: &Source) -> Option<Cow<'_, str>> {
        self.0.get(source).map(|v| v.as_str().into())
    }
}

fn request(pairs: &[(&str, &str)]) -> Request {
    Request(pairs.iter().map(|(n, v)| (header(n), v.to_string())).collect())
}

fn table() -> ModelRoute {
    let split = |w: &[(u64, f64)]| Split::new(w.iter().map(|(v, w)| (v.to_string().into(), version(*v), *w))).unwrap();
    let one_of = |values: &[&str]| Test::OneOf(values.iter().map(|v| (*v).into()).collect());
    let rule = |name: &str, test, then| Rule {
        name: name.into(),
        when: vec![Condition { source: header("x-tenant"), test }],
        then,
    };
    ModelRoute {
        split: split(&[(1, 90.0), (2, 10.0)]),
        rules: vec![
            rule("partners", one_of(&["acme"]), Target::Version(version(2))),
            rule("half", one_of(&["half"]), Target::Split(split(&[(1, 1.0), (2, 1.0)]))),
        ],
        sticky: vec![header("x-account")],
        labels: [(Label::new("champion").unwrap(), version(1))].into(),
        ..ModelRoute::to_one(ModelName::new("fraud").unwrap(), version(1))
    }
}

fn decide(route: &ModelRoute, pin: Option<&str>, pairs: &[(&str, &str)], draw: u64) -> (u64, Reason) {
    let pin = pin.map(|p| p.parse().unwrap());
    let a = assign(route, pin.as_ref(), &request(pairs), draw).unwrap();
    (a.version.get(), a.reason)
}

#[test]
fn pins_and_labels_bypass_rules_and_split() {
    let route = table();
    assert_eq!(decide(&route, Some("2"), &[("x-tenant", "half")], 0), (2, Reason::Pin));
    assert_eq!(decide(&route, Some("champion"), &[("x-tenant", "acme")], 0), (1, Reason::Label));
    let unknown = "nobody".parse().unwrap();
    assert!(assign(&route, Some(&unknown), &Request::default(), 0).is_err());
}

#[test]
fn the_first_matching_rule_wins_over_the_split() {
    let route = table();
    assert!((0..50).all(|draw| decide(&route, None, &[("x-tenant", "acme")], draw) == (2, Reason::Rule)));
    let on_two = (0..2_000u64)
        .filter(|i| decide(&route, None, &[("x-tenant", "half")], key_hash(&route.model, &i.to_le_bytes())).0 == 2);
    assert!((900..1_100).contains(&on_two.count()));
}

#[test]
fn a_sticky_key_decides_instead_of_the_draw() {
    let route = table();
    for account in 0..200 {
        let account = account.to_string();
        let first = decide(&route, None, &[("x-account", &account)], 1);
        assert!((0..20).all(|draw| decide(&route, None, &[("x-account", &account)], draw) == first));
        assert_eq!(first.1, Reason::Sticky);
    }
}

#[test]
fn a_barred_version_is_answered_by_stable() {
    let mut route = table();
    route.barred.insert(version(2));
    route.split.redirect(|v| v == version(2));
    assert_eq!(decide(&route, None, &[("x-tenant", "acme")], 0), (1, Reason::Redirect));
    let all: Vec<_> =
        (0..500u64).map(|i| decide(&route, None, &[], key_hash(&route.model, &i.to_le_bytes()))).collect();
    assert!(all.iter().all(|(v, _)| *v == 1));
    assert!(all.contains(&(1, Reason::Redirect)) && all.contains(&(1, Reason::Split)));
}
