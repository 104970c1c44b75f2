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
