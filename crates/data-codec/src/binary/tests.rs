#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use base_types::TensorSpec;
use proptest::prelude::*;

use super::*;
use crate::decode_infer;
use crate::error::Mistake;

fn request(json: &str, tail: &[u8]) -> Result<DecodedInfer, DecodeError> {
    let body = Bytes::from([json.as_bytes(), tail].concat());
    let request = decode_infer(&body, Some(json.len() as u64), &CodecLimits::default())?;
    for input in &request.inputs {
        if let Data::Raw(raw) = input.data()
            && !raw.is_empty()
            && !json.contains("\"data\":[")
        {
            assert!(body.as_ptr_range().contains(&raw.as_ptr()), "not copied");
        }
    }
    Ok(request)
}

fn input(datatype: &str, shape: &str, size: usize) -> String {
    format!(r#"{{"name":"x","shape":{shape},"datatype":"{datatype}","parameters":{{"binary_data_size":{size}}}}}"#)
}

fn one(datatype: &str, shape: &str, tail: &[u8]) -> Result<Tensor, DecodeError> {
    let json = format!(r#"{{"inputs":[{}]}}"#, input(datatype, shape, tail.len()));
    request(&json, tail).map(|mut request| request.inputs.remove(0))
}

#[track_caller]
fn check_error(result: Result<impl std::fmt::Debug, DecodeError>, mistake: Mistake, parts: &[&str]) {
    let error = result.expect_err("a mistake");
    assert_eq!(error.mistake(), mistake, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn every_type_of_fixed_size_is_a_slice_of_the_body() {
    for datatype in DataType::ALL {
        let Some(size) = datatype.element_bytes() else { continue };
        let tail: Vec<u8> = (0..size * 6).map(|i| i as u8 | 1).collect();
        let tensor = one(datatype.as_str(), "[2,3]", &tail).unwrap();
        assert_eq!((tensor.shape(), tensor.data()), (&[2, 3][..], &Data::Raw(tail.into())), "{datatype}");
        assert_eq!(one(datatype.as_str(), "[0,3]", &[]).unwrap().data(), &Data::Raw(Bytes::new()));
    }
}

#[test]
fn inputs_take_their_shares_in_order_beside_json() {
    let x = r#"{"name":"a","datatype":"UINT8","shape":[2],"parameters":{"binary_data_size":2}}"#;
    let y = r#"{"parameters":{"binary_data_size":9},"name":"b","datatype":"BYTES","shape":[2],"data":null}"#;
    let z = r#"{"name":"c","datatype":"FP32","shape":[1],"data":[NaN]}"#;
    let w = r#"{"name":"d","datatype":"BF16","shape":[1],"parameters":{"binary_data_size":2}}"#;
    let tail = b"\x01\x02\x01\0\0\0\xff\0\0\0\0\x80\x3f";
    // The number that JSON lacks lets all be read twice, and the shares still fit.
    let request = request(&format!(r#"{{"inputs":[{x},{y},{z},{w}]}}"#), tail).unwrap();
    let data: Vec<&Data> = request.inputs.iter().map(Tensor::data).collect();
    assert_eq!(data[0], &Data::Raw(Bytes::from_static(&[1, 2])));
    assert_eq!(data[1], &Data::Strings(vec![Bytes::from_static(&[0xff]), Bytes::new()]));
    assert_eq!(data[3], &Data::Raw(Bytes::from_static(&[0x80, 0x3f])));
}

#[test]
fn sizes_that_do_not_fit_are_the_callers_mistake() {
    use Mistake::{Malformed, Mismatch};
    check_error(one("FP32", "[2]", &[0; 7]), Mismatch, &["inputs[0] \"x\"", "asks for 8 bytes, 7 given"]);
    check_error(one("FP32", "[2]", &[0; 9]), Mismatch, &["8 bytes, 9 given"]);
    check_error(one("FP32", "[2147483647,4]", &[0; 9]), Malformed, &["elements"]);
    let json = |inputs: &str| format!(r#"{{"inputs":[{inputs}]}}"#);
    let x = input("UINT8", "[2]", 2);
    check_error(request(&json(&x), b"\0"), Mismatch, &["binary_data_size is 2, and 1 bytes are left"]);
    check_error(request(&json(&x), b"\0\0\0"), Malformed, &["1 bytes follow the inputs"]);
    check_error(request(&json(""), b"\0"), Malformed, &["1 bytes follow the inputs"]);
    let both = r#"{"name":"x","shape":[1],"datatype":"INT8","data":[1],"parameters":{"binary_data_size":1}}"#;
    check_error(request(&json(both), b"\0"), Mismatch, &["exclude each other"]);
    for size in ["-1", "\"4\"", "true", "1.5"] {
        let x = format!(r#"{{"name":"x","shape":[1],"datatype":"INT8","parameters":{{"binary_data_size":{size}}}}}"#);
        check_error(request(&json(&x), b"\0"), Malformed, &["binary_data_size", "a whole number"]);
    }
    let huge = r#"{"name":"x","shape":[1],"datatype":"INT8","parameters":{"binary_data_size":18446744073709551615}}"#;
    check_error(request(&json(huge), b"\0"), Mismatch, &["1 bytes are left"]);
    // Without the header all of the body is JSON.
    let body = Bytes::from(json(&x));
    check_error(decode_infer(&body, None, &CodecLimits::default()), Mismatch, &["inference-header-content-length"]);
}

#[test]
fn strings_may_hold_any_bytes_and_have_to_fit_exactly() {
    let strings = |shape: &str, tail: &[u8]| one("BYTES", shape, tail);
    let tail = b"\x03\0\0\0a\0\xff\0\0\0\0\x01\0\0\0\x80";
    let expected: Vec<Bytes> = [&b"a\0\xff"[..], b"", b"\x80"].map(Bytes::from_static).to_vec();
    assert_eq!(strings("[3]", tail).unwrap().data(), &Data::Strings(expected.clone()));
    assert_eq!(write_strings("x", &expected).unwrap(), tail[..]);
    assert_eq!(strings("[0]", b"").unwrap().data(), &Data::Strings(vec![]));
    use Mistake::Mismatch;
    check_error(strings("[4]", tail), Mismatch, &["element 3 is cut off"]);
    check_error(strings("[2]", tail), Mismatch, &["5 bytes follow the 2 elements"]);
    check_error(strings("[5]", tail), Mismatch, &["take 4 bytes each"]);
    check_error(strings("[0]", b"\0"), Mismatch, &["1 bytes follow"]);
    check_error(strings("[1]", b"\xff\xff\xff\xffabc"), Mismatch, &["element 0 is cut off"]);
    check_error(strings("[1]", b"\x01\0\0"), Mismatch, &["4 bytes"]);
}

#[test]
fn elements_of_all_bytes_tensors_are_bounded_together() {
    let limits = CodecLimits { strings: 3, ..CodecLimits::default() };
    let decode = |first: usize, second: usize| {
        let tensor = |name: &str, n: usize| {
            let size = 4 * n;
            format!(
                r#"{{"name":"{name}","shape":[{n}],"datatype":"BYTES","parameters":{{"binary_data_size":{size}}}}}"#
            )
        };
        let json = format!(r#"{{"inputs":[{},{}]}}"#, tensor("a", first), tensor("b", second));
        let body = Bytes::from([json.as_bytes(), &vec![0; 4 * (first + second)]].concat());
        decode_infer(&body, Some(json.len() as u64), &limits)
    };
    assert!(decode(1, 2).is_ok());
    check_error(decode(2, 2), Mistake::Malformed, &["more than 3 elements in BYTES tensors"]);
}

#[test]
fn outputs_say_in_which_form_they_are_wanted() {
    let outputs = r#"{"name":"a","parameters":{"binary_data":true}},{"name":"b","parameters":{"binary_data":false}},
        {"name":"c","parameters":{"classification":3}},{"name":"d","parameters":{"classification":0,"other":[]}}"#;
    let json = format!(r#"{{"inputs":[],"parameters":{{"binary_data_output":true}},"outputs":[{outputs}]}}"#);
    let request_of = |json: &str| request(json, b"");
    assert!(request_of(&json).is_err(), "a parameter is no list");
    let decoded = request_of(&json.replace(",\"other\":[]", "")).unwrap();
    assert!(decoded.is_binary());
    let forms: Vec<_> = decoded.outputs.iter().map(|output| (output.is_binary, output.classes)).collect();
    assert_eq!(forms, [(Some(true), None), (Some(false), None), (None, Some(3)), (None, None)]);
    assert!(!request_of(r#"{"inputs":[]}"#).unwrap().is_binary());
    let wrong = [
        r#"{"inputs":[],"parameters":{"binary_data_output":1}}"#,
        r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":"true"}}]}"#,
        r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":-1}}]}"#,
        r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":true}}]}"#,
    ];
    for json in wrong {
        check_error(request_of(json), Mistake::Malformed, &["the parameter"]);
    }
}

fn signature(datatype: DataType, dims: &[Option<usize>]) -> Signature {
    let x = TensorSpec { name: "x".into(), datatype, dims: dims.to_vec() };
    Signature { inputs: vec![x], outputs: Vec::new() }
}

fn raw(datatype: DataType, dims: &[Option<usize>], body: &[u8]) -> Result<Tensor, DecodeError> {
    let body = Bytes::copy_from_slice(body);
    let mut request = decode_raw(body.clone(), &signature(datatype, dims), &CodecLimits::default())?;
    assert!(request.is_binary());
    Ok(request.inputs.remove(0))
}

#[test]
fn a_raw_body_is_the_only_input_as_a_batch_of_one() {
    let check = |dims: &[Option<usize>], n: usize, shape: &[usize]| {
        let tensor = raw(DataType::Fp32, dims, &vec![1; 4 * n]).unwrap();
        assert_eq!((tensor.name(), tensor.shape()), ("x", shape), "{dims:?}");
    };
    check(&[None, Some(4)], 4, &[1, 4]);
    check(&[Some(2), Some(2)], 4, &[2, 2]);
    check(&[None, None], 5, &[1, 5]);
    check(&[None, Some(3), None], 6, &[1, 3, 2]);
    check(&[None], 7, &[7]);
    check(&[], 1, &[]);
    check(&[None, Some(0)], 0, &[1, 0]);
    let text = raw(DataType::Bytes, &[None, Some(1)], b"\0\xff").unwrap();
    assert_eq!((text.shape(), text.data()), (&[1, 1][..], &Data::Strings(vec![Bytes::from_static(b"\0\xff")])));
    assert_eq!(raw(DataType::Bytes, &[None], b"").unwrap().shape(), [1]);

    let check_mismatch = |datatype, dims: &[Option<usize>], n: usize, part: &str| {
        check_error(raw(datatype, dims, &vec![1; n]), Mistake::Mismatch, &["inputs[0] \"x\"", part]);
    };
    check_mismatch(DataType::Fp32, &[None, Some(4)], 32, "asks for 16 bytes, 32 given");
    check_mismatch(DataType::Fp32, &[None, None], 5, "asks for 4 bytes, 5 given");
    check_mismatch(DataType::Fp32, &[None, None, None], 4, "[-1, -1, -1]");
    check_mismatch(DataType::Bytes, &[Some(2)], 4, "asks for 2 elements");
    check_mismatch(DataType::Fp32, &[None, Some(0), None], 4, "asks for 0 bytes");
    let mut two = signature(DataType::Fp32, &[None]);
    two.inputs.push(two.inputs[0].clone());
    check_error(decode_raw(Bytes::new(), &two, &CodecLimits::default()), Mistake::Mismatch, &["the model has 2"]);
}

proptest! {
    #[test]
    fn strings_survive_both_ways(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
        let strings: Vec<Bytes> = strings.into_iter().map(Bytes::from).collect();
        let raw = write_strings("x", &strings).unwrap();
        prop_assert_eq!(read_strings(raw, strings.len()).unwrap(), strings);
    }

    #[test]
    fn any_lengths_and_bytes_are_read_or_refused(
        tail in prop::collection::vec(any::<u8>(), 0..40), header in 0u64..200, size in any::<u8>(), n in 0usize..12,
    ) {
        for datatype in ["BYTES", "FP32", "BOOL"] {
            let json = format!(r#"{{"inputs":[{}]}}"#, input(datatype, &format!("[{n}]"), size as usize));
            let body = Bytes::from([json.as_bytes(), &tail].concat());
            decode_infer(&body, Some(header), &CodecLimits::default()).ok();
            decode_infer(&body, Some(json.len() as u64), &CodecLimits::default()).ok();
        }
    }
}
