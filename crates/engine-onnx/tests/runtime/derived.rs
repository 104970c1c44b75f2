//! Faulty versions derived from other models.

use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use testkit::onnx::derive::{Effect, Fault, When, annotated, faulty};
use testkit::onnx::{affine4, multi, self_identifying};

use crate::support::{floats, fp32, load, run, run_fp32};

fn fault(when: When, effect: Effect) -> Fault {
    Fault { input: "x".into(), column: 0, when, output: "y".into(), effect }
}

#[test]
fn chosen_rows_are_nan_and_the_others_as_before() {
    let model = self_identifying(3);
    let good = load(&model);
    let bad = load(&faulty(&model, &fault(When::OneOf(vec![3.0, 5.0]), Effect::Nan)).unwrap());
    assert_eq!(good.signature(), bad.signature());
    let rows: Vec<f32> = (1..=5u32).flat_map(testkit::onnx::Tag::input).collect();
    let before = run_fp32(&*good, &[5, 16], &rows).unwrap();
    let after = run_fp32(&*bad, &[5, 16], &rows).unwrap();
    for (id, (before, after)) in (1..=5).zip(before.chunks(3).zip(after.chunks(3))) {
        if id == 3 || id == 5 {
            assert!(after.iter().all(|v| v.is_nan()), "{id}: {after:?}");
        } else {
            assert_eq!(before, after, "{id}");
        }
    }
}

#[test]
fn chosen_rows_fail_the_run() {
    let model = affine4(2.0, 1.0);
    for (when, chosen, other) in [(When::OneOf(vec![7.0]), 7.0, 8.0), (When::Above(7.0), 7.5, 7.0)] {
        let bad = load(&faulty(&model, &fault(when, Effect::Fail)).unwrap());
        assert!(run_fp32(&*bad, &[1, 4], &[chosen, 0.0, 0.0, 0.0]).is_err());
        assert_eq!(run_fp32(&*bad, &[1, 4], &[other, 0.0, 0.0, 0.0]).unwrap()[1..], [1.0; 3]);
    }
}

#[test]
fn the_input_looked_at_may_be_of_integers() {
    let fault =
        Fault { input: "b".into(), column: 0, when: When::Above(15.0), output: "sum".into(), effect: Effect::Nan };
    let bad = load(&faulty(&multi(), &fault).unwrap());
    let raw = Bytes::from([10i64, 20].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let b = Tensor::new("b", DataType::Int64, vec![2, 1], Data::Raw(raw)).unwrap();
    let outputs = run(&*bad, &[fp32("a", &[2, 2], &[1.0, 2.0, 3.0, 4.0]), b]).unwrap();
    let sum = floats(&outputs[0]);
    assert_eq!(sum[..2], [11.0, 12.0]);
    assert!(sum[2..].iter().all(|v| v.is_nan()));
    assert_eq!(floats(&outputs[1]), [-1.0, -2.0, -3.0, -4.0]);
}

#[test]
fn a_note_changes_no_answer() {
    let model = affine4(2.0, 1.0);
    let noted = load(&annotated(&model, "rebuilt").unwrap());
    assert_eq!(run_fp32(&*noted, &[1, 4], &[1.0; 4]).unwrap(), [3.0; 4]);
}
