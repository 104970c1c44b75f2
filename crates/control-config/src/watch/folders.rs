//! Watches on the folders of the files, kept alive when a folder is replaced.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tracing::{debug, warn};

/// Device and inode: what a watch is tied to.
type Identity = (u64, u64);

/// The watched folders: that of each file as named, and that of the file its symlinks lead to.
pub(super) struct Folders {
    files: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    armed: BTreeMap<PathBuf, Identity>,
}

impl Folders {
    /// Prepares the watches; `wake` gets a hint at every event. Without one there is nothing to watch.
    pub(super) fn new(files: impl Iterator<Item = PathBuf>, wake: Option<SyncSender<()>>) -> Self {
        let watcher = wake.and_then(|wake| {
            let handler = move |event: notify::Result<Event>| {
                if !event.is_ok_and(|event| is_reading(&event)) {
                    // A full channel holds a hint already; a closed one has nobody to tell.
                    wake.try_send(()).ok();
                }
            };
            notify::recommended_watcher(handler)
                .inspect_err(|error| warn!(%error, "no events of the file system, edits are found by polling"))
                .ok()
        });
        Self { files: files.collect(), watcher, armed: BTreeMap::new() }
    }

    /// Watches each folder that is there, anew where it is another folder than before.
    pub(super) fn arm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let folders: BTreeMap<PathBuf, Identity> = self
            .files
            .iter()
            .flat_map(|file| [Some(file.clone()), fs::canonicalize(file).ok()])
            .flatten()
            .filter_map(|file| {
                let folder = parent(&file);
                identity(&folder).map(|identity| (folder, identity))
            })
            .collect();
        let stale = self.armed.iter().filter(|(folder, identity)| folders.get(*folder) != Some(identity));
        let stale: Vec<_> = stale.map(|(folder, _)| folder.clone()).collect();
        for folder in stale {
            self.armed.remove(&folder);
            // A folder that is gone has taken its watch along.
            watcher.unwatch(&folder).ok();
        }
        for (folder, identity) in folders {
            if self.armed.get(&folder) == Some(&identity) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.armed.insert(folder, identity);
                }
                // Polling serves until it works; every poll tries again.
                Err(error) => debug!(folder = %folder.display(), %error, "folder cannot be watched"),
            }
        }
    }

    /// What is watched.
    #[cfg(test)]
    pub(super) fn armed(&self) -> impl Iterator<Item = Identity> {
        self.armed.values().copied()
    }
}

/// Looking at a file causes events of its own; taking them as hints would never end.
fn is_reading(event: &Event) -> bool {
    let is_written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    event.kind.is_access() && event.kind != is_written
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn identity(folder: &Path) -> Option<Identity> {
    let metadata = fs::metadata(folder).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, ModifyKind};

    use super::*;

    /// Else each look would be the hint for the next one.
    #[test]
    fn our_own_looking_is_no_hint() {
        let is_hint = |kind| !is_reading(&Event::new(kind));
        let access = |kind| is_hint(EventKind::Access(kind));
        assert!(!access(AccessKind::Open(AccessMode::Any)) && !access(AccessKind::Read));
        assert!(!access(AccessKind::Close(AccessMode::Read)));
        assert!(access(AccessKind::Close(AccessMode::Write)));
        assert!(is_hint(EventKind::Modify(ModifyKind::Any)) && is_hint(EventKind::Create(CreateKind::File)));
        assert!(is_hint(EventKind::Any) && is_hint(EventKind::Other));
    }
}
