//! A rollout as far as it outlives a restart: which step of which policy one candidate of a model has reached.

use std::sync::Arc;

use crate::{Digest, Version};

/// One rollout of one candidate of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Counts the rollouts of a model from 1.
    pub number: u32,
    /// The version that is brought into traffic.
    pub candidate: Version,
    /// Its content.
    pub digest: Digest,
    /// The version it is judged against, and that answers for it.
    pub stable: Version,
    /// The policy's name in routing.toml.
    pub policy: Arc<str>,
    /// The policy as it was when the rollout began, in the form of routing.toml: an edit changes no rollout under way.
    pub policy_text: Arc<str>,
    /// How far it has come.
    pub status: RolloutStatus,
    /// Position of the step it is in.
    pub step: usize,
    /// The candidate's share of the traffic.
    pub share: f64,
    /// The share of stable's requests that is copied to the candidate.
    pub shadow_share: f64,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// When the step began; moves on by as long as the rollout stood still.
    pub step_since_unix_ms: u64,
    /// From when its longest duration counts: when it began, moved on by as long as it stood still or waited for a
    /// person.
    pub limit_since_unix_ms: u64,
    /// Since when it has been in this status.
    pub status_since_unix_ms: u64,
    /// How often it was tried again after a rollback.
    pub retries: u32,
    /// Why it stands still, where it is paused or held.
    pub standstill: Option<Standstill>,
    /// Rules that have paused it or called a person, by name: each does so once. Bounded by [`NOTED_MAX`].
    pub noted: Vec<Box<str>>,
    /// Whether a person was told that no requests come, in this step.
    pub has_told_silence: bool,
    /// The candidate that is next when this rollout is over.
    pub next: Option<NextCandidate>,
    /// Who ordered it.
    pub actor: Box<str>,
    /// What it waits for or why it ended, in words.
    pub note: Box<str>,
}

/// A candidate that waits for the rollout before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextCandidate {
    /// The version.
    pub version: Version,
    /// The policy it was ordered with; the model's own when none was named.
    pub policy: Option<Arc<str>>,
}

/// Most rules a rollout notes.
pub const NOTED_MAX: usize = 32;

/// Why a rollout stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standstill {
    /// A person ordered it.
    Order,
    /// A rule that pauses convicted.
    Rule,
    /// A step, or the whole, took its longest time without proof.
    Inconclusive,
    /// Both versions are ill and neither is to blame; it ends with the incident.
    SharedIncident,
    /// The process ended before the promotion was confirmed; stable serves.
    Interrupted,
    /// Every step is over and none was a promotion.
    NoStepsLeft,
}

/// How far a rollout has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RolloutStatus {
    /// Its step is under way.
    Running,
    /// Its step waits for a person's approval.
    AwaitingApproval,
    /// A person, or a rule that pauses, has it stand still.
    Paused,
    /// Its step or the whole of it was inconclusive.
    Held,
    /// Promoted, and watched before that is confirmed.
    Baking,
    /// Confirmed.
    Promoted,
    /// Taken out by a rule.
    RolledBack,
    /// Taken out by a person, or because it could not go on.
    Aborted,
    /// Another candidate took its place.
    Replaced,
}

impl Standstill {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::Order, Self::Rule, Self::Inconclusive, Self::SharedIncident, Self::Interrupted, Self::NoStepsLeft];

    /// The word used in the API, journal and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Rule => "rule",
            Self::Inconclusive => "inconclusive",
            Self::SharedIncident => "shared_incident",
            Self::Interrupted => "interrupted",
            Self::NoStepsLeft => "no_steps_left",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl RolloutStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Running,
        Self::AwaitingApproval,
        Self::Paused,
        Self::Held,
        Self::Baking,
        Self::Promoted,
        Self::RolledBack,
        Self::Aborted,
        Self::Replaced,
    ];

    /// The word used in the API, journal, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Paused => "paused",
            Self::Held => "held",
            Self::Baking => "baking",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
            Self::Aborted => "aborted",
            Self::Replaced => "replaced",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nothing follows but another rollout.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Promoted | Self::RolledBack | Self::Aborted | Self::Replaced)
    }
}
