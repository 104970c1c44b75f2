//! What was read of a bucket, kept on disk: under the hash of its key, with the hash of its content in front, so that
//! what rotted is read from the bucket again. Nothing here is needed: whatever goes wrong, the bucket is asked.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use sha2::{Digest, Sha256};
use tracing::debug;

use crate::cache::{hash, is_sha256, make_folder};

/// The hash of the content.
const HEAD_BYTES: usize = 32;

/// A cache of objects by their keys.
pub struct Kept {
    folder: PathBuf,
    bytes_max: u64,
    entries: Mutex<Entries>,
    is_away: AtomicBool,
}

/// What is there, by the name of the file.
#[derive(Default)]
struct Entries {
    sizes: BTreeMap<String, (u64, u64)>,
    bytes: u64,
    /// Counts uses: the file used longest ago goes first.
    clock: u64,
}

impl Kept {
    /// Opens the cache in a folder that nobody else uses, for at most so many bytes.
    pub fn open(folder: &Path, bytes_max: u64) -> io::Result<Self> {
        make_folder(folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (name, about) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
            if is_sha256(&name) && about.is_file() {
                found.push((about.modified()?, name, about.len()));
            } else if about.is_file() {
                // Left by a process that was killed while it wrote.
                fs::remove_file(entry.path())?;
            }
        }
        found.sort();
        let mut entries = Entries::default();
        found.into_iter().for_each(|(_, name, size)| entries.add(name, size));
        Ok(Self { folder: folder.to_owned(), bytes_max, entries: Mutex::new(entries), is_away: AtomicBool::new(false) })
    }

    /// Notes whether the bucket is out of reach. Says whether that is news.
    pub(crate) fn set_away(&self, is_away: bool) -> bool {
        self.is_away.swap(is_away, Ordering::Relaxed) != is_away
    }

    /// What is kept of a key, if it is whole.
    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        let name = hash(key.as_bytes());
        self.lock().touch(&name)?;
        let found = self.read(&name);
        if found.is_none() {
            self.remove(&name);
        }
        found
    }

    fn read(&self, name: &str) -> Option<Vec<u8>> {
        let mut file = fs::File::open(self.folder.join(name)).ok()?;
        let (mut head, mut content) = ([0; HEAD_BYTES], Vec::new());
        file.read_exact(&mut head).ok()?;
        file.read_to_end(&mut content).ok()?;
        (<[u8; HEAD_BYTES]>::from(Sha256::digest(&content)) == head).then_some(content)
    }

    /// Keeps what a key holds. What does not fit is not kept.
    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        let size = (content.len() + HEAD_BYTES) as u64;
        if size > self.bytes_max {
            return;
        }
        let name = hash(key.as_bytes());
        if let Err(error) = self.write(&name, content) {
            debug!(key, %error, "not kept: it is fetched again when it is needed");
            return self.remove(&name);
        }
        let mut entries = self.lock();
        entries.add(name, size);
        while let Some(oldest) = entries.oldest().filter(|_| entries.bytes > self.bytes_max) {
            entries.remove(&oldest);
            // What cannot be removed now is found at the next start.
            let _left = fs::remove_file(self.folder.join(oldest));
        }
    }

    /// Whole before it has its name; not brought to the disk, because its hash tells whether it got there.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let aside = self.folder.join(format!("{name}.{:?}", std::thread::current().id()));
        let mut file = fs::File::create(&aside)?;
        file.write_all(&Sha256::digest(content))?;
        file.write_all(content)?;
        fs::rename(&aside, self.folder.join(name))
    }

    fn remove(&self, name: &str) {
        self.lock().remove(name);
        // It may not be there.
        let _absent = fs::remove_file(self.folder.join(name));
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Entries {
    fn add(&mut self, name: String, size: u64) {
        self.remove(&name);
        self.clock += 1;
        self.bytes += size;
        self.sizes.insert(name, (size, self.clock));
    }

    fn touch(&mut self, name: &str) -> Option<()> {
        self.clock += 1;
        let clock = self.clock;
        self.sizes.get_mut(name).map(|(_, used)| *used = clock)
    }

    fn remove(&mut self, name: &str) {
        if let Some((size, _)) = self.sizes.remove(name) {
            self.bytes -= size;
        }
    }

    fn oldest(&self) -> Option<String> {
        self.sizes.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn what_is_kept_is_whole_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(folder.path(), 1 << 10).unwrap();
        kept.put("a", b"first");
        kept.put("a", b"second");
        assert_eq!(kept.get("a").unwrap(), b"second");
        let path = folder.path().join(hash(b"a"));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert_eq!(Kept::open(folder.path(), 1 << 10).unwrap().get("a"), None, "{at}");
            assert!(!path.exists());
        }
        assert_eq!(kept.get("b"), None);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_the_bound_holds() {
        let folder = tempfile::tempdir().unwrap();
        let size = (HEAD_BYTES + 10) as u64;
        let kept = Kept::open(folder.path(), 2 * size).unwrap();
        kept.put("a", &[1; 10]);
        kept.put("b", &[2; 10]);
        assert!(kept.get("a").is_some());
        kept.put("c", &[3; 10]);
        assert!(kept.get("b").is_none() && kept.get("a").is_some() && kept.get("c").is_some());
        kept.put("large", &[4; 1000]);
        assert!(kept.get("large").is_none() && kept.get("a").is_some());
        fs::write(folder.path().join("left.over"), b"x").unwrap();
        let again = Kept::open(folder.path(), 2 * size).unwrap();
        assert!(again.get("a").is_some() && !folder.path().join("left.over").exists());
        let n_bytes: u64 = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
        assert_eq!(n_bytes, 2 * size);
    }
}
