//! How often a large tensor is copied on our side of the runtime: not at all on the way in, once on the way out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use base_serving::engine::{Artifact, ArtifactFile, Engine, RunControl};
use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use engine_onnx::{OnnxEngine, Options};
use peak_alloc::PeakAlloc;
use testkit::onnx::identity;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MIB: usize = 1 << 20;
/// Names, shapes, options.
const SMALL_MAX: usize = 16 << 10;

/// Memory of ours that a run of these bytes takes beyond what was there.
fn taken(runner: &dyn base_serving::engine::Runner, bytes: &Bytes) -> usize {
    let n = (bytes.len() / 4).isqrt();
    let inputs = [Tensor::new("x", DataType::Fp32, vec![n, n], Data::Raw(bytes.clone())).unwrap()];
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let outputs = runner.run(&inputs, &[0], &RunControl::default()).unwrap();
    let taken = MEMORY.peak_usage() - before;
    let Data::Raw(raw) = outputs[0].data() else { panic!("strings") };
    assert_eq!(raw, bytes);
    taken
}

#[test]
fn a_megabyte_is_copied_once_on_the_way_through_the_runtime() {
    let engine = OnnxEngine::start(&Options::default()).unwrap();
    let model = ArtifactFile { path: "model.onnx".to_owned(), content: identity(DataType::Fp32).into() };
    let runner = engine.load(&Artifact { model, external: Vec::new() }).unwrap();
    let values: Vec<u8> = (0..MIB / 4).flat_map(|n| (n as f32).to_le_bytes()).collect();
    let aligned = Bytes::from(values.clone());
    // Once for whatever is made only once.
    taken(&*runner, &aligned);
    let whole = taken(&*runner, &aligned);
    assert!((MIB..MIB + SMALL_MAX).contains(&whole), "{whole} bytes for an output of {MIB}");
    // Bytes that start anywhere are copied by the runtime's own allocator, not by ours.
    let shifted = Bytes::from([&[0; 1], &values[..]].concat()).slice(1..);
    let whole = taken(&*runner, &shifted);
    assert!((MIB..MIB + SMALL_MAX).contains(&whole), "{whole} bytes for an output of {MIB}");
}
