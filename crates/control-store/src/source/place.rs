//! Where a source lies: a model file, a version's folder, or a bundle.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Content, source_error};
use crate::StoreError;

pub(crate) const CONFIG_FILE: &str = "config.pbtxt";
pub(crate) const MANIFEST_FILE: &str = "manifest.toml";
/// A signature of the content, for gates with keys.
const SIGNATURE_FILE: &str = "model.sig";
/// Largest `config.pbtxt` and manifest, in bytes.
const TEXT_BYTES_MAX: u64 = 1 << 20;
/// Most files looked at in a folder and those below it.
const ENTRIES_MAX: usize = 4_096;
/// Deepest folder below a version's.
const DEPTH_MAX: usize = 4;

/// A place files are taken from.
#[derive(Debug)]
pub(crate) struct Place {
    /// What was named, for messages.
    pub path: PathBuf,
    kind: Kind,
    /// Files given apart from the place.
    config: Option<PathBuf>,
    manifest: Option<PathBuf>,
}

#[derive(Debug)]
enum Kind {
    /// The model file in this folder, and what it and its manifest name.
    File { model: PathBuf, folder: PathBuf },
    /// All of a version's folder; the model lies in `inner`, which is the folder or its folder `model.onnx`.
    Folder { model: PathBuf, inner: PathBuf, folder: PathBuf },
    /// A bundle's files, by their paths.
    Bundle(Box<Unpacked>),
}

/// What is in a bundle.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    pub files: BTreeMap<String, Content>,
    pub beside: BTreeMap<String, Content>,
    pub config_pbtxt: Option<String>,
    pub manifest_toml: Option<String>,
}

impl Place {
    /// A model file or a version's folder.
    pub(crate) fn on_disk(path: &Path) -> Result<Self, StoreError> {
        let metadata = fs::metadata(path).map_err(|error| source_error(path, format!("cannot be read: {error}")))?;
        let kind = if metadata.is_dir() {
            let nested = path.join(super::MODEL_FILE);
            let inner = if nested.is_dir() { nested } else { path.to_owned() };
            Kind::Folder { model: find_model(path, &inner)?, inner, folder: path.to_owned() }
        } else {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = parent.unwrap_or(Path::new(".")).to_owned();
            Kind::File { model: path.to_owned(), folder }
        };
        Ok(Self { path: path.to_owned(), kind, config: None, manifest: None })
    }

    /// What was found in a bundle.
    pub(crate) fn bundle(path: &Path, unpacked: Unpacked) -> Self {
        Self { path: path.to_owned(), kind: Kind::Bundle(Box::new(unpacked)), config: None, manifest: None }
    }

    /// With a `config.pbtxt` and a manifest that lie elsewhere.
    pub(crate) fn given(self, config: Option<PathBuf>, manifest: Option<PathBuf>) -> Self {
        Self { config, manifest, ..self }
    }

    pub(crate) fn refuse(&self, reason: impl Into<String>) -> StoreError {
        source_error(&self.path, reason)
    }

    pub(super) fn model_file(&self) -> Result<Content, StoreError> {
        match &self.kind {
            // A link to a model is followed: whoever pushes named it.
            Kind::File { model, .. } | Kind::Folder { model, .. } => stretch(model),
            Kind::Bundle(unpacked) => {
                let model = unpacked.files.get(super::MODEL_FILE).cloned();
                model.ok_or_else(|| self.refuse("the bundle holds no model"))
            }
        }
    }

    /// A file that the model reads.
    pub(super) fn beside_model(&self, location: &str) -> Result<Option<Content>, StoreError> {
        match &self.kind {
            Kind::File { folder: inner, .. } | Kind::Folder { inner, .. } => regular(&inner.join(location)),
            Kind::Bundle(unpacked) => Ok(unpacked.files.get(location).cloned()),
        }
    }

    /// The text of `config.pbtxt`: beside the model, or, where a folder is named by a number, beside that folder.
    pub(super) fn config(&self) -> Result<Option<String>, StoreError> {
        if let (Kind::Bundle(unpacked), None) = (&self.kind, &self.config) {
            return Ok(unpacked.config_pbtxt.clone());
        }
        self.config_path().map(|path| read_text(&path)).transpose()
    }

    fn config_path(&self) -> Option<PathBuf> {
        if let Some(given) = &self.config {
            return Some(given.clone());
        }
        let folder = self.folder()?;
        let beside = [Some(folder.to_owned()), model_folder(folder)];
        beside.into_iter().flatten().map(|folder| folder.join(CONFIG_FILE)).find(|path| path.is_file())
    }

    /// The text of `manifest.toml`.
    pub(super) fn manifest(&self) -> Result<Option<String>, StoreError> {
        if let (Kind::Bundle(unpacked), None) = (&self.kind, &self.manifest) {
            return Ok(unpacked.manifest_toml.clone());
        }
        self.manifest_path().map(|path| read_text(&path)).transpose()
    }

    fn manifest_path(&self) -> Option<PathBuf> {
        let beside = || self.folder().map(|folder| folder.join(MANIFEST_FILE)).filter(|path| path.is_file());
        self.manifest.clone().or_else(beside)
    }

