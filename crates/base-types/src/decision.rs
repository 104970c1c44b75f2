//! What was decided, apart from what config wishes: the part of the state that outlives a restart.
//!
//! `Decisions` is a fold over `Change`s. The journal stores the changes; replaying them from the first
//! yields the decisions in force, so the audit log explains the live state.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Digest, GateOverride, ModelName, Rollout, Version, VersionId};

/// How many earlier stable versions of a model are remembered as rollback targets.
const CONFIRMED_MAX: usize = 16;

/// How many rollbacks of a model are remembered.
const ROLLBACKS_MAX: usize = 64;

/// The cause of a quarantine that a person ordered.
pub const OPERATOR: &str = "operator";
/// The cause of a quarantine that the watch over a stable version led to.
const STEADY_STATE: &str = "steady_state";

/// Where a model's stance is on its way to being settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A candidate takes a share of the traffic and is judged.
    Canary,
    /// A candidate was promoted and takes all traffic, but is not confirmed: after a crash the stable serves.
    Provisional,
    /// A promotion was cut short by a restart: the stable serves until a person decides again.
    Interrupted,
    /// One version serves, and that is confirmed.
    Settled,
}

impl Phase {
    /// The word used in the API, journal and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Provisional => "provisional",
            Self::Interrupted => "interrupted",
            Self::Settled => "settled",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Canary, Self::Provisional, Self::Interrupted, Self::Settled].into_iter().find(|p| p.as_str() == text)
    }
}

/// A version under trial by decision, and its share of the traffic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The version.
    pub version: Version,
    /// Its share of the unpinned traffic, in (0, 1].
    pub share: f64,
}

/// What was decided for one model by a command or at first start. It holds while the model's block in
/// routing.toml means what it meant then.
#[derive(Debug, Clone, PartialEq)]
pub struct Stance {
    /// The version that answers when nothing else may: rollback and fallback target.
    pub stable: Version,
    /// The version under trial, if any.
    pub candidate: Option<Candidate>,
    /// How far the trial has come.
    pub phase: Phase,
    /// Fingerprint of the model's block in routing.toml when this was decided; `None` without a block.
    pub meaning: Option<u64>,
    /// When, in milliseconds since 1970.
    pub since_unix_ms: u64,
}

/// A digest that must not be routed until a person releases it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The version it was caught as.
    pub id: VersionId,
    /// Which rule or person, in a few words.
    pub cause: String,
    /// Since when, in milliseconds since 1970.
    pub since_unix_ms: u64,
}

/// What was ordered about a place in memory. It holds until another order, whatever the model's policy wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residence {
    /// To be in memory.
    Loaded,
    /// To be out of memory.
    Unloaded,
}

impl Residence {
    /// The word used in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Unloaded => "unloaded",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Loaded, Self::Unloaded].into_iter().find(|r| r.as_str() == text)
    }
}

/// What was ordered about the memory of one model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelResidence {
    /// Whether the whole model is to be out of memory, versions that come later included.
    pub is_unloaded: bool,
    /// Versions about which something else was ordered since.
    pub versions: BTreeMap<Version, Residence>,
}

/// One durable step of the decisions.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A version number was bound to content; it is never given to other content.
    Registered {
        /// The version.
        id: VersionId,
        /// Its content.
        digest: Digest,
    },
    /// A model's stance was set.
    Stance {
        /// The model.
        model: ModelName,
        /// The new stance.
        stance: Stance,
    },
    /// A model's stance gave way to routing.toml.
    StanceCleared {
        /// The model.
        model: ModelName,
    },
    /// A version was confirmed as stable: a rollback may return to it.
    Confirmed {
        /// The version.
        id: VersionId,
    },
    /// A confirmation was taken back: a rollback came while it was being recorded.
    Unconfirmed {
        /// The version.
        id: VersionId,
    },
    /// A digest was barred.
    Quarantined {
        /// The content.
        digest: Digest,
        /// As what and why.
        quarantine: Quarantine,
    },
    /// A person released a digest.
    Released {
        /// The content.
        digest: Digest,
    },
    /// A place in memory was ordered. For a whole model `Loaded` leaves it to the model's policy again.
    Residence {
        /// The model.
        model: ModelName,
        /// The version; `None` for the whole model.
        version: Option<Version>,
        /// In or out.
        residence: Residence,
    },
    /// The rollout of a model took a step, began or ended.
    Rollout {
        /// The model.
        model: ModelName,
        /// The rollout as it is now.
        rollout: Box<Rollout>,
    },
    /// A person said that a failed gate does not matter for some content of a model.
    GateOverridden {
        /// The model.
        model: ModelName,
        /// The content.
        digest: Digest,
        /// Which gate, who and why.
        by: GateOverride,
    },
    /// A person looked into the rollbacks of a model: they no longer freeze its rollouts.
    Thawed {
        /// The model.
        model: ModelName,
    },
}

