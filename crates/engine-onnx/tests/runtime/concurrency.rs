//! Several threads share one session, and several sessions come and go meanwhile: no answer is ever another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base_serving::engine::Runner;
use testkit::onnx::{Tag, affine4, large, self_identifying};

use crate::support::{load, run_fp32};

const N_THREADS: usize = 6;
const RUNS_PER_THREAD: u32 = 2_000;

/// Asks a self-identifying model as one of several threads.
fn ask(runner: &dyn Runner, version: u32, thread: u32) {
    for number in 0..RUNS_PER_THREAD {
        let batch = [1, 2, 5, 16, 33][(number % 5) as usize];
        let ids: Vec<u32> = (0..batch).map(|row| thread * 1_000_000 + number * 40 + row).collect();
        let rows: Vec<f32> = ids.iter().flat_map(|id| Tag::input(*id)).collect();
        let answers = run_fp32(runner, &[ids.len(), 16], &rows).unwrap();
        let tags: Vec<_> = answers.chunks(3).map(Tag::read).collect();
        let expected: Vec<_> = ids.iter().map(|id| Some(Tag { id: *id, version })).collect();
        assert_eq!(tags, expected);
    }
}

#[test]
fn threads_sharing_a_session_get_their_own_answers() {
    let runners: Vec<Arc<dyn Runner>> = (1..=2).map(|version| load(&self_identifying(version))).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let askers: Vec<_> = (0..N_THREADS as u32)
            .map(|thread| {
                let version = thread % 2 + 1;
                let runner = &runners[version as usize - 1];
                scope.spawn(move || ask(&**runner, version, thread))
            })
            .collect();
        // Loads and unloads beside the runs, as a version switch does.
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                let passing = load(&affine4(2.0, 1.0));
                assert_eq!(run_fp32(&*passing, &[1, 4], &[1.0; 4]).unwrap(), [3.0; 4]);
            }
        });
        let results: Vec<_> = askers.into_iter().map(|asker| asker.join()).collect();
        is_over.store(true, Ordering::Release);
        assert!(results.iter().all(Result::is_ok));
    });
}

#[test]
fn a_model_of_many_nodes_gives_each_thread_the_same_numbers() {
    let runner = load(&large(400_000, 5));
    let row = |thread: usize, number: usize| [thread as f32, number as f32, 0.5, -1.0];
    let alone: Vec<Vec<f32>> =
        (0..N_THREADS).map(|thread| run_fp32(&*runner, &[1, 4], &row(thread, 7)).unwrap()).collect();
    std::thread::scope(|scope| {
        for (thread, expected) in alone.iter().enumerate() {
            let runner = &runner;
            scope.spawn(move || {
                for _ in 0..300 {
                    assert_eq!(run_fp32(&**runner, &[1, 4], &row(thread, 7)).unwrap(), *expected);
                }
            });
        }
    });
}
