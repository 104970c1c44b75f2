#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::*;

fn spec(name: &str, datatype: DataType, dims: &[i64]) -> TensorSpec {
    let dims = dims.iter().map(|d| usize::try_from(*d).ok()).collect();
    TensorSpec { name: name.into(), datatype, dims }
}

fn signature(input: TensorSpec, output: TensorSpec) -> Signature {
    Signature { inputs: vec![input], outputs: vec![output] }
}

#[test]
fn bytes_must_match_shape_and_type() {
    let raw = |n| Data::Raw(Bytes::from(vec![0; n]));
    assert!(Tensor::new("x", DataType::Fp32, vec![2, 3], raw(24)).is_ok());
    assert!(matches!(
        Tensor::new("x", DataType::Fp32, vec![2, 3], raw(23)),
        Err(TensorError::Size { expected: 24, actual: 23, .. })
    ));
    assert!(matches!(
        Tensor::new("x", DataType::Int8, vec![usize::MAX, 2], raw(2)),
        Err(TensorError::ShapeOverflow(_))
    ));
    assert!(matches!(Tensor::new("x", DataType::Bytes, vec![1], raw(1)), Err(TensorError::Form(_))));
    assert!(Tensor::new("x", DataType::Fp64, vec![0, 9], raw(0)).is_ok());
}

#[test]
fn a_successor_may_widen_inputs_and_keep_outputs() {
    let old = signature(spec("x", DataType::Fp32, &[-1, 4]), spec("y", DataType::Fp32, &[-1, 2]));
    let check = |input, output| old.succeeded_by(&signature(input, output));
    let x = || spec("x", DataType::Fp32, &[-1, 4]);
    let y = || spec("y", DataType::Fp32, &[-1, 2]);
    assert!(check(x(), y()).is_ok());
    assert!(check(spec("x", DataType::Fp32, &[-1, -1]), y()).is_ok());
    assert!(check(x(), spec("y", DataType::Fp32, &[7, 2])).is_ok());
    assert!(matches!(
        check(spec("x", DataType::Fp32, &[1, 4]), y()),
        Err(SignatureMismatch::Changed { side: "input", .. })
    ));
    assert!(matches!(
        check(x(), spec("y", DataType::Fp32, &[-1, 3])),
        Err(SignatureMismatch::Changed { side: "output", .. })
    ));
    assert!(matches!(
        check(x(), spec("y", DataType::Fp64, &[-1, 2])),
        Err(SignatureMismatch::Changed { side: "output", .. })
    ));
    assert!(matches!(
        check(spec("z", DataType::Fp32, &[-1, 4]), y()),
        Err(SignatureMismatch::Missing { side: "input", .. })
    ));
    assert!(matches!(
        check(x(), spec("z", DataType::Fp32, &[-1, 2])),
        Err(SignatureMismatch::Missing { side: "output", .. })
    ));
}

#[test]
fn dimensions_of_one_come_and_go_and_nothing_else_does() {
    let check = |shape: &[usize], from: &[i64], to: &[i64], expected: Option<&[usize]>| {
        let dims = |dims: &[i64]| dims.iter().map(|d| usize::try_from(*d).ok()).collect::<Vec<_>>();
        assert_eq!(without_ones(shape, &dims(from), &dims(to)).as_deref(), expected, "{shape:?} {from:?} {to:?}");
    };
    check(&[7, 1], &[-1, 1], &[-1], Some(&[7]));
    check(&[7], &[-1], &[-1, 1], Some(&[7, 1]));
    check(&[1, 1], &[-1, 1], &[-1], Some(&[1]));
    check(&[3, 4], &[3, 4], &[1, 3, 1, 4, 1], Some(&[1, 3, 1, 4, 1]));
    check(&[1, 3, 4], &[1, 3, 4], &[3, 4], Some(&[3, 4]));
    check(&[1], &[1], &[], Some(&[]));
    check(&[4], &[4], &[2, 2], None);
    check(&[2, 2], &[2, 2], &[2], None);
    check(&[2], &[2, 2], &[2, 2], None);
}

#[test]
fn a_reshaped_tensor_holds_the_same_bytes() {
    let raw = Bytes::from(vec![7; 24]);
    let tensor = Tensor::new("x", DataType::Fp32, vec![6], Data::Raw(raw.clone())).unwrap();
    let reshaped = tensor.clone().reshaped(vec![2, 3]).unwrap();
    assert_eq!(reshaped.shape(), [2, 3]);
    let Data::Raw(moved) = reshaped.data() else { unreachable!("raw data stay raw") };
    assert_eq!(moved.as_ptr(), raw.as_ptr());
    assert!(matches!(tensor.clone().reshaped(vec![4]), Err(TensorError::Size { expected: 4, actual: 6, .. })));
    assert!(matches!(tensor.reshaped(vec![usize::MAX, 2]), Err(TensorError::ShapeOverflow(_))));
}
