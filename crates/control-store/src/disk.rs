//! Every operation on a folder's files, one function each, so that a test can make any single one of them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::Put;
#[cfg(test)]
use faults::{Event, check, note};

/// Without tests nothing fails on purpose.
#[cfg(not(test))]
#[inline]
fn check(_operation: &'static str) -> io::Result<()> {
    Ok(())
}

/// Makes a file that nobody else writes to, with what it is to hold, on the disk.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    check("create")?;
    // One that a killed writer left under this name may be read-only.
    remove(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    if let Err(error) = check("write") {
        // A full disk takes a part of it.
        file.write_all(&content[..content.len() / 2])?;
        return Err(error);
    }
    file.write_all(content)?;
    #[cfg(test)]
    note(Event::Written(path.to_owned(), content.to_vec()));
    check("sync file")?;
    file.sync_all()?;
    #[cfg(test)]
    note(Event::FileSynced(path.to_owned()));
    Ok(())
}

/// Gives a file a name that nothing has.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<Put> {
    check("rename new")?;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {
            #[cfg(test)]
            note(Event::Renamed(from.to_owned(), to.to_owned()));
            Ok(Put::New)
        }
        Err(Errno::EXIST) => Ok(Put::Existed),
        // Some file systems know no such rename; a second name for the file amounts to the same.
        Err(Errno::INVAL | Errno::NOSYS) => match std::fs::hard_link(from, to) {
            Ok(()) => std::fs::remove_file(from).map(|()| Put::New),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Put::Existed),
            Err(error) => Err(error),
        },
        Err(error) => Err(error.into()),
    }
}

/// Gives a file a name, whatever had it before.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    check("rename")?;
    std::fs::rename(from, to)?;
    #[cfg(test)]
    note(Event::Renamed(from.to_owned(), to.to_owned()));
    Ok(())
}

/// Makes a folder; says whether it is new.
pub(crate) fn make_folder(path: &Path) -> io::Result<bool> {
    check("make folder")?;
    match std::fs::create_dir(path) {
        Ok(()) => {
            #[cfg(test)]
            note(Event::FolderMade(path.to_owned()));
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns when the names in a folder are on the disk.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    check("sync folder")?;
    File::open(path)?.sync_all()?;
    #[cfg(test)]
    note(Event::FolderSynced(path.to_owned()));
    Ok(())
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    check("remove")?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => {
            #[cfg(test)]
            note(Event::Removed(path.to_owned()));
            result
        }
    }
}

/// A file of at most so many bytes; `None` when there is none.
pub(crate) fn read_file(path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    check("read")?;
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let bytes = file.metadata()?.len();
    if bytes > bytes_max {
        let text = format!("it has {bytes} bytes where at most {bytes_max} are expected");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    file.take(bytes_max).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// An entry of a folder.
pub(crate) struct Entry {
    pub name: String,
    pub is_folder: bool,
    pub size: u64,
    pub written_unix_ms: u64,
}

/// The entries of a folder in the order of their names; none when there is no such folder. Names that are not UTF-8
/// are not ours.
pub(crate) fn list(path: &Path) -> io::Result<Vec<Entry>> {
    check("list")?;
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // It may have gone since.
        let Ok(metadata) = entry.metadata() else { continue };
        let written = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        found.push(Entry {
            name,
            is_folder: metadata.is_dir(),
            size: metadata.len(),
            written_unix_ms: u64::try_from(written.as_millis()).unwrap_or(u64::MAX),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// A lock that ends with the process, however it ends; `None` while another has it.
pub(crate) fn lock(path: &Path) -> io::Result<Result<File, Option<u32>>> {
    check("lock")?;
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            file.set_len(0)?;
            writeln!(file, "{}", std::process::id())?;
            Ok(Ok(file))
        }
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            file.take(32).read_to_string(&mut text)?;
            Ok(Err(text.trim().parse().ok()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Operations that fail on purpose.
#[cfg(test)]
pub(crate) mod faults {
    use std::cell::RefCell;
    use std::io;
    use std::path::PathBuf;

    /// What is to fail on this thread.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Plan {
        /// The operation with this number, once.
        Once(usize),
        /// That one and all after it: the power is off.
        From(usize),
        /// None; they are only counted.
        Never,
    }

    /// What happened to the disk, in order.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub(crate) enum Event {
        Written(PathBuf, Vec<u8>),
        FileSynced(PathBuf),
        Renamed(PathBuf, PathBuf),
        FolderMade(PathBuf),
        FolderSynced(PathBuf),
        Removed(PathBuf),
    }

    thread_local! {
        static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
        static STATE: RefCell<(Plan, Vec<&'static str>)> = const { RefCell::new((Plan::Never, Vec::new())) };
    }

    /// Runs something by a plan; also says which operations it asked for.
    pub(crate) fn run<T>(plan: Plan, what: impl FnOnce() -> T) -> (T, Vec<&'static str>) {
        STATE.set((plan, Vec::new()));
        let result = what();
        let (_, operations) = STATE.replace((Plan::Never, Vec::new()));
        (result, operations)
    }

    /// What happened on this thread since this was asked the last time.
    pub(crate) fn take_events() -> Vec<Event> {
        EVENTS.take()
    }

    pub(super) fn note(event: Event) {
        EVENTS.with_borrow_mut(|events| events.push(event));
    }

    pub(super) fn check(operation: &'static str) -> io::Result<()> {
        STATE.with_borrow_mut(|(plan, operations)| {
            let number = operations.len();
            operations.push(operation);
            match *plan {
                Plan::Once(at) if at == number => Err(failure(operation)),
                Plan::From(at) if at <= number => Err(failure(operation)),
                _ => Ok(()),
            }
        })
    }

    fn failure(operation: &str) -> io::Error {
        io::Error::other(format!("a fault injected into {operation:?}"))
    }
}
