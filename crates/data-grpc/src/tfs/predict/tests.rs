#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

use data_codec::Mistake;
use data_codec::tfs::tensorflow_type;
use prost::Message;

use super::*;
use crate::proto::tensorflow::serving::{ModelSpec as WireSpec, PredictRequest, model_spec::VersionChoice};
use crate::proto::tensorflow::tensor_shape_proto::Dim;
use crate::proto::tensorflow::{TensorProto, TensorShapeProto};

fn tensor(datatype: DataType, shape: &[i64]) -> TensorProto {
    let dim = shape.iter().map(|size| Dim { size: *size, name: String::new() }).collect();
    TensorProto {
        dtype: tensorflow_type(datatype).number,
        tensor_shape: Some(TensorShapeProto { dim, unknown_rank: false }),
        ..TensorProto::default()
    }
}

fn decoded(tensor: TensorProto) -> Result<Data, DecodeError> {
    let spec = WireSpec { name: "m".to_owned(), ..WireSpec::default() };
    let inputs = [("x".to_owned(), tensor)].into();
    let request = PredictRequest { model_spec: Some(spec), inputs, output_filter: vec!["y".to_owned()] };
    let message = decode_predict_request(request.encode_to_vec().into(), &CodecLimits::default())?;
    assert_eq!((message.inputs[0].name(), message.outputs.as_slice()), ("x", &["y".to_owned()][..]));
    Ok(message.inputs[0].data().clone())
}

