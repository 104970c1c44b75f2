//! The numbers that a model repository holds: they are never given to other content.

use std::collections::BTreeMap;
use std::path::Path;

use base_types::{Digest, ModelName, Version};
use control_registry::Limits;
use control_registry::repository::{ScanOptions, Stamp, VersionEntry, digest_of, read_version, scan};

use crate::source::{MODEL_FILE, source_error};
use crate::{StoreError, envelope};

/// The versions of a model in a repository with the digests they would have in a store; `None` for those that cannot be
/// read. Reads every one of them. The time is the wall clock, in milliseconds since 1970.
pub fn held_in(
    repository: &Path,
    model: &ModelName,
    now_unix_ms: u64,
) -> Result<BTreeMap<Version, Option<Digest>>, StoreError> {
    let limits = Limits::default();
    let options = ScanOptions { settle_ms: 0, limits };
    let scan = scan(repository, &options, now_unix_ms).map_err(|error| source_error(repository, error.to_string()))?;
    let Some(entry) = scan.models.get(model) else { return Ok(BTreeMap::new()) };
    if let Some(refusal) = &entry.incomplete {
        return Err(source_error(repository.join(model.as_str()), refusal.text.clone()));
    }
    let digest = |(version, entry): (&Version, &VersionEntry)| {
        let digest = match entry {
            VersionEntry::Settled(stamp) => read_digest(repository, model, *version, stamp),
            VersionEntry::Settling | VersionEntry::Refused(_) => None,
        };
        (*version, digest)
    };
    Ok(entry.versions.iter().map(digest).collect())
}

fn read_digest(repository: &Path, model: &ModelName, version: Version, stamp: &Stamp) -> Option<Digest> {
    let artifact = read_version(repository, model, version, stamp, &Limits::default()).ok()?.artifact;
    let external = artifact.external.iter().map(|file| (file.path.as_str(), &file.content));
    // In a store the model file has one name, whatever it is called in the repository.
    let files = external.chain([(MODEL_FILE, &artifact.model.content)]);
    let hashes =
        files.map(|(path, content)| (path.to_owned(), content.len() as u64, *envelope::sha256(content).as_bytes()));
    Some(digest_of(hashes.collect()))
}
