//! What the cache remembers: which content each key had when it was fetched, so that it is not fetched again. A lost
//! or damaged index costs downloads and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::wanted::Object;

/// A larger file is no index of ours.
const BYTES_MAX: u64 = 256 << 20;

/// The index of one bucket.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    /// The address it belongs to.
    pub bucket: String,
    /// By key without the prefix.
    keys: BTreeMap<String, Known>,
    /// Since when, in milliseconds since 1970, nobody has referred to a content.
    pub unused_since: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    size: u64,
    modified_ms: i64,
    e_tag: Option<String>,
    sha256: String,
}

impl Index {
    /// Reads the index of a bucket. Anything else in its place counts as none.
    pub fn read(path: &Path, bucket: &str) -> Self {
        let read = || -> Option<Self> {
            let is_small = fs::metadata(path).ok()?.len() <= BYTES_MAX;
            serde_json::from_slice(&is_small.then(|| fs::read(path).ok()).flatten()?).ok()
        };
        let found = read().filter(|index| index.bucket == bucket);
        found.unwrap_or_else(|| Self { bucket: bucket.to_owned(), ..Self::default() })
    }

    /// As it is written.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec(self)?)
    }

    /// The content of an object, if it is still what was fetched.
    pub fn content(&self, object: &Object) -> Option<&str> {
        let known = self.keys.get(&object.key)?;
        let is_same = (known.size, known.modified_ms, &known.e_tag) == (object.size, object.modified_ms, &object.e_tag);
        is_same.then_some(known.sha256.as_str())
    }

    /// Remembers what an object was found to be.
    pub fn remember(&mut self, object: &Object, sha256: &str) {
        let Object { key, size, modified_ms, e_tag } = object.clone();
        self.keys.insert(key, Known { size, modified_ms, e_tag, sha256: sha256.to_owned() });
    }

    /// Forgets every key whose content `is_there` no longer.
    pub fn forget_missing(&mut self, is_there: impl Fn(&str) -> bool) {
        self.keys.retain(|_, known| is_there(&known.sha256));
        self.unused_since.retain(|sha256, _| is_there(sha256));
    }
}

/// Replaces a file by new content, durably and at once.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
