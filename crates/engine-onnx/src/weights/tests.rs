#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use testkit::onnx::{affine4, looping};

use super::{Weight, has_subgraphs, weights_outside};

/// A field with a number.
fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field with bytes.
fn bytes(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn entry(key: &str, value: &str) -> Vec<u8> {
    bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat())
}

fn model(location: &str, length: &str) -> Vec<u8> {
    let tensor = [
        bytes(1, &[varint(300), varint(2)].concat()),
        number(2, 1),
        bytes(8, b"w"),
        entry("location", location),
        entry("offset", "4096"),
        entry("length", length),
        number(14, 1),
    ];
    bytes(7, &bytes(5, &tensor.concat()))
}

#[test]
fn weights_outside_the_model_are_found_where_it_says() {
    let found = weights_outside(&model("weights", "2400"), "weights").unwrap();
    assert_eq!(found, [Weight { name: "w".to_owned(), element: 1, dims: vec![300, 2], place: 4096..6496 }]);
    assert_eq!(weights_outside(&affine4(2.0, 1.0), "weights").unwrap(), []);
}

#[test]
fn what_is_not_as_expected_is_refused() {
    assert!(weights_outside(&model("../other", "2400"), "weights").is_err());
    assert!(weights_outside(&model("weights", "many"), "weights").is_err());
    assert!(weights_outside(&model("weights", &usize::MAX.to_string()), "weights").is_err());
}

#[test]
fn a_cut_model_never_panics() {
    let whole = model("weights", "2400");
    for n_bytes in 0..whole.len() {
        let _either = weights_outside(&whole[..n_bytes], "weights");
    }
    assert!(weights_outside(&whole[..whole.len() - 1], "weights").is_err());
}

#[test]
fn graphs_inside_graphs_are_seen() {
    assert!(has_subgraphs(&looping(4, 2.0, 1.0)).unwrap());
    assert!(!has_subgraphs(&affine4(2.0, 1.0)).unwrap());
}
