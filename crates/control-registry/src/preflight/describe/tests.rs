#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use super::*;
use crate::Limits;
use crate::preflight::scan;
use crate::test_model::{Message, external, graph, message, model, node, tensor};

fn entry(key: &str, value: &str) -> Message {
    message().bytes(1, key).bytes(2, value)
}

#[test]
fn a_file_tells_its_writer_its_metadata_and_its_signature() {
    let bytes = model(graph()).with(14, entry("author", "ann")).with(14, entry("run", "7")).0;
    scan(&bytes, &Limits::default()).unwrap();
    let found = describe(&bytes, 0).unwrap();
    assert_eq!((found.producer.as_str(), found.producer_version.as_str()), ("hand", "1"));
    assert_eq!(found.metadata, [("author".to_owned(), "ann".to_owned()), ("run".to_owned(), "7".to_owned())]);
    let value = |name: &str| ValueInfo { name: name.to_owned(), datatype: "FP32".to_owned(), shape: Some(vec![1]) };
    assert_eq!((found.inputs, found.outputs), (vec![value("x")], vec![value("y")]));
}

#[test]
fn tensors_are_found_where_they_lie() {
    let raw: Vec<u8> = (0..64).collect();
    let beside = external(&[4], &[("location", "w.bin"), ("offset", "4096"), ("length", "16")]);
    let inner = message().bytes(1, "value").int(20, 4).with(5, tensor(&[2, 8], &raw));
    let bytes = model(
        graph()
            .with(5, tensor(&[16], &raw))
            .with(5, beside)
            .with(1, node("", "Constant").with(5, inner))
            .with(11, message().bytes(1, "w")),
    );
    scan(&bytes.0, &Limits::default()).unwrap();
    let found = describe(&bytes.0, 64).unwrap();
    let spans: Vec<_> = found
        .tensors
        .iter()
        .map(|t| match &t.place {
            TensorPlace::Inside(span) => (&bytes.0[span.start as usize..span.end as usize], t.shape.as_slice()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(spans, [(raw.as_slice(), [16].as_slice()), (raw.as_slice(), [2, 8].as_slice())]);
    assert_eq!(found.inputs.len(), 1, "an initialiser among the inputs is none");
    let all = describe(&bytes.0, 0).unwrap().tensors;
    assert_eq!(all.iter().filter(|tensor| tensor.is_initializer).count(), 2);
    let place = TensorPlace::Beside { location: "w.bin".to_owned(), offset: 4096, bytes: Some(16) };
    assert!(all.iter().any(|tensor| tensor.place == place));
}

#[test]
fn damaged_files_end_in_an_error_or_a_description() {
    let bytes = model(graph().with(5, tensor(&[16], &[7; 64]))).with(14, entry("a", "b")).0;
    for end in 0..bytes.len() {
        let _any = describe(&bytes[..end], 0);
    }
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let _any = describe(&flipped, 0);
    }
}
