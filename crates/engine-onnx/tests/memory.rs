//! Memory of loaded models is reported, and comes back to the system after they are unloaded.
//!
//! A binary of its own, because it measures the whole process.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "runtime/support.rs"]
mod support;

use testkit::onnx::large;

const MIB: u64 = 1 << 20;
const MODEL_BYTES: usize = 32 * MIB as usize;

/// Private resident memory of the process.
fn private_bytes() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let lines = rollup.lines().filter(|line| line.starts_with("Private_"));
    lines.map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024).sum()
}

fn cycle(model: &[u8]) {
    let runner = support::load(model);
    support::run_fp32(&*runner, &[8, 4], &[1.0; 32]).unwrap();
    drop(runner);
    engine_onnx::free_memory_to_system();
}

#[test]
fn memory_is_reported_and_comes_back() {
    let model = large(MODEL_BYTES, 1);
    let runner = support::load(&model);
    support::run_fp32(&*runner, &[8, 4], &[1.0; 32]).unwrap();
    let memory = runner.memory();
    let expected = MODEL_BYTES as u64 * 9 / 10..=MODEL_BYTES as u64 * 3;
    assert!(expected.contains(&memory.arena_bytes), "{memory:?} for {MODEL_BYTES} bytes of weights");
    assert!(memory.arena_peak_bytes >= memory.arena_bytes, "{memory:?}");
    assert_eq!(memory.mapped_bytes, 0);
    drop(runner);

    for _ in 0..3 {
        cycle(&model);
    }
    let floor = private_bytes();
    for _ in 0..30 {
        cycle(&model);
    }
    let after = private_bytes();
    // The allocator may keep a buffer or two of one model, never one for each cycle.
    assert!(after <= floor + MODEL_BYTES as u64, "{} MiB before, {} MiB after 30 cycles", floor / MIB, after / MIB);
    println!("floor {} MiB, after {} MiB, {memory:?}", floor / MIB, after / MIB);
}
