//! routing.toml: what operators wish for, model by model. Live: every accepted edit takes effect at once.

use std::collections::BTreeMap;
use std::path::Path;

use base_routing::{Rule, Source, Split};
use base_serving::ModelLimits;
use base_types::{Label, ModelName, Stance, Version};
use control_rollout::Guardrail;

use crate::document::{Report, read};
use crate::reader::{Entry, Section, put};
use crate::{Code, Invalid, Parsed};

mod contracts;
mod guardrail;
mod limits;
mod meaning;
mod model;
mod overlap;
mod rules;
mod sources;
mod versions;

pub use contracts::{Contract, NameMap, Names};

pub(crate) use contracts::side_text;
pub(crate) use guardrail::guardrail_rows;
pub(crate) use limits::limit_rows;
pub(crate) use meaning::rule_text as rule_meaning;
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
    /// formatting, the order of keys and the scale of weights do not change it, nor do limits, guardrail, names of inputs
    /// and outputs and the names of rules. The same in every process and build.
    pub fn meaning(&self) -> u64 {
        meaning::fingerprint(self)
    }
}

fn config(mut root: Section<'_>, report: &mut Report<'_>) -> RoutingConfig {
    let mut defaults = Defaults::default();
    if let Some(mut section) = root.take_section("defaults", report) {
        put(&mut defaults.sticky, sources::sticky(&mut section, report));
        limits::read(&mut section, &mut defaults.limits, report);
        guardrail::read(&mut section, &mut defaults.guardrail, report);
        section.finish(report);
    }
    defaults.limits.is_windowed = guardrail::is_windowed(&defaults.guardrail);
    let mut models = BTreeMap::new();
    if let Some(section) = root.take_section("models", report) {
        let span = section.span.clone();
        let entries = section.take_all();
        if entries.len() > MODELS_MAX {
            let message = format!("{} models, at most {MODELS_MAX} are allowed", entries.len());
            report.add(span, Code::TooMany, message, None);
        }
        for entry in entries.into_iter().take(MODELS_MAX) {
            models.extend(named_block(&entry, &defaults, report));
        }
    }
    root.finish(report);
    RoutingConfig { defaults, models }
}

fn named_block(entry: &Entry<'_>, defaults: &Defaults, report: &mut Report<'_>) -> Option<(ModelName, ModelBlock)> {
    let name = ModelName::new(entry.key);
    if let Err(error) = &name {
        report.add(entry.key_span.clone(), Code::BadName, error.to_string(), None);
    }
    let block = model::block(entry.item.section(report)?, defaults, report);
    Some((name.ok()?, block))
}

#[cfg(test)]
mod tests;
