//! Files of ours mapped for reading: pages that nobody uses cost no memory, and come back by themselves.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

/// A whole file, mapped for reading.
///
/// Only for files that nobody else can reach: without a name, or in a folder of this process alone. A file that another
/// process cuts short takes whoever reads the mapping down. A disk that cannot give a page back does so, too, as it would
/// with a page of the program.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    n_bytes: usize,
}

// SAFETY: the bytes are only read, and stay where they are until the last owner is gone.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps a file that will not change any more.
    pub(crate) fn read_only(file: &File) -> io::Result<Self> {
        let n_bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        if n_bytes == 0 {
            return Ok(Self { start: NonNull::dangling(), n_bytes });
        }
        // SAFETY: a new mapping, for reading, of a file that is open for it; nothing else is touched.
        let start =
            unsafe { libc::mmap(ptr::null_mut(), n_bytes, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { start, n_bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is that long, readable, and nobody writes to the file any more.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.n_bytes) }
    }

    /// Takes the pages out of this process. The content stays what it is: whoever reads it again gets the page from the
    /// system's cache, or from the disk.
    pub(crate) fn let_go_of_pages(&self) {
        if self.n_bytes == 0 {
            return;
        }
        // SAFETY: exactly our mapping, which is shared and of a file, so that nothing is lost by it. If the system does
        // not want to, nothing happens.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.n_bytes, libc::MADV_DONTNEED) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.n_bytes > 0 {
            // SAFETY: the mapping was made with this length, and nobody can reach it any more.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.n_bytes) };
        }
    }
}

/// Some bytes of a mapping, kept for as long as somebody reads them.
pub(crate) struct Content {
    mapping: Arc<Mapping>,
    place: Range<usize>,
}

impl Content {
    /// The bytes at a place; `None` when the mapping is shorter.
    pub(crate) fn new(mapping: Arc<Mapping>, place: Range<usize>) -> Option<Self> {
        mapping.bytes().get(place.clone())?;
        Some(Self { mapping, place })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // Checked in `new`.
        self.mapping.bytes().get(self.place.clone()).unwrap_or_default()
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}
