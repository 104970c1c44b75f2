//! Finds the versions: their records in the store, and their files there or in the model repository.

use std::path::Path;

use base_types::{ModelName, Selector, Version};
use control_registry::repository::{HashedFile, LocalVersion, VersionFiles, assemble};
use control_registry::{Limits, Refusal};
use control_store::{Record, Store};

use crate::cli::{CliError, with_causes};

/// A version as far as it is at hand.
pub(super) struct Found {
    pub(super) version: Version,
    /// What the store says of it.
    pub(super) record: Option<Record>,
    /// Its files, or why they are not at hand.
    pub(super) files: Result<VersionFiles, String>,
}

/// Where to look.
pub(super) struct Places<'a> {
    store: Option<Store>,
    repository: Option<&'a Path>,
}

impl<'a> Places<'a> {
    pub(super) fn open(store: Option<&Path>, repository: Option<&'a Path>) -> Result<Self, CliError> {
        let store = store.map(|place| crate::store::open_existing(place, None)).transpose();
        let store = store.map_err(CliError::StorePlace)?;
        Ok(Self { store, repository })
    }

    /// Finds a version. Numbers that neither place holds are still numbers: a gateway may know them.
    pub(super) fn find(&self, model: &ModelName, selector: &Selector) -> Result<Found, CliError> {
        let told = |error: control_store::StoreError| CliError::Compare(with_causes(&error));
        let (version, record) = match (&self.store, selector) {
            (Some(store), Selector::Version(version)) => (*version, store.record(model, *version).map_err(told)?),
            (Some(store), Selector::Label(_)) => {
                let record = store.find(model, selector).map_err(told)?;
                (record.version, Some(record))
            }
            (None, Selector::Version(version)) => (*version, None),
            (None, Selector::Label(label)) => {
                let text = format!("{label} is a label of a store: name the store with --store, or give a number");
                return Err(CliError::Compare(text));
            }
        };
        let files = match (&record, &self.store) {
            (Some(record), Some(store)) => stored(store, record),
            _ => self.in_repository(model, version),
        };
        Ok(Found { version, record, files })
    }

    fn in_repository(&self, model: &ModelName, version: Version) -> Result<VersionFiles, String> {
        let Some(root) = self.repository else {
            let there = self.store.as_ref().map(|store| format!("; the store {} does not hold it", store.place()));
            return Err(format!(
                "the files of version {version} are not at hand: name where they lie with --store or --model-repository{}",
                there.unwrap_or_default()
            ));
        };
        let folder = root.join(model.as_str()).join(version.to_string());
        let read = LocalVersion::find(&folder).and_then(|local| local.read(&Limits::default()));
        read.map_err(|refusal| format!("{}: {}", folder.display(), refusal.text))
    }
}

fn stored(store: &Store, record: &Record) -> Result<VersionFiles, String> {
    let files = store.read(record).map_err(|error| with_causes(&error))?;
    let hashed = files.into_iter().zip(&record.files).map(|((path, content), file)| HashedFile {
        path,
        content: content.into(),
        sha256: *file.sha256.as_bytes(),
    });
    assemble(hashed.collect(), &Limits::default()).map_err(|refusal| refusal.text)
}

/// A file that the preflight let pass and that cannot be compared all the same.
pub(super) fn refused(refusal: Refusal) -> CliError {
    CliError::Compare(refusal.text)
}
