//! Writes model repositories as Triton and TensorFlow Serving lay them out: `<root>/<model>/<version>/model.onnx`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The file name of a model.
const MODEL_FILE: &str = "model.onnx";

/// A model repository on disk. The folder belongs to the caller and is not removed.
#[derive(Debug, Clone)]
pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// Creates the folder if it is not there.
    pub fn new(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    /// The repository's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of a version.
    pub fn version_folder(&self, model: &str, version: u64) -> PathBuf {
        self.root.join(model).join(version.to_string())
    }

    /// The model file of a version.
    pub fn model_file(&self, model: &str, version: u64) -> PathBuf {
        self.version_folder(model, version).join(MODEL_FILE)
    }

    /// Puts a version in place in one step, and a version that is there already out of the way.
    pub fn publish(&self, model: &str, version: u64, content: &[u8]) -> io::Result<PathBuf> {
        self.publish_files(model, version, &[(MODEL_FILE, content)])
    }

    /// [`Repository::publish`] with files of any name, such as external data.
    pub fn publish_files(&self, model: &str, version: u64, files: &[(&str, &[u8])]) -> io::Result<PathBuf> {
        let folder = self.version_folder(model, version);
        let staging = self.aside("staging")?;
        for (name, content) in files {
            fs::write(staging.join(name), content)?;
        }
        fs::create_dir_all(self.root.join(model))?;
        if folder.exists() {
            let replaced = self.aside("replaced")?;
            fs::rename(&folder, replaced.join("version"))?;
            fs::rename(&staging, &folder)?;
            fs::remove_dir_all(&replaced)?;
        } else {
            fs::rename(&staging, &folder)?;
        }
        Ok(folder)
    }

    /// Leaves a version as a copy in progress would: the folder and the first `n_bytes` of the model file.
    pub fn half_copy(&self, model: &str, version: u64, content: &[u8], n_bytes: usize) -> io::Result<PathBuf> {
        let folder = self.version_folder(model, version);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(MODEL_FILE), &content[..n_bytes.min(content.len())])?;
        Ok(folder)
    }

    /// Finishes a [`Repository::half_copy`] in place, as `cp` does.
    pub fn finish_copy(&self, model: &str, version: u64, content: &[u8]) -> io::Result<()> {
        fs::write(self.model_file(model, version), content)
    }

    /// Writes the model's `config.pbtxt`.
    pub fn config(&self, model: &str, text: &str) -> io::Result<()> {
        let folder = self.root.join(model);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.pbtxt"), text)
    }

    /// Removes a version.
    pub fn remove(&self, model: &str, version: u64) -> io::Result<()> {
        fs::remove_dir_all(self.version_folder(model, version))
    }

    /// A new folder beside the repository, on its file system and out of its sight.
    fn aside(&self, purpose: &str) -> io::Result<PathBuf> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let stem = self.root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.root.with_file_name(format!("{stem}.{purpose}-{}-{number}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(folder)
    }
}

#[cfg(test)]
mod tests;
