//! routing.toml: what operators wish for, model by model. Live: every accepted edit takes effect at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base_routing::{Rule, Source, Split};
use base_serving::ModelLimits;
use base_types::{Label, ModelName, Stance, Version};
use control_rollout::{Guardrail, Policy};

use crate::document::{Report, read};
use crate::reader::{Entry, Section, put};
use crate::{Code, Invalid, Parsed};

mod batching;
mod capture;
mod comparison;
mod contracts;
mod duration;
mod experiments;
mod gates;
mod guardrail;
mod limits;
mod meaning;
mod model;
mod overlap;
mod places;
mod policies;
mod rules;
mod sources;
mod toml_text;
mod versions;

pub use contracts::{Contract, NameMap, Names};
pub use experiments::{Allocation, EXPERIMENTS_IN_FILE_MAX, ExperimentBlock, OnEqual};
pub use gates::{GateRules, KEY_PREFIX, ReplayRule, key_text, parse_key};
pub use policies::{BUILTIN_POLICIES, DEFAULT_POLICY, POLICIES_MAX, builtin_policy, parse_policy, policy_text};

pub(crate) use contracts::side_text;
pub(crate) use gates::gate_rows;
pub(crate) use guardrail::guardrail_rows;
pub(crate) use limits::limit_rows;
pub(crate) use meaning::rule_text as rule_meaning;
pub(crate) use policies::policy_lines;
pub(crate) use versions::default_arm_name;

/// Most models in one file.
pub const MODELS_MAX: usize = 1_024;

/// routing.toml, read and checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RoutingConfig {
    /// What holds for every model that says nothing else, those without a block included.
    pub defaults: Defaults,
    /// The blocks by model.
    pub models: BTreeMap<ModelName, ModelBlock>,
    /// The rollout policies that the file defines, by name. [`RoutingConfig::named_policy`] knows those that are there by
    /// themselves as well.
    pub policies: BTreeMap<Box<str>, Arc<Policy>>,
    /// The experiments by name.
    pub experiments: BTreeMap<Box<str>, ExperimentBlock>,
}

/// `[defaults]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Defaults {
    /// Where the sticky key is found.
    pub sticky: Vec<Source>,
    /// Bounds.
    pub limits: ModelLimits,
    /// How candidates are judged.
    pub guardrail: Guardrail,
    /// The rollout policy by name; `None`: [`DEFAULT_POLICY`].
    pub policy: Option<Arc<str>>,
    /// What a version has to pass before traffic.
    pub gates: GateRules,
}

/// `[models.<name>]`, with the defaults filled in and labels resolved.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModelBlock {
    /// The version everything falls back to; `None` leaves the choice of versions to commands.
    pub stable: Option<Version>,
    /// The split of requests that no rule claims; `None`: all to stable.
    pub split: Option<Split>,
    /// Rules, first match wins.
    pub rules: Vec<Rule>,
    /// Where the sticky key is found, first source that has a value wins.
    pub sticky: Vec<Source>,
    /// Names callers may use in the path.
    pub labels: BTreeMap<Label, Version>,
    /// Versions whose inputs or outputs callers call otherwise than the graph does.
    pub contracts: BTreeMap<Version, NameMap>,
    /// Bounds.
    pub limits: ModelLimits,
    /// How candidates are judged.
    pub guardrail: Guardrail,
    /// The rollout policy by name; `None`: [`DEFAULT_POLICY`].
    pub policy: Option<Arc<str>>,
    /// What a version has to pass before traffic.
    pub gates: GateRules,
}

/// Reads routing.toml. `file` is how diagnostics name it. An empty file is valid and names no model.
pub fn parse_routing(file: &Path, bytes: &[u8]) -> Result<Parsed<RoutingConfig>, Invalid> {
    read(file, bytes, |tree, report| config(Section::root(tree), report))
}

impl RoutingConfig {
    /// The bounds of a model.
    pub fn limits(&self, model: &ModelName) -> &ModelLimits {
        self.models.get(model).map_or(&self.defaults.limits, |block| &block.limits)
    }

    /// How the candidates of a model are judged.
    pub fn guardrail(&self, model: &ModelName) -> &Guardrail {
        self.models.get(model).map_or(&self.defaults.guardrail, |block| &block.guardrail)
    }

    /// What the versions of a model have to pass before traffic.
    pub fn gates(&self, model: &ModelName) -> &GateRules {
        self.models.get(model).map_or(&self.defaults.gates, |block| &block.gates)
    }

