//! A version in one file that any store takes: a tar archive with the same bytes every time.
//!
//! ```text
//! bundle.json              what the version is and where it comes from, under a checksum
//! files/model.onnx         what the runtime reads
//! files/<external data>
//! beside/<path>            what else came with it
//! ```
//!
//! What a store adds (the number here, when it came) is not in it; so the bundle made of an imported version is the
//! bundle it was imported from.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base_types::{Digest, ModelName, Version};
use serde::{Deserialize, Serialize};
use tar::{Archive, Builder, EntryType, Header};

use crate::record::{FORMAT, as_text};
use crate::source::{Content, MODEL_FILE, Source, Unpacked, source_error};
use crate::store::RECORD_BYTES_MAX;
use crate::{FileRecord, Lineage, Origin, PartRecord, Record, Store, StoreError, envelope};

const HEAD: &str = "bundle.json";
const FILES: &str = "files/";
const BESIDE: &str = "beside/";
/// Most entries of a bundle.
const ENTRIES_MAX: usize = 4_096;

/// What a bundle says of its version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    format: u32,
    pub origin: Origin,
    #[serde(with = "as_text")]
    digest: Digest,
    files: Vec<HeadFile>,
    beside: Vec<HeadFile>,
    config_pbtxt: Option<String>,
    manifest_toml: Option<String>,
    pub tag: Option<String>,
    pub lineage: Lineage,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct HeadFile {
    path: String,
    size: u64,
    #[serde(with = "as_text")]
    sha256: Digest,
}

impl From<&FileRecord> for HeadFile {
    fn from(file: &FileRecord) -> Self {
        Self { path: file.path.clone(), size: file.size, sha256: file.sha256 }
    }
}

/// An open bundle.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub head: Head,
    pub unpacked: Unpacked,
}

impl Head {
    fn of(record: &Record) -> Self {
        let origin = record.origin.clone().unwrap_or_else(|| Origin {
            model: record.model.clone(),
            version: record.version,
            pushed_at_unix_ms: record.pushed_at_unix_ms,
            pushed_by: record.pushed_by.clone(),
            tool: record.tool.clone(),
        });
        let sorted = |files: &[FileRecord]| {
            let mut files: Vec<HeadFile> = files.iter().map(HeadFile::from).collect();
            files.sort_by(|a, b| a.path.cmp(&b.path));
            files
        };
        Self {
            format: FORMAT,
            origin,
            digest: record.digest,
            files: sorted(&record.files),
            beside: sorted(&record.beside),
            config_pbtxt: record.config_pbtxt.clone(),
            manifest_toml: record.manifest_toml.clone(),
            tag: record.tag.clone(),
            lineage: record.lineage.clone(),
        }
    }

    /// Whether what was read out of the bundle is what it says it holds.
    pub(crate) fn check(&self, path: &Path, source: &Source) -> Result<(), StoreError> {
        let same = |said: &[HeadFile], found: &[crate::source::Planned]| {
            let mut found: Vec<HeadFile> = found.iter().map(|planned| HeadFile::from(&planned.file)).collect();
            found.sort_by(|a, b| a.path.cmp(&b.path));
            said == found
        };
        if self.digest == source.digest && same(&self.files, &source.files) && same(&self.beside, &source.beside) {
            return Ok(());
        }
        Err(damaged(path, "its files are not those it was made of"))
    }
}

/// Opens a bundle; `None` for a file that is none.
pub(crate) fn open(path: &Path) -> Result<Option<Bundle>, StoreError> {
    let unreadable = |error: io::Error| source_error(path, format!("cannot be read: {error}"));
    if path.is_dir() || !is_tar(path).map_err(unreadable)? {
        return Ok(None);
    }
    let mut archive = Archive::new(File::open(path).map_err(unreadable)?);
    let torn = |error: io::Error| damaged(path, &error.to_string());
    let mut entries = archive.entries_with_seek().map_err(torn)?;
    let mut first = match entries.next() {
        Some(entry) => entry.map_err(torn)?,
        None => return Err(damaged(path, "it is empty")),
    };
    if first.path().map_err(torn)?.to_str() != Some(HEAD) {
        return Err(source_error(path, "is an archive, but no bundle of `switchrail export`: push what is in it"));
    }
    let mut text = Vec::new();
    Read::by_ref(&mut first).take(RECORD_BYTES_MAX).read_to_end(&mut text).map_err(torn)?;
    let head = read_head(path, &text)?;
    let mut contents = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(torn)?;
        let name = entry.path().map_err(torn)?.to_string_lossy().into_owned();
        let is_known = entry.header().entry_type() == EntryType::Regular && contents.len() < ENTRIES_MAX;
        let (offset, size) = (entry.raw_file_position(), entry.size());
        if !is_known || contents.insert(name.clone(), (offset, size)).is_some() {
            return Err(damaged(path, &format!("the entry {name:?} does not belong there")));
        }
    }
    let unpacked = unpack(path, &head, contents)?;
    Ok(Some(Bundle { head, unpacked }))
}

