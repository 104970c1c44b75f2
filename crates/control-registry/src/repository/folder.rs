//! Folders as descriptors: opened once, so that a swap of links in between cannot mix two trees.

use std::io::{self, Read};
use std::path::Path;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat};
use rustix::io::Errno;

use super::stamp::{FileStamp, Stamp, Times};
use super::{too_many, unreadable};
use crate::{Limits, Refusal, RefusalCode};

const FOLDER_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub name: String,
}

/// An open version folder.
pub(super) struct VersionFolder {
    folders: Vec<FileStamp>,
    /// The folder that holds the model and its external data.
    fd: OwnedFd,
}

pub(super) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, FOLDER_FLAGS, Mode::empty())?)
}

pub(super) fn open_subfolder(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, FOLDER_FLAGS, Mode::empty())?)
}

/// A folder that is no link.
pub(super) fn open_own_subfolder(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    Ok(openat(parent, name, FOLDER_FLAGS | OFlags::NOFOLLOW, Mode::empty())?)
}

/// The entries of a folder in order of name; `None` when there are more than `max`. Names that are not UTF-8
/// are shown with replacement characters, which no valid name contains.
pub(super) fn list(folder: &OwnedFd, max: usize) -> io::Result<Option<Vec<Entry>>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy();
        if matches!(name.as_ref(), "." | "..") {
            continue;
        }
        if entries.len() >= max {
            return Ok(None);
        }
        entries.push(Entry { name: name.into_owned() });
    }
    entries.sort();
    Ok(Some(entries))
}

/// Whether an entry is a folder, or a link: to a folder, or to something that cannot be seen at the moment.
pub(super) fn is_folder(parent: &OwnedFd, entry: &Entry) -> bool {
    match statat(parent, &entry.name, AtFlags::empty()) {
        Ok(stat) => file_type(&stat) == FileType::Directory,
        // "Cannot look" must not become "is gone": the caller tries to open it and reports the error. Only an
        // entry that vanished meanwhile is gone.
        Err(Errno::NOENT) => statat(parent, &entry.name, AtFlags::SYMLINK_NOFOLLOW).is_ok(),
        Err(_) => true,
    }
}

pub(super) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Opens a version folder, or the folder `model.onnx` within it where Triton's layout for external data has one.
pub(super) fn open_version(model: &OwnedFd, name: &str) -> Result<VersionFolder, Refusal> {
    let open = || -> io::Result<VersionFolder> {
        let fd = open_subfolder(model, name)?;
        let mut folders = vec![FileStamp::new(&fstat(&fd)?)];
        let inner = openat(&fd, "model.onnx", FOLDER_FLAGS | OFlags::NOFOLLOW, Mode::empty());
        match inner {
            Ok(inner) => {
                folders.push(FileStamp::new(&fstat(&inner)?));
                Ok(VersionFolder { folders, fd: inner })
            }
            // No such entry, or a file.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(VersionFolder { folders, fd }),
            Err(error) => Err(error.into()),
        }
    };
    open().map_err(|error| unreadable("the version folder", &error))
}

impl VersionFolder {
    /// The metadata of everything in the folder.
    pub(super) fn stamp(&self, limits: &Limits) -> Result<Stamp, Refusal> {
        let read = || -> io::Result<Option<Vec<(String, FileStamp)>>> {
            let Some(entries) = list(&self.fd, limits.folder_entries)? else { return Ok(None) };
            let mut files = Vec::with_capacity(entries.len());
            for Entry { name } in entries {
                match statat(&self.fd, &name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => files.push((name, FileStamp::new(&stat))),
                    // Vanished since it was listed, or a name that is not UTF-8, which no model refers to.
                    Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(Some(files))
        };
        let files = read().map_err(|error| unreadable("the version folder", &error))?;
        let files = files.ok_or_else(|| too_many(limits.folder_entries, "files in the version folder"))?;
        Ok(Stamp { folders: self.folders.clone(), files })
    }

    /// Opens a file of this folder for reading; never follows a link and never waits. `None` when it is not there.
    pub(super) fn open_file(&self, name: &str) -> Result<Option<(std::fs::File, FileStamp)>, Refusal> {
        open_contained(&self.fd, name)
    }
}

/// Opens a plain file name within a folder.
fn open_contained(folder: &OwnedFd, name: &str) -> Result<Option<(std::fs::File, FileStamp)>, Refusal> {
    let refuse = |error: Errno| match error {
        Errno::LOOP | Errno::XDEV => {
            let text =
                format!("{name:?} is a symbolic link: copy the file itself, or link the version folder as a whole");
            Refusal::new(RefusalCode::NotContained, text)
        }
        error => unreadable(&format!("{name:?}"), &error.into()),
    };
    let fd = match open_beneath(folder, name) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(refuse(error)),
    };
    let stamp = FileStamp::new(&fstat(&fd).map_err(refuse)?);
    stamp.check_kind(name)?;
    Ok(Some((std::fs::File::from(fd), stamp)))
}

/// The kernel itself refuses to leave the folder. Where it (or a sandbox) does not know `openat2`, the name being a
/// single component and `O_NOFOLLOW` amount to the same.
fn open_beneath(folder: impl AsFd, name: &str) -> rustix::io::Result<OwnedFd> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return Err(Errno::XDEV);
    }
    // Without O_NONBLOCK opening a named pipe would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(&folder, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => openat(&folder, name, flags, Mode::empty()),
        result => result,
    }
}

/// Reads a small text file of a folder and when it last changed; `None` when there is none. What it says is shown to
/// callers, so that no link is followed.
pub(super) fn read_small_contained(
    folder: &OwnedFd,
    name: &str,
    bytes_max: u64,
) -> Result<Option<(String, Times)>, Refusal> {
    let Some((file, stamp)) = open_contained(folder, name)? else { return Ok(None) };
    let content = read_bounded(file, name, bytes_max)?;
    let text = String::from_utf8(content);
    let text = text.map_err(|_| Refusal::new(RefusalCode::ConfigSyntax, format!("{name} is not UTF-8 text")))?;
    Ok(Some((text, stamp.times())))
}

/// Reads a file of a folder, following no link; `None` when there is none.
pub(super) fn read_contained(folder: &OwnedFd, name: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, Refusal> {
    open_contained(folder, name)?.map(|(file, _)| read_bounded(file, name, bytes_max)).transpose()
}

fn read_bounded(file: std::fs::File, name: &str, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut content);
    read.map_err(|error| unreadable(name, &error))?;
    if content.len() as u64 > bytes_max {
        return Err(Refusal::new(RefusalCode::TooLarge, format!("{name} is larger than {bytes_max} bytes")));
    }
    Ok(content)
}

/// Reads a small text file and when it last changed; `None` when there is none. A link is followed: nothing of
/// `config.pbtxt` is handed to the runtime or shown to callers.
pub(super) fn read_small(folder: &OwnedFd, name: &str, bytes_max: u64) -> Result<Option<(String, Times)>, Refusal> {
    let refuse = |error: io::Error| unreadable(name, &error);
    let fd = match openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(refuse(error.into())),
    };
    let stat = fstat(&fd).map_err(|error| refuse(error.into()))?;
    if file_type(&stat) != FileType::RegularFile {
        return Err(Refusal::new(RefusalCode::NotContained, format!("{name} is not a regular file")));
    }
    let text = String::from_utf8(read_bounded(std::fs::File::from(fd), name, bytes_max)?);
    let text = text.map_err(|_| Refusal::new(RefusalCode::ConfigSyntax, format!("{name} is not UTF-8 text")))?;
    Ok(Some((text, Times::new(&stat))))
}
