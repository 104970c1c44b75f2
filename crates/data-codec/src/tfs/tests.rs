//! Requests and answers of TensorFlow Serving, from bytes to tensors and back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed step is a failed test")]

mod answers;
mod requests;
mod round_trip;

use base_types::{Data, DataType, Signature, Tensor, TensorSpec};
use bytes::Bytes;

use crate::{CodecLimits, DecodeError};

fn spec(name: &str, datatype: DataType, dims: &[Option<usize>]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype, dims: dims.to_vec() }
}

/// A model of these inputs, of which only names and types matter.
fn model(inputs: &[(&str, DataType)]) -> Signature {
    let inputs = inputs.iter().map(|(name, datatype)| spec(name, *datatype, &[None])).collect();
    Signature { inputs, outputs: Vec::new() }
}

fn floats(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(name, DataType::Fp32, shape.to_vec(), Data::Raw(raw.into())).unwrap()
}

fn longs(name: &str, shape: &[usize], values: &[i64]) -> Tensor {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(name, DataType::Int64, shape.to_vec(), Data::Raw(raw.into())).unwrap()
}

fn texts(name: &str, shape: &[usize], values: &[&[u8]]) -> Tensor {
    let strings = values.iter().map(|value| Bytes::copy_from_slice(value)).collect();
    Tensor::new(name, DataType::Bytes, shape.to_vec(), Data::Strings(strings)).unwrap()
}

fn predict(signature: &Signature, body: &str) -> Result<super::DecodedPredict, DecodeError> {
    super::decode_predict(&Bytes::copy_from_slice(body.as_bytes()), signature, &CodecLimits::default())
}

fn examples(signature: &Signature, body: &str) -> Result<Vec<Tensor>, DecodeError> {
    super::decode_examples(&Bytes::copy_from_slice(body.as_bytes()), signature, &CodecLimits::default())
}
