//! Looks at a model repository as Triton, TensorFlow Serving and OpenVINO Model Server lay it out.
//!
//! ```text
//! <root>/<model>/<version>/model.onnx      or a single other *.onnx, or a folder model.onnx/ around such a file
//! <root>/<model>/config.pbtxt              optional, and beside it the files of labels it names
//! <root>/<model>/warmup/<file>             optional: input data that config.pbtxt names for the warm-up
//! ```
//!
//! [`scan`] says what is there, cheaply and without reading models; [`read_version`] reads one version, once, and
//! says what it is. The root, a model folder and a version folder may be symbolic links (that is how Kubernetes and
//! release scripts swap them); each is resolved once. The files within may not, because a link there can make the
//! runtime read what its publisher could not. A scan never takes "cannot look" for "is gone".

mod assemble;
mod attached;
mod folder;
mod local;
mod read;
mod stamp;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base_types::{ModelName, Version};
use rustix::fd::OwnedFd;
use thiserror::Error;

pub use assemble::{HashedFile, assemble};
pub use attached::{read_attached, read_attached_to};
pub use local::LocalVersion;
pub use read::{VersionFiles, digest_of, read_version, read_warmup};
pub use stamp::Stamp;

use crate::model_config::ModelConfig;
use crate::{Limits, Refusal, RefusalCode};
use folder::{Entry, is_folder, list, open_folder, open_subfolder, read_small, read_small_contained};

const CONFIG_FILE: &str = "config.pbtxt";
const WARMUP_FOLDER: &str = "warmup";

/// How to scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanOptions {
    /// A version is taken up when nothing in it changed for so long.
    pub settle_ms: u64,
    /// What one repository may hold.
    pub limits: Limits,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { settle_ms: 2_000, limits: Limits::default() }
    }
}

/// Everything seen in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The models.
    pub models: BTreeMap<ModelName, ModelEntry>,
    /// Folders that cannot be models, by their name.
    pub refused: BTreeMap<String, Refusal>,
    /// What was passed over, for the log.
    pub notes: Vec<String>,
}

/// What was seen of one model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelEntry {
    /// Its versions, those that cannot be taken up among them.
    pub versions: BTreeMap<Version, VersionEntry>,
    /// Folders that cannot be versions, by their name.
    pub refused: BTreeMap<String, Refusal>,
    /// Set when the folder could not be listed in full: a version that is not in `versions` may still be there.
    pub incomplete: Option<Refusal>,
    /// Its `config.pbtxt`.
    pub config: ConfigEntry,
}

/// What was seen of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionEntry {
    /// Something in it changed a moment ago; look again.
    Settling,
    /// It may be read. The same stamp at a later scan means that nothing was touched.
    Settled(Stamp),
    /// It cannot be taken up as it is.
    Refused(Refusal),
}

/// What was seen of a model's `config.pbtxt`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ConfigEntry {
    /// There is none.
    #[default]
    Absent,
    /// It changed a moment ago; look again.
    Settling,
    /// It was read.
    Valid(ModelConfig),
    /// It cannot be honoured, so the model must not be taken up.
    Refused(Refusal),
}

