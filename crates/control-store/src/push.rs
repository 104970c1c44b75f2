//! Puts a version into the store: looked through first, complete before it is visible, never in the place of another.

mod decide;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base_types::{Digest, Label, ModelName, Version};

use crate::bundle::{self, Bundle};
use crate::objects::Put;
use crate::record::FORMAT;
use crate::source::{self, Place, Planned, Source, source_error};
use crate::store::{RECORD_BYTES_MAX, VERSIONS_MAX, object_key, record_key};
use crate::{GitLineage, Lineage, Origin, PartRecord, Record, Store, StoreError, envelope, names};
use decide::{Decision, Known, decide};

/// Most entries of lineage, and most metrics.
const ENTRIES_MAX: usize = 256;
/// Longest name of one, in bytes.
const KEY_BYTES_MAX: usize = 256;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 4 << 10;
/// How often another writer may take the number first, where the store cannot be locked.
const ATTEMPTS: usize = 8;

/// What is to be put into the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// A model file, a version's folder, or a bundle.
    pub path: PathBuf,
    /// The model; a bundle brings its own name.
    pub model: Option<ModelName>,
    /// The number it is to have; otherwise a bundle keeps its own where that is free, and all others get the next.
    pub version: Option<Version>,
    /// Labels that are to name it from now on.
    pub labels: Vec<Label>,
    /// A semantic version; otherwise that of the manifest.
    pub tag: Option<String>,
    /// A `config.pbtxt` that does not lie beside the model.
    pub config: Option<PathBuf>,
    /// A `manifest.toml` that does not lie beside the model.
    pub manifest: Option<PathBuf>,
    /// The working tree it comes from.
    pub git: Option<GitLineage>,
    /// What is said about it, beyond the manifest.
    pub set: BTreeMap<String, String>,
    /// What was measured, beyond the manifest.
    pub metrics: BTreeMap<String, f64>,
    /// Numbers that a model repository holds, with the digest of what they are there where that is known.
    pub held: BTreeMap<Version, Option<Digest>>,
    /// Who pushes.
    pub by: String,
    /// With which program.
    pub tool: String,
    /// The wall clock, in milliseconds since 1970.
    pub now_unix_ms: u64,
}

impl Push {
    /// Puts a path into the store under the next free number, and says nothing about it.
    pub fn new(path: impl Into<PathBuf>, model: Option<ModelName>, now_unix_ms: u64) -> Self {
        Self {
            path: path.into(),
            model,
            version: None,
            labels: Vec::new(),
            tag: None,
            config: None,
            manifest: None,
            git: None,
            set: BTreeMap::new(),
            metrics: BTreeMap::new(),
            held: BTreeMap::new(),
            by: String::new(),
            tool: String::new(),
            now_unix_ms,
        }
    }
}

/// What became of a push. It is on the disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The version.
    pub record: Record,
    /// Whether it was not there before.
    pub is_new: bool,
    /// What whoever pushed should know.
    pub notes: Vec<String>,
    /// Damaged parts that were brought back.
    pub n_mended: usize,
}

/// Where a bundle comes from; `None` for a path that is no bundle.
pub fn bundle_origin(path: &Path) -> Result<Option<Origin>, StoreError> {
    Ok(bundle::open(path)?.map(|bundle| bundle.head.origin))
}

impl Store {
    /// Puts a version into the store. The same content is the same version and stays as it is.
    pub fn push(&self, push: &Push) -> Result<Pushed, StoreError> {
        let bundle = bundle::open(&push.path)?;
        let named = push.model.clone().or_else(|| bundle.as_ref().map(|bundle| bundle.head.origin.model.clone()));
        let model = named.ok_or_else(|| source_error(&push.path, "is no bundle: name the model with --model"))?;
        let (place, head) = match bundle {
            Some(Bundle { head, unpacked }) => (Place::bundle(&push.path, unpacked), Some(head)),
            None => (Place::on_disk(&push.path)?, None),
        };
        let place = place.given(push.config.clone(), push.manifest.clone());
        let source = source::read(&place, &model, &self.limits)?;
        if let Some(head) = &head {
            head.check(&push.path, &source)?;
        }
        let draft = draft(push, model, head.as_ref(), &source)?;
        let _guard = self.objects.lock()?;
        self.publish(push, draft, &source)
    }

    /// Puts a bundle into the store under its own name, and its own number where that is free.
    pub fn import(&self, path: &Path, by: &str, now_unix_ms: u64) -> Result<Pushed, StoreError> {
        self.push(&Push { by: by.to_owned(), ..Push::new(path, None, now_unix_ms) })
    }

