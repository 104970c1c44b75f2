//! Reads one version: every file the runtime needs, each once. What was hashed is what runs.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use base_serving::engine::{Artifact, ArtifactFile};
use base_types::{Digest, ModelName, Version};
use sha2::{Digest as _, Sha256};

use super::folder::{VersionFolder, open_folder, open_own_subfolder, open_subfolder, open_version, read_contained};
use super::stamp::{FileStamp, Stamp};
use super::{WARMUP_FOLDER, unreadable};
use crate::preflight::{self, ExternalFile, Facts};
use crate::{Limits, Refusal, RefusalCode};

/// Bytes read and hashed at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A version as it was read.
#[derive(Debug, Clone)]
pub struct VersionFiles {
    /// The files, for the engine.
    pub artifact: Artifact,
    /// What the version is.
    pub digest: Digest,
    /// What the preflight found out.
    pub facts: Facts,
}

/// Reads and checks a version that a scan reported as settled with this stamp. Blocks for as long as the disk and
/// SHA-256 take; a folder that was touched since the scan, or while it is read, is refused as changed.
pub fn read_version(
    root: &Path,
    model: &ModelName,
    version: Version,
    stamp: &Stamp,
    limits: &Limits,
) -> Result<VersionFiles, Refusal> {
    let open = || open_subfolder(&open_folder(root)?, model.as_str());
    let model_folder = open().map_err(|error| unreadable("the model folder", &error))?;
    let folder = open_version(&model_folder, &version.to_string())?;
    if folder.stamp(limits)? != *stamp {
        return Err(changed());
    }
    let name = stamp.check(limits)?.to_owned();
    let mut hashes = Vec::new();
    let read = read_all(&folder, &name, stamp, limits, &mut hashes);
    // A refusal may be owed to a change in mid-read as well: then the change is what to report.
    let reopened = open_version(&model_folder, &version.to_string())?;
    if reopened.stamp(limits)? != *stamp {
        return Err(changed());
    }
    let (artifact, facts) = read?;
    Ok(VersionFiles { artifact, digest: digest_of(hashes), facts })
}

/// Reads a file of input data for the warm-up out of a model's folder `warmup`.
pub fn read_warmup(root: &Path, model: &ModelName, name: &str, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let missing = || {
        let text = format!("the warm-up data {WARMUP_FOLDER}/{name} is missing: put it into the model's folder");
        Refusal::new(RefusalCode::ConfigMismatch, text)
    };
    let open = || open_subfolder(&open_folder(root)?, model.as_str());
    let model_folder = open().map_err(|error| unreadable("the model folder", &error))?;
    // A link could lead to what its publisher could not read.
    let folder = open_own_subfolder(&model_folder, WARMUP_FOLDER).map_err(|_| missing())?;
    read_contained(&folder, name, bytes_max)?.ok_or_else(missing)
}

/// The digest of a version: SHA-256 over its files, sorted by the bytes of their paths, each as
///
/// ```text
/// length of the path in bytes   u64, big-endian
/// path                          UTF-8, relative to the folder of the model file
/// size of the file in bytes     u64, big-endian
/// SHA-256 of the content        32 bytes
/// ```
///
/// Nothing else goes in: neither where the folder lies nor `config.pbtxt` nor files the runtime does not read.
pub fn digest_of(mut files: Vec<(String, u64, [u8; 32])>) -> Digest {
    files.sort();
    let mut hasher = Sha256::new();
    for (path, bytes, content) in &files {
        hasher.update((path.len() as u64).to_be_bytes());
        hasher.update(path.as_bytes());
        hasher.update(bytes.to_be_bytes());
        hasher.update(content);
    }
    Digest::new(hasher.finalize().into())
}

type Hashes = Vec<(String, u64, [u8; 32])>;

fn read_all(
    folder: &VersionFolder,
    name: &str,
    stamp: &Stamp,
    limits: &Limits,
    hashes: &mut Hashes,
) -> Result<(Artifact, Facts), Refusal> {
    let missing = || changed();
    let (file, found) = folder.open_file(name)?.ok_or_else(missing)?;
    let model = read_file(name, file, &found, stamp, hashes)?;
    let facts = preflight::scan(&model.content, limits)?;
    check_total(&facts.external, found.bytes, stamp, limits)?;
    let mut external = Vec::with_capacity(facts.external.len());
    for ExternalFile { location, bytes_min } in &facts.external {
        let opened = folder.open_file(location)?;
        let (file, found) = opened.ok_or_else(|| {
            let text = format!("the external data file {location:?} is missing: copy it beside the model");
            Refusal::new(RefusalCode::ExternalMissing, text)
        })?;
        found.check_single(location)?;
        if found.bytes < *bytes_min {
            let text = format!(
                "the external data file {location:?} has {} bytes, the model needs {bytes_min}: copy it completely",
                found.bytes
            );
            return Err(Refusal::new(RefusalCode::ExternalMissing, text));
        }
        // A model may name itself as its external data; it is read once all the same.
        if location == name {
            let text = "the model names itself as its external data file: export it again";
            return Err(Refusal::new(RefusalCode::ExternalData, text));
        }
        external.push(read_file(location, file, &found, stamp, hashes)?);
    }
    Ok((Artifact { model, external }, facts))
}

/// Checks the sum of all sizes before memory is taken for them.
fn check_total(external: &[ExternalFile], model_bytes: u64, stamp: &Stamp, limits: &Limits) -> Result<(), Refusal> {
    let sizes = external.iter().filter_map(|file| stamp.file(&file.location)).map(|stamp| stamp.bytes);
    let total = sizes.fold(model_bytes, u64::saturating_add);
    if total <= limits.version_bytes {
        return Ok(());
    }
    let text = format!("the files of this version have {total} bytes, the limit is {}", limits.version_bytes);
    Err(Refusal::new(RefusalCode::TooLarge, text))
}

/// Reads a file into memory of its own and hashes it on the way.
fn read_file(
    name: &str,
    mut file: std::fs::File,
    found: &FileStamp,
    stamp: &Stamp,
    hashes: &mut Hashes,
) -> Result<ArtifactFile, Refusal> {
    if stamp.file(name) != Some(found) {
        return Err(changed());
    }
    let length = usize::try_from(found.bytes);
    let length =
        length.map_err(|_| Refusal::new(RefusalCode::TooLarge, format!("{name:?} does not fit into memory")))?;
    // Allocated once and filled in place: models are too large to be copied into their Arc afterwards.
    let mut content: Arc<[u8]> = std::iter::repeat_n(0, length).collect();
    let mut hasher = Sha256::new();
    let failed = |error| unreadable(&format!("{name:?}"), &error);
    for chunk in Arc::get_mut(&mut content).unwrap_or_default().chunks_mut(CHUNK_BYTES) {
        file.read_exact(chunk).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => changed(),
            _ => failed(error),
        })?;
        hasher.update(&*chunk);
    }
    // Grown since: the end must be the end.
    if file.read(&mut [0; 1]).map_err(failed)? != 0 {
        return Err(changed());
    }
    hashes.push((name.to_owned(), found.bytes, hasher.finalize().into()));
    Ok(ArtifactFile { path: name.to_owned(), content })
}

fn changed() -> Refusal {
    Refusal::new(
        RefusalCode::ChangedWhileReading,
        "the version folder changed while it was read: it is looked at again",
    )
}
