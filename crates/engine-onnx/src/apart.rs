//! Several sessions of one version, each run by one thread at a time: for providers whose sessions may not be shared,
//! and for those who do not want to rely on shared ones.

use std::sync::{Arc, Condvar, Mutex};

use base_serving::engine::{RunControl, RunError, Runner};
use base_types::{MemoryUse, Signature, Tensor};

/// Runners of the same content.
pub(crate) struct Apart {
    /// All of them, for what they hold in memory.
    runners: Vec<Arc<dyn Runner>>,
    signature: Signature,
    /// Positions of those that nobody uses.
    idle: Mutex<Vec<usize>>,
    freed: Condvar,
}

/// One in use. Given back on drop, also when its run panics.
struct Used<'a> {
    all: &'a Apart,
    index: usize,
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        self.all.idle.lock().unwrap_or_else(|e| e.into_inner()).push(self.index);
        self.all.freed.notify_one();
    }
}

impl Apart {
    /// Takes at least one runner.
    pub(crate) fn new(first: Arc<dyn Runner>, more: Vec<Arc<dyn Runner>>) -> Self {
        let signature = first.signature().clone();
        let runners: Vec<_> = [first].into_iter().chain(more).collect();
        let idle = Mutex::new((0..runners.len()).collect());
        Self { runners, signature, idle, freed: Condvar::new() }
    }

    /// Waits for one that nobody uses. There are as many as threads that run models, or the operator wants fewer runs at
    /// a time than there are such threads.
    fn take(&self) -> Used<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(|e| e.into_inner());
        loop {
            if let Some(index) = idle.pop() {
                return Used { all: self, index };
            }
            idle = self.freed.wait(idle).unwrap_or_else(|e| e.into_inner());
        }
    }
}

impl Runner for Apart {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: &[Tensor], outputs: &[usize], control: &RunControl) -> Result<Vec<Tensor>, RunError> {
        let used = self.take();
        // Whoever waited so long that the caller has left does not begin: the runner asks.
        self.runners[used.index].run(inputs, outputs, control)
    }

    fn memory(&self) -> MemoryUse {
        self.runners.iter().fold(MemoryUse::default(), |sum, runner| {
            let one = runner.memory();
            MemoryUse {
                arena_bytes: sum.arena_bytes + one.arena_bytes,
                arena_peak_bytes: sum.arena_peak_bytes + one.arena_peak_bytes,
                mapped_bytes: sum.mapped_bytes + one.mapped_bytes,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use base_types::TensorSpec;
    use testkit::fake::{affine4_signature, floats, fp32};

    use super::*;

    /// Fails when two threads are in it.
    struct Alone {
        signature: Signature,
        n_inside: AtomicUsize,
        n_runs: AtomicUsize,
    }

    impl Runner for Alone {
        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn run(&self, inputs: &[Tensor], _: &[usize], _: &RunControl) -> Result<Vec<Tensor>, RunError> {
            let n_before = self.n_inside.fetch_add(1, Ordering::SeqCst);
            self.n_runs.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            self.n_inside.fetch_sub(1, Ordering::SeqCst);
            match (n_before, floats(&inputs[0])[0]) {
                (0, value) if value >= 0.0 => Ok(inputs.to_vec()),
                (0, _) => panic!("asked to"),
                _ => Err(RunError::Failed("two at a time".to_owned())),
            }
        }

        fn memory(&self) -> MemoryUse {
            MemoryUse { arena_bytes: 5, ..MemoryUse::default() }
        }
    }

    #[test]
    fn each_session_is_run_by_one_thread_at_a_time() {
        let alone = || {
            let (signature, n_inside, n_runs) = (affine4_signature(), Default::default(), Default::default());
            Arc::new(Alone { signature, n_inside, n_runs })
        };
        let (one, two) = (alone(), alone());
        let apart = Apart::new(one.clone(), vec![two.clone()]);
        let ask = |value: f32| {
            let input = fp32("x", &[1, 4], &[value; 4]).unwrap();
            apart.run(&[input], &[0], &RunControl::default()).map(|outputs| floats(&outputs[0])[0])
        };
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let ask = &ask;
                scope.spawn(move || {
                    (0..500).for_each(|n| assert_eq!(ask((thread * 1_000 + n) as f32), Ok((thread * 1_000 + n) as f32)))
                });
            }
        });
        // A panic gives the session back.
        for _ in 0..4 {
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ask(-1.0))).is_err());
        }
        assert_eq!(ask(1.0), Ok(1.0));
        assert_eq!(one.n_runs.load(Ordering::SeqCst) + two.n_runs.load(Ordering::SeqCst), 3_005);
        assert_eq!(apart.memory().arena_bytes, 10);
        assert_eq!(apart.signature().inputs.iter().map(TensorSpec::to_string).collect::<Vec<_>>(), ["x FP32[-1,4]"]);
    }
}
