//! One decision as it is recorded: who, what, why, and what it changed.

use std::fmt;

use base_types::{Change, Digest, Generation, ModelName, Version};

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// What was done. The words are stored and part of the API: never rename one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The word used in the journal, API and logs.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }
    };
}

actions! {
    /// The gateway started.
    Started = "started",
    /// The gateway ended in an orderly way.
    Stopped = "stopped",
    /// A version number was bound to content.
    Registered = "registered",
    /// Content other than the registered one was found under a version number.
    ContentChanged = "content_changed",
    /// A version was loaded and can be addressed.
    Loaded = "loaded",
    /// A version could not be loaded.
    LoadRefused = "load_refused",
    /// A version passed its gates.
    Gated = "gated",
    /// A version failed a gate.
    GateFailed = "gate_failed",
    /// A person overrode a failed gate.
    GateOverridden = "gate_overridden",
    /// A version was taken out of memory.
    Unloaded = "unloaded",
    /// A caller asked for a model or version to be in memory.
    LoadOrdered = "load_ordered",
    /// A caller asked for a model or version to be out of memory.
    UnloadOrdered = "unload_ordered",
    /// A version's folder is gone.
    Removed = "removed",
    /// A routing file came into force.
    ConfigAccepted = "config_accepted",
    /// A routing file was refused.
    ConfigRejected = "config_rejected",
    /// A model got its first stable version.
    StableChosen = "stable_chosen",
    /// A version began to take a share of the traffic under judgement.
    CanaryStarted = "canary_started",
    /// The share of a version under judgement was changed.
    CanaryResized = "canary_resized",
    /// A version took over, not yet for good.
    Promoted = "promoted",
    /// A promotion became final.
    Confirmed = "confirmed",
    /// A promotion was cut short by a restart.
    Interrupted = "interrupted",
    /// Traffic was moved away from a version.
    RolledBack = "rolled_back",
    /// A version took all traffic by an ordered rollback.
    RolledBackTo = "rolled_back_to",
    /// A verdict that moved no traffic.
    Verdict = "verdict",
    /// A person released a digest.
    Released = "released",
    /// An earlier decision gave way to an edit of the routing file.
    StanceSuperseded = "stance_superseded",
    /// A rollout began.
    RolloutStarted = "rollout_started",
    /// A rollout went on to its next step, or stands otherwise than before.
    RolloutAdvanced = "rollout_advanced",
    /// A person gave a rollout an order.
    RolloutOrdered = "rollout_ordered",
    /// A rollout is over.
    RolloutEnded = "rollout_ended",
    /// A person let rollouts begin again that rollbacks had frozen.
    RolloutsThawed = "rollouts_thawed",
    /// An experiment began.
    ExperimentStarted = "experiment_started",
    /// An experiment ended.
    ExperimentEnded = "experiment_ended",
    /// The shares of an experiment's arms were moved by what came back.
    ExperimentReallocated = "experiment_reallocated",
    /// What is served of a model came to be another: the table in force from then on is the evidence.
    Published = "published",
    /// The split of a model was brought back as it was at an earlier time.
    Restored = "restored",
}

impl Action {
    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A decision to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When, in milliseconds since 1970. An annotation: the order is that of the rows.
    pub at_unix_ms: u64,
    /// Who: `judge`, `gateway`, a file, or the name a person gave.
    pub actor: String,
    /// What was done.
    pub action: Action,
    /// To which model.
    pub model: Option<ModelName>,
    /// To which version of it.
    pub version: Option<Version>,
    /// The version's content.
    pub digest: Option<Digest>,
    /// The generation in force afterwards.
    pub generation: Option<Generation>,
    /// How traffic was routed before, for people.
    pub before: Option<String>,
    /// How traffic is routed afterwards, for people.
    pub after: Option<String>,
    /// Why, in a sentence.
    pub reason: Option<String>,
    /// The numbers behind it, as JSON.
    pub evidence_json: Option<String>,
    /// What it changed in the decisions.
    pub changes: Vec<Change>,
}

impl Entry {
    /// An entry with nothing but the essentials.
    pub fn new(at_unix_ms: u64, actor: impl Into<String>, action: Action) -> Self {
        Self {
            at_unix_ms,
            actor: actor.into(),
            action,
            model: None,
            version: None,
            digest: None,
            generation: None,
            before: None,
            after: None,
            reason: None,
            evidence_json: None,
            changes: Vec::new(),
        }
    }
}

/// A decision as it stands in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// The decision.
    pub entry: Entry,
}
