//! Requests of the Open Inference Protocol v2 on REST.

use base_types::{Data, DataType, Signature, Tensor, TensorSpec};
use bytes::Bytes;
use data_codec::{
    AnswerHead, CodecLimits, DecodeError, DecodedInfer, EncodeError, Form, decode_infer, decode_raw, encode_answer,
};

use crate::{Meter, check_peak};

const HEAD: AnswerHead<'static> =
    AnswerHead { model: "m", version: 1, id: None, digest: "00", generation: 1, reason: "stable" };

/// The bytes are a body of JSON.
pub fn json_infer<M: Meter>(bytes: &[u8], meter: &M) {
    let body = Bytes::copy_from_slice(bytes);
    let limits = CodecLimits::default();
    let (result, peak) = meter.peak(|| decode_infer(&body, None, &limits));
    check_peak(peak, body.len());
    check(result, &body);
}

/// The first two bytes are the length of the JSON, the rest is the body. A length of 0 means a body without JSON.
pub fn binary_infer<M: Meter>(bytes: &[u8], meter: &M) {
    let Some((length, body)) = bytes.split_first_chunk() else { return };
    let length = u16::from_le_bytes(*length);
    let body = Bytes::copy_from_slice(body);
    let limits = CodecLimits::default();
    if length == 0 {
        for signature in signatures() {
            let (result, peak) = meter.peak(|| decode_raw(body.clone(), &signature, &limits));
            check_peak(peak, body.len());
            check(result, &body);
        }
    }
    let (result, peak) = meter.peak(|| decode_infer(&body, Some(length.into()), &limits));
    check_peak(peak, body.len());
    check(result, &body);
}

/// Errors are short and say something; what was read is as large as the body lets it be, can be answered, and is the
/// same when it is read back from binary.
fn check(result: Result<DecodedInfer, DecodeError>, body: &Bytes) {
    let request = match result {
        Ok(request) => request,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < 8 * 1024, "{} bytes of error", text.len());
            return;
        }
    };
    for input in &request.inputs {
        assert!(input.data_bytes() <= body.len().saturating_mul(8), "{:?}", input.shape());
    }
    match encode_answer(&HEAD, &with_form(&request.inputs, Form::Json)) {
        Ok(answer) => assert!(serde_json::from_slice::<serde_json::Value>(&answer.pieces.concat()).is_ok()),
        Err(EncodeError::NotText { .. } | EncodeError::NoJsonForm { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    let answer = encode_answer(&HEAD, &with_form(&request.inputs, Form::Binary)).unwrap();
    let json_bytes = answer.pieces[0].len() as u64;
    // The answer is a request but for the name of its list.
    let json = String::from_utf8(answer.pieces[0].to_vec()).unwrap().replacen("\"outputs\":[", "\"inputs\": [", 1);
    let pieces: Vec<Bytes> = [Bytes::from(json)].into_iter().chain(answer.pieces.into_iter().skip(1)).collect();
    let again = decode_infer(&pieces.concat().into(), Some(json_bytes), &CodecLimits::default()).unwrap();
    assert!(same(&again.inputs, &request.inputs));
}

fn with_form(inputs: &[Tensor], form: Form) -> Vec<(Tensor, Form)> {
    inputs.iter().map(|input| (input.clone(), form)).collect()
}

fn same(some: &[Tensor], others: &[Tensor]) -> bool {
    let data = |tensor: &Tensor| match tensor.data() {
        Data::Raw(raw) => vec![raw.clone()],
        Data::Strings(strings) => strings.clone(),
    };
    some.len() == others.len()
        && some.iter().zip(others).all(|(one, other)| {
            (one.name(), one.datatype(), one.shape()) == (other.name(), other.datatype(), other.shape())
                && data(one) == data(other)
        })
}

fn signatures() -> Vec<Signature> {
    let dims: [&[Option<usize>]; 4] = [&[None, Some(4)], &[None, None], &[None], &[Some(3), None, Some(0)]];
    let types = [DataType::Fp32, DataType::Bool, DataType::Bytes, DataType::Fp64];
    let spec = |(datatype, dims): (&DataType, &&[Option<usize>])| {
        let x = TensorSpec { name: "x".into(), datatype: *datatype, dims: dims.to_vec() };
        Signature { inputs: vec![x], outputs: Vec::new() }
    };
    types.iter().flat_map(|datatype| dims.iter().map(move |dims| (datatype, dims))).map(spec).collect()
}
