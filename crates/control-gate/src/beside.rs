//! What lies beside a model, read whole before the first gate is asked.

use std::collections::BTreeMap;

use crate::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest};
use crate::sign::SIGNATURE_FILE;

/// Largest file that a manifest names, in bytes.
pub const FILE_BYTES_MAX: u64 = 32 << 20;
/// Largest sum of them, in bytes.
pub const FILES_BYTES_MAX: u64 = 128 << 20;
/// Largest file with a signature, in bytes.
const SIGNATURE_BYTES_MAX: u64 = 4 << 10;

/// Reads a file of at most so many bytes by its path relative to the manifest; `None` when it is not there. The error is
/// a text for people.
pub type ReadFile<'a> = &'a dyn Fn(&str, u64) -> Result<Option<Vec<u8>>, String>;

/// A manifest with the files it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// What the manifest says; the error is a text for people. The default where there is none.
    pub manifest: Result<Manifest, String>,
    /// Whether there is a manifest.
    pub has_manifest: bool,
    /// The files it names, by path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The text of a signature that lies in a file of its own.
    pub signature: Option<String>,
    /// The manifest as it was read.
    pub text: Vec<u8>,
}

impl Default for Beside {
    fn default() -> Self {
        let (has_manifest, files, signature, text) = Default::default();
        Self { manifest: Ok(Manifest::default()), has_manifest, files, signature, text }
    }
}

impl Beside {
    /// Reads the manifest, the files it names, and the signature. What cannot be read is the manifest's flaw.
    pub fn read(read: ReadFile<'_>) -> Self {
        let mut beside = Self::default();
        beside.manifest = beside.read_all(read);
        beside
    }

    fn read_all(&mut self, read: ReadFile<'_>) -> Result<Manifest, String> {
        if let Some(text) = read(SIGNATURE_FILE, SIGNATURE_BYTES_MAX)? {
            self.signature = Some(String::from_utf8(text).map_err(|_| format!("{SIGNATURE_FILE} is not UTF-8 text"))?);
        }
        let Some(text) = read(MANIFEST_FILE, MANIFEST_BYTES_MAX)? else { return Ok(Manifest::default()) };
        self.has_manifest = true;
        self.text = text;
        let text = std::str::from_utf8(&self.text).map_err(|_| format!("{MANIFEST_FILE} is not UTF-8 text"))?;
        let manifest = Manifest::parse(text).map_err(|error| error.to_string())?;
        let mut bytes_left = FILES_BYTES_MAX;
        for path in manifest.files() {
            let content = read(path, FILE_BYTES_MAX.min(bytes_left))?;
            let content = content.ok_or_else(|| {
                format!("{MANIFEST_FILE} names {path:?}, which is not there: put it beside the manifest")
            })?;
            bytes_left = bytes_left.saturating_sub(content.len() as u64);
            self.files.insert(path.to_owned(), content);
        }
        Ok(manifest)
    }

    /// A file that the manifest names.
    pub(crate) fn file(&self, path: &str) -> Result<&[u8], String> {
        self.files.get(path).map(Vec::as_slice).ok_or_else(|| format!("{path:?} was not read"))
    }
}
