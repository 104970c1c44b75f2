//! `[store]`: a store of pushed versions beside the model repository, or instead of one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::settings::{count, place, time};
use crate::document::Report;
use crate::reader::{Section, put};

const DAY_MS: u64 = 86_400_000;

/// Where pushed versions are, and how they are taken up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// `path`: the folder that `switchrail push` writes to, or the address of a bucket as [`super::is_bucket`] knows it.
    pub path: Option<PathBuf>,
    /// `poll_ms`: the time between two looks at a folder; a bucket is looked at as `[bucket]` says.
    pub poll: Duration,
    /// `versions`: so many of the highest versions of a model are loaded without anybody asking for them.
    pub versions: usize,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { path: None, poll: Duration::from_millis(500), versions: 8 }
    }
}

/// Reads the table.
pub(super) fn store(mut section: Section<'_>, folder: &Path, settings: &mut StoreSettings, report: &mut Report<'_>) {
    settings.path = place(&mut section, "path", folder, report);
    put(&mut settings.poll, time(&mut section, "poll_ms", 50..=DAY_MS, report));
    put(&mut settings.versions, count(&mut section, "versions", 1..=10_000, report));
    section.finish(report);
}
