//! Configs for tests: parsing with a short call, and random plans that can be written down in many ways.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use base_types::{ModelName, Version};
use proptest::prelude::*;

use crate::{Invalid, ModelBlock, Parsed, RoutingConfig, parse_routing};

pub(crate) fn parse(text: &str) -> Result<Parsed<RoutingConfig>, Invalid> {
    parse_routing(Path::new("routing.toml"), text.as_bytes())
}

pub(crate) fn config(text: &str) -> RoutingConfig {
    parse(text).unwrap_or_else(|invalid| panic!("{invalid}\n{text}")).value
}

pub(crate) fn block(text: &str) -> ModelBlock {
    config(text).models.into_values().next().unwrap()
}

pub(crate) fn model(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number).unwrap()
}

/// What a block is to mean, apart from how it is written.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub stable: u64,
    /// Weights by version; empty for no split.
    pub arms: BTreeMap<u64, u32>,
    pub rules: Vec<PlanRule>,
    pub sticky: Vec<(&'static str, &'static str)>,
    pub labels: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct PlanRule {
    pub when: Vec<(&'static str, &'static str)>,
    pub then: Result<u64, BTreeMap<u64, u32>>,
}

/// One of many ways to write a plan.
#[derive(Debug, Clone)]
pub(crate) struct Style {
    pub is_reversed: bool,
    pub has_long_arms: bool,
    pub has_comments: bool,
    pub uses_labels: bool,
    pub scale: f64,
}

pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let arms = || proptest::collection::btree_map(1u64..6, 1u32..1000, 1..5);
    let then = prop_oneof![(1u64..6).prop_map(Ok), arms().prop_map(Err)];
    let source = || prop_oneof![Just("header"), Just("cookie"), Just("query"), Just("parameter")];
    let name = || prop_oneof![Just("a"), Just("b-c"), Just("x-tenant")];
    let test = prop_oneof![
        Just("equals = \"v\""),
        Just("in = [\"v\", \"w\"]"),
        Just("prefix = \"v\""),
        Just("present = false")
    ];
    let condition = (source(), test);
    let rule = (proptest::collection::vec(condition, 1..3), then).prop_map(|(when, then)| PlanRule { when, then });
    let label = prop_oneof![Just("champion"), Just("old"), Just("v1.2")];
    (
        1u64..6,
        prop_oneof![Just(BTreeMap::new()), arms()],
        proptest::collection::vec(rule, 0..4),
        proptest::collection::btree_set((source(), name()), 0..3),
        proptest::collection::btree_map(label, 1u64..6, 0..3),
    )
        .prop_map(|(stable, arms, rules, sticky, labels)| {
            let sticky = sticky.into_iter().collect();
            Plan { stable, arms, rules, sticky, labels }
        })
}

pub(crate) fn style() -> impl Strategy<Value = Style> {
    let scale = prop_oneof![Just(1.0), Just(0.001), Just(0.3), Just(1e6)];
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>(), scale).prop_map(
        |(is_reversed, has_long_arms, has_comments, uses_labels, scale)| Style {
            is_reversed,
            has_long_arms,
            has_comments,
            uses_labels,
            scale,
        },
    )
}

impl Plan {
    pub(crate) fn render(&self, style: &Style) -> String {
        let mut lines = vec![format!("stable = {}", self.version(self.stable, style))];
        if !self.arms.is_empty() {
            lines.push(self.split(&self.arms, style));
        }
        if !self.sticky.is_empty() {
            let sources = self.sticky.iter().map(|(kind, name)| format!("{{ {kind} = \"{name}\" }}"));
            lines.push(format!("sticky = [{}]", sources.collect::<Vec<_>>().join(", ")));
        }
        let labels: Vec<_> = self.labels.iter().map(|(label, version)| format!("\"{label}\" = {version}")).collect();
        lines.push(format!("labels = {{ {} }}", labels.join(", ")));
        if style.is_reversed {
            lines.reverse();
        }
        let mut text = "[models.fraud]\n".to_owned();
        for line in lines {
            let comment = if style.has_comments { "  # why not" } else { "" };
            writeln!(text, "{line}{comment}").unwrap();
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let mut when: Vec<_> =
                rule.when.iter().map(|(source, test)| format!("{{ {source} = \"x\", {test} }}")).collect();
            if style.is_reversed {
                when.reverse();
            }
            let then = match &rule.then {
                Ok(version) => format!("use = {}", self.version(*version, style)),
                Err(arms) => self.split(arms, style),
            };
            // The name of a rule means nothing to the router.
            let name = if style.has_comments { format!("name = \"no {index}\"\n") } else { String::new() };
            writeln!(text, "[[models.fraud.rules]]\n{name}when = [{}]\n{then}", when.join(", ")).unwrap();
        }
        text
    }

    fn version(&self, number: u64, style: &Style) -> String {
        let label = self.labels.iter().find(|(_, version)| **version == number).map(|(label, _)| *label);
        match label.filter(|_| style.uses_labels) {
            Some(label) => format!("\"{label}\""),
            None => number.to_string(),
        }
    }

    fn split(&self, arms: &BTreeMap<u64, u32>, style: &Style) -> String {
        let arm = |(number, weight): (&u64, &u32)| {
            let (version, weight) = (self.version(*number, style), f64::from(*weight) * style.scale);
            if style.has_long_arms {
                format!("{{ version = {version}, weight = {weight:?} }}")
            } else {
                format!("{version} = {weight:?}")
            }
        };
        let mut arms: Vec<_> = arms.iter().map(arm).collect();
        if style.is_reversed {
            arms.reverse();
        }
        let arms = arms.join(", ");
        if style.has_long_arms { format!("arms = [{arms}]") } else { format!("split = {{ {arms} }}") }
    }
}
