//! Gives freed memory back to the system.

/// Returns memory that was freed, but kept by the C library, to the system. glibc keeps most of an unloaded model
/// otherwise. Takes up to some tens of milliseconds: for the thread that unloads models, never for one that serves.
pub fn free_memory_to_system() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes no pointers, may run at any time and from any thread, and touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