/// Everything decided so far.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decisions {
    /// Which content each version number stands for.
    pub digests: BTreeMap<VersionId, Digest>,
    /// The stance of each model that has one.
    pub stances: BTreeMap<ModelName, Stance>,
    /// Confirmed stable versions of each model, oldest first, without repeats.
    pub confirmed: BTreeMap<ModelName, Vec<Version>>,
    /// Barred content.
    pub quarantine: BTreeMap<Digest, Quarantine>,
    /// What was ordered about the memory of each model, where something was.
    pub residence: BTreeMap<ModelName, ModelResidence>,
    /// The last rollout of each model that had one, under way or over.
    pub rollouts: BTreeMap<ModelName, Rollout>,
    /// When candidates of each model were taken out by a rule since a person last thawed its rollouts, in milliseconds
    /// since 1970, oldest first.
    pub rollbacks: BTreeMap<ModelName, Vec<u64>>,
    /// Failed gates that persons overrode, by model and content; at most one override of each gate.
    pub overrides: BTreeMap<(ModelName, Digest), Vec<GateOverride>>,
}

impl Decisions {
    /// Folds one change in.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Registered { id, digest } => {
                self.digests.entry(id.clone()).or_insert(*digest);
            }
            Change::Stance { model, stance } => {
                self.stances.insert(model.clone(), stance.clone());
            }
            Change::StanceCleared { model } => {
                self.stances.remove(model);
            }
            Change::Confirmed { id } => {
                let versions = self.confirmed.entry(id.model.clone()).or_default();
                versions.retain(|v| *v != id.version);
                versions.push(id.version);
                if versions.len() > CONFIRMED_MAX {
                    versions.remove(0);
                }
            }
            Change::Unconfirmed { id } => {
                self.confirmed.entry(id.model.clone()).or_default().retain(|v| *v != id.version);
            }
            Change::Quarantined { digest, quarantine } => {
                self.quarantine.insert(*digest, quarantine.clone());
                let is_of_candidate = ![OPERATOR, STEADY_STATE].contains(&quarantine.cause.as_str());
                let rollbacks = self.rollbacks.entry(quarantine.id.model.clone()).or_default();
                // Said again, it is the same one.
                if is_of_candidate && !rollbacks.contains(&quarantine.since_unix_ms) {
                    rollbacks.push(quarantine.since_unix_ms);
                    if rollbacks.len() > ROLLBACKS_MAX {
                        rollbacks.remove(0);
                    }
                }
            }
            Change::Released { digest } => {
                self.quarantine.remove(digest);
            }
            Change::Residence { model, version: Some(version), residence } => {
                self.residence.entry(model.clone()).or_default().versions.insert(*version, *residence);
            }
            Change::Residence { model, version: None, residence: Residence::Loaded } => {
                self.residence.remove(model);
            }
            Change::Residence { model, version: None, residence: Residence::Unloaded } => {
                let whole = ModelResidence { is_unloaded: true, versions: BTreeMap::new() };
                self.residence.insert(model.clone(), whole);
            }
            Change::GateOverridden { model, digest, by } => {
                let known = self.overrides.entry((model.clone(), *digest)).or_default();
                known.retain(|other| other.gate != by.gate);
                known.push(by.clone());
            }
            Change::Thawed { model } => {
                self.rollbacks.remove(model);
            }
            Change::Rollout { model, rollout } => {
                self.rollouts.insert(model.clone(), Rollout::clone(rollout));
            }
        }
    }

    /// What was ordered about a version's place in memory; `None` leaves it to the model's policy.
    pub fn residence(&self, model: &ModelName, version: Version) -> Option<Residence> {
        let ordered = self.residence.get(model)?;
        let whole = ordered.is_unloaded.then_some(Residence::Unloaded);
        ordered.versions.get(&version).copied().or(whole)
    }

    /// Whether a version's content is barred.
    pub fn is_quarantined(&self, id: &VersionId) -> bool {
        self.digests.get(id).is_some_and(|d| self.quarantine.contains_key(d))
    }

    /// The versions of a model whose content is barred.
    pub fn quarantined_versions(&self, model: &ModelName) -> BTreeSet<Version> {
        let of_model = self.digests.iter().filter(|(id, _)| id.model == *model);
        of_model.filter(|(_, digest)| self.quarantine.contains_key(*digest)).map(|(id, _)| id.version).collect()
    }
}
