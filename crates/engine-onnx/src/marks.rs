//! In-flight marks: counters in a page shared with the file system, so that they outlive a process that dies.
//!
//! A model runs inside the gateway's process and can take it down. The version whose requests were in flight then
//! would leave no trace; with these marks the next start finds out. Counting costs an atomic addition and touches no
//! disk: the kernel keeps the page when the process is gone. (A power cut loses it. That is no crash of a model.)
//!
//! It lives here because a shared mapping needs `unsafe`, and this crate is the only one that may use it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use base_serving::InFlightMark;
use base_types::Digest;

/// Versions in memory that can be marked at a time; more are not marked.
const SLOTS: usize = 1024;
/// A slot: a digest, a counter, and padding to a cache line so that versions do not slow each other down.
const SLOT_BYTES: usize = 64;
const COUNTER_OFFSET: usize = 32;
const FILE_BYTES: usize = SLOTS * SLOT_BYTES;

/// The page of marks.
pub struct InFlightMarks {
    page: Arc<Page>,
    is_taken: Mutex<Vec<bool>>,
}

/// The mapping. Unmapped when the last mark is gone.
struct Page {
    start: NonNull<u8>,
    /// Keeps the file open for as long as the mapping lives.
    _file: File,
}

// SAFETY: the counters are only reached as atomics, and the digests only under the lock of `InFlightMarks`.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

/// One version's mark.
struct Mark {
    page: Arc<Page>,
    slot: usize,
}

impl InFlightMarks {
    /// Maps the file, creating it if need be. Gives the requests that were in flight when the last process ended, by
    /// content; they stay in the file until `reset`, so that a start that fails does not lose them.
    pub fn open(path: &Path) -> io::Result<(Self, Vec<(Digest, u64)>)> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.set_len(FILE_BYTES as u64)?;
        // SAFETY: a new shared mapping of a file that is open for reading and writing and is at least FILE_BYTES long;
        // the state directory is locked by this process, so that nobody cuts the file short.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                FILE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        let page = Arc::new(Page { start, _file: file });
        let left = (0..SLOTS).filter_map(|slot| page.read(slot)).collect();
        Ok((Self { page, is_taken: Mutex::new(vec![false; SLOTS]) }, left))
    }

    /// Starts from zero. To be called once what was in flight is noted elsewhere, and before any claim.
    pub fn reset(&self) {
        for slot in 0..SLOTS {
            self.page.counter(slot).store(0, Ordering::SeqCst);
            self.page.set_digest(slot, &[0; 32]);
        }
    }

    /// A mark for a version; `None` when all are taken.
    pub fn claim(&self, digest: Digest) -> Option<Arc<dyn InFlightMark>> {
        let mut is_taken = self.is_taken.lock().unwrap_or_else(|e| e.into_inner());
        // A slot nobody holds any more is free again once its last mark is dropped and has cleared it.
        let is_free = |slot: &usize| !is_taken[*slot] || self.page.digest(*slot) == [0; 32];
        let slot = (0..SLOTS).find(is_free)?;
        is_taken[slot] = true;
        self.page.counter(slot).store(0, Ordering::SeqCst);
        self.page.set_digest(slot, digest.as_bytes());
        Some(Arc::new(Mark { page: self.page.clone(), slot }))
    }
}

impl Page {
    fn at(&self, slot: usize) -> NonNull<u8> {
        assert!(slot < SLOTS, "a slot of the page");
        // SAFETY: the slot lies within the mapping.
        unsafe { self.start.add(slot * SLOT_BYTES) }
    }

    fn counter(&self, slot: usize) -> &AtomicU64 {
        // SAFETY: 8 bytes within the slot, aligned because the mapping is aligned to a page and the offset to 8, and
        // only ever reached as an atomic.
        unsafe { self.at(slot).add(COUNTER_OFFSET).cast::<AtomicU64>().as_ref() }
    }

    fn digest(&self, slot: usize) -> [u8; 32] {
        // SAFETY: 32 bytes within the slot; written only while the slot is being claimed or given back.
        unsafe { self.at(slot).cast::<[u8; 32]>().read_volatile() }
    }

    fn set_digest(&self, slot: usize, digest: &[u8; 32]) {
        // SAFETY: as for reading.
        unsafe { self.at(slot).cast::<[u8; 32]>().write_volatile(*digest) }
    }

    /// Reads a slot of the last process.
    fn read(&self, slot: usize) -> Option<(Digest, u64)> {
        let (digest, n_requests) = (self.digest(slot), self.counter(slot).load(Ordering::SeqCst));
        (digest != [0; 32] && n_requests > 0).then(|| (Digest::new(digest), n_requests))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this length, and nobody can reach it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), FILE_BYTES) };
    }
}

impl InFlightMark for Mark {
    fn begin(&self) {
        self.page.counter(self.slot).fetch_add(1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.page.counter(self.slot).fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.page.set_digest(self.slot, &[0; 32]);
    }
}

#[cfg(test)]
mod tests;
