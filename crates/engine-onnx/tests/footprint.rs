//! What the running engine leaves in the system: no thread, no socket, no file, no CPU time while it is idle.
//!
//! A binary of its own, because it counts what the whole process has.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "runtime/support.rs"]
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::onnx::{affine4, large};

/// Set in the child, which does the work in an empty home and an empty working directory.
const CHILD: &str = "SWITCHRAIL_FOOTPRINT_CHILD";

fn n_threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn n_sockets() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    links.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Processor time of the process, in clock ticks of 10 ms.
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Fields 14 and 15 of the whole line; the first two are cut off.
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn n_entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn the_engine_leaves_no_trace() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    let home = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_engine_leaves_no_trace", "--nocapture"])
        .env(CHILD, "1")
        // The switch must not depend on what the environment says.
        .env("ORT_DISABLE_TELEMETRY", "0")
        .env("HOME", home.path())
        .env("TMPDIR", temporary.path())
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .current_dir(work.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for folder in [home.path(), work.path(), temporary.path()] {
        assert_eq!(n_entries(folder), 0, "something was left in {}", folder.display());
    }
}

fn child() {
    let (threads, sockets) = (n_threads(), n_sockets());
    let runners: Vec<_> = (0..5).map(|seed| support::load(&large(400_000, seed))).collect();
    let tiny = support::load(&affine4(2.0, 1.0));
    for runner in runners.iter().chain([&tiny]) {
        support::run_fp32(&**runner, &[1, 4], &[1.0; 4]).unwrap();
    }
    assert_eq!(n_threads(), threads, "the runtime started threads");
    let before = cpu_ticks();
    // Long enough for spinning to show, and for an uploader to wake up.
    std::thread::sleep(Duration::from_millis(1500));
    assert!(cpu_ticks() - before <= 2, "idle sessions used {} ticks", cpu_ticks() - before);
    assert_eq!(n_sockets(), sockets, "the runtime opened sockets");
    assert_eq!(n_threads(), threads, "the runtime started threads later");
}
