//! A store: what it holds, read without a lock and verified.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base_types::{Digest, ModelName, Selector, Version};
use control_registry::Limits;
use control_registry::repository::digest_of;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::objects::{Listed, Objects};
use crate::record::FORMAT;
use crate::{FileRecord, Folder, PartRecord, Record, StoreError, envelope};

const FORMAT_KEY: &str = "format";
const FORMAT_TEXT: &str = "switchrail store 1\n";
/// Largest record, labels or results of gates, in bytes.
pub(crate) const RECORD_BYTES_MAX: u64 = 64 << 20;
/// Most versions of one model.
pub(crate) const VERSIONS_MAX: usize = 10_000;

/// An open store. Cheap to clone; readers need no lock, writers take it by themselves.
#[derive(Clone)]
pub struct Store {
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) limits: Limits,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.objects.place())
    }
}

/// What a store holds, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Each model with the numbers of its versions.
    pub models: BTreeMap<ModelName, BTreeSet<Version>>,
    /// Keys that do not belong there.
    pub strangers: Vec<String>,
}

impl Store {
    /// Opens the store in a folder, made if it is not there.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::over(Arc::new(Folder::create(path)?))
    }

    /// Opens a store that must be there.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        if !path.join(FORMAT_KEY).is_file() {
            return Err(StoreError::NotAStore(path.to_owned()));
        }
        let store = Self { objects: Arc::new(Folder::at(path)), limits: Limits::default() };
        store.check_format()?;
        Ok(store)
    }

    /// A store in any place; one that holds nothing becomes a store.
    pub fn over(objects: Arc<dyn Objects>) -> Result<Self, StoreError> {
        let store = Self { objects, limits: Limits::default() };
        if store.objects.get(FORMAT_KEY, 1_024)?.is_none() {
            let _guard = store.objects.lock()?;
            store.objects.put_if_absent(FORMAT_KEY, FORMAT_TEXT.as_bytes())?;
            store.objects.sync()?;
        }
        store.check_format()?;
        Ok(store)
    }

    /// The same store with other bounds on what a version may hold.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        self.objects.place()
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let found = self.objects.get(FORMAT_KEY, 1_024)?.unwrap_or_default();
        if found == FORMAT_TEXT.as_bytes() {
            return Ok(());
        }
        let found = String::from_utf8_lossy(&found).trim().to_owned();
        let place = format!("the store {}", self.place());
        Err(StoreError::Format { place, found, known: FORMAT_TEXT.trim().to_owned() })
    }

    /// The names of what is there; reads no record.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for Listed { key, .. } in self.objects.list("models/")? {
            let parts: Vec<&str> = key.split('/').collect();
            let model = parts.get(1).and_then(|name| ModelName::new(name).ok());
            match (model, parts.as_slice()) {
                (Some(model), [_, _, "versions", file]) => match version_of(file) {
                    Some(version) => drop(listing.models.entry(model).or_default().insert(version)),
                    None => listing.strangers.push(key),
                },
                (Some(_), [_, _, "labels.json"] | [_, _, "gates", _, _]) => {}
                _ => listing.strangers.push(key),
            }
        }
        Ok(listing)
    }

    /// The numbers of a model's versions.
    pub fn versions(&self, model: &ModelName) -> Result<BTreeSet<Version>, StoreError> {
        let listed = self.objects.list(&format!("models/{model}/versions/"))?;
        Ok(listed.iter().filter_map(|listed| version_of(listed.key.rsplit('/').next()?)).collect())
    }

    /// The record of a version.
    pub fn record(&self, model: &ModelName, version: Version) -> Result<Option<Record>, StoreError> {
        let key = record_key(model, version);
        let Some(bytes) = self.objects.get(&key, RECORD_BYTES_MAX)? else { return Ok(None) };
        let record = parse(&key, &bytes)?;
        if record.model != *model || record.version != version {
            let reason = format!("it is the record of version {} of {}", record.version, record.model);
            return Err(StoreError::Damaged { key, reason });
        }
        Ok(Some(record))
    }

    /// The records of a model in the order of their numbers.
    pub fn records(&self, model: &ModelName) -> Result<Vec<Record>, StoreError> {
        let mut records = Vec::new();
        for version in self.versions(model)? {
            records.extend(self.record(model, version)?);
        }
        Ok(records)
    }

    /// The version that a number or a label names.
    pub fn find(&self, model: &ModelName, selector: &Selector) -> Result<Record, StoreError> {
        let version = match selector {
            Selector::Version(version) => *version,
            Selector::Label(label) => {
                let labels = self.labels(model)?;
                let unknown = || StoreError::UnknownLabel { model: model.clone(), label: label.to_string() };
                labels.get(label).copied().ok_or_else(unknown)?
            }
        };
        let unknown = || StoreError::UnknownVersion { model: model.clone(), version };
        self.record(model, version)?.ok_or_else(unknown)
    }

    /// The files the runtime reads, the model first: every part, every file and the version's digest are verified.
    pub fn read(&self, record: &Record) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let files = self.read_files(&record.files, record)?;
        let hashes = record.files.iter().map(|file| (file.path.clone(), file.size, *file.sha256.as_bytes()));
        if digest_of(hashes.collect()) == record.digest {
            return Ok(files);
        }
        let reason = "its files are not those its digest is of".to_owned();
        Err(StoreError::Damaged { key: record_key(&record.model, record.version), reason })
    }

    /// The files that lie beside the model: labels, golden inputs and the like, verified.
    pub fn read_beside(&self, record: &Record) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read_files(&record.beside, record)
    }

    fn read_files(&self, files: &[FileRecord], record: &Record) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let total = files.iter().fold(0u64, |total, file| total.saturating_add(file.size));
        if total > self.limits.version_bytes {
            let what = format!("version {} of {} with {total} bytes", record.version, record.model);
            let remedy = "split the model";
            return Err(StoreError::TooLarge { what, limit: self.limits.version_bytes, remedy });
        }
        files.iter().map(|file| Ok((file.path.clone(), self.read_file(file)?))).collect()
    }

    /// One file, joined of its parts and verified.
    pub fn read_file(&self, file: &FileRecord) -> Result<Vec<u8>, StoreError> {
        let (mut content, mut hasher) = (Vec::new(), Sha256::new());
        for part in &file.parts {
            let bytes = self.part(part)?;
            hasher.update(&bytes);
            // Grows with what was read, never with what the record merely says.
            content.extend_from_slice(&bytes);
        }
        if Digest::new(hasher.finalize().into()) == file.sha256 && content.len() as u64 == file.size {
            return Ok(content);
        }
        let reason = "its parts do not make the file that was pushed".to_owned();
        Err(StoreError::Damaged { key: file.path.clone(), reason })
    }

    /// One part, verified.
    pub(crate) fn part(&self, part: &PartRecord) -> Result<Vec<u8>, StoreError> {
        let key = object_key(&part.sha256);
        let damaged = |reason: &str| StoreError::Damaged { key: key.clone(), reason: reason.to_owned() };
        let bytes = self.objects.get(&key, part.size)?.ok_or_else(|| damaged("it is missing"))?;
        if bytes.len() as u64 == part.size && envelope::sha256(&bytes) == part.sha256 {
            return Ok(bytes);
        }
        Err(damaged("its content does not have the SHA-256 it is named by"))
    }
}

pub(crate) fn object_key(sha256: &Digest) -> String {
    let name = sha256.to_string();
    format!("objects/{}/{name}", &name[..2])
}

pub(crate) fn record_key(model: &ModelName, version: Version) -> String {
    format!("models/{model}/versions/{version}.json")
}

/// A record out of its envelope. The format is looked at first: a newer one may mean other things by the same words.
pub(crate) fn parse(key: &str, bytes: &[u8]) -> Result<Record, StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = envelope::open(key, bytes)?;
    if format != FORMAT {
        let (found, known) = (format.to_string(), FORMAT.to_string());
        return Err(StoreError::Format { place: key.to_owned(), found, known });
    }
    envelope::open(key, bytes)
}

/// The number in the name of a record's file.
pub(crate) fn version_of(file: &str) -> Option<Version> {
    file.strip_suffix(".json")?.parse().ok()
}
