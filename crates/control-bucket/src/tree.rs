//! Version folders, each named by what is in it. A tree never changes; a version changes by pointing elsewhere.
//!
//! ```text
//! trees/<id>/manifest.json     which content each file has; <id> is the SHA-256 of this file
//! trees/<id>/files/...         what the reader sees
//! building/<id>                a tree on its way in or out
//! ```
//!
//! A content has one home: moving it in keeps its link count at one, which the reader insists on for external data, and
//! needs no second copy of large files. Trees come and go through `building`, whose manifest is there before the first
//! file: whatever a killed process leaves there, the files that arrived are contents again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cache::{Cache, absent_is_fine, copy_verified, hash, is_sha256, make_folder, remove_folder};
use crate::index::replace;

const MANIFEST: &str = "manifest.json";

/// What a file of a tree must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Content {
    pub sha256: String,
    pub bytes: u64,
}

/// The files of a tree, by their paths in the version folder.
pub(crate) type Manifest = BTreeMap<String, Content>;

/// Every tree.
#[derive(Debug)]
pub(crate) struct Trees {
    trees: PathBuf,
    building: PathBuf,
    known: BTreeMap<String, Manifest>,
    /// How many files have each content.
    held: BTreeMap<String, usize>,
}

/// Why a tree cannot be built.
#[derive(Debug, Error)]
pub(crate) enum BuildError {
    /// A content is not there, or is not what it was. It has to be fetched.
    #[error("the content {0} is missing from the cache")]
    Missing(String),
    /// The file system says no.
    #[error("cannot write to the cache")]
    Io(#[from] io::Error),
}

impl Trees {
    /// Opens the trees below a folder. Those on their way become contents again, and so do those with a file missing
    /// or of another size.
    pub fn open(root: &Path, cache: &mut Cache) -> io::Result<Self> {
        let (trees, building) = (root.join("trees"), root.join("building"));
        make_folder(&trees)?;
        make_folder(&building)?;
        for entry in fs::read_dir(&building)? {
            take_apart(&entry?.path(), cache)?;
        }
        let mut opened = Self { trees, building, known: BTreeMap::new(), held: BTreeMap::new() };
        for entry in fs::read_dir(&opened.trees)? {
            let entry = entry?;
            let sound = entry.file_name().to_str().filter(|name| is_sha256(name)).map(str::to_owned);
            let manifest = read_manifest(&entry.path()).filter(|manifest| is_complete(&entry.path(), manifest));
            match (sound, manifest) {
                (Some(id), Some(manifest)) if id_of(&manifest).is_ok_and(|found| found == id) => {
                    opened.know(id, manifest);
                }
                _ => take_apart(&entry.path(), cache)?,
            }
        }
        Ok(opened)
    }

    /// Builds the tree of these files, unless it is there; its id.
    pub fn build(&mut self, manifest: &Manifest, cache: &mut Cache) -> Result<String, BuildError> {
        let id = id_of(manifest)?;
        if self.known.contains_key(&id) {
            return Ok(id);
        }
        let place = self.building.join(&id);
        let built = self.fill(&place, manifest, cache).and_then(|()| Ok(fs::rename(&place, self.trees.join(&id))?));
        match built {
            Ok(()) => {
                self.know(id.clone(), manifest.clone());
                Ok(id)
            }
            Err(error) => {
                take_apart(&place, cache)?;
                Err(error)
            }
        }
    }

    fn fill(&self, place: &Path, manifest: &Manifest, cache: &mut Cache) -> Result<(), BuildError> {
        let files = place.join("files");
        make_folder(&files)?;
        replace(&place.join(MANIFEST), &serde_json::to_vec(manifest).map_err(io::Error::from)?)?;
        let mut placed: BTreeMap<&str, PathBuf> = BTreeMap::new();
        for (path, content) in manifest {
            let (to, sha256) = (files.join(path), content.sha256.as_str());
            if let Some(folder) = to.parent() {
                make_folder(folder)?;
            }
            if cache.verify(sha256)? {
                cache.move_out(sha256, &to)?;
            } else {
                let held = placed.get(sha256).cloned().or_else(|| self.find(content));
                let missing = || BuildError::Missing(sha256.to_owned());
                let is_sound = copy_verified(&held.ok_or_else(missing)?, &to, sha256)?;
                if !is_sound {
                    fs::remove_file(&to)?;
                    return Err(missing());
                }
            }
            placed.insert(sha256, to);
        }
        Ok(())
    }

    /// Takes a tree apart; its files become loose contents.
    pub fn remove(&mut self, id: &str, cache: &mut Cache) -> io::Result<()> {
        for content in self.known.remove(id).unwrap_or_default().into_values() {
            if let Some(n_files) = self.held.get_mut(&content.sha256) {
                *n_files -= 1;
            }
        }
        self.held.retain(|_, n_files| *n_files > 0);
        let place = self.building.join(id);
        fs::rename(self.trees.join(id), &place)?;
        take_apart(&place, cache)
    }

    /// The folder that the reader sees.
    pub fn files(&self, id: &str) -> PathBuf {
        self.trees.join(id).join("files")
    }

    /// The ids of all trees.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.known.keys()
    }

    /// Whether a tree is there.
    pub fn has(&self, id: &str) -> bool {
        self.known.contains_key(id)
    }

    /// Whether a tree holds a content.
    pub fn has_content(&self, sha256: &str) -> bool {
        self.held.contains_key(sha256)
    }

    fn know(&mut self, id: String, manifest: Manifest) {
        for content in manifest.values() {
            *self.held.entry(content.sha256.clone()).or_default() += 1;
        }
        self.known.insert(id, manifest);
    }

    /// The sum of the sizes of all files.
    pub fn bytes(&self) -> u64 {
        self.known.values().flat_map(BTreeMap::values).map(|content| content.bytes).sum()
    }

    /// A file with this content.
    fn find(&self, content: &Content) -> Option<PathBuf> {
        self.known.iter().find_map(|(id, manifest)| {
            let (path, _) = manifest.iter().find(|(_, found)| *found == content)?;
            Some(self.files(id).join(path))
        })
    }
}

/// The id of a tree with these files.
pub(crate) fn id_of(manifest: &Manifest) -> io::Result<String> {
    Ok(hash(&serde_json::to_vec(manifest)?))
}

fn read_manifest(place: &Path) -> Option<Manifest> {
    serde_json::from_slice(&fs::read(place.join(MANIFEST)).ok()?).ok()
}

fn is_complete(place: &Path, manifest: &Manifest) -> bool {
    let is_sound = |(path, content): (&String, &Content)| {
        fs::symlink_metadata(place.join("files").join(path))
            .is_ok_and(|found| found.is_file() && found.len() == content.bytes)
    };
    manifest.iter().all(is_sound)
}

/// Moves every file that arrived back to the contents and removes the rest. May be repeated after any interruption.
fn take_apart(place: &Path, cache: &mut Cache) -> io::Result<()> {
    for (path, content) in read_manifest(place).unwrap_or_default() {
        // The manifest lies in our own folder, but is text all the same.
        if path.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            cache.move_in(&place.join("files").join(path), &content.sha256, content.bytes)?;
        }
    }
    match fs::symlink_metadata(place) {
        Ok(found) if !found.is_dir() => absent_is_fine(fs::remove_file(place)),
        _ => remove_folder(place),
    }
}
