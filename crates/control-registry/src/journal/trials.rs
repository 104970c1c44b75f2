//! Markers that let a rollback be remembered on a full disk.
//!
//! When a digest begins to take traffic as a candidate, an empty file `<digest>.open` is made. A rollback renames it
//! to `<digest>.rolled_back`, which needs no space; once the row is durable the marker goes. A marker found at start
//! is a rollback whose row may be missing.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base_types::Digest;

use super::JournalError;

const OPEN: &str = "open";
const ROLLED_BACK: &str = "rolled_back";
/// Most markers looked at when starting; there is one per candidate in traffic.
const MARKERS_MAX: usize = 65_536;

/// The markers of one state directory. Cheap to clone; calls on different digests do not meet.
#[derive(Debug, Clone)]
pub struct Trials {
    folder: Arc<Path>,
}

impl Trials {
    pub(super) fn open(state_dir: &Path) -> Result<Self, JournalError> {
        let folder = state_dir.join("trials");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| failed("create the folder of trials", &folder, source))?;
        Ok(Self { folder: folder.into() })
    }

    /// Marks a digest as taking traffic on trial; durable when this returns. May be repeated.
    pub fn begin(&self, digest: &Digest) -> Result<(), JournalError> {
        self.create(digest, OPEN)
    }

    /// Marks a trial as rolled back, before its row is written; durable when this returns. May be repeated. A digest
    /// that was not on trial is marked as well, if there is room for a file.
    pub fn roll_back(&self, digest: &Digest) -> Result<(), JournalError> {
        let (from, to) = (self.path(digest, OPEN), self.path(digest, ROLLED_BACK));
        match fs::rename(&from, &to) {
            Ok(()) => self.sync(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(digest, ROLLED_BACK),
            Err(source) => Err(failed("mark a rollback", &to, source)),
        }
    }

    /// Forgets a trial, once its end is in the journal. May be repeated.
    pub fn finish(&self, digest: &Digest) -> Result<(), JournalError> {
        for state in [OPEN, ROLLED_BACK] {
            let path = self.path(digest, state);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove a trial", &path, error));
                }
                _ => {}
            }
        }
        self.sync()
    }

    /// Digests whose trials were open, and digests rolled back, when the last life ended; each in order.
    pub(super) fn left_over(&self) -> Result<(Vec<Digest>, Vec<Digest>), JournalError> {
        let list = || -> io::Result<(Vec<Digest>, Vec<Digest>)> {
            let (mut open, mut rolled_back) = (Vec::new(), Vec::new());
            for entry in fs::read_dir(&self.folder)?.take(MARKERS_MAX) {
                let name = entry?.file_name();
                let Some((digest, state)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
                match (digest.parse(), state) {
                    (Ok(digest), OPEN) => open.push(digest),
                    (Ok(digest), ROLLED_BACK) => rolled_back.push(digest),
                    _ => {}
                }
            }
            open.sort();
            rolled_back.sort();
            Ok((open, rolled_back))
        };
        list().map_err(|source| failed("read the folder of trials", &self.folder, source))
    }

    fn create(&self, digest: &Digest, state: &str) -> Result<(), JournalError> {
        let path = self.path(digest, state);
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        made.map_err(|source| failed("mark a trial", &path, source))?;
        self.sync()
    }

    /// Names are the folder's content, so syncing it makes them durable.
    fn sync(&self) -> Result<(), JournalError> {
        let synced = File::open(&self.folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| failed("sync the folder of trials", &self.folder, source))
    }

    fn path(&self, digest: &Digest, state: &str) -> PathBuf {
        self.folder.join(format!("{digest}.{state}"))
    }
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::State { what, path: path.to_owned(), source }
}
