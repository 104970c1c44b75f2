//! Contents by their SHA-256, as files that no version holds at the moment: fetched and not yet shown, or taken out of
//! the view and kept for a while.
//!
//! ```text
//! incoming/<n>        being fetched; thrown away at the next start
//! objects/<sha256>    whole: renamed into place when size and hash were known
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::source::SourceError;

/// Bytes hashed or copied at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// Loose contents.
#[derive(Debug)]
pub(crate) struct Cache {
    objects: PathBuf,
    incoming: PathBuf,
    loose: BTreeMap<String, Loose>,
    n_incoming: u64,
}

#[derive(Debug, Clone, Copy)]
struct Loose {
    bytes: u64,
    /// Whether this process has hashed it.
    is_verified: bool,
}

impl Cache {
    /// Opens the cache below a folder; what was not fetched to its end is thrown away.
    pub fn open(root: &Path) -> io::Result<Self> {
        let (objects, incoming) = (root.join("objects"), root.join("incoming"));
        make_folder(&objects)?;
        remove_folder(&incoming)?;
        make_folder(&incoming)?;
        let mut loose = BTreeMap::new();
        for entry in fs::read_dir(&objects)? {
            let entry = entry?;
            let (name, found) = (entry.file_name(), entry.metadata()?);
            match name.to_str().filter(|name| is_sha256(name) && found.is_file()) {
                Some(name) => {
                    loose.insert(name.to_owned(), Loose { bytes: found.len(), is_verified: false });
                }
                None if found.is_dir() => remove_folder(&entry.path())?,
                None => fs::remove_file(entry.path())?,
            }
        }
        Ok(Self { objects, incoming, loose, n_incoming: 0 })
    }

    /// Takes in a content of a known size; its SHA-256. `fill` hands over the bytes.
    pub fn take_in(
        &mut self,
        bytes: u64,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), SourceError>,
    ) -> Result<String, SourceError> {
        self.n_incoming += 1;
        let path = self.incoming.join(self.n_incoming.to_string());
        let result = write_hashed(&path, fill).and_then(|(written, sha256)| {
            if written != bytes {
                let text = format!("{written} bytes came of {bytes}");
                return Err(SourceError::Store { what: "fetch an object", text });
            }
            fs::rename(&path, self.path(&sha256)).map_err(SourceError::Sink)?;
            Ok(sha256)
        });
        match result {
            Ok(sha256) => {
                self.loose.insert(sha256.clone(), Loose { bytes, is_verified: true });
                Ok(sha256)
            }
            Err(error) => {
                // What cannot be removed now goes at the next start.
                let _left = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    /// Where a loose content lies.
    pub fn path(&self, sha256: &str) -> PathBuf {
        self.objects.join(sha256)
    }

    /// Whether a content is here.
    pub fn has(&self, sha256: &str) -> bool {
        self.loose.contains_key(sha256)
    }

    /// Every loose content.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.loose.keys()
    }

    /// The sum of the sizes of everything loose.
    pub fn bytes(&self) -> u64 {
        self.loose.values().map(|found| found.bytes).sum()
    }

    /// Whether a content is here and is what its name says; one that is not is thrown away.
    pub fn verify(&mut self, sha256: &str) -> io::Result<bool> {
        let Some(found) = self.loose.get(sha256) else { return Ok(false) };
        if found.is_verified {
            return Ok(true);
        }
        let is_sound = hash_file(&self.path(sha256)).is_ok_and(|found| found == sha256);
        match self.loose.get_mut(sha256) {
            Some(found) if is_sound => found.is_verified = true,
            _ => self.remove(sha256)?,
        }
        Ok(is_sound)
    }

    /// Throws a content away.
    pub fn remove(&mut self, sha256: &str) -> io::Result<()> {
        self.loose.remove(sha256);
        absent_is_fine(fs::remove_file(self.path(sha256)))
    }

    /// Moves a verified content out, to where it is shown.
    pub fn move_out(&mut self, sha256: &str, to: &Path) -> io::Result<()> {
        fs::rename(self.path(sha256), to)?;
        self.loose.remove(sha256);
        Ok(())
    }

    /// Moves a content in again. One of another size than it should have, or there twice, is thrown away.
    pub fn move_in(&mut self, from: &Path, sha256: &str, bytes: u64) -> io::Result<()> {
        let found = match fs::symlink_metadata(from) {
            Ok(found) => found,
            Err(error) => return absent_is_fine(Err(error)),
        };
        if !found.is_file() || found.len() != bytes || self.has(sha256) || !is_sha256(sha256) {
            return fs::remove_file(from);
        }
        fs::rename(from, self.path(sha256))?;
        self.loose.insert(sha256.to_owned(), Loose { bytes, is_verified: false });
        Ok(())
    }
}

fn write_hashed(
    path: &Path,
    fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), SourceError>,
) -> Result<(u64, String), SourceError> {
    let mut file = File::create(path).map_err(SourceError::Sink)?;
    let (mut hasher, mut written) = (Sha256::new(), 0);
    fill(&mut |piece| {
        hasher.update(piece);
        written += piece.len() as u64;
        file.write_all(piece)
    })?;
    file.sync_all().map_err(SourceError::Sink)?;
    Ok((written, hex(&hasher.finalize())))
}