    /// The store is locked, if it can be.
    fn publish(&self, push: &Push, mut draft: Record, source: &Source) -> Result<Pushed, StoreError> {
        for _ in 0..ATTEMPTS {
            let records = self.records(&draft.model)?;
            let known = Known {
                model: &draft.model,
                stored: records.iter().map(|record| (record.version, record.digest)).collect(),
                held: &push.held,
            };
            let wish = draft.origin.as_ref().map(|origin| origin.version);
            match decide(&known, push.version, wish, draft.digest)? {
                Decision::Existing(version) => {
                    let found = records.into_iter().find(|record| record.version == version);
                    let found = found.ok_or_else(|| unknown(&draft.model, version))?;
                    return self.push_again(&draft, found, source);
                }
                Decision::New(version) => {
                    check_tag(&draft, &records)?;
                    check_room(&draft.model, records.len())?;
                    draft.version = version;
                    if let Some(n_mended) = self.write_new(&draft, source)? {
                        let notes = notes_on_new(&draft, wish);
                        return Ok(Pushed { record: draft, is_new: true, notes, n_mended });
                    }
                }
            }
        }
        Err(StoreError::Busy { place: self.place(), pid: None })
    }

    /// Parts, then the record; `None` when another took the number meanwhile.
    fn write_new(&self, record: &Record, source: &Source) -> Result<Option<usize>, StoreError> {
        let key = record_key(&record.model, record.version);
        let sealed = envelope::seal(&key, record)?;
        if sealed.len() as u64 > RECORD_BYTES_MAX {
            let (what, remedy) = ("the record of this version".to_owned(), "say less about it");
            return Err(StoreError::TooLarge { what, limit: RECORD_BYTES_MAX, remedy });
        }
        let n_mended = self.write_parts(source)?;
        // Whoever can see the record can read what it names, also after a power cut.
        self.objects.sync()?;
        if self.objects.put_if_absent(&key, &sealed)? == Put::Existed {
            return Ok(None);
        }
        self.objects.sync()?;
        // The record says its labels itself; taking them in is a convenience for readers.
        let _later = self.settle_labels(&record.model);
        Ok(Some(n_mended))
    }

    /// The content is there: its parts are looked at, and its labels moved.
    fn push_again(&self, draft: &Record, found: Record, source: &Source) -> Result<Pushed, StoreError> {
        let n_mended = self.write_parts(source)?;
        self.objects.sync()?;
        if !draft.labels.is_empty() {
            self.set_labels_locked(&draft.model, &draft.labels, Some(found.version))?;
        }
        let notes = notes_on_existing(draft, &found);
        Ok(Pushed { record: found, is_new: false, notes, n_mended })
    }

    /// Puts every part that is not there, and a sound one in the place of each that is damaged.
    fn write_parts(&self, source: &Source) -> Result<usize, StoreError> {
        let mut n_mended = 0;
        for Planned { file, content } in source.files.iter().chain(&source.beside) {
            let mut reader = content.reader()?;
            for part in &file.parts {
                let piece = reader.next(part.size)?;
                if envelope::sha256(&piece) != part.sha256 {
                    return Err(source::content_changed(&file.path));
                }
                n_mended += usize::from(self.write_part(part, &piece)?);
            }
        }
        Ok(n_mended)
    }

    /// Says whether a damaged one was mended.
    fn write_part(&self, part: &PartRecord, bytes: &[u8]) -> Result<bool, StoreError> {
        let key = object_key(&part.sha256);
        if self.objects.put_if_absent(&key, bytes)? == Put::New {
            return Ok(false);
        }
        // A version is acknowledged only over parts that can be read.
        match self.part(part) {
            Ok(_) => Ok(false),
            Err(StoreError::Damaged { .. }) => self.objects.replace(&key, bytes).map(|()| true),
            Err(error) => Err(error),
        }
    }
}

