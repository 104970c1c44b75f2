//! The floor under any server: the model run in-process, by one thread and without callers.

use std::sync::Arc;
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
    /// Loads the model. Once per process.
    pub fn load(model: &[u8], row: &[f32]) -> Result<Self, BenchError> {
        let failed = |error: &dyn std::fmt::Display| BenchError::Floor(error.to_string());
        let engine = OnnxEngine::start(&Options::default()).map_err(|e| failed(&e))?;
        let file = ArtifactFile { path: "model.onnx".to_owned(), content: model.into() };
        let runner = engine.load(&Artifact { model: file, external: Vec::new() }).map_err(|e| failed(&e))?;
        let bytes: Vec<u8> = row.iter().flat_map(|value| value.to_le_bytes()).collect();
        let data = Data::Raw(Bytes::from(bytes));
        let input = Tensor::new("x", DataType::Fp32, vec![1, row.len()], data).map_err(|e| failed(&e))?;
        Ok(Self { runner, input })
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