fn check_mistake(tensor: TensorProto, mistake: Mistake, part: &str) {
    let error = decoded(tensor).unwrap_err();
    assert_eq!(error.mistake(), mistake, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn typed_values_and_content_mean_the_same() {
    let shape = [2i64];
    let raw = |bytes: &[u8]| Data::Raw(Bytes::copy_from_slice(bytes));
    let check = |tensor: TensorProto, expected: Data| assert_eq!(decoded(tensor), Ok(expected));
    let of = |datatype| tensor(datatype, &shape);
    let floats = [1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat();
    check(TensorProto { float_val: vec![1.5, -2.0], ..of(DataType::Fp32) }, raw(&floats));
    check(TensorProto { tensor_content: floats.clone().into(), ..of(DataType::Fp32) }, raw(&floats));
    check(TensorProto { int_val: vec![-1, 127], ..of(DataType::Int8) }, raw(&[255, 127]));
    check(TensorProto { int_val: vec![1, 255], ..of(DataType::Uint8) }, raw(&[1, 255]));
    check(TensorProto { int_val: vec![1, 65_535], ..of(DataType::Uint16) }, raw(&[1, 0, 255, 255]));
    check(TensorProto { bool_val: vec![true, false], ..of(DataType::Bool) }, raw(&[1, 0]));
    check(TensorProto { half_val: vec![0x3c00, 1], ..of(DataType::Fp16) }, raw(&[0, 0x3c, 1, 0]));
    check(TensorProto { half_val: vec![0x3f80, 1], ..of(DataType::Bf16) }, raw(&[0x80, 0x3f, 1, 0]));
    let longs = [(-5i64).to_le_bytes(), 6i64.to_le_bytes()].concat();
    check(TensorProto { int64_val: vec![-5, 6], ..of(DataType::Int64) }, raw(&longs));
    check(TensorProto { uint32_val: vec![1, 2], ..of(DataType::Uint32) }, raw(&[1, 0, 0, 0, 2, 0, 0, 0]));
    check(TensorProto { uint64_val: vec![0, 0], ..of(DataType::Uint64) }, raw(&[0; 16]));
    check(TensorProto { double_val: vec![0.0, 0.0], ..of(DataType::Fp64) }, raw(&[0; 16]));
    let text = vec![Bytes::from_static(b"\xff"), Bytes::new()];
    check(TensorProto { string_val: text.clone(), ..of(DataType::Bytes) }, Data::Strings(text));
    // A scalar has no dimensions.
    check(TensorProto { float_val: vec![0.0], ..tensor(DataType::Fp32, &[]) }, raw(&[0; 4]));
}

#[test]
fn the_last_value_fills_a_tensor_but_no_large_one() {
    let one = |shape: &[i64]| decoded(TensorProto { float_val: vec![1.0], ..tensor(DataType::Fp32, shape) });
    assert_eq!(one(&[2, 2]), Ok(Data::Raw(1.0f32.to_le_bytes().repeat(4).into())));
    let two = decoded(TensorProto { int_val: vec![7, -1], ..tensor(DataType::Int8, &[4]) });
    assert_eq!(two, Ok(Data::Raw(Bytes::from_static(&[7, 255, 255, 255]))));
    let text = Bytes::from_static(b"a");
    let strings = decoded(TensorProto { string_val: vec![text.clone()], ..tensor(DataType::Bytes, &[2]) });
    assert_eq!(strings, Ok(Data::Strings(vec![text; 2])));
    assert!(one(&[1 << 20]).unwrap_err().to_string().contains("asks for 1048576 elements"));
    // The bound is of the request, not of a tensor.
    let spec = WireSpec { name: "m".to_owned(), ..WireSpec::default() };
    let filled = || TensorProto { float_val: vec![1.0], ..tensor(DataType::Fp32, &[100_000]) };
    let inputs = ["a", "b"].map(|name| (name.to_owned(), filled())).into();
    let request = PredictRequest { model_spec: Some(spec), inputs, output_filter: Vec::new() };
    assert!(decode_predict_request(request.encode_to_vec().into(), &CodecLimits::default()).is_err());
    // So is that of strings, those that are repeated among them.
    let filled = |n| TensorProto { string_val: vec![Bytes::from_static(b"a")], ..tensor(DataType::Bytes, &[n]) };
    let limits = CodecLimits { strings: 100, ..CodecLimits::default() };
    for (n, is_taken) in [(50, true), (51, false)] {
        let spec = WireSpec { name: "m".to_owned(), ..WireSpec::default() };
        let inputs = [("a".to_owned(), filled(50)), ("b".to_owned(), filled(n))].into();
        let request = PredictRequest { model_spec: Some(spec), inputs, output_filter: Vec::new() };
        let read = decode_predict_request(request.encode_to_vec().into(), &limits);
        assert_eq!(read.is_ok(), is_taken, "{n}");
    }
    // And of the text that the runtime will copy for each of them.
    let text = |n_bytes: usize| {
        let string_val = vec![Bytes::from("a".repeat(n_bytes))];
        decoded(TensorProto { string_val, ..tensor(DataType::Bytes, &[1000]) })
    };
    assert!(text(400).is_ok());
    assert!(text(600).is_err());
    let none = decoded(tensor(DataType::Fp32, &[2]));
    assert_eq!(none.unwrap_err().mistake(), Mistake::Mismatch);
}

#[test]
fn mistakes_say_where_they_are() {
    let floats = |n| TensorProto { float_val: vec![0.0; n], ..tensor(DataType::Fp32, &[2]) };
    check_mistake(floats(3), Mistake::Mismatch, "inputs[0] \"x\": shape [2]");
    check_mistake(TensorProto { dtype: 8, ..floats(2) }, Mistake::Malformed, "unknown datatype \"the number 8\"");
    check_mistake(TensorProto { dtype: 9, ..floats(2) }, Mistake::Malformed, "in the field 5, those of INT64");
    let unknown = Some(TensorShapeProto { dim: Vec::new(), unknown_rank: true });
    check_mistake(TensorProto { tensor_shape: unknown, ..floats(2) }, Mistake::Malformed, "rank");
    check_mistake(TensorProto { float_val: vec![], ..tensor(DataType::Fp32, &[-1]) }, Mistake::Malformed, "negative");
    let content = Bytes::from_static(b"\x01a");
    check_mistake(
        TensorProto { tensor_content: content, ..tensor(DataType::Bytes, &[1]) },
        Mistake::Malformed,
        "string_val",
    );
    let error = decode_predict_request(Bytes::new(), &CodecLimits::default()).unwrap_err();
    assert!(error.to_string().contains("model_spec.name"), "{error}");
}

#[test]
fn a_version_is_a_number_or_a_label_and_there_is_one_signature() {
    let target = |version: Option<VersionChoice>, signature: &str| {
        let spec = WireSpec { name: "m".to_owned(), version_choice: version, signature_name: signature.to_owned() };
        let request = PredictRequest { model_spec: Some(spec), ..PredictRequest::default() };
        let message = decode_predict_request(request.encode_to_vec().into(), &CodecLimits::default()).unwrap();
        message.spec.target().map(|(_, pin)| pin.map(|pin| pin.to_string())).map_err(|failure| failure.code)
    };
    let number = |n| Some(VersionChoice::Version(n));
    let label = |text: &str| Some(VersionChoice::VersionLabel(text.to_owned()));
    assert_eq!(target(None, ""), Ok(None));
    assert_eq!(target(number(3), SIGNATURE_NAME), Ok(Some("3".to_owned())));
    assert_eq!(target(label("champion"), ""), Ok(Some("champion".to_owned())));
    assert_eq!(target(number(0), ""), Err(Code::Malformed));
    assert_eq!(target(number(-1), ""), Err(Code::Malformed));
    assert_eq!(target(label("3"), ""), Err(Code::Malformed));
    assert_eq!(target(None, "other"), Err(Code::Malformed));
}