    /// How candidates of a model are brought into traffic: the policy's name and the policy.
    pub fn policy(&self, model: &ModelName) -> (Arc<str>, Arc<Policy>) {
        let name = self.models.get(model).map_or(&self.defaults.policy, |block| &block.policy);
        let name = name.clone().unwrap_or_else(|| DEFAULT_POLICY.into());
        // A name that is not known was refused when the file was read.
        let policy = self.named_policy(&name).unwrap_or_default();
        (name, policy)
    }

    /// Whether the file names a policy for the model, or for all.
    pub fn names_policy(&self, model: &ModelName) -> bool {
        self.defaults.policy.is_some() || self.models.get(model).is_some_and(|block| block.policy.is_some())
    }

    /// A policy by its name: one of the file, or one that is there by itself.
    pub fn named_policy(&self, name: &str) -> Option<Arc<Policy>> {
        policies::find(&self.policies, name)
    }

    /// The experiments on a model by name, in the order in which they are asked.
    pub fn experiments(&self, model: &ModelName) -> impl Iterator<Item = (&str, &ExperimentBlock)> {
        let of_model = self.experiments.iter().filter(move |(_, block)| block.model == *model);
        of_model.map(|(name, block)| (&**name, block))
    }

    /// What callers call the inputs and outputs of a version, if that differs from its graph.
    pub fn names(&self, model: &ModelName, version: Version) -> Option<&NameMap> {
        self.models.get(model)?.contracts.get(&version)
    }

    /// What a decision about a model must be stored with: the meaning of its block, if the block chooses versions.
    pub fn meaning(&self, model: &ModelName) -> Option<u64> {
        self.models.get(model).filter(|block| block.stable.is_some()).map(ModelBlock::meaning)
    }

    /// Whether a decision still holds. It gives way to a block that chooses versions and means something else
    /// than when the decision was taken. A block that chooses none, or no block, contradicts nothing: taking a
    /// block out of the file leaves the traffic where it is.
    pub fn upholds(&self, model: &ModelName, stance: &Stance) -> bool {
        match self.meaning(model) {
            None => true,
            meaning => meaning == stance.meaning,
        }
    }
}

impl ModelBlock {
    /// Fingerprint of what the block says about routing: stable, split, rules, sticky and labels. Comments,
    /// formatting, the order of keys and the scale of weights do not change it, nor do limits, guardrail, policy, names of
    /// inputs and outputs and the names of rules. The same in every process and build.
    pub fn meaning(&self) -> u64 {
        meaning::fingerprint(self)
    }
}

fn config(mut root: Section<'_>, report: &mut Report<'_>) -> RoutingConfig {
    let mut defaults = Defaults::default();
    let mut section = root.take_section("defaults", report);
    if let Some(section) = &mut section {
        put(&mut defaults.sticky, sources::sticky(section, report));
        limits::read(section, &mut defaults.limits, report);
        guardrail::read(section, &mut defaults.guardrail, report);
        gates::read(section, &mut defaults.gates, report);
    }
    let policies = policies::policies(&mut root, &defaults.guardrail, report);
    if let Some(mut section) = section {
        defaults.policy = policies::choice(&mut section, (&policies, &defaults.guardrail), report);
        section.finish(report);
    }
    // A rollout may be started with any policy, so that each one's window must find its counts.
    let has_window = policies.values().any(|policy| policy.guardrail.as_ref().is_some_and(guardrail::is_windowed));
    defaults.limits.is_windowed = has_window || guardrail::is_windowed(&defaults.guardrail);
    let mut models = BTreeMap::new();
    if let Some(section) = root.take_section("models", report) {
        let span = section.span.clone();
        let entries = section.take_all();
        if entries.len() > MODELS_MAX {
            let message = format!("{} models, at most {MODELS_MAX} are allowed", entries.len());
            report.add(span, Code::TooMany, message, None);
        }
        for entry in entries.into_iter().take(MODELS_MAX) {
            models.extend(named_block(&entry, (&defaults, &policies), report));
        }
    }
    models.values_mut().for_each(|block| block.limits.is_windowed |= has_window);
    let known = experiments::Known { models: &models, defaults: &defaults };
    let experiments = experiments::experiments(&mut root, &known, report);
    root.finish(report);
    RoutingConfig { defaults, models, policies, experiments }
}

fn named_block(
    entry: &Entry<'_>,
    around: (&Defaults, &policies::Policies),
    report: &mut Report<'_>,
) -> Option<(ModelName, ModelBlock)> {
    let name = ModelName::new(entry.key);
    if let Err(error) = &name {
        report.add(entry.key_span.clone(), Code::BadName, error.to_string(), None);
    }
    let block = model::block(entry.item.section(report)?, around, report);
    Some((name.ok()?, block))
}

#[cfg(test)]
mod tests;
