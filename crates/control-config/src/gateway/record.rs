//! `[record]`: what is written down in the state directory.

use super::settings::count;
use crate::document::Report;
use crate::reader::{Section, put};

const MIB: u64 = 1 << 20;

/// What is written down in the state directory for later analysis, line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordSettings {
    /// `exposures`: which unit was in which arm of which experiment.
    pub exposures: bool,
    /// `outcomes`: how each attempt ended, to replay policies against.
    pub outcomes: bool,
    /// `captures`: requests may be kept with their answers, where routing.toml says of which model.
    pub captures: bool,
    /// `capture_bytes`: the largest capture.
    pub capture_bytes: usize,
    /// `file_bytes`: a file of this size is set aside and another one begun.
    pub file_bytes: u64,
    /// `files`: how many of those set aside are kept, of each kind.
    pub files: u32,
}

impl Default for RecordSettings {
    fn default() -> Self {
        Self {
            exposures: true,
            outcomes: false,
            captures: true,
            capture_bytes: 1 << 20,
            file_bytes: 64 * MIB,
            files: 4,
        }
    }
}

/// Reads the table.
pub(super) fn record(mut section: Section<'_>, record: &mut RecordSettings, report: &mut Report<'_>) {
    put(&mut record.exposures, section.take("exposures").and_then(|item| item.flag(report)));
    put(&mut record.outcomes, section.take("outcomes").and_then(|item| item.flag(report)));
    put(&mut record.captures, section.take("captures").and_then(|item| item.flag(report)));
    put(&mut record.capture_bytes, count(&mut section, "capture_bytes", 4_096..=1 << 25, report));
    let file_bytes = section.take("file_bytes").and_then(|item| item.count(1 << 16..=1 << 40, report));
    put(&mut record.file_bytes, file_bytes);
    let files = section.take("files").and_then(|item| item.count(0..=1_000, report));
    put(&mut record.files, files.and_then(|files| u32::try_from(files).ok()));
    section.finish(report);
}