    /// The folder that files beside the model are looked for in.
    pub(super) fn folder(&self) -> Option<&Path> {
        match &self.kind {
            Kind::File { folder, .. } | Kind::Folder { folder, .. } => Some(folder),
            Kind::Bundle(_) => None,
        }
    }

    /// A file that the manifest names.
    pub(super) fn beside_manifest(&self, name: &str) -> Result<Option<Content>, StoreError> {
        let folder = self.manifest_path().and_then(|path| path.parent().map(Path::to_owned));
        folder.map_or(Ok(None), |folder| regular(&folder.join(name)))
    }

    /// A file that `config.pbtxt` names.
    pub(super) fn beside_config(&self, name: &str) -> Result<Option<Content>, StoreError> {
        let folder = self.config_path().and_then(|path| path.parent().map(Path::to_owned));
        folder.map_or(Ok(None), |folder| regular(&folder.join(name)))
    }

    /// Everything that came along without being named: the rest of a folder or of a bundle.
    pub(super) fn unnamed(&self) -> Result<BTreeMap<String, Content>, StoreError> {
        match &self.kind {
            Kind::File { folder, .. } => {
                let signature = regular(&folder.join(SIGNATURE_FILE))?;
                Ok(signature.map(|content| (SIGNATURE_FILE.to_owned(), content)).into_iter().collect())
            }
            Kind::Folder { model, folder, .. } => {
                let mut found = BTreeMap::new();
                walk(folder, "", model, &mut found)?;
                Ok(found)
            }
            Kind::Bundle(unpacked) => Ok(unpacked.beside.clone()),
        }
    }
}

/// The folder around a version's folder, in the layout of a model repository.
fn model_folder(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let name = folder.file_name()?.to_str()?;
    let is_number = name.bytes().all(|b| b.is_ascii_digit());
    folder.parent().filter(|_| is_number).map(Path::to_owned)
}

/// The model file of a folder, by the same rule as in a model repository.
fn find_model(folder: &Path, inner: &Path) -> Result<PathBuf, StoreError> {
    let unreadable = |error| source_error(folder, format!("cannot be read: {error}"));
    let mut models = Vec::new();
    let mut has_versions = false;
    for entry in fs::read_dir(inner).map_err(unreadable)? {
        let Ok(name) = entry.map_err(unreadable)?.file_name().into_string() else { continue };
        has_versions |= name.bytes().all(|b| b.is_ascii_digit());
        if name.ends_with(".onnx") && !name.starts_with('.') {
            models.push(name);
        }
    }
    let found = models.iter().find(|name| *name == super::MODEL_FILE);
    match (found, models.as_slice()) {
        (Some(name), _) | (None, [name]) => Ok(inner.join(name)),
        (None, []) if has_versions => {
            Err(source_error(folder, "holds versions: push one of them, such as the folder with the highest number"))
        }
        (None, []) => Err(source_error(folder, "holds no .onnx file: name the model file, or the folder it lies in")),
        (None, several) => {
            let reason = format!("holds {} .onnx files and none is model.onnx: name the one to push", several.len());
            Err(source_error(folder, reason))
        }
    }
}

/// A file as a whole.
fn stretch(path: &Path) -> Result<Content, StoreError> {
    let metadata = fs::metadata(path).map_err(|error| source_error(path, format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Err(source_error(path, "is not a regular file"));
    }
    Ok(Content::Stretch { path: path.to_owned(), offset: 0, size: metadata.len() })
}

/// A file that something else names: it must be one itself, because a link could lead to what its publisher could not
/// read. `None` when it is not there.
fn regular(path: &Path) -> Result<Option<Content>, StoreError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(source_error(path, format!("cannot be read: {error}"))),
        Ok(metadata) if metadata.is_file() => stretch(path).map(Some),
        Ok(_) => Err(source_error(path, "is a link or no regular file: put the file itself there")),
    }
}

fn read_text(path: &Path) -> Result<String, StoreError> {
    let content = stretch(path)?;
    if content.size() > TEXT_BYTES_MAX {
        let what = path.display().to_string();
        return Err(StoreError::TooLarge { what, limit: TEXT_BYTES_MAX, remedy: "is it the right file?" });
    }
    String::from_utf8(content.read_all()?).map_err(|_| source_error(path, "is not UTF-8 text"))
}

fn walk(folder: &Path, prefix: &str, model: &Path, found: &mut BTreeMap<String, Content>) -> Result<(), StoreError> {
    let unreadable = |error| source_error(folder, format!("cannot be read: {error}"));
    if prefix.matches('/').count() > DEPTH_MAX {
        return Err(source_error(folder, "lies too deep: push the model file itself"));
    }
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|_| source_error(&path, "has a name that is not UTF-8"))?;
        if name.starts_with('.') || path == model {
            continue;
        }
        if entry.file_type().map_err(unreadable)?.is_dir() {
            walk(&path, &format!("{prefix}{name}/"), model, found)?;
            continue;
        }
        if found.len() >= ENTRIES_MAX {
            let reason = format!("holds more than {ENTRIES_MAX} files: push the model file itself");
            return Err(source_error(folder, reason));
        }
        if let Some(content) = regular(&path)? {
            found.insert(format!("{prefix}{name}"), content);
        }
    }
    Ok(())
}
