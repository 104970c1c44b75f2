//! The folder that is served: a model repository like any other.
//!
//! ```text
//! view/<model>/<version>     a link to trees/<id>/files, swapped in one step
//! view/<model>/<file>        config.pbtxt and files of labels: copies, renamed into place
//! view/<model>/warmup/<file>
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use base_types::{ModelName, Version};

use crate::cache::{absent_is_fine, copy_verified, hash_file, is_sha256, make_folder, remove_folder};

const WARMUP: &str = "warmup";
/// From `view/<model>/<version>` to the folder around `view`.
const UP: &str = "../..";

/// What is shown.
#[derive(Debug)]
pub(crate) struct View {
    root: PathBuf,
    /// Where a link or a file is made before it is renamed into place.
    fresh: PathBuf,
    models: BTreeMap<ModelName, Shown>,
}

/// What is shown of a model.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// The tree of each version.
    pub versions: BTreeMap<Version, String>,
    /// The SHA-256 of each file.
    pub files: BTreeMap<String, String>,
}

impl View {
    /// Opens the view below a folder. Versions whose tree is not `known` and whatever is none of ours are removed.
    pub fn open(root: &Path, known: impl Fn(&str) -> bool) -> io::Result<Self> {
        let fresh = root.join("fresh");
        remove_folder(&fresh)?;
        make_folder(&fresh)?;
        let root = root.join("view");
        make_folder(&root)?;
        let mut models = BTreeMap::new();
        for entry in fs::read_dir(&root)? {
            let entry = entry?;
            let name = entry.file_name().to_str().and_then(|name| ModelName::new(name).ok());
            match name.filter(|_| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                Some(model) => {
                    models.insert(model, shown(&entry.path(), &known)?);
                }
                None => remove(&entry.path())?,
            }
        }
        Ok(Self { root, fresh, models })
    }

    /// The folder to serve.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything shown.
    pub fn models(&self) -> &BTreeMap<ModelName, Shown> {
        &self.models
    }

    /// Whether no version is shown.
    pub fn is_empty(&self) -> bool {
        self.models.values().all(|shown| shown.versions.is_empty())
    }

    /// The tree of a version.
    pub fn tree(&self, model: &ModelName, version: Version) -> Option<&str> {
        self.models.get(model)?.versions.get(&version).map(String::as_str)
    }

    /// The content of a file beside the versions.
    pub fn file(&self, model: &ModelName, file: &str) -> Option<&str> {
        self.models.get(model)?.files.get(file).map(String::as_str)
    }

    /// Shows a tree as a version, in one step; what was shown before is hidden by it.
    pub fn show(&mut self, model: &ModelName, version: Version, tree: &str) -> io::Result<()> {
        let folder = self.root.join(model.as_str());
        make_folder(&folder)?;
        let fresh = self.fresh.join("link");
        absent_is_fine(fs::remove_file(&fresh))?;
        // Relative, so that the state directory can be moved.
        symlink(format!("{UP}/trees/{tree}/files"), &fresh)?;
        fs::rename(&fresh, folder.join(version.to_string()))?;
        self.models.entry(model.clone()).or_default().versions.insert(version, tree.to_owned());
        Ok(())
    }

    /// Hides a version.
    pub fn hide(&mut self, model: &ModelName, version: Version) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.root.join(model.as_str()).join(version.to_string())))?;
        self.models.get_mut(model).and_then(|shown| shown.versions.remove(&version));
        Ok(())
    }

    /// Puts a file beside the versions; `false` when the content at `from` is not what it should be.
    pub fn put(&mut self, model: &ModelName, file: &str, (from, sha256): (&Path, &str)) -> io::Result<bool> {
        let to = self.root.join(model.as_str()).join(file);
        if let Some(folder) = to.parent() {
            make_folder(folder)?;
        }
        let fresh = self.fresh.join("file");
        if !copy_verified(from, &fresh, sha256)? {
            return Ok(false);
        }
        fs::rename(&fresh, to)?;
        self.models.entry(model.clone()).or_default().files.insert(file.to_owned(), sha256.to_owned());
        Ok(true)
    }

    /// Takes away a file beside the versions.
    pub fn take(&mut self, model: &ModelName, file: &str) -> io::Result<()> {
        absent_is_fine(fs::remove_file(self.root.join(model.as_str()).join(file)))?;
        self.models.get_mut(model).and_then(|shown| shown.files.remove(file));
        Ok(())
    }

    /// Removes the folder of a model of which nothing is left to show.
    pub fn remove_model(&mut self, model: &ModelName) -> io::Result<()> {
        remove_folder(&self.root.join(model.as_str()))?;
        self.models.remove(model);
        Ok(())
    }
}

/// What a model's folder shows; anything else in it is removed.
fn shown(folder: &Path, known: &impl Fn(&str) -> bool) -> io::Result<Shown> {
    let mut found = Shown::default();
    for entry in fs::read_dir(folder)? {
        let (entry, kind) = entry.and_then(|entry| entry.file_type().map(|kind| (entry, kind)))?;
        let Ok(name) = entry.file_name().into_string() else {
            remove(&entry.path())?;
            continue;
        };
        if kind.is_file() {
            found.files.insert(name, hash_file(&entry.path())?);
        } else if kind.is_dir() && name == WARMUP {
            for file in fs::read_dir(entry.path())? {
                let file = file?;
                if let (Ok(name), true) = (file.file_name().into_string(), file.file_type()?.is_file()) {
                    found.files.insert(format!("{WARMUP}/{name}"), hash_file(&file.path())?);
                } else {
                    remove(&file.path())?;
                }
            }
        } else {
            let tree = kind.is_symlink().then(|| tree_of(&entry.path())).flatten().filter(|tree| known(tree));
            match (name.parse(), tree) {
                (Ok(version), Some(tree)) => {
                    found.versions.insert(version, tree);
                }
                _ => remove(&entry.path())?,
            }
        }
    }
    Ok(found)
}

/// The tree that a version's link leads to, if the link is one of ours.
fn tree_of(link: &Path) -> Option<String> {
    let target = fs::read_link(link).ok()?;
    let tree = target.to_str()?.strip_prefix(UP)?.strip_prefix("/trees/")?.strip_suffix("/files")?;
    is_sha256(tree).then(|| tree.to_owned())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => remove_folder(path),
        _ => absent_is_fine(fs::remove_file(path)),
    }
}
