//! Why the journal cannot do what was asked.

use std::io;
use std::path::PathBuf;

use rusqlite::ErrorCode;
use thiserror::Error;

/// An error of the journal or of the state directory around it.
#[derive(Debug, Error)]
pub enum JournalError {
    /// Another process holds the state directory.
    #[error("the state directory {path} is in use by {}: stop it or give this one another --state-dir", holder(*.pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process, if it left its number.
        pid: Option<u32>,
    },
    /// A file of the state directory cannot be used.
    #[error("cannot {what} at {path}")]
    State {
        /// What was attempted.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A row was altered, or rows are missing.
    #[error(
        "the journal {path} was altered or damaged: {what}; restore the state directory from a backup, or \
         move it aside to start anew (quarantines and confirmed versions in it are then forgotten)"
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// How it shows; names the first row that is not as it was written.
        what: String,
    },
    /// The file was written by another program or a newer release.
    #[error("the journal {path} has format {found}, this release knows up to {known}: use the release that wrote it")]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The disk is full. Nothing was recorded; it may be tried again once there is room.
    #[error("the disk of the state directory is full: free some space")]
    DiskFull,
    /// Reading, writing or syncing failed.
    #[error("the storage of the state directory failed")]
    Io(#[source] rusqlite::Error),
    /// An earlier write failed, or the file may not be written.
    #[error("the journal cannot be written after a storage failure, or is read-only: check the disk, then restart")]
    ReadOnly,
    /// Something is larger than its bound.
    #[error("{what} is over the limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// SQLite reports anything else.
    #[error("the journal database reports an error")]
    Database(#[source] rusqlite::Error),
}

impl JournalError {
    /// Whether the storage is at fault: full, failing or read-only. A rollback goes ahead all the same.
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::DiskFull | Self::Io(_) | Self::ReadOnly | Self::State { .. })
    }
}

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Self::Io(error),
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly,
            _ => Self::Database(error),
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
