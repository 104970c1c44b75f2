//! Tells by metadata alone whether a version folder changed, and whether it has been left alone long enough.

use rustix::fs::{FileType, Stat};

use super::folder::file_type;
use crate::{Limits, Refusal, RefusalCode};

const MODEL_FILE: &str = "model.onnx";

/// Names, kinds, sizes, times and inodes of everything in a version folder. Equal stamps mean an untouched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The version folder, and the folder `model.onnx` in it where the layout has one.
    pub(super) folders: Vec<FileStamp>,
    /// The entries of the folder that holds the model, by name.
    pub(super) files: Vec<(String, FileStamp)>,
}

/// The metadata of one file that change when its content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStamp {
    is_regular: bool,
    is_link: bool,
    device: u64,
    inode: u64,
    n_links: u64,
    pub(super) bytes: u64,
    times: Times,
}

/// When content and metadata last changed, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    modified: i128,
    changed: i128,
}

impl Stamp {
    /// Whether nothing in the folder changed within `settle_ms` of now.
    pub fn is_settled(&self, now_unix_ms: u64, settle_ms: u64) -> bool {
        let files = self.files.iter().map(|(_, stamp)| stamp);
        self.folders.iter().chain(files).all(|stamp| stamp.times.is_settled(now_unix_ms, settle_ms))
    }

    /// The sizes of all files, summed up.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, stamp)| stamp.bytes).sum()
    }

    /// The name of the model file, if the folder may be read as a version.
    pub(super) fn check(&self, limits: &Limits) -> Result<&str, Refusal> {
        let onnx = |name: &str| name.ends_with(".onnx") && !name.starts_with('.');
        let candidates: Vec<_> = self.files.iter().filter(|(name, _)| onnx(name)).collect();
        let found = candidates.iter().find(|(name, _)| name == MODEL_FILE);
        let (name, stamp) = match (found, candidates.as_slice()) {
            (Some(found), _) => *found,
            (None, [single]) => *single,
            (None, []) => {
                let text = "the version folder holds no .onnx file: put the model there as model.onnx";
                return Err(Refusal::new(RefusalCode::NoModelFile, text));
            }
            (None, several) => {
                let text = format!(
                    "the version folder holds {} .onnx files and none is model.onnx: rename the one to serve to model.onnx",
                    several.len()
                );
                return Err(Refusal::new(RefusalCode::SeveralModelFiles, text));
            }
        };
        stamp.check_kind(name)?;
        stamp.check_size(name, limits.model_file_bytes)?;
        Ok(name)
    }

    /// The stamp of one file.
    pub(super) fn file(&self, name: &str) -> Option<&FileStamp> {
        self.files.iter().find(|(known, _)| known == name).map(|(_, stamp)| stamp)
    }
}

impl FileStamp {
    #[allow(clippy::unnecessary_cast, reason = "the width of these fields differs between architectures")]
    pub(super) fn new(stat: &Stat) -> Self {
        let file_type = file_type(stat);
        Self {
            is_regular: file_type == FileType::RegularFile,
            is_link: file_type == FileType::Symlink,
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            n_links: stat.st_nlink as u64,
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            times: Times::new(stat),
        }
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    /// Links and devices could make us read what does not belong to the version, or wait forever.
    pub(super) fn check_kind(&self, name: &str) -> Result<(), Refusal> {
        let what = match (self.is_regular, self.is_link) {
            (true, _) => return Ok(()),
            (_, true) => "a symbolic link: copy the file itself, or link the version folder as a whole",
            _ => "not a regular file",
        };
        Err(Refusal::new(RefusalCode::NotContained, format!("{name:?} is {what}")))
    }

    /// A hard link shares its content with a path elsewhere, which its publisher may not have been allowed to read.
    pub(super) fn check_single(&self, name: &str) -> Result<(), Refusal> {
        if self.n_links <= 1 {
            return Ok(());
        }
        let text = format!("external data {name:?} is hard-linked from elsewhere: copy the file instead");
        Err(Refusal::new(RefusalCode::NotContained, text))
    }

    pub(super) fn check_size(&self, name: &str, limit: u64) -> Result<(), Refusal> {
        if self.bytes <= limit {
            return Ok(());
        }
        let text = format!("{name:?} has {} bytes, the limit is {limit}", self.bytes);
        Err(Refusal::new(RefusalCode::TooLarge, text))
    }
}

impl Times {
    #[allow(clippy::unnecessary_cast, reason = "the width of these fields differs between architectures")]
    pub(super) fn new(stat: &Stat) -> Self {
        const NANOS: i128 = 1_000_000_000;
        let nanos = |seconds: i64, nanos: u64| i128::from(seconds) * NANOS + i128::from(nanos);
        Self {
            modified: nanos(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: nanos(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        }
    }

    /// Whether both times lie further than `settle_ms` from now, on either side: a time in the far future comes
    /// from a wrong clock or an archive, not from a copy in progress, and must not hold the version up for ever.
    pub(super) fn is_settled(self, now_unix_ms: u64, settle_ms: u64) -> bool {
        let now = i128::from(now_unix_ms) * 1_000_000;
        let settle = i128::from(settle_ms) * 1_000_000;
        [self.modified, self.changed].iter().all(|time| (now - time).abs() >= settle)
    }
}
