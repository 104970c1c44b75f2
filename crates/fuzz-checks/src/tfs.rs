//! Requests of TensorFlow Serving on REST.

use base_types::{DataType, Signature, Tensor, TensorSpec};
use bytes::Bytes;
use data_codec::CodecLimits;
use data_codec::tfs::{Arrangement, decode_examples, decode_predict, encode_predictions};

use crate::{Meter, check_peak};

/// The first byte picks the model's inputs, the rest is a body of JSON.
pub fn tfs_json<M: Meter>(bytes: &[u8], meter: &M) {
    let Some((pick, body)) = bytes.split_first() else { return };
    let signature = signature(*pick);
    let body = Bytes::copy_from_slice(body);
    let limits = CodecLimits::default();
    let (result, peak) = meter.peak(|| decode_examples(&body, &signature, &limits));
    check_peak(peak, body.len());
    check_tensors(result.map_err(|error| error.to_string()), &signature);
    let (result, peak) = meter.peak(|| decode_predict(&body, &signature, &limits));
    check_peak(peak, body.len());
    let inputs = check_tensors(result.map(|found| found.inputs).map_err(|error| error.to_string()), &signature);
    // What was read can be answered in both arrangements, and is the same when it is read back.
    if inputs.len() == signature.inputs.len() {
        check_answer(Arrangement::Columns, &inputs, &signature);
        check_answer(Arrangement::Rows, &inputs, &signature);
    }
}

/// Errors are short and say something; tensors are those of the signature.
fn check_tensors(result: Result<Vec<Tensor>, String>, signature: &Signature) -> Vec<Tensor> {
    match result {
        Ok(inputs) => {
            for input in &inputs {
                let is_known =
                    |spec: &TensorSpec| (spec.name.as_str(), spec.datatype) == (input.name(), input.datatype());
                assert!(signature.inputs.iter().any(is_known), "{}", input.name());
                assert!(input.shape().len() <= CodecLimits::default().rank.max(2));
            }
            inputs
        }
        Err(text) => {
            assert!(!text.is_empty() && text.len() < 8 * 1024, "{} bytes of error", text.len());
            Vec::new()
        }
    }
}

fn check_answer(arrangement: Arrangement, tensors: &[Tensor], signature: &Signature) {
    let n_rows = tensors.first().and_then(|tensor| tensor.shape().first());
    let has_rows = n_rows.is_some_and(|n| *n > 0) && tensors.iter().all(|tensor| tensor.shape().first() == n_rows);
    if arrangement == Arrangement::Rows && !has_rows {
        return;
    }
    let answer = String::from_utf8(encode_predictions(arrangement, tensors).unwrap()).unwrap();
    let body = match arrangement {
        Arrangement::Rows => answer.replacen("{\"predictions\":", "{\"instances\":", 1),
        Arrangement::Columns => answer.replacen("{\"outputs\":", "{\"inputs\":", 1),
    };
    let again = decode_predict(&body.into(), signature, &CodecLimits::default()).unwrap();
    assert_eq!(again.arrangement, arrangement);
    assert!(again.inputs.iter().zip(tensors).all(|(one, other)| same(one, other)), "{answer}");
}

fn same(one: &Tensor, other: &Tensor) -> bool {
    (one.name(), one.datatype(), one.shape(), one.data())
        == (other.name(), other.datatype(), other.shape(), other.data())
}

/// Inputs of every type alone, and two together. Text comes back in base64 by its name.
fn signature(pick: u8) -> Signature {
    let spec = |name: &str, datatype, dims: &[Option<usize>]| TensorSpec {
        name: name.to_owned(),
        datatype,
        dims: dims.to_vec(),
    };
    let inputs = match DataType::ALL.get(usize::from(pick) % (DataType::ALL.len() + 2)) {
        Some(datatype) => vec![spec("x_bytes", *datatype, &[None, None])],
        None if pick.is_multiple_of(2) => {
            vec![spec("x", DataType::Fp32, &[None, Some(2)]), spec("y_bytes", DataType::Bytes, &[None])]
        }
        None => vec![spec("x", DataType::Fp64, &[None, None, Some(2)]), spec("y", DataType::Int64, &[])],
    };
    Signature { inputs, outputs: Vec::new() }
}
