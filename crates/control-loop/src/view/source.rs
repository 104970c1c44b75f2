//! Where a version came from, as it is shown.

use schemars::JsonSchema;
use serde::Serialize;

use crate::state::Entry;

/// Where a version is read from, and what is known of its making.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SourceStatus {
    /// folder: the model repository. store: the store of pushed versions.
    pub place: &'static str,
    /// Its semantic tag, where the store has a record of the same content; the rest as well.
    pub tag: Option<String>,
    /// The Git commit it was pushed from.
    pub git_commit: Option<String>,
    /// Whether tracked files differed from that commit.
    pub git_is_dirty: Option<bool>,
    /// Who pushed it.
    pub pushed_by: Option<String>,
    /// When, in milliseconds since 1970.
    pub pushed_at_unix_ms: Option<u64>,
}

/// What there is to show of a version.
pub(crate) fn source(entry: &Entry) -> SourceStatus {
    let record = entry.pushed.as_ref().map(|pushed| &pushed.record);
    let git = record.and_then(|record| record.lineage.git.as_ref());
    SourceStatus {
        place: if entry.is_stored { "store" } else { "folder" },
        tag: record.and_then(|record| record.tag.clone()),
        git_commit: git.map(|git| git.commit.clone()),
        git_is_dirty: git.map(|git| git.is_dirty),
        pushed_by: record.map(|record| record.pushed_by.clone()),
        pushed_at_unix_ms: record.map(|record| record.pushed_at_unix_ms),
    }
}