/// The record as it will be, but for its number.
fn draft(push: &Push, model: ModelName, head: Option<&bundle::Head>, source: &Source) -> Result<Record, StoreError> {
    let mut lineage = head.map(|head| head.lineage.clone()).unwrap_or_default();
    lineage.git = push.git.clone().or(lineage.git);
    let manifest = &source.manifest;
    if head.is_none() {
        lineage.set.extend(manifest.lineage.clone());
        lineage.metrics.extend(manifest.metrics.clone());
    }
    lineage.set.extend(push.set.clone());
    lineage.metrics.extend(push.metrics.iter().map(|(name, value)| (name.clone(), *value)));
    check_lineage(&push.path, &lineage)?;
    let tag = push.tag.as_ref().or(head.and_then(|head| head.tag.as_ref())).or(manifest.tag.as_ref());
    Ok(Record {
        format: FORMAT,
        version: Version::new(1).ok_or_else(|| source_error(&push.path, "has no number"))?,
        digest: source.digest,
        files: source.files.iter().map(|planned| planned.file.clone()).collect(),
        beside: source.beside.iter().map(|planned| planned.file.clone()).collect(),
        config_pbtxt: source.config_pbtxt.clone(),
        manifest_toml: source.manifest_toml.clone(),
        signature: source.signature.clone(),
        onnx: source.onnx.clone(),
        lineage,
        tag: tag.map(|tag| names::tag(tag)).transpose()?,
        labels: push.labels.clone(),
        pushed_at_unix_ms: push.now_unix_ms,
        pushed_by: push.by.clone(),
        tool: push.tool.clone(),
        origin: head.map(|head| head.origin.clone()),
        model,
    })
}

fn check_lineage(path: &Path, lineage: &Lineage) -> Result<(), StoreError> {
    let keys = lineage.set.keys().chain(lineage.metrics.keys());
    if lineage.set.len() > ENTRIES_MAX || lineage.metrics.len() > ENTRIES_MAX {
        return Err(source_error(path, format!("has more than {ENTRIES_MAX} entries of lineage or metrics")));
    }
    if let Some(key) = keys.into_iter().find(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
        return Err(source_error(path, format!("{key:?} is no name: use 1 to {KEY_BYTES_MAX} characters")));
    }
    if let Some((key, _)) = lineage.set.iter().find(|(_, value)| value.len() > VALUE_BYTES_MAX) {
        return Err(source_error(path, format!("the value of {key:?} is longer than {VALUE_BYTES_MAX} bytes")));
    }
    if let Some((key, _)) = lineage.metrics.iter().find(|(_, value)| !value.is_finite()) {
        return Err(source_error(path, format!("the metric {key:?} is no finite number")));
    }
    Ok(())
}

fn check_tag(draft: &Record, records: &[Record]) -> Result<(), StoreError> {
    let Some(tag) = &draft.tag else { return Ok(()) };
    match records.iter().find(|record| record.tag.as_ref() == Some(tag)) {
        Some(taken) => {
            Err(StoreError::TagTaken { tag: tag.clone(), model: draft.model.clone(), version: taken.version })
        }
        None => Ok(()),
    }
}

fn check_room(model: &ModelName, n_versions: usize) -> Result<(), StoreError> {
    if n_versions < VERSIONS_MAX {
        return Ok(());
    }
    let what = format!("the number of versions of {model}");
    Err(StoreError::TooLarge { what, limit: VERSIONS_MAX as u64, remedy: "push under another model's name" })
}

fn unknown(model: &ModelName, version: Version) -> StoreError {
    StoreError::UnknownVersion { model: model.clone(), version }
}

fn notes_on_new(record: &Record, wish: Option<Version>) -> Vec<String> {
    let moved = wish.filter(|wish| *wish != record.version);
    moved
        .map(|wish| format!("it was version {wish} where the bundle was made; that number is taken here"))
        .into_iter()
        .collect()
}

/// What was said this time and is not in the record, which never changes.
fn notes_on_existing(draft: &Record, found: &Record) -> Vec<String> {
    let mut notes = Vec::new();
    let mut differs = |what: &str, is_other: bool| {
        if is_other {
            notes.push(format!("{what} given now differs from what the version was pushed with, and was not kept"));
        }
    };
    differs("the tag", draft.tag.is_some() && draft.tag != found.tag);
    differs("the config.pbtxt", draft.config_pbtxt.is_some() && draft.config_pbtxt != found.config_pbtxt);
    differs("the manifest.toml", draft.manifest_toml.is_some() && draft.manifest_toml != found.manifest_toml);
    let is_told = |(key, value): (&String, &String)| found.lineage.set.get(key) == Some(value);
    differs("the lineage", !draft.lineage.set.iter().all(is_told));
    let is_measured = |(key, value): (&String, &f64)| found.lineage.metrics.get(key) == Some(value);
    differs("the metrics", !draft.lineage.metrics.iter().all(is_measured));
    let is_beside =
        |file: &crate::FileRecord| found.beside.iter().any(|f| f.path == file.path && f.sha256 == file.sha256);
    differs("a file beside the model", !draft.beside.iter().all(is_beside));
    notes
}
