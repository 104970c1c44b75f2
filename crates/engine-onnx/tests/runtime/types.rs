//! Every data type goes in and comes out unchanged, wherever its bytes lie.

use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use testkit::onnx::{identity, strings};

use crate::support::{load, run};

/// Bytes that are valid elements of the type, all different where the type allows.
fn sample(datatype: DataType, n_elements: usize) -> Vec<u8> {
    let size = datatype.element_bytes().unwrap();
    match datatype {
        DataType::Bool => (0..n_elements).map(|i| (i % 2) as u8).collect(),
        _ => (0..n_elements * size).map(|i| (i * 7 + 1) as u8).collect(),
    }
}

#[test]
fn every_fixed_size_type_round_trips() {
    for datatype in DataType::ALL.into_iter().filter(|d| d.element_bytes().is_some()) {
        let runner = load(&identity(datatype));
        assert_eq!(runner.signature().inputs[0].to_string(), format!("x {datatype}[-1,-1]"));
        for shape in [vec![2, 3], vec![1, 1], vec![0, 5], vec![3, 0]] {
            let raw = Bytes::from(sample(datatype, shape.iter().product()));
            let input = Tensor::new("x", datatype, shape.clone(), Data::Raw(raw.clone())).unwrap();
            let outputs = run(&*runner, &[input]).unwrap();
            let expected = Tensor::new("y", datatype, shape, Data::Raw(raw)).unwrap();
            assert_eq!(outputs, [expected], "{datatype}");
        }
    }
}

#[test]
fn bytes_off_their_alignment_are_read_rightly() {
    for datatype in DataType::ALL.into_iter().filter(|d| d.element_bytes().is_some_and(|n| n > 1)) {
        let runner = load(&identity(datatype));
        let elements = sample(datatype, 6);
        for shift in 1..8 {
            let shifted = Bytes::from([vec![0; shift], elements.clone()].concat()).slice(shift..);
            let input = Tensor::new("x", datatype, vec![2, 3], Data::Raw(shifted.clone())).unwrap();
            let outputs = run(&*runner, &[input]).unwrap();
            assert_eq!(outputs[0].data(), &Data::Raw(shifted), "{datatype} shifted by {shift}");
        }
    }
}

#[test]
fn any_byte_but_zero_is_true() {
    let runner = load(&identity(DataType::Bool));
    let raw = Bytes::from_static(&[0, 1, 2, 255]);
    let input = Tensor::new("x", DataType::Bool, vec![1, 4], Data::Raw(raw)).unwrap();
    let outputs = run(&*runner, &[input]).unwrap();
    assert_eq!(outputs[0].data(), &Data::Raw(Bytes::from_static(&[0, 1, 1, 1])));
}

#[test]
fn strings_keep_nul_and_bytes_that_are_no_text() {
    let runner = load(&strings());
    let elements: Vec<Bytes> = [
        &b"plain"[..],
        b"",
        b"\0",
        b"in\0side",
        b"end\0",
        b"\xff\xfe\x80",
        "gr\u{fc}n \u{1f680}".as_bytes(),
        &[7; 100_000],
    ]
    .map(Bytes::copy_from_slice)
    .to_vec();
    let check = |shape: Vec<usize>, elements: Vec<Bytes>| {
        let input = Tensor::new("x", DataType::Bytes, shape.clone(), Data::Strings(elements.clone())).unwrap();
        let expected = Tensor::new("y", DataType::Bytes, shape, Data::Strings(elements)).unwrap();
        assert_eq!(run(&*runner, &[input]).unwrap(), [expected]);
    };
    check(vec![2, 4], elements.clone());
    check(vec![8, 1], elements);
    check(vec![1, 2], vec![Bytes::new(), Bytes::new()]);
    check(vec![0, 2], Vec::new());
}
