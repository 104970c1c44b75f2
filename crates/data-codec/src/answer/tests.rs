#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{CodecLimits, decode_infer};

const HEAD: AnswerHead<'static> =
    AnswerHead { model: "m", version: 3, id: None, digest: "00ff", generation: 7, reason: "split" };

fn tensor(datatype: DataType, shape: Vec<usize>, raw: Vec<u8>) -> Tensor {
    Tensor::new("y", datatype, shape, Data::Raw(raw.into())).unwrap()
}

fn encode_json(head: &AnswerHead<'_>, outputs: &[Tensor]) -> Result<Vec<u8>, EncodeError> {
    let outputs: Vec<(Tensor, Form)> = outputs.iter().map(|output| (output.clone(), Form::Json)).collect();
    let EncodedAnswer { pieces, json_bytes } = encode_answer(head, &outputs)?;
    assert_eq!((pieces.len(), json_bytes), (1, None));
    Ok(pieces[0].to_vec())
}

fn data(output: Tensor) -> String {
    let json = encode_json(&HEAD, &[output]).unwrap();
    let value: Value = serde_json::from_slice(&json).unwrap();
    value["outputs"][0]["data"].to_string()
}

#[test]
fn the_answer_names_who_computed_it() {
    let y = tensor(DataType::Fp32, vec![1, 2], [0.1f32, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect());
    let z = Tensor::new("z\"", DataType::Bytes, vec![1], Data::Strings(vec!["a\n\u{e9}".into()])).unwrap();
    let json = encode_json(&AnswerHead { id: Some("i\"d"), ..HEAD }, &[y, z]).unwrap();
    let expected = r#"{"model_name":"m","model_version":"3","id":"i\"d","parameters":{"switchrail_digest":"00ff","switchrail_generation":7,"switchrail_reason":"split"},"outputs":[{"name":"y","datatype":"FP32","shape":[1,2],"data":[0.1,3.0]},{"name":"z\"","datatype":"BYTES","shape":[1],"data":["a\né"]}]}"#;
    assert_eq!(String::from_utf8(json).unwrap(), expected);
}

#[test]
fn numbers_that_json_lacks_are_null() {
    let raw = |values: [f32; 4]| values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let values = raw([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX]);
    assert_eq!(data(tensor(DataType::Fp32, vec![4], values)), "[null,null,null,3.4028235e+38]");
    let values = [f64::NAN, -0.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(data(tensor(DataType::Fp64, vec![2], values)), "[null,-0.0]");
}

#[test]
fn the_extremes_of_integers_survive() {
    assert_eq!(data(tensor(DataType::Uint64, vec![1], vec![255; 8])), "[18446744073709551615]");
    assert_eq!(data(tensor(DataType::Int64, vec![1], i64::MIN.to_le_bytes().into())), "[-9223372036854775808]");
    assert_eq!(data(tensor(DataType::Bool, vec![2], vec![0, 1])), "[false,true]");
    assert_eq!(data(tensor(DataType::Int8, vec![0], vec![])), "[]");
}

#[test]
fn what_has_no_json_form_is_refused() {
    let half = tensor(DataType::Fp16, vec![1], vec![0, 60]);
    let error = encode_json(&HEAD, &[half]).unwrap_err();
    assert_eq!(error, EncodeError::NoJsonForm { name: "y".into(), datatype: DataType::Fp16 });
    let strings = Data::Strings(vec!["ok".into(), Bytes::from_static(&[0xff])]);
    let bytes = Tensor::new("y", DataType::Bytes, vec![2], strings).unwrap();
    assert_eq!(encode_json(&HEAD, &[bytes]).unwrap_err(), EncodeError::NotText { name: "y".into(), at: 1 });
}

proptest! {
    #[test]
    fn every_answer_can_be_sent_back_as_a_request(kind in 0usize..14, mut raw in prop::collection::vec(any::<u8>(), 0..64)) {
        let datatype = DataType::ALL[kind];
        let size = match datatype {
            DataType::Fp16 | DataType::Bf16 | DataType::Bytes => return Ok(()),
            _ => datatype.element_bytes().unwrap(),
        };
        raw.truncate(raw.len() / size * size);
        for element in raw.chunks_exact_mut(size) {
            match datatype {
                DataType::Bool => element[0] &= 1,
                // Keeps the exponent below the one of NaN and infinities.
                DataType::Fp32 | DataType::Fp64 => element[size - 1] &= 0xbf,
                _ => {}
            }
        }
        let sent = tensor(datatype, vec![raw.len() / size], raw);
        let json = encode_json(&HEAD, std::slice::from_ref(&sent)).unwrap();
        let answer: Value = serde_json::from_slice(&json).unwrap();
        // As text, so that no number passes through a double on its way.
        let text = String::from_utf8(json).unwrap();
        let outputs = &text[text.find("\"outputs\":").unwrap() + 10..text.len() - 1];
        let body = Bytes::from(format!("{{\"inputs\":{outputs}}}"));
        let back = decode_infer(&body, None, &CodecLimits::default()).unwrap();
        prop_assert_eq!(&back.inputs[0], &sent);
        prop_assert_eq!(&answer["model_version"], &json!("3"));
    }
}

#[test]
fn each_output_has_its_own_form() {
    let x = tensor(DataType::Fp16, vec![2], vec![1, 2, 3, 4]).named("x");
    let y = tensor(DataType::Uint8, vec![2], vec![7, 8]);
    let z = Tensor::new("z", DataType::Bytes, vec![2], Data::Strings(vec![b"\0\xff"[..].into(), "".into()])).unwrap();
    let outputs = [(x.clone(), Form::Binary), (y, Form::Json), (z, Form::Binary)];
    let EncodedAnswer { pieces, json_bytes } = encode_answer(&HEAD, &outputs).unwrap();
    assert_eq!(json_bytes, Some(pieces[0].len()));
    let json: Value = serde_json::from_slice(&pieces[0]).unwrap();
    let expected = json!([
        { "name": "x", "datatype": "FP16", "shape": [2], "parameters": { "binary_data_size": 4 } },
        { "name": "y", "datatype": "UINT8", "shape": [2], "data": [7, 8] },
        { "name": "z", "datatype": "BYTES", "shape": [2], "parameters": { "binary_data_size": 10 } },
    ]);
    assert_eq!(json["outputs"], expected);
    let Data::Raw(raw) = x.data() else { unreachable!("halves") };
    assert_eq!(pieces[1].as_ptr(), raw.as_ptr(), "not copied");
    assert_eq!(pieces[2], b"\x02\0\0\0\0\xff\0\0\0\0"[..]);
    assert_eq!(pieces.len(), 3);
}

#[test]
fn an_empty_output_alone_makes_no_binary_answer() {
    let empty = tensor(DataType::Fp16, vec![0], vec![]);
    let EncodedAnswer { pieces, json_bytes } = encode_answer(&HEAD, &[(empty, Form::Binary)]).unwrap();
    assert_eq!(json_bytes, None);
    let json: Value = serde_json::from_slice(&pieces.concat()).unwrap();
    assert_eq!(json["outputs"][0]["parameters"], json!({ "binary_data_size": 0 }));
}