/// Why the repository as a whole could not be looked at. What was known before stays true.
#[derive(Debug, Error)]
pub enum ScanError {
    /// The root is missing, is no folder or may not be read.
    #[error("cannot read the model repository {path}: check that it exists and may be read")]
    Root {
        /// The root.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The root holds more than this reader takes.
    #[error("the model repository {path} holds more than {limit} {what}: split it or raise the limit")]
    TooMany {
        /// The root.
        path: PathBuf,
        /// The bound.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
}

/// Looks at every model and version below `root`. `now_unix_ms` is the wall clock.
pub fn scan(root: &Path, options: &ScanOptions, now_unix_ms: u64) -> Result<Scan, ScanError> {
    let limits = &options.limits;
    let root_error = |source| ScanError::Root { path: root.to_owned(), source };
    let root_fd = open_folder(root).map_err(root_error)?;
    let entries = list(&root_fd, limits.folder_entries).map_err(root_error)?;
    let too_many = |limit, what| ScanError::TooMany { path: root.to_owned(), limit, what };
    let entries = entries.ok_or_else(|| too_many(limits.folder_entries, "entries"))?;
    let mut scan = Scan::default();
    for entry in entries {
        // Hidden entries belong to tools (.git, ..data), lost+found to the file system.
        if entry.name.starts_with('.') || entry.name == "lost+found" {
            continue;
        }
        if !is_folder(&root_fd, &entry) {
            note(&mut scan.notes, &entry.name, "model");
            continue;
        }
        match ModelName::new(&entry.name) {
            Ok(model) => {
                let found = scan_model(&root_fd, &model, options, now_unix_ms, &mut scan.notes);
                scan.models.insert(model, found);
            }
            Err(error) => {
                let refusal =
                    Refusal::new(RefusalCode::BadModelName, format!("not a model: {error}: rename the folder"));
                scan.refused.insert(entry.name, refusal);
            }
        }
        if scan.models.len() > limits.models {
            return Err(too_many(limits.models, "models"));
        }
    }
    Ok(scan)
}

fn scan_model(
    root: &OwnedFd,
    model: &ModelName,
    options: &ScanOptions,
    now_unix_ms: u64,
    notes: &mut Vec<String>,
) -> ModelEntry {
    let mut found = ModelEntry::default();
    let entries = open_subfolder(root, model.as_str()).and_then(|folder| {
        let entries = list(&folder, options.limits.folder_entries)?;
        Ok((folder, entries))
    });
    let (folder, entries) = match entries {
        Ok((folder, Some(entries))) => (folder, entries),
        Ok((_, None)) => {
            found.incomplete = Some(too_many(options.limits.folder_entries, "entries in its folder"));
            return found;
        }
        Err(error) => {
            found.incomplete = Some(unreadable("the model folder", &error));
            return found;
        }
    };
    found.config = read_config(&folder, model, options, now_unix_ms);
    for entry in entries.into_iter().filter(|entry| entry.name != CONFIG_FILE) {
        let is_number = entry.name.bytes().all(|b| b.is_ascii_digit());
        if !is_number || !is_folder(&folder, &entry) {
            if !entry.name.starts_with('.') && !is_known(&entry.name, &found.config) {
                note(notes, &format!("{model}/{}", entry.name), "version");
            }
            continue;
        }
        match parse_version(&entry.name) {
            Err(refusal) => {
                found.refused.insert(entry.name, refusal);
            }
            Ok(_) if found.versions.len() >= options.limits.versions_per_model => {
                found.incomplete = Some(too_many(options.limits.versions_per_model, "versions"));
                break;
            }
            Ok(version) => {
                found.versions.insert(version, scan_version(&folder, &entry, options, now_unix_ms));
            }
        }
    }
    if found.versions.is_empty() && found.refused.is_empty() {
        let text = "the model folder holds no version: put the model into a folder named 1 within it";
        found.refused.insert(String::new(), Refusal::new(RefusalCode::NoVersions, text));
    }
    found
}

/// Whether an entry of a model's folder is there for a purpose other than being a version.
fn is_known(name: &str, config: &ConfigEntry) -> bool {
    let ConfigEntry::Valid(config) = config else { return name == WARMUP_FOLDER };
    name == WARMUP_FOLDER || config.outputs.iter().any(|output| output.label_file.as_deref() == Some(name))
}

fn scan_version(model: &OwnedFd, entry: &Entry, options: &ScanOptions, now_unix_ms: u64) -> VersionEntry {
    let stamp = folder::open_version(model, &entry.name).and_then(|version| version.stamp(&options.limits));
    match stamp {
        // A folder being filled is not wrong yet: it is judged once it is left alone.
        Ok(stamp) if !stamp.is_settled(now_unix_ms, options.settle_ms) => VersionEntry::Settling,
        Ok(stamp) => match stamp.check(&options.limits) {
            Ok(_) => VersionEntry::Settled(stamp),
            Err(refusal) => VersionEntry::Refused(refusal),
        },
        Err(refusal) => VersionEntry::Refused(refusal),
    }
}

fn read_config(folder: &OwnedFd, model: &ModelName, options: &ScanOptions, now_unix_ms: u64) -> ConfigEntry {
    match read_small(folder, CONFIG_FILE, options.limits.config_bytes) {
        Ok(None) => ConfigEntry::Absent,
        Ok(Some((_, time))) if !time.is_settled(now_unix_ms, options.settle_ms) => ConfigEntry::Settling,
        Ok(Some((text, _))) => {
            match ModelConfig::parse(&text, model).and_then(|c| labelled(c, folder, options, now_unix_ms)) {
                Ok(Some(config)) => ConfigEntry::Valid(config),
                Ok(None) => ConfigEntry::Settling,
                Err(refusal) => ConfigEntry::Refused(refusal),
            }
        }
        Err(refusal) => ConfigEntry::Refused(refusal),
    }
}

/// Reads the files of labels that a config names; `None` while one of them is still being written. One that is not
/// there is only told: answers without labels are right, too.
fn labelled(
    mut config: ModelConfig,
    folder: &OwnedFd,
    options: &ScanOptions,
    now_unix_ms: u64,
) -> Result<Option<ModelConfig>, Refusal> {
    for output in &config.outputs {
        let Some(name) = &output.label_file else { continue };
        match read_small_contained(folder, name, options.limits.config_bytes)? {
            None => config.warnings.push(format!(
                "config.pbtxt line {}: the file {name:?} with the labels of {:?} is not there",
                output.line, output.name
            )),
            Some((_, time)) if !time.is_settled(now_unix_ms, options.settle_ms) => return Ok(None),
            Some((text, _)) => {
                let labels: Arc<[String]> = text.lines().map(|line| line.trim_end().to_owned()).collect();
                config.labels.insert(output.name.clone(), labels);
            }
        }
    }
    Ok(Some(config))
}

/// The digits of a folder name as a version; leading zeros would make two names of one version.
fn parse_version(name: &str) -> Result<Version, Refusal> {
    let version: Option<Version> = name.parse().ok();
    version.filter(|version| i64::try_from(version.get()).is_ok()).ok_or_else(|| {
        let text = format!(
            "{name:?} is no version: a version is a positive integer up to {} without leading zeros: rename the folder",
            i64::MAX
        );
        Refusal::new(RefusalCode::BadVersion, text)
    })
}

fn note(notes: &mut Vec<String>, name: &str, what: &str) {
    /// More notes help nobody.
    const NOTES_MAX: usize = 256;
    if notes.len() < NOTES_MAX {
        notes.push(format!("{name:?} is no {what} folder and was passed over"));
    }
}

fn unreadable(what: &str, error: &io::Error) -> Refusal {
    Refusal::new(RefusalCode::Unreadable, format!("cannot read {what}: {error}"))
}

fn too_many(limit: usize, what: &str) -> Refusal {
    Refusal::new(RefusalCode::TooMany, format!("more than {limit} {what}: remove some or raise the limit"))
}

#[cfg(test)]
mod tests;
