//! Versions with equal weights hold them once, answer bit for bit as they would alone, and leave nothing behind.
//!
//! A binary of its own, because it measures the whole process.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "runtime/support.rs"]
mod support;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base_serving::engine::{Engine, Runner};
use engine_onnx::{OnnxEngine, Options, free_memory_to_system};
use testkit::onnx::derive::annotated;
use testkit::onnx::{affine4, large, slow};

use support::{artifact, run_fp32};

const MIB: u64 = 1 << 20;
const MODEL_BYTES: usize = 64 * MIB as usize;
/// Set in the child, which loads the same model alone and prints what it answers.
const CHILD: &str = "SWITCHRAIL_SHARING_CHILD";
const SHAPE: [usize; 2] = [8, 4];

fn input() -> Vec<f32> {
    (0..32).map(|i| (i % 7) as f32 * 0.3 - 0.8).collect()
}

fn sharing() -> &'static OnnxEngine {
    static ENGINE: OnceLock<(OnnxEngine, tempfile::TempDir)> = OnceLock::new();
    let made = || {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("derived/left-by-a-crash")).unwrap();
        let share_weights_in = Some(folder.path().join("derived"));
        (OnnxEngine::start(&Options { share_weights_in, ..Options::default() }).unwrap(), folder)
    };
    let (engine, folder) = ENGINE.get_or_init(made);
    // Nothing stays in the folder while nothing is being loaded.
    assert_eq!(std::fs::read_dir(folder.path().join("derived")).unwrap().count(), 0);
    engine
}

fn load(model: &[u8]) -> Arc<dyn Runner> {
    sharing().load(&artifact(model, &[])).unwrap()
}

/// What this process holds, pages of files by its share in them.
fn held_bytes() -> u64 {
    free_memory_to_system();
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn printed(answers: &[f32]) -> String {
    answers.iter().map(|v| format!("{:08x}", v.to_bits())).collect::<Vec<_>>().join(" ")
}

#[test]
fn another_version_with_the_same_weights_costs_next_to_nothing() {
    if std::env::var_os(CHILD).is_some() {
        return child();
    }
    drop(load(&affine4(2.0, 1.0)));
    let model = large(MODEL_BYTES, 1);
    let mut held = vec![held_bytes()];
    let mut runners = Vec::new();
    for version in 0..3 {
        let runner = load(&annotated(&model, &format!("version {version}")).unwrap());
        run_fp32(&*runner, &SHAPE, &input()).unwrap();
        runners.push(runner);
        held.push(held_bytes());
    }
    let costs: Vec<u64> = held.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    println!("costs in KiB: {:?}", costs.iter().map(|c| c >> 10).collect::<Vec<_>>());
    assert!(costs[0] <= MODEL_BYTES as u64 * 13 / 10, "the first costs what it costs alone: {costs:?}");
    // Together, because the allocator now and then keeps a buffer of the load before.
    assert!(costs[1] + costs[2] <= costs[0] * 2 / 10, "{costs:?}");
    let shares: Vec<u64> = runners.iter().map(|r| r.memory().mapped_bytes).collect();
    assert!(
        shares.iter().all(|s| (MODEL_BYTES as u64 * 3 / 10..MODEL_BYTES as u64 * 4 / 10).contains(s)),
        "{shares:?}"
    );

    // Whoever loaded the weights first may go first.
    let answers: Vec<String> = runners.iter().map(|r| printed(&run_fp32(&**r, &SHAPE, &input()).unwrap())).collect();
    drop(runners.remove(0));
    let after = printed(&run_fp32(&*runners[1], &SHAPE, &input()).unwrap());
    assert!(answers.iter().all(|a| *a == after), "all of them compute the same, before and after");
    assert_eq!(after, alone(), "and what the model alone computes, bit for bit");

    runners.clear();
    let left = held_bytes().saturating_sub(held[0]);
    assert!(left <= MODEL_BYTES as u64 / 10, "{} KiB are left", left >> 10);
}

/// What the same model answers in a process that shares nothing.
fn alone() -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "another_version_with_the_same_weights_costs_next_to_nothing", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("answers: ")).unwrap_or_else(|| panic!("{text}")).to_owned()
}

fn child() {
    let before = held_bytes();
    let runner = support::load(&large(MODEL_BYTES, 1));
    let answers = run_fp32(&*runner, &SHAPE, &input()).unwrap();
    // `println` goes on after the name of the test.
    println!("\nalone: {} KiB\nanswers: {}", held_bytes().saturating_sub(before) >> 10, printed(&answers));
}

#[test]
fn versions_with_other_weights_are_never_mixed_up() {
    let models: Vec<Vec<u8>> = (0..3).map(|seed| large(4 << 20, seed)).collect();
    let alone: Vec<String> = models.iter().map(|m| printed(&run_fp32(&*load(m), &SHAPE, &input()).unwrap())).collect();
    assert_ne!(alone[0], alone[1]);
    let together: Vec<_> = models.iter().map(|m| load(m)).collect();
    for (runner, expected) in together.iter().zip(&alone) {
        assert_eq!(printed(&run_fp32(&**runner, &SHAPE, &input()).unwrap()), *expected);
    }
}

/// Sessions read what others packed: they run while those come and go, and never see anything but their own weights.
#[test]
fn sessions_that_share_come_and_go_while_others_run() {
    const N_THREADS: usize = 4;
    let models: Vec<Vec<u8>> = (0..2).map(|seed| large(3 << 20, seed)).collect();
    let runners: Vec<Arc<dyn Runner>> = models.iter().map(|m| load(m)).collect();
    let expected: Vec<String> = runners.iter().map(|r| printed(&run_fp32(&**r, &SHAPE, &input()).unwrap())).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..N_THREADS {
            let (runner, expected, is_over) = (runners[thread % 2].clone(), &expected[thread % 2], &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Acquire) {
                    assert_eq!(printed(&run_fp32(&*runner, &SHAPE, &input()).unwrap()), *expected);
                }
            });
        }
        let mut held: Vec<Option<Arc<dyn Runner>>> = runners.into_iter().map(Some).collect();
        for round in 0..30 {
            let passing = load(&models[round % 2]);
            assert_eq!(printed(&run_fp32(&*passing, &SHAPE, &input()).unwrap()), expected[round % 2]);
            // The one that packed the weights goes; the passing one takes its place.
            held[round % 2] = Some(passing);
        }
        is_over.store(true, Ordering::Release);
    });
}

#[test]
fn models_that_cannot_share_are_loaded_all_the_same() {
    let small = load(&affine4(2.0, 1.0));
    assert_eq!(run_fp32(&*small, &[1, 4], &[1.0; 4]).unwrap(), [3.0; 4]);
    assert_eq!(small.memory().mapped_bytes, 0);
    let slow = load(&slow(4, 64, 2.0, 1.0));
    assert_eq!(run_fp32(&*slow, &[1, 4], &[1.0; 4]).unwrap().len(), 4);
    let broken = vec![7; 4 << 20];
    assert!(sharing().load(&artifact(&broken, &[])).is_err());
}
