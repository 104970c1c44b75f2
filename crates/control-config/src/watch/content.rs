//! One look at a file: its content, and a fingerprint to tell whether that is news.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use twox_hash::XxHash3_64;

use super::FileProblem;
use crate::FILE_BYTES_MAX;

/// An empty file is often one about to be written; it must stay empty this many quiet periods.
const EMPTY_PATIENCE: u32 = 8;

/// What a look at a file showed, in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A content with this hash and length.
    Content(u64, usize),
    /// A problem with this hash.
    Problem(u64),
}

/// What a look at a file showed.
pub(super) struct Reading {
    pub seen: Seen,
    pub content: Result<Vec<u8>, FileProblem>,
}

impl Seen {
    /// The fingerprint of a content.
    pub(super) fn of(content: &[u8]) -> Self {
        Self::Content(XxHash3_64::oneshot(content), content.len())
    }
}

/// Reads a file, following symlinks, within the bound.
pub(super) fn read(path: &Path) -> Reading {
    let content = content(path);
    let seen = match &content {
        Ok(bytes) => Seen::of(bytes),
        Err(problem) => Seen::Problem(XxHash3_64::oneshot(problem.to_string().as_bytes())),
    };
    Reading { seen, content }
}

/// How long something must be seen before it is believed.
pub(super) fn patience(content: &Result<Vec<u8>, FileProblem>, quiet: Duration) -> Duration {
    match content {
        Ok(bytes) if bytes.is_empty() => quiet * EMPTY_PATIENCE,
        _ => quiet,
    }
}

fn content(path: &Path) -> Result<Vec<u8>, FileProblem> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(problem)?.is_file() {
        return Err(FileProblem::Unreadable("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    let bound = FILE_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(bound).read_to_end(&mut bytes)).map_err(problem)?;
    if bytes.len() > FILE_BYTES_MAX { Err(FileProblem::TooLarge(FILE_BYTES_MAX)) } else { Ok(bytes) }
}

fn problem(error: std::io::Error) -> FileProblem {
    match error.kind() {
        ErrorKind::NotFound => FileProblem::Missing,
        _ => FileProblem::Unreadable(error.to_string()),
    }
}
