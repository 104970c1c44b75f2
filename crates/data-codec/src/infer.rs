//! An inference request of the Open Inference Protocol v2, with its tensors in JSON.

use base_types::Tensor;
use bytes::Bytes;
use serde::de::DeserializeSeed;

use crate::error::DecodeError;
use crate::limits::CodecLimits;
use crate::parameters::Parameters;
use crate::request::{Context, RequestSeed};

/// A request as the caller sent it. Nothing is known yet about the model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodedInfer {
    /// The caller's id, to be echoed.
    pub id: Option<String>,
    /// Parameters of the request as a whole.
    pub parameters: Parameters,
    /// The inputs, in the order sent. Names are unique.
    pub inputs: Vec<Tensor>,
    /// The wanted outputs, in the wanted order; empty means all.
    pub outputs: Vec<RequestedOutput>,
}

/// An output the caller asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedOutput {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub parameters: Parameters,
}

/// Reads a request. `json_bytes` is the length of the JSON part as the header
/// `inference-header-content-length` gives it; without the header all of the body is JSON.
///
/// Text elements that hold no escapes share the memory of `body`; everything else is written once, in its final
/// form. What is allocated is bounded by a small multiple of the body, whatever the shapes claim.
pub fn decode_infer(body: &Bytes, json_bytes: Option<u64>, limits: &CodecLimits) -> Result<DecodedInfer, DecodeError> {
    let json_bytes = json_bytes.unwrap_or(body.len() as u64);
    if json_bytes > body.len() as u64 {
        return Err(DecodeError::HeaderTooLong { header: json_bytes, body: body.len() });
    }
    if json_bytes < body.len() as u64 {
        return Err(DecodeError::BinaryBody);
    }
    let mut context = Context::new(body, limits);
    match read(&context) {
        Err(_) if context.wants_another_reading() => {
            context = Context::new_for_second_reading(body, limits);
            read(&context).map_err(|error| context.explain(error))
        }
        result => result.map_err(|error| context.explain(error)),
    }
}

fn read(context: &Context<'_>) -> Result<DecodedInfer, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(context.body);
    let request = RequestSeed(context).deserialize(&mut json)?;
    json.end()?;
    Ok(request)
}

#[cfg(test)]
mod tests;
