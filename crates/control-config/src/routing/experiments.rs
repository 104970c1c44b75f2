//! `[experiments.<name>]`: which units of the traffic are in an A/B test, with which arms, and how it is decided.

use std::collections::BTreeMap;
use std::time::Duration;

use base_routing::{EXPERIMENTS_MAX, Experiment};
use base_types::ModelName;
use control_rollout::experiment::Primary;

use super::duration::duration_text;
use super::guardrail::word;
use super::toml_text::{ms_text, number_text, numbers_text};
use super::{Defaults, ModelBlock};
use crate::Code;
use crate::difference::split_text;
use crate::document::Report;
use crate::reader::{Item, Section};

mod block;
mod ranges;

use ranges::Claim;

/// Most experiments in one file.
pub const EXPERIMENTS_IN_FILE_MAX: usize = 256;

/// `[experiments.<name>]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentBlock {
    /// The model.
    pub model: ModelName,
    /// Who is in it, and with which arms.
    pub routing: Experiment,
    /// What it is decided by.
    pub primary: Primary,
    /// An answer that takes longer is slow, in seconds; always there where `primary` is the latency.
    pub slower_than_seconds: Option<f64>,
    /// Probability with which arms that are equal may be told apart, however often one looks; in (0, 0.5].
    pub alpha: f64,
    /// Differences up to here count as none, in units of the measure: 0.01 is one percentage point, or a hundredth of
    /// the loss; 0: there is always a difference to look for. In [0, 0.5].
    pub tolerance: f64,
    /// How its units are divided between the arms as time goes by.
    pub allocation: Allocation,
    /// What follows when no arm is shown to be better.
    pub on_equal: OnEqual,
    /// It is over after so long.
    pub max_duration: Duration,
}

/// How the units of an experiment are divided between its arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allocation {
    /// By the weights of the file.
    Fixed,
    /// By the probability that an arm is the best one.
    Thompson {
        /// No arm gets less than this share, in (0, 1 / number of arms].
        floor: f64,
        /// Time between two changes.
        update: Duration,
    },
}

/// What follows when no arm is shown to be better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnEqual {
    /// Stable stays.
    KeepStable,
    /// A person decides.
    Ask,
}

const ON_EQUAL: [(&str, OnEqual); 2] = [("keep_stable", OnEqual::KeepStable), ("ask", OnEqual::Ask)];

/// The experiments of the file by name.
pub(super) type Experiments = BTreeMap<Box<str>, ExperimentBlock>;

/// What experiments refer to.
pub(super) struct Known<'k> {
    pub models: &'k BTreeMap<ModelName, ModelBlock>,
    pub defaults: &'k Defaults,
}

/// An experiment that was read, but for the range its claim leads to.
struct Claiming<'a> {
    block: ExperimentBlock,
    claim: Claim,
    /// Where the claim stands.
    place: Item<'a>,
}

/// Reads `experiments`.
pub(super) fn experiments(root: &mut Section<'_>, known: &Known<'_>, report: &mut Report<'_>) -> Experiments {
    let Some(item) = root.take("experiments") else { return Experiments::new() };
    let Some(section) = item.section(report) else { return Experiments::new() };
    let entries = section.take_all();
    if entries.len() > EXPERIMENTS_IN_FILE_MAX {
        let message = format!("{} experiments, at most {EXPERIMENTS_IN_FILE_MAX} are allowed", entries.len());
        item.flaw(Code::TooMany, message, None, report);
    }
    let mut claiming: BTreeMap<Box<str>, Claiming<'_>> = BTreeMap::new();
    for entry in entries.into_iter().take(EXPERIMENTS_IN_FILE_MAX) {
        let Some(read) = block::named(&entry, known, report) else { continue };
        let n_of_model = claiming.values().filter(|other| other.block.model == read.block.model).count();
        if n_of_model == EXPERIMENTS_MAX {
            let message = format!("{} has more than {EXPERIMENTS_MAX} experiments", read.block.model);
            entry.item.flaw(Code::TooMany, message, "end one that has its answer".to_owned(), report);
        }
        claiming.insert(entry.key.into(), read);
    }
    ranges::assign(&mut claiming, report);
    claiming.into_iter().map(|(name, read)| (name, read.block)).collect()
}

impl ExperimentBlock {
    /// The experiment as keys and values, for comparisons.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let Experiment { layer, from, to, holdout, split, .. } = &self.routing;
        vec![
            ("model", self.model.to_string()),
            ("layer", layer.to_string()),
            ("units", numbers_text(&[*from, *to])),
            ("holdout", number_text(*holdout)),
            ("arms", split_text(split)),
            ("primary", self.primary.as_str().to_owned()),
            ("slower_than_ms", self.slower_than_seconds.map_or_else(|| "none".to_owned(), ms_text)),
            ("alpha", number_text(self.alpha)),
            ("allocation", self.allocation.text()),
            ("on_equal", word(&ON_EQUAL, self.on_equal).trim_matches('"').to_owned()),
            ("max_duration", duration_text(self.max_duration)),
        ]
    }
}

impl Allocation {
    fn text(&self) -> String {
        match self {
            Self::Fixed => "fixed".to_owned(),
            Self::Thompson { floor, update } => {
                format!("thompson with floor {}, update {}", number_text(*floor), duration_text(*update))
            }
        }
    }
}

#[cfg(test)]
mod tests;
