//! Answers: predictions, outputs and results.

use base_types::{Data, DataType, Signature, Tensor};
use bytes::Bytes;

use super::{floats, longs, spec, texts};
use crate::tfs::{Arrangement, Method, check_results, encode_predictions, encode_results};

fn check(arrangement: Arrangement, outputs: &[Tensor], expected: &str) {
    let json = encode_predictions(arrangement, outputs).unwrap();
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

fn doubles(values: &[f64]) -> Tensor {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new("y", DataType::Fp64, vec![values.len()], Data::Raw(raw.into())).unwrap()
}

#[test]
fn one_output_is_plain_and_several_have_names() {
    let y = floats("y", &[2, 2], &[1.0, -2.5, 0.0, 4.0]);
    check(Arrangement::Rows, std::slice::from_ref(&y), r#"{"predictions":[[1.0,-2.5],[0.0,4.0]]}"#);
    check(Arrangement::Columns, std::slice::from_ref(&y), r#"{"outputs":[[1.0,-2.5],[0.0,4.0]]}"#);
    let both = [y, longs("n", &[2], &[3, -4])];
    check(Arrangement::Rows, &both, r#"{"predictions":[{"y":[1.0,-2.5],"n":3},{"y":[0.0,4.0],"n":-4}]}"#);
    check(Arrangement::Columns, &both, r#"{"outputs":{"y":[[1.0,-2.5],[0.0,4.0]],"n":[3,-4]}}"#);
    check(Arrangement::Columns, &[floats("y", &[], &[2.0])], r#"{"outputs":2.0}"#);
    check(Arrangement::Columns, &[floats("y", &[2, 0], &[])], r#"{"outputs":[[],[]]}"#);
    check(Arrangement::Rows, &[floats("y", &[0, 3], &[])], r#"{"predictions":[]}"#);
    check(Arrangement::Rows, &[floats("y", &[1, 1, 2], &[1.0, 2.0])], r#"{"predictions":[[[1.0,2.0]]]}"#);
}

#[test]
fn floats_keep_a_point_and_have_tokens_for_what_is_no_number() {
    let values = [1e30, -1e22, 1e-7, 1.5e300, 123_456_789_012.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    let json = encode_predictions(Arrangement::Columns, &[doubles(&values)]).unwrap();
    let text = String::from_utf8(json).unwrap();
    let written: Vec<&str> =
        text.strip_prefix("{\"outputs\":[").unwrap().strip_suffix("]}").unwrap().split(',').collect();
    assert_eq!(written[5..8], ["NaN", "Infinity", "-Infinity"]);
    for (text, value) in written.iter().zip(values) {
        assert!(text.contains('.') || !value.is_finite(), "{text}");
        let parsed: f64 = text.parse().unwrap();
        assert!(parsed == value || value.is_nan(), "{text} is not {value}");
    }
}

#[test]
fn text_goes_out_as_text_or_in_base64_by_the_output_s_name() {
    check(Arrangement::Rows, &[texts("s", &[2], &[b"a\"", "ü".as_bytes()])], r#"{"predictions":["a\"","ü"]}"#);
    check(
        Arrangement::Rows,
        &[texts("s_bytes", &[2], &[b"\x00\xff", b"a"])],
        r#"{"predictions":[{"b64":"AP8="},{"b64":"YQ=="}]}"#,
    );
    let error = encode_predictions(Arrangement::Rows, &[texts("s", &[1], &[b"\xff"])]).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
}

#[test]
fn what_cannot_be_arranged_says_how_else() {
    let error = |outputs: &[Tensor]| encode_predictions(Arrangement::Rows, outputs).unwrap_err().to_string();
    assert!(error(&[floats("y", &[], &[1.0])]).contains("send `inputs`"));
    assert!(error(&[floats("y", &[2], &[1.0, 2.0]), longs("n", &[1], &[1])]).contains("\"n\""));
    let half = Tensor::new("h", DataType::Fp16, vec![1], Data::Raw(Bytes::from_static(&[0, 0]))).unwrap();
    assert!(error(&[half]).contains("FP16"));
    let empty = Tensor::new("e", DataType::Fp32, vec![usize::MAX / 8, 0], Data::Raw(Bytes::new())).unwrap();
    assert!(error(&[empty]).contains("no elements"));
}

#[test]
fn results_are_numbers_or_pairs_of_label_and_score() {
    let results = |method, outputs: &[Tensor], n| {
        encode_results(method, outputs, n).map(|json| String::from_utf8(json).unwrap()).map_err(|e| e.to_string())
    };
    let y = |shape: &[usize]| floats("y", shape, &[0.25, 0.75]);
    assert_eq!(results(Method::Regress, &[y(&[2])], 2).unwrap(), r#"{"results":[0.25,0.75]}"#);
    assert_eq!(results(Method::Regress, &[y(&[2, 1])], 2).unwrap(), r#"{"results":[0.25,0.75]}"#);
    let plain = r#"{"results":[[["0",0.25],["1",0.75]]]}"#;
    assert_eq!(results(Method::Classify, &[y(&[1, 2])], 1).unwrap(), plain);
    let labels = texts("labels", &[2, 1], &[b"cat", b"dog"]);
    let named = r#"{"results":[[["cat",0.25]],[["dog",0.75]]]}"#;
    assert_eq!(results(Method::Classify, &[labels.clone(), y(&[2, 1])], 2).unwrap(), named);
    assert_eq!(results(Method::Classify, &[y(&[2, 1]), labels.clone()], 2).unwrap(), named);
    for (method, outputs, n) in [
        (Method::Regress, vec![y(&[1, 2])], 1),
        (Method::Regress, vec![y(&[2])], 1),
        (Method::Regress, vec![y(&[2]), labels.clone()], 2),
        (Method::Classify, vec![y(&[2])], 2),
        (Method::Classify, vec![y(&[1, 2]), labels], 1),
        (Method::Classify, vec![longs("y", &[1, 1], &[1])], 1),
        (Method::Classify, vec![], 1),
    ] {
        let text = results(method, &outputs, n).unwrap_err();
        assert!(text.contains("needs one FP32 or FP64 output"), "{text}");
    }
}

#[test]
fn a_model_that_cannot_answer_is_known_before_it_runs() {
    let can = |method, outputs: &[(DataType, &[Option<usize>])]| {
        let outputs = outputs.iter().map(|(datatype, dims)| spec("y", *datatype, dims)).collect();
        check_results(method, &Signature { inputs: Vec::new(), outputs }).is_ok()
    };
    use DataType::{Bytes as Text, Fp32, Int64};
    assert!(can(Method::Regress, &[(Fp32, &[None])]));
    assert!(can(Method::Regress, &[(Fp32, &[None, Some(1)])]));
    assert!(can(Method::Regress, &[(Fp32, &[None, None])]), "the shape tells");
    assert!(!can(Method::Regress, &[(Fp32, &[None, Some(4)])]));
    assert!(!can(Method::Regress, &[(Int64, &[None])]));
    assert!(!can(Method::Regress, &[(Fp32, &[None]), (Fp32, &[None])]));
    assert!(can(Method::Classify, &[(Fp32, &[None, Some(4)])]));
    assert!(can(Method::Classify, &[(Text, &[None, Some(4)]), (Fp32, &[None, Some(4)])]));
    assert!(!can(Method::Classify, &[(Fp32, &[None])]));
    assert!(!can(Method::Classify, &[(Text, &[None, Some(4)])]));
    assert!(!can(Method::Classify, &[(Int64, &[None]), (Fp32, &[None, Some(4)])]));
}
