#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use proptest::prelude::*;

use super::*;

fn floats(shape: &[usize], values: &[f32]) -> Tensor {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Tensor::new("y", DataType::Fp32, shape.to_vec(), Data::Raw(raw.into())).unwrap()
}

fn raw(datatype: DataType, n: usize, bytes: &[u8]) -> Tensor {
    Tensor::new("y", datatype, vec![n], Data::Raw(Bytes::copy_from_slice(bytes))).unwrap()
}

fn texts(tensor: &Tensor) -> Vec<String> {
    match tensor.data() {
        Data::Strings(strings) => strings.iter().map(|s| String::from_utf8(s.to_vec()).unwrap()).collect(),
        Data::Raw(_) => panic!("not BYTES"),
    }
}

#[track_caller]
fn check(output: &Tensor, k: usize, is_batched: bool, shape: &[usize], expected: &[&str]) {
    let classes = classify(output, k, is_batched, &[]).unwrap();
    assert_eq!((classes.name(), classes.datatype(), classes.shape()), ("y", DataType::Bytes, shape));
    assert_eq!(texts(&classes), expected);
}

#[test]
fn each_row_of_a_batch_has_its_own_largest() {
    let output = floats(&[2, 3], &[0.1, 0.7, 0.2, 3.0, -1.0, 2.5]);
    check(&output, 2, true, &[2, 2], &["0.7:1", "0.2:2", "3:0", "2.5:2"]);
    check(&output, 2, false, &[2], &["3:3", "2.5:5"]);
    check(&output, 9, true, &[2, 3], &["0.7:1", "0.2:2", "0.1:0", "3:0", "2.5:2", "-1:1"]);
    check(&floats(&[0, 3], &[]), 2, true, &[0, 0], &[]);
    check(&floats(&[2, 0], &[]), 2, true, &[2, 0], &[]);
    check(&floats(&[1, 2, 2], &[1.0, 4.0, 3.0, 2.0]), 1, true, &[1, 1], &["4:1"]);
}

#[test]
fn ties_go_to_the_lower_index_and_nan_comes_last() {
    let output = floats(&[6], &[f32::NAN, 1.0, f32::NEG_INFINITY, 1.0, -0.0, 0.0]);
    check(&output, 6, false, &[6], &["1:1", "1:3", "-0:4", "0:5", "-inf:2", "NaN:0"]);
    check(&output, 1, false, &[1], &["1:1"]);
}

#[test]
fn every_number_type_is_classified_in_its_own_precision() {
    check(&raw(DataType::Uint8, 3, &[1, 255, 0]), 1, false, &[1], &["255:1"]);
    check(&raw(DataType::Int8, 3, &[1, 255, 0]), 3, false, &[3], &["1:0", "0:2", "-1:1"]);
    check(&raw(DataType::Uint64, 2, &[[255; 8], [0; 8]].concat()), 1, false, &[1], &["18446744073709551615:0"]);
    check(&raw(DataType::Int64, 1, &i64::MIN.to_le_bytes()), 1, false, &[1], &["-9223372036854775808:0"]);
    check(&raw(DataType::Fp32, 1, &0.1f32.to_le_bytes()), 1, false, &[1], &["0.1:0"]);
    check(&raw(DataType::Fp64, 1, &1e300f64.to_le_bytes()), 1, false, &[1], &["1e300:0"]);
    check(&raw(DataType::Fp16, 2, &[0x00, 0x3c, 0x00, 0xc0]), 2, false, &[2], &["1:0", "-2:1"]);
    check(&raw(DataType::Bf16, 2, &[0x80, 0x3f, 0x00, 0x40]), 2, false, &[2], &["2:1", "1:0"]);
}

#[test]
fn halves_are_read_exactly() {
    for (bits, expected) in [
        (0x0001u16, 2f64.powi(-24)),
        (0x03ff, 2f64.powi(-14) * 1023.0 / 1024.0),
        (0x0400, 2f64.powi(-14)),
        (0x7bff, 65504.0),
        (0x7c00, f64::INFINITY),
        (0x8000, 0.0),
    ] {
        let text = texts(&classify(&raw(DataType::Fp16, 1, &bits.to_le_bytes()), 1, false, &[]).unwrap()).remove(0);
        assert_eq!(text.split(':').next().unwrap().parse::<f64>().unwrap() as f32, expected as f32, "{bits:x}");
    }
}

#[test]
fn what_has_no_size_or_would_be_too_large_is_refused() {
    let boolean = raw(DataType::Bool, 1, &[1]);
    assert!(matches!(classify(&boolean, 1, false, &[]), Err(ClassifyError::NoNumbers { .. })));
    let text = Tensor::new("y", DataType::Bytes, vec![1], Data::Strings(vec!["a".into()])).unwrap();
    assert!(matches!(classify(&text, 1, false, &[]), Err(ClassifyError::NoNumbers { .. })));
    assert!(matches!(classify(&floats(&[1], &[1.0]), 0, false, &[]), Err(ClassifyError::NoClasses { .. })));
    let large = raw(DataType::Uint8, CLASSES_MAX + 1, &vec![0; CLASSES_MAX + 1]);
    assert!(matches!(classify(&large, usize::MAX, false, &[]), Err(ClassifyError::TooMany { .. })));
    assert_eq!(classify(&large, 5, false, &[]).unwrap().shape(), [5]);
}

proptest! {
    #[test]
    fn the_largest_are_those_of_a_full_sort(values in prop::collection::vec(-100i16..100, 1..60), k in 1usize..70) {
        let floats_of: Vec<f32> = values.iter().map(|v| f32::from(*v)).collect();
        let classes = classify(&floats(&[values.len()], &floats_of), k, false, &[]).unwrap();
        let mut sorted: Vec<(i16, usize)> = values.into_iter().enumerate().map(|(i, v)| (v, i)).collect();
        sorted.sort_by_key(|(value, index)| (Reverse(*value), *index));
        let expected: Vec<String> = sorted.iter().take(k).map(|(value, index)| format!("{value}:{index}")).collect();
        prop_assert_eq!(texts(&classes), expected);
    }
}

#[test]
fn labels_follow_the_index_where_there_are_some_and_cannot_flood_the_answer() {
    let labels: Vec<String> = ["cat", "dog: big"].map(str::to_owned).into();
    let classes = classify(&floats(&[3], &[0.5, 0.25, 0.75]), 3, false, &labels).unwrap();
    assert_eq!(texts(&classes), ["0.75:2", "0.5:0:cat", "0.25:1:dog: big"]);
    let long = ["x".repeat(1 << 20)];
    let rows = floats(&[64, 1], &[0.0; 64]);
    assert!(matches!(classify(&rows, 1, true, &long), Err(ClassifyError::TooLong { .. })));
}