fn is_tar(path: &Path) -> io::Result<bool> {
    let mut block = Vec::new();
    File::open(path)?.take(512).read_to_end(&mut block)?;
    Ok(block.get(257..262) == Some(b"ustar"))
}

fn read_head(path: &Path, text: &[u8]) -> Result<Head, StoreError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let place = path.display().to_string();
    let Format { format } = envelope::open(&place, text).map_err(|_| damaged(path, "its head has another checksum"))?;
    if format != FORMAT {
        return Err(StoreError::Format { place, found: format.to_string(), known: FORMAT.to_string() });
    }
    envelope::open(&place, text).map_err(|error| damaged(path, &error.to_string()))
}

/// Finds every file that the head names, and nothing else.
fn unpack(path: &Path, head: &Head, mut contents: BTreeMap<String, (u64, u64)>) -> Result<Unpacked, StoreError> {
    let mut take = |folder: &str, files: &[HeadFile]| {
        let mut found = BTreeMap::new();
        for file in files {
            let entry = contents.remove(&format!("{folder}{}", file.path));
            let (offset, size) = entry
                .filter(|(_, size)| *size == file.size)
                .ok_or_else(|| damaged(path, &format!("{:?} is missing or cut short", file.path)))?;
            found.insert(file.path.clone(), Content::Stretch { path: path.to_owned(), offset, size });
        }
        Ok::<_, StoreError>(found)
    };
    let unpacked = Unpacked {
        files: take(FILES, &head.files)?,
        beside: take(BESIDE, &head.beside)?,
        config_pbtxt: head.config_pbtxt.clone(),
        manifest_toml: head.manifest_toml.clone(),
    };
    if let Some(name) = contents.keys().next() {
        return Err(damaged(path, &format!("the entry {name:?} does not belong there")));
    }
    if unpacked.files.contains_key(MODEL_FILE) { Ok(unpacked) } else { Err(damaged(path, "it holds no model")) }
}

fn damaged(path: &Path, reason: &str) -> StoreError {
    source_error(path, format!("the bundle is damaged ({reason}): copy or export it again"))
}

impl Store {
    /// Writes a version into one file, in the place of whatever was there.
    pub fn export(&self, model: &ModelName, version: Version, path: &Path) -> Result<Record, StoreError> {
        let unknown = || StoreError::UnknownVersion { model: model.clone(), version };
        let record = self.record(model, version)?.ok_or_else(unknown)?;
        let aside = aside(path)?;
        let failed = |source| StoreError::Io { what: "write", place: path.display().to_string(), source };
        let written = self.write_bundle(&record, &aside).and_then(|()| std::fs::rename(&aside, path).map_err(failed));
        if written.is_err() {
            // Half a bundle is of no use to anybody; if it cannot be removed, its name says what it is.
            let _half = std::fs::remove_file(&aside);
        }
        written.map(|()| record)
    }

    fn write_bundle(&self, record: &Record, path: &Path) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { what: "write", place: path.display().to_string(), source };
        let head = Head::of(record);
        let text = envelope::seal(HEAD, &head)?;
        let mut builder = Builder::new(File::create(path).map_err(failed)?);
        append(&mut builder, HEAD, text.len() as u64, text.as_slice()).map_err(failed)?;
        for (folder, files) in [(FILES, &record.files), (BESIDE, &record.beside)] {
            let mut files: Vec<&FileRecord> = files.iter().collect();
            files.sort_by(|a, b| a.path.cmp(&b.path));
            for file in files {
                let mut reader =
                    PartsReader { store: self, parts: file.parts.iter(), piece: Vec::new(), at: 0, error: None };
                let appended = append(&mut builder, &format!("{folder}{}", file.path), file.size, &mut reader);
                // A damaged part is to be told as such.
                if let Some(error) = reader.error {
                    return Err(error);
                }
                appended.map_err(failed)?;
            }
        }
        let mut file = builder.into_inner().map_err(failed)?;
        file.flush().and_then(|()| file.sync_all()).map_err(failed)
    }
}

/// An entry that says nothing of this machine.
fn append(builder: &mut Builder<File>, name: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    builder.append_data(&mut header, name, content)
}

/// A name beside the one that is wanted.
fn aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().ok_or_else(|| source_error(path, "is no name of a file"))?;
    Ok(path.with_file_name(format!(".{}.part-{}", name.to_string_lossy(), std::process::id())))
}

/// A file out of its parts, each verified.
struct PartsReader<'a> {
    store: &'a Store,
    parts: std::slice::Iter<'a, PartRecord>,
    piece: Vec<u8>,
    at: usize,
    error: Option<StoreError>,
}

impl Read for PartsReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            let Some(part) = self.parts.next() else { return Ok(0) };
            match self.store.part(part) {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(error) => {
                    self.error = Some(error);
                    return Err(io::Error::other("a part of the store is damaged"));
                }
            }
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}
