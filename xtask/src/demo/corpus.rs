//! The real input of the demo: files of this machine, chosen by rule, so that the same machine gives the same files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::features::{self, WIDTH};

/// Most files in all.
const FILES_MAX: usize = 360;

/// With fewer files than this there is nothing to show.
pub const FILES_MIN: usize = 24;

/// Most files from below one root.
const FILES_PER_ROOT: usize = 90;

/// Most files with the same ending from below one root.
const FILES_PER_ENDING: usize = 9;

/// Most files from one folder.
const FILES_PER_FOLDER: usize = 4;

/// Entries of folders looked at below one root.
const ENTRIES_MAX: usize = 20_000;

/// How deep folders are followed.
const DEPTH_MAX: usize = 8;

/// Where files are looked for beside the checkout.
const ROOTS: [&str; 5] = ["/usr/share", "/usr/lib", "/usr/bin", "/usr/include", "/etc"];

/// Folders of the checkout that hold no sources.
const SKIPPED: [&str; 4] = [".git", ".switchrail", "target", "runtime"];

/// Anybody may read the file.
const READABLE_BY_ALL: u32 = 0o004;

/// One file, ready to be sent.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Where it is; within the checkout, from there.
    pub path: PathBuf,
    /// The model's first input value: the first byte that is no white space.
    pub first_byte: u8,
    /// The request's body.
    pub body: Vec<u8>,
}

/// Chooses the files. Symlinks are not followed, and files that not everybody may read are left alone.
pub fn gather(checkout: &Path) -> Vec<Sample> {
    let roots = std::iter::once(checkout.to_path_buf()).chain(ROOTS.map(PathBuf::from));
    let mut per_root: Vec<_> = roots.map(|root| Walk::below(&root).into_iter()).collect();
    let mut samples = Vec::new();
    // In turns, so that neighbours in the traffic come from different places.
    while samples.len() < FILES_MAX {
        let round: Vec<Sample> = per_root.iter_mut().filter_map(Iterator::next).collect();
        if round.is_empty() {
            break;
        }
        samples.extend(round);
    }
    samples.truncate(FILES_MAX);
    for sample in &mut samples {
        if let Ok(path) = sample.path.strip_prefix(checkout) {
            sample.path = path.to_path_buf();
        }
    }
    samples
}

/// The request for a file's features, OIP v2 JSON.
fn body(values: &[u16]) -> Vec<u8> {
    let input = json!({ "name": "bytes", "shape": [1, WIDTH], "datatype": "INT32", "data": values });
    json!({ "inputs": [input] }).to_string().into_bytes()
}

struct Walk {
    samples: Vec<Sample>,
    per_ending: BTreeMap<OsString, usize>,
    n_entries: usize,
}

impl Walk {
    fn below(root: &Path) -> Vec<Sample> {
        let mut walk = Self { samples: Vec::new(), per_ending: BTreeMap::new(), n_entries: 0 };
        walk.folder(root, 0);
        walk.samples
    }

    fn is_full(&self) -> bool {
        self.samples.len() >= FILES_PER_ROOT || self.n_entries >= ENTRIES_MAX
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        // A folder that cannot be read holds nothing for us.
        let Ok(entries) = fs::read_dir(folder) else { return };
        let mut paths: Vec<PathBuf> = entries.take(ENTRIES_MAX).flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let mut n_here = 0;
        for path in paths {
            self.n_entries += 1;
            if self.is_full() {
                return;
            }
            let Ok(meta) = path.symlink_metadata() else { continue };
            let is_skipped = path.file_name().is_some_and(|name| SKIPPED.iter().any(|skipped| name == *skipped));
            if meta.is_dir() && depth < DEPTH_MAX && !is_skipped {
                self.folder(&path, depth + 1);
            } else if meta.is_file() && meta.permissions().mode() & READABLE_BY_ALL != 0 && n_here < FILES_PER_FOLDER {
                n_here += usize::from(self.file(path));
            }
        }
    }

    /// Takes a file, unless there are enough of its kind or it holds too little.
    fn file(&mut self, path: PathBuf) -> bool {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        let n_taken = self.per_ending.entry(ending).or_default();
        if *n_taken >= FILES_PER_ENDING {
            return false;
        }
        let Ok(Some(values)) = features::of_file(&path) else { return false };
        let Ok(first_byte) = u8::try_from(values[0]) else { return false };
        *n_taken += 1;
        self.samples.push(Sample { path, first_byte, body: body(&values) });
        true
    }
}

#[cfg(test)]
mod tests;
