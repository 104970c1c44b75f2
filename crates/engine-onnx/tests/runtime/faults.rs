//! Runs that go wrong say so, and the next one goes right.

use base_serving::engine::RunError;
use testkit::onnx::{affine4, failing_when, nan_when, wrong_shape_when};

use crate::support::{fp32, load, run, run_fp32};

#[test]
fn a_run_fails_for_some_inputs_only() {
    let runner = load(&failing_when(10.0, 2.0, 1.0));
    for _ in 0..3 {
        assert_eq!(run_fp32(&*runner, &[1, 4], &[10.0, 0.0, 0.0, 0.0]).unwrap(), [21.0, 1.0, 1.0, 1.0]);
        let error = run_fp32(&*runner, &[2, 4], &[0.0, 0.0, 0.0, 0.0, 11.0, 0.0, 0.0, 0.0]).unwrap_err();
        assert!(matches!(&error, RunError::Failed(text) if text.contains("Gather")), "{error}");
    }
}

#[test]
fn nan_is_answered_in_the_rows_concerned() {
    let runner = load(&nan_when(10.0, 2.0, 1.0));
    let answers = run_fp32(&*runner, &[2, 4], &[1.0, 2.0, 3.0, 4.0, 11.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(answers[..4], [3.0, 5.0, 7.0, 9.0]);
    assert!(answers[4..].iter().all(|v| v.is_nan()));
}

#[test]
fn a_shape_other_than_declared_is_reported_as_it_is() {
    let runner = load(&wrong_shape_when(10.0, 2.0, 1.0));
    assert_eq!(runner.signature().outputs[0].to_string(), "y FP32[-1,4]");
    let good = run(&*runner, &[fp32("x", &[1, 4], &[1.0; 4])]).unwrap();
    assert_eq!(good[0].shape(), [1, 4]);
    let bad = run(&*runner, &[fp32("x", &[1, 4], &[11.0; 4])]).unwrap();
    assert_eq!(bad[0].shape(), [1, 2]);
}

#[test]
fn inputs_that_do_not_fit_are_errors() {
    let runner = load(&affine4(2.0, 1.0));
    assert!(run(&*runner, &[]).is_err());
    assert!(run(&*runner, &[fp32("x", &[1, 4], &[0.0; 4]), fp32("x", &[1, 4], &[0.0; 4])]).is_err());
    assert!(run(&*runner, &[fp32("x", &[1, 3], &[0.0; 3])]).is_err());
    assert!(run(&*runner, &[fp32("x", &[4], &[0.0; 4])]).is_err());
    let strings = base_types::Data::Strings(vec![bytes::Bytes::new(); 4]);
    let wrong_type = base_types::Tensor::new("x", base_types::DataType::Bytes, vec![1, 4], strings).unwrap();
    assert!(run(&*runner, &[wrong_type]).is_err());
    assert!(run_fp32(&*runner, &[1, 4], &[0.0; 4]).is_ok());
}
