//! Where a version comes from: its folder in the model repository, or the store.
//!
//! A number stands for one content. Where both hold a number, the folder serves: what the store holds under it is only
//! looked at when the folder is gone, or is known to hold other content than the number stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base_types::{Digest, Version};
use control_gate::MANIFEST_FILE;
use control_registry::model_config::ModelConfig;
use control_registry::repository::{self, Stamp, VersionEntry, VersionFiles, read_version};
use control_registry::{Refusal, RefusalCode};

use crate::load::{LoadContext, LoadRequest};
use crate::shelf::{Pushed, ShelfModel, read_beside, read_pushed};
use crate::state::Entry;

/// One version as it was seen where it lies. Equal means untouched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// Its folder in the model repository.
    Folder(Stamp),
    /// Its record in the store.
    Store(Arc<Pushed>),
}

impl Source {
    /// The folder, if it is one.
    pub(crate) fn folder(&self) -> Option<&Stamp> {
        match self {
            Self::Folder(stamp) => Some(stamp),
            Self::Store(_) => None,
        }
    }

    /// The config.pbtxt that came with this very version.
    pub(crate) fn config(&self) -> Option<&ModelConfig> {
        match self {
            Self::Folder(_) => None,
            Self::Store(pushed) => pushed.config.as_ref(),
        }
    }
}

/// Reads a version from where it lies. Blocks.
pub(crate) fn read(context: &LoadContext, request: &LoadRequest) -> Result<VersionFiles, Refusal> {
    let LoadRequest { id, stamp, .. } = request;
    match (stamp, &context.root, &context.store) {
        (Source::Folder(stamp), Some(root), _) => read_version(root, &id.model, id.version, stamp, &context.limits),
        (Source::Store(pushed), _, Some(store)) => read_pushed(store, &pushed.record, &context.limits),
        _ => Err(Refusal::new(RefusalCode::Unreadable, "the place it was seen in is gone")),
    }
}

/// Reads input data for the warm-up: beside the version in the store, or from the model's folder.
pub(crate) fn read_warmup(
    context: &LoadContext,
    request: &LoadRequest,
    name: &str,
    bytes_max: u64,
) -> Result<Vec<u8>, Refusal> {
    if let (Source::Store(pushed), Some(store)) = (&request.stamp, &context.store) {
        let found = read_beside(store, &pushed.record, &format!("warmup/{name}"), bytes_max)?;
        if let Some(content) = found {
            return Ok(content);
        }
    }
    let missing = || {
        let text = format!("the warm-up data warmup/{name} is missing: push it with the model");
        Refusal::new(RefusalCode::ConfigMismatch, text)
    };
    let root = context.root.as_ref().ok_or_else(missing)?;
    repository::read_warmup(root, &request.id.model, name, bytes_max)
}

/// Reads a file that lies beside a version, in its folder or in the store; `None` when it is not there.
pub(crate) fn read_attached(
    context: &LoadContext,
    request: &LoadRequest,
    path: &str,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, Refusal> {
    let LoadRequest { id, stamp, .. } = request;
    match (stamp, &context.root, &context.store) {
        (Source::Folder(_), Some(root), _) => repository::read_attached(root, (&id.model, id.version), path, bytes_max),
        (Source::Store(pushed), _, _) if path == MANIFEST_FILE => {
            Ok(pushed.record.manifest_toml.as_ref().map(|text| text.clone().into_bytes()))
        }
        (Source::Store(pushed), _, Some(store)) => read_beside(store, &pushed.record, path, bytes_max),
        _ => Ok(None),
    }
}

/// What is to be made of a version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    /// Something in its folder changed a moment ago; look again.
    Settling,
    /// It may be read from here.
    At(Source),
    /// It cannot be taken up as it is.
    Refused(Refusal),
}

/// One version in both places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) seen: Seen,
    /// Why what the store holds under this number is left alone, if it is other content.
    pub(crate) conflict: Option<String>,
    /// The record in the store, if it is of the content that serves or would.
    pub(crate) pushed: Option<Arc<Pushed>>,
}

/// Every version of a model that either place holds.
pub(crate) fn sightings(
    folders: &BTreeMap<Version, VersionEntry>,
    shelf: Option<&ShelfModel>,
    known: impl Fn(Version) -> Known,
) -> BTreeMap<Version, Sighting> {
    let records = shelf.map(|model| &model.versions);
    let mut versions: BTreeSet<Version> = folders.keys().copied().collect();
    versions.extend(records.into_iter().flat_map(BTreeMap::keys));
    let sighting = |version: Version| {
        let record = records.and_then(|records| records.get(&version));
        (version, sight(version, folders.get(&version), record, &known(version)))
    };
    versions.into_iter().map(sighting).collect()
}

/// What is known of a number already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The content it stands for.
    pub(crate) digest: Option<Digest>,
    /// Its folder when that was found to hold other content.
    pub(crate) other_folder: Option<Stamp>,
}

impl Known {
    pub(crate) fn of(entry: Option<&Entry>, registered: Option<Digest>) -> Self {
        Self {
            digest: registered.or_else(|| entry?.digest),
            other_folder: entry.and_then(|entry| entry.other_folder.clone()),
        }
    }
}

fn sight(
    version: Version,
    folder: Option<&VersionEntry>,
    record: Option<&Result<Arc<Pushed>, Refusal>>,
    known: &Known,
) -> Sighting {
    let pushed = record.and_then(|record| record.as_ref().ok());
    let is_its_content = |pushed: &&Arc<Pushed>| known.digest.is_none_or(|digest| digest == pushed.record.digest);
    let conflict = pushed.filter(|pushed| !is_its_content(pushed)).map(|pushed| {
        let digest = known.digest.map(|digest| digest.short()).unwrap_or_default();
        conflict(version, pushed, &digest)
    });
    let fitting = pushed.filter(is_its_content).cloned();
    let is_foreign = |stamp: &Stamp| known.other_folder.as_ref() == Some(stamp);
    // The number is known to stand for what the store has.
    let is_bound = known.digest.is_some() && fitting.is_some();
    let seen = match (folder, record) {
        (Some(VersionEntry::Settled(stamp)), _) if !(is_foreign(stamp) && is_bound) => {
            Seen::At(Source::Folder(stamp.clone()))
        }
        (Some(VersionEntry::Settling), _) => Seen::Settling,
        (Some(VersionEntry::Refused(refusal)), _) if !is_bound => Seen::Refused(refusal.clone()),
        (_, Some(Err(refusal))) => Seen::Refused(refusal.clone()),
        _ => match &fitting {
            Some(pushed) => Seen::At(Source::Store(pushed.clone())),
            None => Seen::Refused(Refusal::new(RefusalCode::ContentConflict, conflict.clone().unwrap_or_default())),
        },
    };
    // What a folder holds is only known once it was read.
    let pushed = fitting.filter(|_| folder.is_none() || known.digest.is_some());
    Sighting { seen, conflict, pushed }
}

fn conflict(version: Version, pushed: &Pushed, known: &str) -> String {
    format!(
        "the store holds other content ({}) as version {version} than this number stands for here ({known}): put its \
         files into the model repository under a free number, and push with --model-repository, which leaves numbers \
         held there alone",
        pushed.record.digest.short()
    )
}

#[cfg(test)]
mod tests;
