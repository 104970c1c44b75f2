//! A version that lies on the disk of whoever makes it: a model file, or a folder around one.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::assemble::{HashedFile, assemble};
use super::read::VersionFiles;
use crate::preflight;
use crate::{Limits, Refusal, RefusalCode};

/// What a model file is called in a version.
const MODEL_FILE: &str = "model.onnx";

/// Where a version lies on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalVersion {
    /// The model file.
    pub model: PathBuf,
    /// The folder of its manifest and of what that names.
    pub folder: PathBuf,
}

impl LocalVersion {
    /// Finds the model that a path names: a file, or a folder that holds `model.onnx` or a single other `.onnx`.
    pub fn find(path: &Path) -> Result<Self, Refusal> {
        let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if !metadata.is_dir() {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let folder = parent.unwrap_or(Path::new(".")).to_owned();
            return Ok(Self { model: path.to_owned(), folder });
        }
        let nested = path.join(MODEL_FILE);
        let inner = if nested.is_dir() { nested } else { path.to_owned() };
        Ok(Self { model: find_model(&inner)?, folder: path.to_owned() })
    }

    /// Reads the files the runtime needs. The digest is that of a version whose model file is called `model.onnx`,
    /// whatever it is called here: so the store keeps it, and so it should lie in a model repository.
    pub fn read(&self, limits: &Limits) -> Result<VersionFiles, Refusal> {
        let model = read_file(&self.model, limits.model_file_bytes)?;
        let facts = preflight::scan(&model, limits)?;
        let inner = self.model.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut left = limits.version_bytes.saturating_sub(model.len() as u64);
        let mut files = vec![hashed(MODEL_FILE, model)];
        for external in &facts.external {
            let path = inner.join(&external.location);
            if !path.is_file() {
                let text =
                    format!("the external data file {:?} is missing: copy it beside the model", external.location);
                return Err(Refusal::new(RefusalCode::ExternalMissing, text));
            }
            let content = read_file(&path, left)?;
            left = left.saturating_sub(content.len() as u64);
            files.push(hashed(&external.location, content));
        }
        assemble(files, limits)
    }
}

fn find_model(folder: &Path) -> Result<PathBuf, Refusal> {
    let preferred = folder.join(MODEL_FILE);
    if preferred.is_file() {
        return Ok(preferred);
    }
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        if path.extension().is_some_and(|extension| extension == "onnx") && path.is_file() {
            found.push(path);
        }
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Refusal::new(RefusalCode::NoModelFile, format!("{} holds no .onnx file", folder.display()))),
        several => {
            let text = format!(
                "{} holds {} .onnx files and none is model.onnx: name the one that is meant",
                folder.display(),
                several.len()
            );
            Err(Refusal::new(RefusalCode::SeveralModelFiles, text))
        }
    }
}

fn hashed(path: &str, content: Vec<u8>) -> HashedFile {
    let sha256 = Sha256::digest(&content).into();
    HashedFile { path: path.to_owned(), content: content.into(), sha256 }
}

fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    let read = File::open(path).and_then(|file| file.take(bytes_max.saturating_add(1)).read_to_end(&mut content));
    read.map_err(|error| unreadable(path, &error))?;
    if content.len() as u64 > bytes_max {
        let text = format!("{} is larger than {bytes_max} bytes", path.display());
        return Err(Refusal::new(RefusalCode::TooLarge, text));
    }
    Ok(content)
}

fn unreadable(path: &Path, error: &io::Error) -> Refusal {
    Refusal::new(RefusalCode::Unreadable, format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use tempfile::TempDir;

    use super::*;
    use crate::test_model::{external, graph, model};

    #[test]
    fn a_model_is_the_same_version_whatever_it_is_called_and_wherever_it_lies() {
        let folder = TempDir::new().unwrap();
        let write = |path: &str, content: &[u8]| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let pointing = model(graph().with(5, external(&[2], &[("location", "w.bin")]))).0;
        for (file, data) in
            [("a/iris.onnx", "a/w.bin"), ("b/model.onnx", "b/w.bin"), ("c/model.onnx/model.onnx", "c/model.onnx/w.bin")]
        {
            write(file, &pointing);
            write(data, &[7; 8]);
        }
        let read = |path: &str| LocalVersion::find(&folder.path().join(path)).unwrap().read(&Limits::default());
        let digest = read("a").unwrap().digest;
        for path in ["a/iris.onnx", "b", "b/model.onnx", "c"] {
            assert_eq!(read(path).unwrap().digest, digest, "{path}");
        }
        fs::remove_file(folder.path().join("b/w.bin")).unwrap();
        assert_eq!(read("b").unwrap_err().code, RefusalCode::ExternalMissing);
        write("a/other.onnx", b"x");
        let code = |path: &str| LocalVersion::find(&folder.path().join(path)).unwrap_err().code;
        assert_eq!(code("a"), RefusalCode::SeveralModelFiles);
        assert_eq!(code("nowhere"), RefusalCode::Unreadable);
        write("d/readme", b"x");
        assert_eq!(code("d"), RefusalCode::NoModelFile);
    }
}
