//! A thread that goes behind all others: for loading models beside those that serve.
//!
//! A thread that wakes up may have to wait for the time slice of the one that runs, whatever its priority. So the slice
//! is made as short as the kernel allows as well; how much that helps docs/performance.md leaves open. It lives here because the
//! system call needs `unsafe`.

use std::io;

/// The nice value: next to nothing as long as anybody else wants to run, never nothing at all.
const NICE: i32 = 15;
/// The shortest slice the kernel grants. Kernels before 6.12 ignore it.
#[cfg(target_os = "linux")]
const SLICE_NANOS: u64 = 100_000;

/// The kernel's `struct sched_attr`, in its first version.
#[cfg(target_os = "linux")]
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Puts the calling thread behind all others.
#[cfg(target_os = "linux")]
pub fn lower_priority() -> io::Result<()> {
    let attr = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: NICE,
        priority: 0,
        runtime: SLICE_NANOS,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a structure that lives through the call; 0 means this thread, no flags.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Elsewhere threads have no priorities of their own.
#[cfg(not(target_os = "linux"))]
pub fn lower_priority() -> io::Result<()> {
    let _nice = NICE;
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    #[allow(clippy::unwrap_used, reason = "a failed step is a failed test")]
    fn the_thread_alone_is_put_behind() {
        // SAFETY: asks for the nice value of the calling thread.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = nice();
        let lowered = std::thread::spawn(move || super::lower_priority().map(|()| nice())).join().unwrap().unwrap();
        assert_eq!(lowered, super::NICE);
        assert_eq!(nice(), before);
    }
}
