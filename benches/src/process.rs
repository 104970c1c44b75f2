//! What a process costs, as Linux tells it under `/proc`.

use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use crate::BenchError;
use crate::error::io_at;

/// Clock ticks per second in `/proc/<pid>/stat`: fixed at 100 for programs on every Linux in use.
const TICKS_PER_SECOND: u64 = 100;

/// Processor time of all threads of a process so far, user and system. Exact to a tick of 10 ms.
pub fn cpu_time(pid: u32) -> Result<Duration, BenchError> {
    let stat = read(pid, "stat")?;
    // The program's name stands in brackets and may hold anything; what follows the last one is numbers.
    let numbers: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| numbers.get(index).and_then(|text| text.parse::<u64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND)),
        _ => Err(BenchError::Answer { request: format!("/proc/{pid}/stat"), answer: stat }),
    }
}

/// Memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident pages.
    pub resident_bytes: u64,
    /// Resident pages that come from no file: what was allocated.
    pub anonymous_bytes: u64,
}

/// What a process holds in memory now.
pub fn memory(pid: u32) -> Result<Memory, BenchError> {
    let rollup = read(pid, "smaps_rollup")?;
    let bytes = |name: &str| {
        let kib =
            rollup.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
        let missing =
            || BenchError::Answer { request: format!("{name} of /proc/{pid}/smaps_rollup"), answer: rollup.clone() };
        kib.map(|kib| kib << 10).ok_or_else(missing)
    };
    Ok(Memory { resident_bytes: bytes("Rss:")?, anonymous_bytes: bytes("Anonymous:")? })
}

/// Has the kernel forget the most that a process has held.
pub fn reset_peak(pid: u32) -> Result<(), BenchError> {
    let path = format!("/proc/{pid}/clear_refs");
    fs::write(&path, "5").map_err(io_at(format!("write {path}")))
}

/// The most that a process has held since it began, or since [`reset_peak`].
pub fn peak_bytes(pid: u32) -> Result<u64, BenchError> {
    let status = read(pid, "status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    line.map(|kib| kib << 10)
        .ok_or_else(|| BenchError::Answer { request: format!("VmHWM of /proc/{pid}/status"), answer: status.clone() })
}

/// How many threads of a process have this name.
pub fn n_threads_named(pid: u32, name: &str) -> Result<usize, BenchError> {
    let path = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&path).map_err(io_at(format!("read {path}: the measurements need Linux")))?;
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Ok(names.filter(|found| found.trim_end() == name).count())
}

/// A process that keeps one core busy with nothing, at the lowest priority, until it is dropped.
#[derive(Debug)]
pub struct Spinner(Child);

impl Spinner {
    /// Starts it.
    pub fn start() -> Result<Self, BenchError> {
        let mut command = Command::new("nice");
        command.args(["-n", "19", "sh", "-c", "while :; do :; done"]);
        command.spawn().map(Self).map_err(io_at("start a busy process"))
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            eprintln!("the busy process could not be ended: {error}");
        }
    }
}

fn read(pid: u32, file: &str) -> Result<String, BenchError> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(io_at(format!("read {path}: the measurements need Linux")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn this_process_costs_something() {
        let pid = std::process::id();
        let began = cpu_time(pid).unwrap();
        let mut sum = 0u64;
        while cpu_time(pid).unwrap() < began + Duration::from_millis(30) {
            sum = (0..100_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }
        let memory = memory(pid).unwrap();
        assert!(memory.anonymous_bytes > 1 << 16 && memory.anonymous_bytes <= memory.resident_bytes, "{memory:?}");
    }

    #[test]
    fn a_spinner_is_busy_until_it_is_dropped() {
        let spinner = Spinner::start().unwrap();
        let pid = spinner.0.id();
        let give_up = std::time::Instant::now() + Duration::from_secs(20);
        while cpu_time(pid).unwrap() < Duration::from_millis(30) {
            assert!(std::time::Instant::now() < give_up, "it does nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(spinner);
        assert!(cpu_time(pid).is_err());
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(cpu_time(u32::MAX).is_err());
    }
}
