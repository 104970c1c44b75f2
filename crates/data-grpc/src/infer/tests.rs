#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use data_codec::{Mistake, Parameter};
use prost::Message;

use super::*;
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use crate::proto::inference::{InferParameter, InferTensorContents, ModelInferRequest};

fn input(datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: "x".to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

fn with(contents: InferTensorContents, datatype: &str, shape: &[i64]) -> ModelInferRequest {
    let input = InferInputTensor { contents: Some(contents), ..input(datatype, shape) };
    ModelInferRequest { inputs: vec![input], ..ModelInferRequest::default() }
}

fn raw(raw: &[u8], datatype: &str, shape: &[i64]) -> ModelInferRequest {
    ModelInferRequest {
        inputs: vec![input(datatype, shape)],
        raw_input_contents: vec![Bytes::copy_from_slice(raw)],
        ..ModelInferRequest::default()
    }
}

fn decoded(request: &ModelInferRequest) -> Result<InferMessage, DecodeError> {
    decode_infer_request(request.encode_to_vec().into(), &CodecLimits::default())
}

fn check(request: &ModelInferRequest, expected: Data) {
    let message = decoded(request).unwrap_or_else(|error| panic!("{request:?}: {error}"));
    assert_eq!(*message.request.inputs[0].data(), expected, "{request:?}");
}

fn check_mistake(request: &ModelInferRequest, mistake: Mistake, part: &str) {
    let error = decoded(request).unwrap_err();
    assert_eq!(error.mistake(), mistake, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

fn le<const N: usize>(elements: &[[u8; N]]) -> Data {
    Data::Raw(elements.concat().into())
}

#[test]
fn typed_contents_become_the_bytes_of_their_type() {
    let contents = InferTensorContents::default;
    let of = |int_contents: Vec<i32>| InferTensorContents { int_contents, ..contents() };
    check(&with(of(vec![-128, 127]), "INT8", &[2]), le(&[[0x80], [0x7f]]));
    check(&with(of(vec![-2, 300]), "INT16", &[2]), le(&[(-2i16).to_le_bytes(), 300i16.to_le_bytes()]));
    check(&with(of(vec![i32::MIN]), "INT32", &[1]), le(&[i32::MIN.to_le_bytes()]));
    let of = |uint_contents: Vec<u32>| InferTensorContents { uint_contents, ..contents() };
    check(&with(of(vec![255, 0]), "UINT8", &[2]), le(&[[255], [0]]));
    check(&with(of(vec![65535]), "UINT16", &[1]), le(&[65535u16.to_le_bytes()]));
    check(&with(of(vec![u32::MAX]), "UINT32", &[1]), le(&[u32::MAX.to_le_bytes()]));
    let of = |bool_contents: Vec<bool>| InferTensorContents { bool_contents, ..contents() };
    check(&with(of(vec![true, false]), "BOOL", &[2]), le(&[[1], [0]]));
    let of = |int64_contents: Vec<i64>| InferTensorContents { int64_contents, ..contents() };
    check(&with(of(vec![i64::MIN, -1]), "INT64", &[1, 2]), le(&[i64::MIN.to_le_bytes(), (-1i64).to_le_bytes()]));
    let of = |uint64_contents: Vec<u64>| InferTensorContents { uint64_contents, ..contents() };
    check(&with(of(vec![u64::MAX]), "UINT64", &[1]), le(&[u64::MAX.to_le_bytes()]));
    let of = |fp32_contents: Vec<f32>| InferTensorContents { fp32_contents, ..contents() };
    check(&with(of(vec![1.5, -0.0]), "FP32", &[2]), le(&[1.5f32.to_le_bytes(), (-0.0f32).to_le_bytes()]));
    let of = |fp64_contents: Vec<f64>| InferTensorContents { fp64_contents, ..contents() };
    check(&with(of(vec![1e300]), "FP64", &[1]), le(&[1e300f64.to_le_bytes()]));
    let text = vec![Bytes::from_static(b"a\0\xff"), Bytes::new()];
    let of = InferTensorContents { bytes_contents: text.clone(), ..contents() };
    check(&with(of, "BYTES", &[2]), Data::Strings(text));
    check(&with(contents(), "FP32", &[0]), le::<4>(&[]));
}

#[test]
fn raw_contents_share_the_memory_they_came_in() {
    let request = raw(&[1, 2, 3, 4, 5, 6, 7, 8], "FP32", &[2]);
    let bytes = Bytes::from(request.encode_to_vec());
    let message = decode_infer_request(bytes.clone(), &CodecLimits::default()).unwrap();
    let Data::Raw(data) = message.request.inputs[0].data().clone() else { panic!("raw data") };
    assert_eq!(data, [1, 2, 3, 4, 5, 6, 7, 8][..]);
    assert!(bytes.as_ptr_range().contains(&data.as_ptr()));
    for datatype in ["FP16", "BF16"] {
        check(&raw(&[1, 2, 3, 4], datatype, &[1, 2]), Data::Raw(Bytes::from_static(&[1, 2, 3, 4])));
    }
    let strings = b"\x02\0\0\0a\0\0\0\0\0";
    check(&raw(strings, "BYTES", &[2]), Data::Strings(vec![Bytes::from_static(b"a\0"), Bytes::new()]));
}

#[test]
fn a_tensor_of_many_frames_is_copied_once_to_an_aligned_place() {
    let floats: Vec<u8> = (0..600_000u32).map(|n| n as u8).collect();
    let whole = Bytes::from(raw(&floats, "FP64", &[75_000]).encode_to_vec());
    for offset in 0..8 {
        let mut frames = Frames::default();
        frames.push(whole.slice(..offset));
        (offset..whole.len())
            .step_by(16_384)
            .for_each(|at| frames.push(whole.slice(at..(at + 16_384).min(whole.len()))));
        let message = decode(frames, &CodecLimits::default()).unwrap();
        let Data::Raw(data) = message.request.inputs[0].data() else { panic!("raw data") };
        assert_eq!(*data, floats);
        assert_eq!(data.as_ptr().addr() % 8, 0);
    }
}

#[test]
fn everything_else_of_a_request_arrives() {
    let parameter = |choice| InferParameter { parameter_choice: Some(choice) };
    let parameters = [
        ("flag", ParameterChoice::BoolParam(true)),
        ("sum", ParameterChoice::Int64Param(-7)),
        ("timeout", ParameterChoice::Int64Param(9)),
        ("priority", ParameterChoice::Uint64Param(u64::MAX)),
        ("share", ParameterChoice::DoubleParam(0.5)),
        ("user", ParameterChoice::StringParam("é".to_owned())),
    ];
    let classes = [("classification".to_owned(), parameter(ParameterChoice::Int64Param(2)))];
    let request = ModelInferRequest {
        model_name: "m".to_owned(),
        model_version: "champion".to_owned(),
        id: "42".to_owned(),
        parameters: parameters.map(|(name, choice)| (name.to_owned(), parameter(choice))).into(),
        outputs: vec![InferRequestedOutputTensor { name: "y".to_owned(), parameters: classes.into() }],
        ..raw(&[0; 4], "FP32", &[1])
    };
    let InferMessage { model, version, request } = decoded(&request).unwrap();
    assert_eq!((model.as_str(), version.as_str(), request.id.as_deref()), ("m", "champion", Some("42")));
    let value = |name: &str| request.parameters.get(name).cloned().unwrap();
    assert_eq!(value("flag"), Parameter::Bool(true));
    assert_eq!(value("sum"), Parameter::Signed(-7));
    assert_eq!(value("timeout"), Parameter::Unsigned(9));
    assert_eq!(value("priority"), Parameter::Unsigned(u64::MAX));
    assert_eq!(value("share"), Parameter::Float(0.5));
    assert_eq!(value("user"), Parameter::Text("é".to_owned()));
    assert_eq!((request.outputs[0].name.as_str(), request.outputs[0].classes), ("y", Some(2)));
}

#[test]
fn mistakes_say_where_they_are() {
    use Mistake::{Malformed, Mismatch, Unsupported};
    let floats = |n| InferTensorContents { fp32_contents: vec![0.0; n], ..InferTensorContents::default() };
    check_mistake(&with(floats(3), "FP32", &[2]), Mismatch, "inputs[0] \"x\": shape [2] asks for 2 elements");
    check_mistake(&with(floats(1), "FP32", &[2]), Mismatch, "1 given");
    check_mistake(&with(floats(1), "INT32", &[1]), Malformed, "int_contents (2)");
    check_mistake(&with(floats(1), "FP16", &[1]), Malformed, "raw_input_contents only");
    check_mistake(&with(floats(1), "FP99", &[1]), Malformed, "unknown datatype \"FP99\"");
    let wide = InferTensorContents { int_contents: vec![128], ..InferTensorContents::default() };
    check_mistake(&with(wide, "INT8", &[1]), Mismatch, "data[0]: 128 does not fit INT8");
    let wide = InferTensorContents { uint_contents: vec![256], ..InferTensorContents::default() };
    check_mistake(&with(wide, "UINT8", &[1]), Mismatch, "256 does not fit UINT8");
    let mixed =
        ModelInferRequest { raw_input_contents: vec![Bytes::from_static(&[0; 4])], ..with(floats(1), "FP32", &[1]) };
    check_mistake(&mixed, Malformed, "mixed");
    check_mistake(&raw(&[0; 7], "FP32", &[2]), Mismatch, "8 bytes, 7 given");
    check_mistake(&raw(&[2, 0, 0, 0, 1], "BYTES", &[1]), Mismatch, "");
    let two =
        ModelInferRequest { inputs: vec![input("FP32", &[1]), input("FP32", &[1])], ..raw(&[0; 4], "FP32", &[1]) };
    check_mistake(&two, Malformed, "2 inputs have 1 raw_input_contents");
    let twice = ModelInferRequest { raw_input_contents: vec![Bytes::from_static(&[0; 4]); 2], ..two };
    check_mistake(&twice, Malformed, "appears twice");
    check_mistake(&raw(&[], "FP32", &[-1]), Malformed, "not negative");
    check_mistake(&raw(&[], "FP32", &[0, i64::MAX]), Malformed, "items in one dimension");
    check_mistake(&raw(&[], "FP32", &[1 << 20, 1 << 20]), Malformed, "elements in a tensor");
    check_mistake(&raw(&[], "FP32", &[1; 9]), Malformed, "dimensions");
    let mut shared = raw(&[], "FP32", &[1]);
    let region = InferParameter { parameter_choice: Some(ParameterChoice::StringParam("r".to_owned())) };
    shared.inputs[0].parameters.insert("shared_memory_region".to_owned(), region.clone());
    check_mistake(&shared, Unsupported, "shared_memory_region");
    let outputs = vec![InferRequestedOutputTensor {
        name: "y".to_owned(),
        parameters: [("shared_memory_region".to_owned(), region)].into(),
    }];
    check_mistake(&ModelInferRequest { outputs, ..raw(&[0; 4], "FP32", &[1]) }, Unsupported, "outputs[0]");
}

#[test]
fn counts_are_bounded_before_anything_is_kept() {
    let limits = CodecLimits::default();
    // Two bytes each on the wire, a hundred and more in memory.
    for field in [b"\x2a\x00", b"\x32\x00", b"\x3a\x00"] {
        let error = decode_infer_request(field.repeat(100_000).into(), &limits).unwrap_err();
        assert!(!error.to_string().is_empty());
    }
    let many = raw(&[0; 4 * 70_000], "BYTES", &[70_000]);
    check_mistake(&many, Mistake::Malformed, "65536");
    let strings = |text: &'static str, n: usize| {
        let bytes_contents = vec![Bytes::from_static(text.as_bytes()); n];
        with(InferTensorContents { bytes_contents, ..InferTensorContents::default() }, "BYTES", &[n as i64])
    };
    check_mistake(&strings("some text", 70_000), Mistake::Malformed, "65536");
    // Empty strings are all handle and no bytes.
    check_mistake(&strings("", 50_000), Mistake::Malformed, "for so few bytes");
    assert!(decoded(&strings("", 20_000)).is_ok());
    assert!(decoded(&strings("ab", 60_000)).is_ok());
}

#[test]
fn the_bound_of_strings_is_of_all_tensors_together() {
    let named = |name: &str, n: i64| InferInputTensor { name: name.to_owned(), ..input("BYTES", &[n]) };
    let of = |sizes: [i64; 2]| {
        let inputs = vec![named("a", sizes[0]), named("b", sizes[1])];
        let raw = sizes.map(|n| Bytes::from(vec![0; 4 * n as usize])).to_vec();
        let raw = ModelInferRequest { inputs: inputs.clone(), raw_input_contents: raw, ..ModelInferRequest::default() };
        let typed = inputs.into_iter().zip(sizes).map(|(input, n)| {
            let bytes_contents = vec![Bytes::from_static(b"text"); n as usize];
            let contents = InferTensorContents { bytes_contents, ..InferTensorContents::default() };
            InferInputTensor { contents: Some(contents), ..input }
        });
        [raw, ModelInferRequest { inputs: typed.collect(), ..ModelInferRequest::default() }]
    };
    for request in of([65_000, 536]) {
        assert_eq!(decoded(&request).unwrap().request.inputs.len(), 2);
    }
    for request in of([65_000, 537]) {
        check_mistake(&request, Mistake::Malformed, "65536");
    }
}

#[test]
fn what_is_no_message_is_refused_wherever_it_breaks_off() {
    let whole = Bytes::from(raw(&[1, 2, 3, 4, 5, 6, 7, 8], "FP32", &[2]).encode_to_vec());
    for at in 1..whole.len() {
        // A prefix may end between fields; then an input lacks its bytes.
        assert!(decode_infer_request(whole.slice(..at), &CodecLimits::default()).is_err(), "{at}");
    }
    for broken in
        [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x0b", b"\x0f", b"\x00", b"\x0a\x01\xff", b"\x08\x01"]
    {
        assert!(decode_infer_request(Bytes::from_static(broken), &CodecLimits::default()).is_err(), "{broken:?}");
    }
}
