//! Models that work, as testkit writes them.

use std::sync::Arc;

use base_serving::engine::{Engine, RunControl};
use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use testkit::onnx::{Tag, affine4, affine4_named, external, large, looping, multi, self_identifying, slow};

use crate::support::{artifact, engine, floats, fp32, load, run, run_fp32};

#[test]
fn an_affine_model_computes() {
    let runner = load(&affine4(2.0, 1.0));
    let answers = run_fp32(&*runner, &[2, 4], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).unwrap();
    assert_eq!(answers, [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0]);
    assert_eq!(run_fp32(&*runner, &[0, 4], &[]).unwrap(), [0.0; 0]);
}

#[test]
fn the_self_identifying_model_says_who_answers_whom() {
    for version in [1, 7, 1000] {
        let runner = load(&self_identifying(version));
        let ids = [0, 1, 2, 9_999, 1_234_567, Tag::ID_END - 1];
        let rows: Vec<f32> = ids.iter().flat_map(|id| Tag::input(*id)).collect();
        let answers = run_fp32(&*runner, &[ids.len(), 16], &rows).unwrap();
        for (id, answer) in ids.iter().zip(answers.chunks(3)) {
            assert_eq!(Tag::read(answer), Some(Tag { id: *id, version }));
        }
    }
}

#[test]
fn outputs_are_given_as_they_are_asked_for() {
    let runner = load(&multi());
    let names: Vec<&str> = runner.signature().outputs.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["sum", "negated", "doubled"]);
    let raw = Bytes::from([10i64, 20].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let b = Tensor::new("b", DataType::Int64, vec![2, 1], Data::Raw(raw)).unwrap();
    let inputs = [fp32("a", &[2, 2], &[1.0, 2.0, 3.0, 4.0]), b];
    let pick = |outputs: &[usize]| {
        let outputs = runner.run(&inputs, outputs, &RunControl::default()).unwrap();
        outputs.iter().map(|t| t.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pick(&[0, 1, 2]), ["sum", "negated", "doubled"]);
    assert_eq!(pick(&[2, 0]), ["doubled", "sum"]);
    assert_eq!(pick(&[1]), ["negated"]);
    assert!(runner.run(&inputs, &[3], &RunControl::default()).is_err());
    let outputs = run(&*runner, &inputs).unwrap();
    assert_eq!(floats(&outputs[0]), [11.0, 12.0, 23.0, 24.0]);
    assert_eq!(floats(&outputs[1]), [-1.0, -2.0, -3.0, -4.0]);
}

#[test]
fn external_data_is_read_from_memory() {
    let files = external("weights.bin", 3.0, 0.5);
    let artifact = artifact(&files.model, &[(&files.data_name, &files.data)]);
    let runner = engine().load(&artifact).unwrap();
    // What was handed over is not needed any more, and not kept.
    assert_eq!(Arc::strong_count(&artifact.external[0].content), 1);
    drop(artifact);
    assert_eq!(run_fp32(&*runner, &[1, 4], &[0.0, 1.0, 2.0, 3.0]).unwrap(), [0.5, 3.5, 6.5, 9.5]);
}

#[test]
fn large_slow_and_looping_models_answer() {
    let row = [3.0, 1.0, 2.0, 0.5];
    let big = run_fp32(&*load(&large(3_000_000, 1)), &[1, 4], &row).unwrap();
    assert!(big.iter().all(|v| v.is_finite()) && big.iter().any(|v| *v != 0.0), "{big:?}");
    assert_eq!(run_fp32(&*load(&slow(5, 64, 2.0, 1.0)), &[1, 4], &row).unwrap(), [7.0, 3.0, 5.0, 2.0]);
    assert_eq!(run_fp32(&*load(&looping(64, 2.0, 1.0)), &[1, 4], &row).unwrap(), [7.0, 3.0, 5.0, 2.0]);
}

#[test]
fn another_contract_is_seen_in_the_signature() {
    let before = load(&affine4(1.0, 0.0));
    let after = load(&affine4_named("x", "z", 1.0, 0.0));
    assert!(before.signature().succeeded_by(after.signature()).is_err());
    assert_eq!(*before.signature(), testkit::fake::affine4_signature());
}
