//! What an edit of routing.toml would change, fact by fact.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base_routing::{Condition, Rule, Source, Split, Target, Test};
use base_types::{ModelName, Version};

use crate::compile::percent;
use crate::routing::{gate_rows, guardrail_rows, limit_rows, policy_lines, rule_meaning, side_text};
use crate::{DEFAULT_POLICY, Defaults, ExperimentBlock, ModelBlock, RoutingConfig};

/// Of a longer list of values this many are shown.
pub(crate) const VALUES_SHOWN: usize = 4;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The model; `None` for the defaults, which hold for models without a block, and for policies and experiments.
    pub model: Option<ModelName>,
    /// What changes.
    pub aspect: Aspect,
    /// How it is now; `None` when it is new.
    pub before: Option<String>,
    /// How it would be; `None` when it goes.
    pub after: Option<String>,
}

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aspect {
    /// The block as a whole.
    Block,
    /// The stable version.
    Stable,
    /// A version's share of the requests that no rule claims.
    Share(Version),
    /// The names of the arms, and with them which keys fall to which.
    Arms,
    /// A rule, by name.
    Rule(String),
    /// The order of the rules.
    RuleOrder,
    /// The sticky key.
    Sticky,
    /// A label.
    Label(String),
    /// What callers call the inputs or outputs of a version: `inputs` or `outputs`.
    Names(Version, &'static str),
    /// A bound, by its key.
    Limit(&'static str),
    /// A key of the guardrail.
    Guardrail(&'static str),
    /// A key of the gates, as `gates.keys`.
    Gates(&'static str),
    /// Which rollout policy a model has, by name.
    PolicyChoice,
    /// A rollout policy of the file, by name: one of its keys, or the whole of it.
    Policy(String, Option<String>),
    /// An experiment, by name: one of its keys, or the whole of it.
    Experiment(String, Option<String>),
}

/// Compares two configs. Empty when they mean the same.
pub fn diff(old: &RoutingConfig, new: &RoutingConfig) -> Vec<Difference> {
    let mut found = Found { model: None, list: Vec::new() };
    found.defaults(&old.defaults, &new.defaults);
    let names: BTreeSet<_> = old.models.keys().chain(new.models.keys()).collect();
    for name in names {
        found.model = Some(name.clone());
        match (old.models.get(name), new.models.get(name)) {
            (Some(old), Some(new)) => found.blocks(old, new),
            (old, new) => {
                found.add(Aspect::Block, old.map(summary), new.map(summary));
            }
        }
    }
    found.model = None;
    found.policies(old, new);
    found.experiments(old, new);
    found.list
}

struct Found {
    model: Option<ModelName>,
    list: Vec<Difference>,
}

impl Found {
    fn add(&mut self, aspect: Aspect, before: Option<String>, after: Option<String>) {
        if before != after {
            self.list.push(Difference { model: self.model.clone(), aspect, before, after });
        }
    }

    fn defaults(&mut self, old: &Defaults, new: &Defaults) {
        self.add(Aspect::Sticky, sticky_text(&old.sticky), sticky_text(&new.sticky));
        self.rows(Aspect::Limit, limit_rows(&old.limits), limit_rows(&new.limits));
        self.rows(Aspect::Guardrail, guardrail_rows(&old.guardrail), guardrail_rows(&new.guardrail));
        self.rows(Aspect::Gates, gate_rows(&old.gates), gate_rows(&new.gates));
        self.add(Aspect::PolicyChoice, choice(&old.policy), choice(&new.policy));
    }

    fn blocks(&mut self, old: &ModelBlock, new: &ModelBlock) {
        self.add(Aspect::Stable, old.stable.map(|v| v.to_string()), new.stable.map(|v| v.to_string()));
        let (before, after) = (shares(old), shares(new));
        for version in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            self.add(Aspect::Share(*version), before.get(version).cloned(), after.get(version).cloned());
        }
        if before == after {
            self.add(Aspect::Arms, arms_text(old), arms_text(new));
        }
        self.rules(&old.rules, &new.rules);
        self.add(Aspect::Sticky, sticky_text(&old.sticky), sticky_text(&new.sticky));
        for label in old.labels.keys().chain(new.labels.keys()).collect::<BTreeSet<_>>() {
            let text = |block: &ModelBlock| block.labels.get(label).map(Version::to_string);
            self.add(Aspect::Label(label.to_string()), text(old), text(new));
        }
        self.names(old, new);
        self.rows(Aspect::Limit, limit_rows(&old.limits), limit_rows(&new.limits));
        self.rows(Aspect::Guardrail, guardrail_rows(&old.guardrail), guardrail_rows(&new.guardrail));
        self.rows(Aspect::Gates, gate_rows(&old.gates), gate_rows(&new.gates));
        self.add(Aspect::PolicyChoice, choice(&old.policy), choice(&new.policy));
    }

    fn policies(&mut self, old: &RoutingConfig, new: &RoutingConfig) {
        for name in old.policies.keys().chain(new.policies.keys()).collect::<BTreeSet<_>>() {
            // A policy that the file begins or ceases to define may have been there by itself.
            let lines = |config: &RoutingConfig| config.named_policy(name).map(|policy| policy_lines(&policy));
            self.keyed(|key| Aspect::Policy(name.to_string(), key), lines(old), lines(new));
        }
    }

    fn experiments(&mut self, old: &RoutingConfig, new: &RoutingConfig) {
        for name in old.experiments.keys().chain(new.experiments.keys()).collect::<BTreeSet<_>>() {
            let lines = |config: &RoutingConfig| -> Option<Lines> {
                let lines = config.experiments.get(name).map(ExperimentBlock::lines)?;
                Some(lines.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            };
            self.keyed(|key| Aspect::Experiment(name.to_string(), key), lines(old), lines(new));
        }
    }

    /// Something with a name: what changes key by key, or that it comes or goes.
    fn keyed(&mut self, aspect: impl Fn(Option<String>) -> Aspect, old: Option<Lines>, new: Option<Lines>) {
        let whole = |lines: &Lines| {
            let pairs: Vec<String> = lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            pairs.join(", ")
        };
        let (Some(old), Some(new)) = (&old, &new) else {
            self.add(aspect(None), old.as_ref().map(whole), new.as_ref().map(whole));
            return;
        };
        for key in old.iter().chain(new).map(|(key, _)| key).collect::<BTreeSet<_>>() {
            let value = |lines: &Lines| lines.iter().find(|(k, _)| k == key).map(|(_, value)| value.clone());
            self.add(aspect(Some(key.clone())), value(old), value(new));
        }
    }

    fn names(&mut self, old: &ModelBlock, new: &ModelBlock) {
        for version in old.contracts.keys().chain(new.contracts.keys()).collect::<BTreeSet<_>>() {
            let inputs = |block: &ModelBlock| block.contracts.get(version).and_then(|map| side_text(&map.inputs));
            self.add(Aspect::Names(*version, "inputs"), inputs(old), inputs(new));
            let outputs = |block: &ModelBlock| block.contracts.get(version).and_then(|map| side_text(&map.outputs));
            self.add(Aspect::Names(*version, "outputs"), outputs(old), outputs(new));
        }
    }

    fn rules(&mut self, old: &[Rule], new: &[Rule]) {
        let names: BTreeSet<&str> = old.iter().chain(new).map(|rule| &*rule.name).collect();
        for name in names {
            let named = |rules: &'_ [Rule]| rules.iter().find(|rule| &*rule.name == name).cloned();
            let (before, after) = (named(old), named(new));
            if before.as_ref().map(rule_meaning) == after.as_ref().map(rule_meaning) {
                continue;
            }
            let texts = |n_values| [&before, &after].map(|rule| rule.as_ref().map(|rule| rule_text(rule, n_values)));
            let [mut from, mut to] = texts(VALUES_SHOWN);
            if from == to {
                [from, to] = texts(usize::MAX);
            }
            self.add(Aspect::Rule(name.to_owned()), from, to);
        }
        let order = |rules: &[Rule], other: &[Rule]| {
            let kept = rules.iter().filter(|rule| other.iter().any(|o| o.name == rule.name));
            Some(kept.map(|rule| format!("{:?}", rule.name)).collect::<Vec<_>>().join(", "))
        };
        self.add(Aspect::RuleOrder, order(old, new), order(new, old));
    }

    fn rows(&mut self, aspect: fn(&'static str) -> Aspect, old: Rows, new: Rows) {
        for ((key, before), (_, after)) in old.into_iter().zip(new) {
            self.add(aspect(key), Some(before), Some(after));
        }
    }
}

type Rows = Vec<(&'static str, String)>;
type Lines = Vec<(String, String)>;

fn choice(policy: &Option<Arc<str>>) -> Option<String> {
    Some(policy.as_deref().unwrap_or(DEFAULT_POLICY).to_owned())
}

fn shares(block: &ModelBlock) -> BTreeMap<Version, String> {
    let Some(split) = &block.split else {
        return block.stable.map(|version| (version, percent(1.0))).into_iter().collect();
    };
    let versions = split.arms().iter().map(|arm| arm.version);
    // Nothing is redirected in a config, so that any version may stand for stable here.
    versions.map(|version| (version, percent(split.share(version, version)))).collect()
}

fn arms_text(block: &ModelBlock) -> Option<String> {
    block.split.as_ref().filter(|split| split.arms().len() > 1).map(split_text)
}

/// A split in words: its arms with their shares.
pub(crate) fn split_text(split: &Split) -> String {
    let total: f64 = split.arms().iter().map(|arm| arm.weight).sum();
    let arms = split.arms().iter().map(|arm| {
        let title = if *arm.name == *arm.version.to_string() { String::new() } else { format!("{:?} ", arm.name) };
        format!("{title}version {} {}", arm.version, percent(arm.weight / total))
    });
    arms.collect::<Vec<_>>().join(", ")
}

fn sticky_text(sticky: &[Source]) -> Option<String> {
    (!sticky.is_empty()).then(|| sticky.iter().map(Source::to_string).collect::<Vec<_>>().join(", else "))
}

fn summary(block: &ModelBlock) -> String {
    let stable = block.stable.map(|version| format!("stable {version}"));
    let split = arms_text(block).map(|arms| format!("split {arms}"));
    let rules = (!block.rules.is_empty()).then(|| format!("{} rules", block.rules.len()));
    let names = (!block.contracts.is_empty()).then(|| {
        let maps = block.contracts.iter().map(|(version, map)| format!("version {version} {}", map.text()));
        format!("names of {}", maps.collect::<Vec<_>>().join("; "))
    });
    let parts: Vec<_> = [stable, split, rules, names].into_iter().flatten().collect();
    if parts.is_empty() { "no versions chosen".to_owned() } else { parts.join("; ") }
}

fn rule_text(rule: &Rule, n_values: usize) -> String {
    let when: Vec<_> = rule.when.iter().map(|condition| condition_text(condition, n_values)).collect();
    format!("when {}: {}", when.join(" and "), target_text(&rule.then))
}

/// What a rule does, in words.
pub(crate) fn target_text(target: &Target) -> String {
    match target {
        Target::Version(version) => format!("version {version}"),
        Target::Split(split) => split_text(split),
    }
}

/// A condition in words. Of a longer list `n_values` values are shown and the others counted.
pub(crate) fn condition_text(condition: &Condition, n_values: usize) -> String {
    let source = &condition.source;
    match &condition.test {
        Test::OneOf(values) if values.len() == 1 => values.iter().map(|v| format!("{source} is {v:?}")).collect(),
        Test::OneOf(values) => {
            let mut shown: Vec<_> = values.iter().take(n_values).map(|value| format!("{value:?}")).collect();
            let n_hidden = values.len() - shown.len();
            shown.extend((n_hidden > 0).then(|| format!("{n_hidden} more")));
            format!("{source} is one of {}", shown.join(", "))
        }
        Test::Prefix(prefix) => format!("{source} starts with {prefix:?}"),
        Test::Present => format!("{source} is present"),
        Test::Absent => format!("{source} is absent"),
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block => f.write_str("block"),
            Self::Stable => f.write_str("stable version"),
            Self::Share(version) => write!(f, "share of version {version}"),
            Self::Arms => f.write_str("arms"),
            Self::Rule(name) => write!(f, "rule {name:?}"),
            Self::RuleOrder => f.write_str("order of rules"),
            Self::Sticky => f.write_str("sticky key"),
            Self::Label(label) => write!(f, "label {label}"),
            Self::Names(version, side) => write!(f, "names of the {side} of version {version}"),
            Self::Limit(key) | Self::Gates(key) => f.write_str(key),
            Self::Guardrail(key) => write!(f, "guardrail.{key}"),
            Self::PolicyChoice => f.write_str("policy"),
            Self::Policy(name, None) => write!(f, "policy {name:?}"),
            Self::Policy(name, Some(key)) => write!(f, "policy {name:?}: {key}"),
            Self::Experiment(name, None) => write!(f, "experiment {name:?}"),
            Self::Experiment(name, Some(key)) => write!(f, "experiment {name:?}: {key}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aspect = &self.aspect;
        match (&self.model, aspect) {
            (Some(model), _) => write!(f, "{model}: ")?,
            (None, Aspect::Policy(..) | Aspect::Experiment(..)) => {}
            (None, _) => f.write_str("defaults: ")?,
        }
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{aspect} changes from {before} to {after}"),
            (None, Some(after)) => write!(f, "{aspect} is added: {after}"),
            (Some(before), None) => write!(f, "{aspect} is removed (was {before})"),
            (None, None) => write!(f, "{aspect} stays"),
        }
    }
}

#[cfg(test)]
mod tests;
