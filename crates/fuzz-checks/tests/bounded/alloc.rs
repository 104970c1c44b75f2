//! The meter of these tests: the system's allocator, counted over the whole process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use fuzz_checks::Meter;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static ALONE: Mutex<()> = Mutex::new(());

/// Reads the allocator.
pub struct Counting;

impl Counting {
    /// Waits until no other test of this process allocates, and keeps it so.
    pub fn alone() -> MutexGuard<'static, ()> {
        // A failed test leaves nothing behind that another could stumble over.
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meter for Counting {
    fn peak<T>(&self, work: impl FnOnce() -> T) -> (T, Option<usize>) {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let result = work();
        (result, Some(ALLOCATOR.peak_usage() - before))
    }
}
