//! A version whose files come from elsewhere than a folder, such as the store: looked through like one read from disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use base_serving::engine::{Artifact, ArtifactFile};

use super::read::{VersionFiles, digest_of};
use crate::preflight::{self, ExternalFile};
use crate::{Limits, Refusal, RefusalCode};

/// A file in memory whose content was hashed by whoever brought it.
#[derive(Debug, Clone)]
pub struct HashedFile {
    /// Relative to the folder of the model file.
    pub path: String,
    /// What the runtime will read.
    pub content: Arc<[u8]>,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
}

/// Checks a version that is in memory, the model file first. Files the model does not point to are left out, as they
/// are in a folder: they are no part of what a version is.
pub fn assemble(files: Vec<HashedFile>, limits: &Limits) -> Result<VersionFiles, Refusal> {
    let mut files = files.into_iter();
    let Some(model) = files.next() else {
        return Err(Refusal::new(RefusalCode::NoModelFile, "the version has no files: push the model again"));
    };
    check_size(&model, limits.model_file_bytes)?;
    let facts = preflight::scan(&model.content, limits)?;
    let mut beside: BTreeMap<String, HashedFile> = files.map(|file| (file.path.clone(), file)).collect();
    let mut found = vec![model];
    for ExternalFile { location, bytes_min } in &facts.external {
        let file = beside.remove(location).filter(|file| file.content.len() as u64 >= *bytes_min);
        found.push(file.ok_or_else(|| {
            let text = format!(
                "the external data file {location:?} is missing or shorter than the model needs: push it with the model"
            );
            Refusal::new(RefusalCode::ExternalMissing, text)
        })?);
    }
    let total = found.iter().map(|file| file.content.len() as u64).fold(0, u64::saturating_add);
    if total > limits.version_bytes {
        let text = format!("the files of this version have {total} bytes, the limit is {}", limits.version_bytes);
        return Err(Refusal::new(RefusalCode::TooLarge, text));
    }
    let digest = digest_of(found.iter().map(|f| (f.path.clone(), f.content.len() as u64, f.sha256)).collect());
    let mut found = found.into_iter().map(|file| ArtifactFile { path: file.path, content: file.content });
    let Some(model) = found.next() else {
        return Err(Refusal::new(RefusalCode::NoModelFile, "the version has no files: push the model again"));
    };
    Ok(VersionFiles { artifact: Artifact { model, external: found.collect() }, digest, facts })
}

fn check_size(file: &HashedFile, limit: u64) -> Result<(), Refusal> {
    let n_bytes = file.content.len() as u64;
    if n_bytes <= limit {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::TooLarge, format!("{:?} has {n_bytes} bytes, the limit is {limit}", file.path)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use std::fs;

    use base_types::{ModelName, Version};
    use sha2::{Digest as _, Sha256};

    use super::super::{ScanOptions, VersionEntry, read_version, scan};
    use super::*;
    use crate::test_model::{external, graph, model};

    /// A model of which 8 bytes lie in w.bin.
    fn pointing() -> Vec<u8> {
        model(graph().with(5, external(&[2], &[("location", "w.bin")]))).0
    }

    fn file(path: &str, content: &[u8]) -> HashedFile {
        HashedFile { path: path.to_owned(), content: content.into(), sha256: Sha256::digest(content).into() }
    }

    #[test]
    fn a_version_is_the_same_wherever_its_files_come_from() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("m/1");
        fs::create_dir_all(&folder).unwrap();
        let (model, data) = (pointing(), [7; 8]);
        fs::write(folder.join("model.onnx"), &model).unwrap();
        fs::write(folder.join("w.bin"), data).unwrap();
        let options = ScanOptions { settle_ms: 0, ..ScanOptions::default() };
        let found = scan(root.path(), &options, u64::MAX / 2_000_000).unwrap();
        let (name, version) = (ModelName::new("m").unwrap(), Version::new(1).unwrap());
        let VersionEntry::Settled(stamp) = &found.models[&name].versions[&version] else { unreachable!() };
        let read = read_version(root.path(), &name, version, stamp, &options.limits).unwrap();
        let files = vec![file("model.onnx", &model), file("README", b"x"), file("w.bin", &data)];
        let assembled = assemble(files, &options.limits).unwrap();
        assert_eq!(assembled.digest, read.digest);
        assert_eq!(assembled.artifact.external.len(), 1);
        assert_eq!(assembled.facts, read.facts);
    }

    #[test]
    fn what_a_folder_would_be_refused_for_is_refused() {
        let code = |files, limits: &Limits| assemble(files, limits).unwrap_err().code;
        let limits = Limits::default();
        assert_eq!(code(vec![], &limits), RefusalCode::NoModelFile);
        assert_eq!(code(vec![file("model.onnx", b"")], &limits), RefusalCode::Malformed);
        let pointing = pointing();
        assert_eq!(code(vec![file("model.onnx", &pointing)], &limits), RefusalCode::ExternalMissing);
        let short = vec![file("model.onnx", &pointing), file("w.bin", &[0; 7])];
        assert_eq!(code(short, &limits), RefusalCode::ExternalMissing);
        let tight = Limits { model_file_bytes: 4, ..limits };
        assert_eq!(code(vec![file("model.onnx", &model(graph()).0)], &tight), RefusalCode::TooLarge);
        let tight = Limits { version_bytes: 12, ..limits };
        assert_eq!(code(vec![file("model.onnx", &model(graph()).0)], &tight), RefusalCode::TooLarge);
    }
}
