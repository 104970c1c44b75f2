//! A run ends soon after it is told to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base_serving::engine::{RunControl, RunError};
use testkit::onnx::{looping, slow};

use crate::support::{fp32, load, run_fp32};

/// A run of the model takes far longer than this test may.
fn check(model: &[u8], row: [f32; 4]) {
    let runner = load(model);
    let control = RunControl::default();
    let input = [fp32("x", &[1, 4], &row)];
    let is_started = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            is_started.store(true, Ordering::Release);
            runner.run(&input, &[0], &control)
        });
        while !is_started.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        // Well into the run, so that it is the runtime that stops it and not the check before the start.
        std::thread::sleep(Duration::from_millis(50));
        assert!(!run.is_finished(), "the model is too fast for this test");
        let asked = Instant::now();
        control.terminate();
        assert_eq!(run.join().unwrap(), Err(RunError::Terminated));
        assert!(asked.elapsed() < Duration::from_secs(5), "took {:?}", asked.elapsed());
    });
    assert_eq!(runner.run(&input, &[0], &control), Err(RunError::Terminated), "a terminated run does not begin");
}

#[test]
fn a_chain_of_nodes_is_terminated() {
    check(&slow(5_000, 512, 1.0, 0.0), [1.0; 4]);
}

#[test]
fn a_loop_is_terminated_and_the_runner_stays_usable() {
    let model = looping(256, 2.0, 0.0);
    check(&model, [1e9, 0.0, 0.0, 0.0]);
    assert_eq!(run_fp32(&*load(&model), &[1, 4], &[1.0; 4]).unwrap(), [2.0; 4]);
}
