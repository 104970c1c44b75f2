//! One version of one model, the states it goes through, and the generation of a routing change.

use std::fmt;

use crate::{ModelName, Version};

/// A version of a model, by name and number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId {
    /// The model.
    pub model: ModelName,
    /// The number within the model.
    pub version: Version,
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.model, self.version)
    }
}

/// Counts published snapshots; never repeats, not even across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a version is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// Known, not asked for.
    Registered,
    /// Being read, hashed and checked.
    Gating,
    /// Being loaded into the runtime and warmed.
    Loading,
    /// In memory and addressable.
    Ready,
    /// Out of the snapshot; the last requests are finishing.
    Draining,
    /// Freed.
    Unloaded,
    /// Refused, with a reason.
    Failed,
    /// Judged bad: in memory or not, it takes no traffic until a person releases its digest.
    Quarantined,
}

impl VersionState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 8] = [
        Self::Registered,
        Self::Gating,
        Self::Loading,
        Self::Ready,
        Self::Draining,
        Self::Unloaded,
        Self::Failed,
        Self::Quarantined,
    ];

    /// The word used in the API, metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Gating => "gating",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Unloaded => "unloaded",
            Self::Failed => "failed",
            Self::Quarantined => "quarantined",
        }
    }
}

/// What a loaded version holds in memory, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// In use inside the runtime's arena.
    pub arena_bytes: u64,
    /// The largest the arena has been.
    pub arena_peak_bytes: u64,
    /// This version's proportional share of its file mappings.
    pub mapped_bytes: u64,
}
