//! Bytes of a source, in memory or in a stretch of a file, and how they are cut and hashed without holding them all.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use base_types::Digest;
use sha2::{Digest as _, Sha256};

use super::{Planned, source_error};
use crate::{FileRecord, PartRecord, StoreError, cut, envelope};

/// Where the bytes of a file are.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Memory(Arc<Vec<u8>>),
    /// A stretch of a file: all of it, or an entry of a bundle.
    Stretch {
        path: PathBuf,
        offset: u64,
        size: u64,
    },
}

impl Content {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Stretch { size, .. } => *size,
        }
    }

    /// Everything. Callers have looked at the size.
    pub(crate) fn read_all(&self) -> Result<Vec<u8>, StoreError> {
        self.reader()?.next(self.size())
    }

    /// Reads from the beginning.
    pub(crate) fn reader(&self) -> Result<Reader<'_>, StoreError> {
        let file = match self {
            Self::Memory(_) => None,
            Self::Stretch { path, offset, .. } => {
                let open = || {
                    let mut file = File::open(path)?;
                    file.seek(SeekFrom::Start(*offset))?;
                    Ok(file)
                };
                Some(open().map_err(|error: std::io::Error| source_error(path, format!("cannot be read: {error}")))?)
            }
        };
        Ok(Reader { content: self, file, at: 0 })
    }
}

/// Reads a content piece by piece.
pub(crate) struct Reader<'a> {
    content: &'a Content,
    file: Option<File>,
    at: u64,
}

impl Reader<'_> {
    /// The next so many bytes.
    pub(crate) fn next(&mut self, n_bytes: u64) -> Result<Vec<u8>, StoreError> {
        let start = self.at;
        self.at += n_bytes;
        match (self.content, &mut self.file) {
            (Content::Stretch { path, .. }, Some(file)) => {
                let mut piece = Vec::new();
                let read = file.take(n_bytes).read_to_end(&mut piece);
                match read {
                    Ok(n) if n as u64 == n_bytes => Ok(piece),
                    Ok(_) => Err(changed(path)),
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(changed(path)),
                    Err(error) => Err(source_error(path, format!("cannot be read: {error}"))),
                }
            }
            (Content::Memory(bytes), _) => {
                let end = usize::try_from(self.at).unwrap_or(usize::MAX);
                let piece = usize::try_from(start).ok().and_then(|start| bytes.get(start..end));
                Ok(piece.unwrap_or_default().to_vec())
            }
            (Content::Stretch { path, .. }, None) => Err(changed(path)),
        }
    }
}

pub(crate) fn changed(path: impl Into<PathBuf>) -> StoreError {
    source_error(path, "changed while it was pushed: push it again when nobody writes to it")
}

/// Cuts a file at its large tensors and hashes the parts and the whole.
pub(super) fn plan(path: &str, content: Content, tensors: &[Range<u64>]) -> Result<Planned, StoreError> {
    let size = content.size();
    let (mut parts, mut whole) = (Vec::new(), Sha256::new());
    let mut reader = content.reader()?;
    for size in cut::cut(size, tensors) {
        let piece = reader.next(size)?;
        whole.update(&piece);
        parts.push(PartRecord { sha256: envelope::sha256(&piece), size });
    }
    let sha256 = Digest::new(whole.finalize().into());
    Ok(Planned { file: FileRecord { path: path.to_owned(), size, sha256, parts }, content })
}
