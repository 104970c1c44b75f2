//! One engine per process, and short ways to load and run.

use std::sync::{Arc, OnceLock};

use base_serving::engine::{Artifact, ArtifactFile, Engine, LoadError, RunControl, RunError, Runner};
use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use engine_onnx::{OnnxEngine, Options};

/// The engine of this process. Without the library the test fails, and the message names the remedy.
pub fn engine() -> &'static OnnxEngine {
    static ENGINE: OnceLock<OnnxEngine> = OnceLock::new();
    ENGINE.get_or_init(|| OnnxEngine::start(&Options::default()).unwrap_or_else(|e| panic!("{e}")))
}

pub fn artifact(model: &[u8], external: &[(&str, &[u8])]) -> Artifact {
    let file = |path: &str, content: &[u8]| ArtifactFile { path: path.to_owned(), content: content.into() };
    Artifact { model: file("model.onnx", model), external: external.iter().map(|(n, c)| file(n, c)).collect() }
}

pub fn try_load(model: &[u8]) -> Result<Arc<dyn Runner>, LoadError> {
    engine().load(&artifact(model, &[]))
}

pub fn load(model: &[u8]) -> Arc<dyn Runner> {
    try_load(model).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs with all outputs.
pub fn run(runner: &dyn Runner, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
    let outputs: Vec<usize> = (0..runner.signature().outputs.len()).collect();
    runner.run(inputs, &outputs, &RunControl::default())
}

/// Runs one input to one output of FP32.
pub fn run_fp32(runner: &dyn Runner, shape: &[usize], values: &[f32]) -> Result<Vec<f32>, RunError> {
    let outputs = run(runner, &[fp32("x", shape, values)])?;
    Ok(floats(&outputs[0]))
}

pub fn fp32(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor::new(name, DataType::Fp32, shape.to_vec(), Data::Raw(Bytes::from(bytes))).unwrap()
}

pub fn floats(tensor: &Tensor) -> Vec<f32> {
    let Data::Raw(raw) = tensor.data() else { panic!("strings") };
    assert_eq!(tensor.datatype(), DataType::Fp32);
    raw.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}
