//! A folder of the file system as a place for objects.
//!
//! A file is written under `tmp/`, brought to the disk, and then gets its name; the folder it stands in is brought to
//! the disk before anything is acknowledged.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use crate::StoreError;
use crate::disk::{self, Entry};
use crate::objects::{Guard, Listed, Objects, Put};

const TMP: &str = "tmp";
const LOCK: &str = "lock";
/// How long another writer is waited for: so many times so long, a minute together.
const LOCK_ATTEMPTS: u32 = 3_000;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// Deepest folder within the store.
const DEPTH_MAX: usize = 6;
/// Written once, then only read.
const FINAL: u32 = 0o444;
const MOVABLE: u32 = 0o644;

/// A store's folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Folders with names that may not be on the disk yet.
    unsynced: Mutex<BTreeSet<PathBuf>>,
    n_written: AtomicU64,
}

impl Folder {
    /// Takes a folder, made if it is not there; refuses one that holds something else.
    pub fn create(root: &Path) -> Result<Self, StoreError> {
        let failed = |source| io_error("make", root, source);
        std::fs::create_dir_all(root).map_err(failed)?;
        let folder = Self::at(root);
        let entries = disk::list(root).map_err(|source| io_error("list", root, source))?;
        if !entries.iter().all(is_ours) {
            return Err(StoreError::Foreign(root.to_owned()));
        }
        folder.make(&root.join(TMP))?;
        if let Some(parent) = root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            folder.note_unsynced(parent);
        }
        Ok(folder)
    }

    /// Takes a folder as it is.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), unsynced: Mutex::default(), n_written: AtomicU64::new(0) }
    }

    fn note_unsynced(&self, folder: &Path) {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned());
    }

    /// Makes a folder whose parent is there.
    fn make(&self, folder: &Path) -> Result<(), StoreError> {
        if folder.is_dir() {
            return Ok(());
        }
        disk::make_folder(folder).map_err(|source| io_error("make", folder, source))?;
        if let Some(parent) = folder.parent() {
            self.note_unsynced(parent);
        }
        Ok(())
    }

    /// The path of a key; its folders are there afterwards.
    fn prepare(&self, key: &str) -> Result<PathBuf, StoreError> {
        let mut path = self.path(key)?;
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        path.pop();
        let inner = path.strip_prefix(&self.root).unwrap_or(&path).to_owned();
        let mut folder = self.root.clone();
        for part in inner.components() {
            folder.push(part);
            self.make(&folder)?;
        }
        // Also when the name is there already: whoever gave it may have died before this.
        self.note_unsynced(&folder);
        Ok(folder.join(name))
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\0');
        if key.split('/').count() <= DEPTH_MAX && key.split('/').all(is_plain) {
            return Ok(self.root.join(key));
        }
        let source = io::Error::new(io::ErrorKind::InvalidInput, "not a key of the store");
        Err(StoreError::Io { what: "name", place: format!("{key:?}"), source })
    }

    fn write_aside(&self, content: &[u8], mode: u32) -> Result<PathBuf, StoreError> {
        let number = self.n_written.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(TMP).join(format!("{}-{number}", std::process::id()));
        match disk::write_file(&path, content, mode) {
            Ok(()) => Ok(path),
            Err(source) => {
                self.give_up(&path);
                Err(io_error("write", &path, source))
            }
        }
    }

    /// What is left in `tmp/` is removed by the next writer, if not now.
    fn give_up(&self, path: &Path) {
        let _later = disk::remove(path);
    }

    fn walk(&self, folder: &Path, depth: usize, found: &mut Vec<Listed>) -> Result<(), StoreError> {
        for entry in disk::list(folder).map_err(|source| io_error("list", folder, source))? {
            let path = folder.join(&entry.name);
            if entry.is_folder {
                if depth < DEPTH_MAX {
                    self.walk(&path, depth + 1, found)?;
                }
                continue;
            }
            let key = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(Listed { key, size: entry.size, written_unix_ms: entry.written_unix_ms });
        }
        Ok(())
    }

    /// Nobody else writes while the lock is held, so what lies in `tmp/` was left by the dead.
    fn clear_tmp(&self) -> Result<(), StoreError> {
        let folder = self.root.join(TMP);
        for entry in disk::list(&folder).map_err(|source| io_error("list", &folder, source))? {
            let path = folder.join(entry.name);
            disk::remove(&path).map_err(|source| io_error("remove", &path, source))?;
        }
        Ok(())
    }
}

struct Locked(#[expect(dead_code, reason = "the lock is let go when the file is closed")] File);

impl Guard for Locked {}

impl Objects for Folder {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn lock(&self) -> Result<Box<dyn Guard>, StoreError> {
        let path = self.root.join(LOCK);
        let mut holder = None;
        for _ in 0..LOCK_ATTEMPTS {
            match disk::lock(&path).map_err(|source| io_error("lock", &path, source))? {
                Ok(file) => {
                    self.clear_tmp()?;
                    return Ok(Box::new(Locked(file)));
                }
                Err(pid) => holder = pid,
            }
            sleep(LOCK_PAUSE);
        }
        Err(StoreError::Busy { place: self.place(), pid: holder })
    }

    fn put_if_absent(&self, key: &str, content: &[u8]) -> Result<Put, StoreError> {
        let path = self.prepare(key)?;
        if path.exists() {
            return Ok(Put::Existed);
        }
        let written = self.write_aside(content, FINAL)?;
        let named = disk::rename_new(&written, &path).map_err(|source| io_error("write", &path, source));
        if !matches!(named, Ok(Put::New)) {
            self.give_up(&written);
        }
        named
    }

    fn replace(&self, key: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.prepare(key)?;
        let written = self.write_aside(content, MOVABLE)?;
        disk::rename(&written, &path).map_err(|source| {
            self.give_up(&written);
            io_error("write", &path, source)
        })
    }

    fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(key)?;
        disk::read_file(&path, bytes_max).map_err(|source| match source.kind() {
            io::ErrorKind::InvalidData => StoreError::Damaged { key: key.to_owned(), reason: source.to_string() },
            _ => io_error("read", &path, source),
        })
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let mut found = Vec::new();
        self.walk(&self.path(folder.trim_end_matches('/'))?, 1, &mut found)?;
        // A folder sorts as if it were its name alone, a key with what follows it.
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        let path = self.path(key)?;
        if let Some(folder) = path.parent() {
            self.note_unsynced(folder);
        }
        disk::remove(&path).map_err(|source| io_error("remove", &path, source))
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(folder) = unsynced.first().cloned() {
            disk::sync_folder(&folder).map_err(|source| io_error("bring to the disk", &folder, source))?;
            unsynced.remove(&folder);
        }
        Ok(())
    }
}

/// Whether an entry of the folder belongs to a store.
fn is_ours(entry: &Entry) -> bool {
    matches!(entry.name.as_str(), TMP | LOCK | "objects" | "models" | "format")
}

fn io_error(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what, place: path.display().to_string(), source }
}
