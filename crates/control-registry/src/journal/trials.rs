//! Markers that let a rollback be remembered on a full disk.
//!
//! When a digest begins to take traffic as a candidate, an empty file `<digest>.open` is made. A rollback renames it
//! to `<digest>.rolled_back`, which needs no space; once the row is durable the marker goes. A marker found at start
//! is a rollback whose row may be missing.
//!
//! While a version is being loaded and warmed up a file `<digest>.loading` with its model and number stands there: found
//! at start, the process ended in the middle of it, which may be the version's doing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base_types::{Digest, ModelName, Version, VersionId};

use super::JournalError;

const OPEN: &str = "open";
const ROLLED_BACK: &str = "rolled_back";
const LOADING: &str = "loading";
/// Most markers looked at when starting; there is one per candidate in traffic.
const MARKERS_MAX: usize = 65_536;

/// The markers of one state directory. Cheap to clone; calls on different digests do not meet.
#[derive(Debug, Clone)]
pub struct Trials {
    folder: Arc<Path>,
}

/// Markers found at start, each list in order.
#[derive(Debug, Default)]
pub(super) struct LeftOver {
    pub(super) open: Vec<Digest>,
    pub(super) rolled_back: Vec<Digest>,
    pub(super) loading: Vec<(Digest, VersionId)>,
}

impl Trials {
    /// The state directory these are the markers of.
    pub fn state_dir(&self) -> &Path {
        self.folder.parent().unwrap_or(&self.folder)
    }

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

    /// Marks a digest as being loaded. Not synced: the end of the process is feared, not that of the machine.
    pub fn begin_load(&self, digest: &Digest, id: &VersionId) -> Result<(), JournalError> {
        let path = self.path(digest, LOADING);
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let written = made.and_then(|mut file| write!(file, "{}/{}", id.model, id.version));
        written.map_err(|source| failed("mark a load", &path, source))
    }

    /// Forgets that a digest was being loaded. May be repeated.
    pub fn end_load(&self, digest: &Digest) -> Result<(), JournalError> {
        let path = self.path(digest, LOADING);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("unmark a load", &path, error)),
            _ => Ok(()),
        }
    }

    /// What the last life left: open trials, rollbacks, loads.
    pub(super) fn left_over(&self) -> Result<LeftOver, JournalError> {
        let list = || -> io::Result<LeftOver> {
            let mut left = LeftOver::default();
            for entry in fs::read_dir(&self.folder)?.take(MARKERS_MAX) {
                let name = entry?.file_name();
                let Some((digest, state)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
                match (digest.parse(), state) {
                    (Ok(digest), OPEN) => left.open.push(digest),
                    (Ok(digest), ROLLED_BACK) => left.rolled_back.push(digest),
                    (Ok(digest), LOADING) => {
                        // One that was not written to the end names nobody.
                        let text = fs::read_to_string(self.path(&digest, LOADING))?;
                        left.loading.extend(parse_id(&text).map(|id| (digest, id)));
                    }
                    _ => {}
                }
            }
            left.open.sort();
            left.rolled_back.sort();
            left.loading.sort();
            Ok(left)
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

fn parse_id(text: &str) -> Option<VersionId> {
    let (model, version) = text.split_once('/')?;
    Some(VersionId { model: ModelName::new(model).ok()?, version: Version::new(version.parse().ok()?)? })
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> JournalError {
    JournalError::State { what, path: path.to_owned(), source }
}
