//! The files of a version: listed, bounded, fetched into a folder of their own, and the model found among them.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use base_types::{Clock, SystemClock};
use control_registry::Limits;

use super::client::Client;
use super::{MlflowError, within};

/// Files of a version.
const FILES_MAX: usize = 256;
/// Folders within folders.
const DEPTH_MAX: usize = 8;
/// What MLflow writes about a model.
const ABOUT: &str = "MLmodel";

/// A folder that goes with this value.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, MlflowError> {
        let name = format!("switchrail-mlflow-{}-{}", std::process::id(), SystemClock.unix_ms());
        let path = std::env::temp_dir().join(name);
        // Fails where somebody was quicker, so what is in it is ours alone.
        DirBuilder::new().mode(0o700).create(&path).map_err(write_error(&path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("switchrail: cannot remove {}: {error}", self.0.display());
        }
    }
}

/// Fetches all files of a version and says which of them is the model.
pub(super) fn fetch(client: &Client, place: &str, folder: &Path) -> Result<PathBuf, MlflowError> {
    let files = list(client, place)?;
    let mut left = Limits::default().version_bytes;
    for path in &files {
        let to = folder.join(within(path)?);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(write_error(parent))?;
        }
        let mut from = client.file(&format!("{place}/{path}"))?.take(left.saturating_add(1));
        let mut file = File::create_new(&to).map_err(write_error(&to))?;
        let n_bytes = io::copy(&mut from, &mut file).map_err(write_error(&to))?;
        left = left
            .checked_sub(n_bytes)
            .ok_or(MlflowError::TooMuch { what: "bytes", limit: Limits::default().version_bytes })?;
    }
    let about = files.iter().any(|path| path == ABOUT).then(|| fs::read_to_string(folder.join(ABOUT)));
    let about = about.transpose().map_err(write_error(&folder.join(ABOUT)))?;
    model(&files, about.as_deref()).map(|path| folder.join(path))
}

/// Every file by its path within the version.
fn list(client: &Client, place: &str) -> Result<Vec<String>, MlflowError> {
    let mut files = Vec::new();
    let mut folders = vec![(String::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let whole = if folder.is_empty() { place.to_owned() } else { format!("{place}/{folder}") };
        for listed in client.list(&whole)? {
            // Some stores name a file by its path from the folder asked for, others by its name.
            let name = listed.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            within(&path)?;
            if listed.is_dir && depth < DEPTH_MAX {
                folders.push((path, depth + 1));
            } else if !listed.is_dir {
                files.push(path);
            }
        }
        if files.len() + folders.len() > FILES_MAX {
            return Err(MlflowError::TooMuch { what: "files", limit: FILES_MAX as u64 });
        }
    }
    files.sort();
    Ok(files)
}

/// The model among the files: what MLflow calls the data of its flavor `onnx`, or else the only one with that ending.
pub(super) fn model<'a>(files: &'a [String], about: Option<&str>) -> Result<&'a str, MlflowError> {
    let named = about.and_then(onnx_data);
    let is_it = |path: &&String| match &named {
        // A model with external data is a folder.
        Some(data) => *path == data || path.strip_prefix(data.as_str()).is_some_and(|rest| rest == "/model.onnx"),
        None => path.ends_with(".onnx"),
    };
    let found: Vec<&String> = files.iter().filter(is_it).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(MlflowError::NoModel(format!("there is no ONNX model among {}", files.join(", ")))),
        _ => Err(MlflowError::NoModel("there are several ONNX models".to_owned())),
    }
}

/// `data` of the flavor `onnx` in the text that MLflow writes about a model: YAML with two spaces for each depth.
fn onnx_data(about: &str) -> Option<String> {
    let mut lines = about.lines().skip_while(|line| line.trim_end() != "  onnx:").skip(1);
    let data =
        lines.by_ref().take_while(|line| line.starts_with("    ")).find_map(|line| line.strip_prefix("    data: "));
    Some(data?.trim().trim_matches(['"', '\'']).to_owned())
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> MlflowError + use<> {
    let path = path.to_owned();
    move |source| MlflowError::Write { path, source }
}