/// Copies a content and says whether it was what its name says; the copy is durable.
pub(crate) fn copy_verified(from: &Path, to: &Path, sha256: &str) -> io::Result<bool> {
    let mut file = File::open(from)?;
    let copied = write_hashed(to, |sink| {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let n_bytes = file.read(&mut buffer).map_err(SourceError::Sink)?;
            if n_bytes == 0 {
                return Ok(());
            }
            sink(&buffer[..n_bytes]).map_err(SourceError::Sink)?;
        }
    });
    match copied {
        Ok((_, found)) => Ok(found == sha256),
        Err(SourceError::Sink(error)) => Err(error),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

/// The SHA-256 of a file in lower-case hex.
pub(crate) fn hash_file(path: &Path) -> io::Result<String> {
    let (mut file, mut hasher, mut buffer) = (File::open(path)?, Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        let n_bytes = file.read(&mut buffer)?;
        if n_bytes == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..n_bytes]);
    }
}

/// The SHA-256 of bytes in lower-case hex.
pub(crate) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text is a SHA-256 as we write it, and so a safe name of a file.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Makes a folder that only its owner may enter; one that is there already is fine.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a folder with everything in it, if it is there.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
}

/// What is to be gone may be gone already.
pub(crate) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn take(cache: &mut Cache, content: &[u8]) -> String {
        cache.take_in(content.len() as u64, |sink| sink(content).map_err(SourceError::Sink)).unwrap()
    }

    #[test]
    fn a_content_is_there_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = Cache::open(folder.path()).unwrap();
        assert_eq!(take(&mut cache, b"abc"), hash(b"abc"));
        let cut = cache.take_in(4, |sink| sink(b"abc").map_err(SourceError::Sink));
        assert!(matches!(cut, Err(SourceError::Store { .. })));
        let failed = cache.take_in(3, |sink| {
            sink(b"ab").map_err(SourceError::Sink)?;
            Err(SourceError::Stopped)
        });
        assert!(matches!(failed, Err(SourceError::Stopped)));
        assert_eq!(cache.names().count(), 1);
        assert_eq!(fs::read_dir(folder.path().join("incoming")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_half_fetched_is_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let sha256 = take(&mut Cache::open(folder.path()).unwrap(), b"abc");
        fs::write(folder.path().join("incoming/9"), b"ab").unwrap();
        fs::write(folder.path().join("objects/strange"), b"ab").unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        assert_eq!(cache.names().collect::<Vec<_>>(), [&sha256]);
        assert!(!folder.path().join("incoming/9").exists() && !folder.path().join("objects/strange").exists());
    }

    #[test]
    fn a_content_that_rotted_is_found_and_thrown_away() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = {
            let mut cache = Cache::open(folder.path()).unwrap();
            (take(&mut cache, b"abc"), take(&mut cache, b"def"))
        };
        fs::write(folder.path().join("objects").join(&a), b"abX").unwrap();
        let mut cache = Cache::open(folder.path()).unwrap();
        assert!(!cache.verify(&a).unwrap() && cache.verify(&b).unwrap());
        assert!(!cache.has(&a) && !cache.path(&a).exists());
    }
}
