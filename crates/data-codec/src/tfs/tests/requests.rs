//! Bodies of requests: what they become, and what is said where they are wrong.

use base_types::DataType::{Bool, Bytes as Text, Fp16, Fp32, Fp64, Int8, Int64, Uint8, Uint64};
use base_types::{Data, DataType, Signature, Tensor};
use bytes::Bytes;

use super::{examples, floats, longs, model, predict, spec, texts};
use crate::tfs::{Arrangement, decode_examples, decode_predict};
use crate::{CodecLimits, Mistake};

fn check(signature: &Signature, body: &str, expected: &[Tensor]) {
    let found = predict(signature, body).unwrap_or_else(|error| panic!("{body}: {error}"));
    assert_eq!(found.inputs, expected, "{body}");
    let is_rows = body.contains("\"instances\"");
    assert_eq!(found.arrangement == Arrangement::Rows, is_rows, "{body}");
}

fn check_error(signature: &Signature, body: &str, mistake: Mistake, part: &str) {
    let error = predict(signature, body).expect_err(body);
    assert!(error.to_string().contains(part), "{body}: {error}");
    assert_eq!(error.mistake(), mistake, "{body}: {error}");
}

#[test]
fn one_input_comes_by_row_or_by_column_with_or_without_its_name() {
    let x = model(&[("x", Fp32)]);
    let expected = [floats("x", &[2, 3], &[1.0, 2.5, -3.0, 0.0, 1e10, 0.1])];
    for body in [
        r#"{"instances": [[1, 2.5, -3], [0, 1e10, 0.1]]}"#,
        r#"{"instances": [{"x": [1, 2.5, -3]}, {"x": [0, 1e10, 0.1]}]}"#,
        r#"{"inputs": [[1, 2.5, -3], [0, 1e10, 0.1]]}"#,
        r#"{"inputs": {"x": [[1, 2.5, -3], [0, 1e10, 0.1]]}}"#,
        r#"{"signature_name": "serving_default", "inputs": [[1, 2.5, -3], [0, 1e10, 0.1]], "more": [{"a": NaN}]}"#,
        "\n{ \"inputs\" :\t[ [ 1 , 2.5 , -3 ] , [ 0 , 1e10 , 0.1 ] ] , \"signature_name\" : \"\" } ",
    ] {
        check(&x, body, &expected);
    }
    check(&x, r#"{"instances": [1, 2]}"#, &[floats("x", &[2], &[1.0, 2.0])]);
    check(&x, r#"{"instances": [{"x": 1}, {"x": 2}]}"#, &[floats("x", &[2], &[1.0, 2.0])]);
    check(&x, r#"{"inputs": 7}"#, &[floats("x", &[], &[7.0])]);
    check(&x, r#"{"inputs": []}"#, &[floats("x", &[0], &[])]);
    check(&x, r#"{"inputs": [[], []]}"#, &[floats("x", &[2, 0], &[])]);
    check(&x, r#"{"instances": [{"x": []}]}"#, &[floats("x", &[1, 0], &[])]);
    check(&x, r#"{"instances": [[[[5]]]]}"#, &[floats("x", &[1, 1, 1, 1], &[5.0])]);
}

#[test]
fn several_inputs_are_named_in_any_order() {
    let both = model(&[("a", Fp32), ("b", Int64)]);
    let expected = [floats("a", &[2, 1], &[1.0, 2.0]), longs("b", &[2], &[3, 4])];
    check(&both, r#"{"instances": [{"b": 3, "a": [1]}, {"a": [2], "b": 4}]}"#, &expected);
    check(&both, r#"{"inputs": {"b": [3, 4], "a": [[1], [2]]}}"#, &expected);
    // What is missing altogether is seen by those who know what is needed.
    check(&both, r#"{"inputs": {"b": [3, 4]}}"#, &expected[1..]);
    check(&both, r#"{"instances": [{"b": 3}, {"b": 4}]}"#, &expected[1..]);
    check(&both, r#"{"inputs": {}}"#, &[]);
}

#[test]
fn text_comes_as_it_is_or_in_base64() {
    let s = model(&[("s", Text)]);
    let expected = [texts("s", &[4], &[b"a\n", "ü".as_bytes(), b"\x00\xff", b""])];
    for body in [
        r#"{"instances": ["a\n", "ü", {"b64": "AP8="}, {"b64": ""}]}"#,
        r#"{"inputs": [{"b64": "YQo"}, "\u00fc", { "b64" : "AP8" }, ""]}"#,
        r#"{"instances": [{"s": "a\n"}, {"s": "ü"}, {"s": {"b64": "AP8="}}, {"s": ""}]}"#,
        r#"{"instances": [{"b64": "YQo="}, "ü", {"b64": "AP8="}, ""]}"#,
    ] {
        check(&s, body, &expected);
    }
    check(&s, r#"{"inputs": {"b64": "\u0041P8="}}"#, &[texts("s", &[], &[b"\x00\xff"])]);
    check(&s, r#"{"inputs": {"s": {"b64": "AP8="}}}"#, &[texts("s", &[], &[b"\x00\xff"])]);
    check_error(&s, r#"{"inputs": [{"b64": "!"}]}"#, Mistake::Mismatch, "inputs[0]: b64: ");
    check_error(&s, r#"{"inputs": [{"b65": "AP8="}]}"#, Mistake::Mismatch, "an object, expected a string");
    check_error(&s, r#"{"inputs": [1]}"#, Mistake::Mismatch, "inputs[0]: a number, expected a string");
    // An input that is no text may have that name.
    check(&model(&[("b64", Fp32)]), r#"{"inputs": {"b64": [1]}}"#, &[floats("b64", &[1], &[1.0])]);
}

#[test]
fn numbers_are_those_of_the_signature() {
    let raw = |datatype: DataType, bytes: &[u8], n: usize| {
        Tensor::new("x", datatype, vec![n], Data::Raw(Bytes::copy_from_slice(bytes))).unwrap()
    };
    let read = |datatype, data: &str| predict(&model(&[("x", datatype)]), &format!(r#"{{"inputs": {data}}}"#));
    let check = |datatype, data: &str, expected: &[u8], n| {
        assert_eq!(read(datatype, data).unwrap().inputs, [raw(datatype, expected, n)], "{data}");
    };
    check(Bool, "[true,false]", &[1, 0], 2);
    check(Uint8, "[0,255]", &[0, 255], 2);
    check(Int8, "[-128,127,-0]", &[128, 127, 0], 3);
    check(Int64, "[-9223372036854775808]", &i64::MIN.to_le_bytes(), 1);
    check(Uint64, "[18446744073709551615]", &u64::MAX.to_le_bytes(), 1);
    check(Fp64, "[3]", &3f64.to_le_bytes(), 1);
    // The single nearest to the text, not to its double.
    let halfway = "1.00000005960464477540";
    check(Fp32, &format!("[{halfway}]"), &halfway.parse::<f32>().unwrap().to_le_bytes(), 1);
    let infinities = [f32::INFINITY.to_le_bytes(), f32::NEG_INFINITY.to_le_bytes()].concat();
    check(Fp32, "[Infinity,-Infinity]", &infinities, 2);
    let Data::Raw(nan) = read(Fp64, "[NaN]").unwrap().inputs[0].data().clone() else { panic!("raw") };
    assert!(f64::from_le_bytes(nan[..].try_into().unwrap()).is_nan());
    for (datatype, data, part) in [
        (Uint8, "[0,[256]]", "inputs[1]: an array"),
        (Uint8, "[0,256]", "inputs[1]: 256 does not fit UINT8"),
        (Uint8, "[-1]", "-1 does not fit"),
        (Int64, "[[0],[1.5]]", "inputs[1][0]: 1.5 does not fit INT64"),
        (Int64, "[1e3]", "1e3 does not fit"),
        (Int64, "[NaN]", "NaN does not fit"),
        (Uint64, "[18446744073709551616]", "does not fit"),
        (Fp32, "[1e39]", "1e39 does not fit FP32"),
        (Fp64, "[1e999]", "does not fit FP64"),
        (Fp32, "[\"1\"]", "a string, expected a number"),
        (Fp32, "[null]", "null, expected a number"),
        (Fp32, "[true]", "a boolean, expected a number"),
        (Bool, "[1]", "a number, expected true or false"),
        (Fp32, "[{}]", "an object, expected a number"),
    ] {
        check_error(&model(&[("x", datatype)]), &format!(r#"{{"inputs": {data}}}"#), Mistake::Mismatch, part);
    }
    check_error(&model(&[("x", Fp16)]), r#"{"inputs": [1]}"#, Mistake::Unsupported, "FP16 has no JSON form");
    check_error(&model(&[("x", Fp16)]), r#"{"inputs": []}"#, Mistake::Unsupported, "FP16 has no JSON form");
    let long = format!(r#"{{"inputs": {}}}"#, "1".repeat(100_000));
    assert!(predict(&model(&[("x", Int64)]), &long).unwrap_err().to_string().len() < 200);
}

#[test]
fn ragged_arrays_say_where() {
    let x = model(&[("x", Fp32)]);
    for (data, part) in [
        ("[[1,2],[3]]", "inputs[1]: 1 items, where the arrays before have 2"),
        ("[[1],[2,3]]", "inputs[1]: 2 items"),
        ("[[[1],[2]],[[3]]]", "inputs[1]: 1 items"),
        ("[1,[2]]", "inputs[1]: an array, where the values before are elements"),
        ("[[1],2]", "inputs[1]: an element, where the values before are arrays"),
        ("[[],1]", "inputs[1]: an element"),
        ("[[],[1]]", "inputs[1]: 1 items, where the arrays before have 0"),
        ("[[[]],[]]", "inputs[1]: 0 items"),
    ] {
        check_error(&x, &format!(r#"{{"inputs": {data}}}"#), Mistake::Mismatch, part);
    }
    let two = r#"{"instances": [{"x": [1, 2]}, {"x": [1]}]}"#;
    check_error(&x, two, Mistake::Mismatch, "instances[1].x: 1 items, where the arrays before have 2");
}

#[test]
fn rows_have_the_same_inputs() {
    let both = model(&[("a", Fp32), ("b", Fp32)]);
    for (body, mistake, part) in [
        (r#"[{"a": 1, "b": 2}, {"a": 1}]"#, Mistake::Mismatch, "instances[1]: the row lacks \"b\""),
        (r#"[{"a": 1}, {"a": 1, "b": 2}]"#, Mistake::Mismatch, "instances[1].b: the rows before do not have it"),
        (r#"[{"a": 1, "a": 2}]"#, Mistake::Malformed, "instances[0].a: the key appears twice"),
        (r#"[{"a": 1, "c": 2}]"#, Mistake::UnknownInput, "no input \"c\"; its inputs are [\"a\", \"b\"]"),
        (r#"[{"a": 1, "b": 2}, 3]"#, Mistake::Mismatch, "instances[1]: expected an object"),
        (r#"[1, 2]"#, Mistake::Mismatch, "the model has the inputs [\"a\", \"b\"]"),
        (r#"[]"#, Mistake::Malformed, "at least one row"),
        (r#"{"a": [1]}"#, Mistake::Malformed, "expected a list of rows"),
        (r#"null"#, Mistake::Malformed, "expected a list of rows"),
    ] {
        check_error(&both, &format!(r#"{{"instances": {body}}}"#), mistake, part);
    }
    check_error(&both, r#"{"inputs": [1]}"#, Mistake::Mismatch, "`inputs` is an object that names them");
    check_error(&both, r#"{"inputs": {"c": 1}}"#, Mistake::UnknownInput, "no input \"c\"");
    check_error(&both, r#"{"inputs": {"a": 1, "a": 2}}"#, Mistake::Malformed, "inputs.a: the key appears twice");
}

#[test]
fn exactly_one_of_both_forms_and_the_one_signature() {
    let x = model(&[("x", Fp32)]);
    for (body, part) in [
        (r#"{}"#, "lacks `instances`"),
        (r#"{"signature_name": "serving_default"}"#, "lacks `instances`"),
        (r#"{"instances": [1], "inputs": [1]}"#, "not both"),
        (r#"{"inputs": [1], "inputs": [1]}"#, "inputs: the key appears twice"),
        (r#"{"signature_name": "other", "inputs": [1]}"#, "\"other\" is no signature"),
        (r#"{"signature_name": 1, "inputs": [1]}"#, "signature_name: a number, expected a string"),
        (r#"{"inputs": [1]} x"#, "the end of the body at line 1 column 17"),
        (r#"{"inputs": [1"#, "expected `,` or `]`"),
        (r#"[1]"#, "expected an object"),
        ("", "expected an object"),
        ("{\"inputs\": [1], \"deep\": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}", "nested too deeply"),
    ] {
        check_error(&x, body, Mistake::Malformed, part);
    }
    let body = Bytes::from_static(b"{\"inputs\": \"\xff\"}");
    assert!(decode_predict(&body, &x, &CodecLimits::default()).unwrap_err().to_string().contains("UTF-8"));
}

#[test]
fn what_a_body_may_hold_is_bounded() {
    let limits = CodecLimits { rank: 2, elements: 4, strings: 2, ..CodecLimits::default() };
    let read = |datatype, body: &str| {
        decode_predict(&Bytes::copy_from_slice(body.as_bytes()), &model(&[("x", datatype)]), &limits)
    };
    assert!(read(Fp32, r#"{"inputs": [[1, 2], [3, 4]]}"#).is_ok());
    for (datatype, body, part) in [
        (Fp32, r#"{"inputs": [[[1]]]}"#, "more than 2 dimensions"),
        (Fp32, r#"{"inputs": [1, 2, 3, 4, 5]}"#, "more than 4 elements"),
        (Text, r#"{"instances": ["", "", ""]}"#, "more than 2 elements"),
    ] {
        let error = read(datatype, body).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn the_bound_of_text_is_of_all_tensors_together() {
    let limits = CodecLimits { strings: 4, ..CodecLimits::default() };
    let inputs = ["a", "b"].map(|name| spec(name, Text, &[None, None])).to_vec();
    let signature = Signature { inputs, outputs: Vec::new() };
    let predict = |body: &str| {
        decode_predict(&Bytes::copy_from_slice(body.as_bytes()), &signature, &limits)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let examples = |body: &str| {
        decode_examples(&Bytes::copy_from_slice(body.as_bytes()), &signature, &limits)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    for (read, is_taken) in [
        (predict(r#"{"inputs": {"a": ["", ""], "b": ["", ""]}}"#), true),
        (predict(r#"{"inputs": {"a": ["", "", ""], "b": ["", ""]}}"#), false),
        (predict(r#"{"instances": [{"a": [""], "b": [""]}, {"a": [""], "b": [""]}]}"#), true),
        (predict(r#"{"instances": [{"a": ["", ""], "b": [""]}, {"a": ["", ""], "b": [""]}]}"#), false),
        (examples(r#"{"context": {"a": ""}, "examples": [{"b": ""}, {"b": ""}]}"#), true),
        (examples(r#"{"context": {"a": ""}, "examples": [{"b": ["", ""]}, {"b": ["", ""]}]}"#), false),
        (examples(r#"{"context": {"a": ""}, "examples": [{"b": ""}, {"b": ""}, {"b": ""}]}"#), false),
    ] {
        assert_eq!(read.is_ok(), is_taken, "{read:?}");
    }
}

#[test]
fn examples_fill_the_rows_of_the_model_s_inputs() {
    let inputs = vec![
        spec("image", Fp32, &[None, Some(2), Some(2)]),
        spec("age", Int64, &[None]),
        spec("name", Text, &[None, None]),
    ];
    let signature = Signature { inputs, outputs: Vec::new() };
    let body = r#"{"context": {"age": 7, "name": ["no"]}, "examples": [
        {"image": [1, 2, 3, 4], "name": ["a"]}, {"name": {"b64": "Yg=="}, "image": [5, 6, 7, 8]}]}"#;
    let expected = [
        floats("image", &[2, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]),
        longs("age", &[2], &[7, 7]),
        texts("name", &[2, 1], &[b"a", b"b"]),
    ];
    assert_eq!(examples(&signature, body).unwrap(), expected);
    for (body, part) in [
        (r#"{"examples": [{"image": [1, 2, 3]}]}"#, "3 values in each example"),
        (r#"{"examples": [{"age": [1, 2]}]}"#, "2 values in each example"),
        (r#"{"examples": [{"age": 1}, {"age": [1, 2]}]}"#, "examples[1].age: 2 items"),
        (r#"{"examples": [{"age": [[1]]}]}"#, "examples[0].age[0]: an array, expected an integer"),
        (r#"{"examples": [{"size": 1}]}"#, "no input \"size\""),
        (r#"{"examples": []}"#, "at least one example"),
        (r#"{"examples": {}}"#, "expected a list of objects"),
        (r#"{"examples": [1]}"#, "expected an object"),
        (r#"{"context": {"age": 1}}"#, "lacks `examples`"),
        (r#"{"examples": [{}], "context": {"age": 1, "age": 2}}"#, "context.age: the key appears twice"),
        (r#"{"examples": [{}], "context": 1}"#, "expected an object"),
        (r#"{"examples": [{}], "signature_name": "classify"}"#, "no signature"),
    ] {
        let error = examples(&signature, body).expect_err(body);
        assert!(error.to_string().contains(part), "{body}: {error}");
    }
}

#[test]
fn a_context_makes_no_more_of_a_body_than_its_size_allows() {
    let signature = Signature { inputs: vec![spec("x", Fp64, &[None, None])], outputs: Vec::new() };
    let body = |n_values: usize, n_examples: usize| {
        let values = vec!["1"; n_values].join(",");
        format!(r#"{{"context": {{"x": [{values}]}}, "examples": [{}]}}"#, vec!["{}"; n_examples].join(","))
    };
    assert_eq!(examples(&signature, &body(100, 100)).unwrap()[0].shape(), [100, 100]);
    let error = examples(&signature, &body(1000, 1000)).unwrap_err();
    assert_eq!(error.mistake(), Mistake::Unsupported);
    assert!(error.to_string().contains("put them into the examples"), "{error}");
    // Text is shared here and copied by whoever runs the model.
    let texts = Signature { inputs: vec![spec("x", DataType::Bytes, &[None])], outputs: Vec::new() };
    let long = |n_bytes: usize| {
        let (text, rows) = ("a".repeat(n_bytes), vec!["{}"; 1000].join(","));
        format!(r#"{{"context": {{"x": "{text}"}}, "examples": [{rows}]}}"#)
    };
    assert_eq!(examples(&texts, &long(500)).unwrap()[0].shape(), [1000]);
    assert!(examples(&texts, &long(600)).unwrap_err().to_string().contains("bytes of text when repeated"));
    let scalar = Signature { inputs: vec![spec("x", Fp64, &[])], outputs: Vec::new() };
    let error = decode_examples(&body(1, 1).into(), &scalar, &CodecLimits::default()).unwrap_err();
    assert!(error.to_string().contains("no dimension for examples"), "{error}");
}
