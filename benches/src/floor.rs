//! The floor under any server: the model run in-process, by one thread and without callers.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base_serving::engine::{Artifact, ArtifactFile, Engine, RunControl, Runner};
use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use engine_onnx::{OnnxEngine, Options};

use crate::BenchError;

/// Runs between two looks at the clock.
const RUNS_PER_LOOK: u64 = 256;

/// A model of one input and one output, loaded into this process.
pub struct Floor {
    runner: Arc<dyn Runner>,
    input: Tensor,
}

impl Floor {
    /// Loads the model for a row of floats.
    pub fn load(model: &[u8], row: &[f32]) -> Result<Self, BenchError> {
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        let input = Tensor::new("x", DataType::Fp32, vec![1, row.len()], Data::Raw(Bytes::from(bytes)));
        Self::load_with(model, input.map_err(|e| BenchError::Floor(e.to_string()))?)
    }

    /// Loads the model for an input.
    pub fn load_with(model: &[u8], input: Tensor) -> Result<Self, BenchError> {
        let failed = |error: &dyn std::fmt::Display| BenchError::Floor(error.to_string());
        // The runtime starts once per process.
        static ENGINE: Mutex<Option<Arc<OnnxEngine>>> = Mutex::new(None);
        let mut engine = ENGINE.lock().unwrap_or_else(|e| e.into_inner());
        let engine = match engine.as_ref() {
            Some(engine) => engine.clone(),
            None => {
                let started = OnnxEngine::start(&Options::default()).map_err(|e| failed(&e))?;
                engine.insert(Arc::new(started)).clone()
            }
        };
        let file = ArtifactFile { path: "model.onnx".to_owned(), content: model.into() };
        let runner = engine.load(&Artifact { model: file, external: Vec::new() }).map_err(|e| failed(&e))?;
        Ok(Self { runner, input })
    }

    /// Runs per second of so many threads that share the model and do nothing else.
    pub fn per_second(&self, n_threads: usize, duration: Duration) -> Result<f64, BenchError> {
        let began = Instant::now();
        let run = || {
            let mut n_runs = 0u64;
            while began.elapsed() < duration {
                let inputs = std::slice::from_ref(&self.input);
                let outputs = self.runner.run(inputs, &[0], &RunControl::default());
                std::hint::black_box(outputs.map_err(|e| BenchError::Floor(e.to_string()))?);
                n_runs += 1;
            }
            Ok(n_runs)
        };
        let n_runs: Result<Vec<u64>, BenchError> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(run)).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined.map(|n| n.unwrap_or_else(|_| Err(BenchError::Floor("a thread panicked".to_owned())))).collect()
        });
        // The last runs end after the time is up, and count in full.
        Ok(n_runs?.iter().sum::<u64>() as f64 / began.elapsed().as_secs_f64())
    }

    /// The time of one run, from running it over and over. One thread does nothing else, so it is processor time too.
    pub fn run_for(&self, duration: Duration) -> Result<Duration, BenchError> {
        let began = Instant::now();
        let mut n_runs = 0u64;
        while began.elapsed() < duration {
            for _ in 0..RUNS_PER_LOOK {
                let inputs = std::slice::from_ref(&self.input);
                let outputs = self.runner.run(inputs, &[0], &RunControl::default());
                std::hint::black_box(outputs.map_err(|e| BenchError::Floor(e.to_string()))?);
            }
            n_runs += RUNS_PER_LOOK;
        }
        Ok(began.elapsed().div_f64(n_runs as f64))
    }
}
