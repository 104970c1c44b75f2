//! An inference request of the Open Inference Protocol v2, with its tensors in JSON or behind it.

use base_types::Tensor;
use bytes::Bytes;
use serde::de::DeserializeSeed;

use crate::error::DecodeError;
use crate::lenient;
use crate::limits::CodecLimits;
use crate::outline;
use crate::parameters::Parameters;
use crate::request::{Context, Leniency, RequestSeed};

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
    /// Whether it is wanted in binary; `None` where the request as a whole decides.
    pub is_binary: Option<bool>,
    /// How many classes are wanted instead of the output itself.
    pub classes: Option<usize>,
    /// Its parameters.
    pub parameters: Parameters,
}

impl DecodedInfer {
    /// Whether outputs that say nothing themselves are wanted in binary.
    pub fn is_binary(&self) -> bool {
        // A value of another kind was refused on reading.
        self.parameters.are_outputs_binary().ok().flatten().unwrap_or(false)
    }
}

/// Reads a request. `json_bytes` is the length of the JSON part as the header
/// `inference-header-content-length` gives it; without the header all of the body is JSON. A header of 0 means a
/// request without JSON, which [`decode_raw`](crate::decode_raw) reads.
///
/// Binary data and text elements that hold no escapes share the memory of `body`; everything else is written once,
/// in its final form. What is allocated is bounded by a small multiple of the body, whatever the shapes claim.
///
/// # Errors
/// The body is no request. The error says which input is wrong, where, and how to mend it.
pub fn decode_infer(body: &Bytes, json_bytes: Option<u64>, limits: &CodecLimits) -> Result<DecodedInfer, DecodeError> {
    let json_bytes = json_bytes.unwrap_or(body.len() as u64);
    if json_bytes > body.len() as u64 {
        return Err(DecodeError::HeaderTooLong { header: json_bytes, body: body.len() });
    }
    let json = body.slice(..json_bytes as usize);
    let tail = body.slice(json_bytes as usize..);
    if let Some(outline) = outline::of(&json) {
        // What was read is thrown away: only its mistakes matter.
        let _outline = read_all(&outline.into(), &tail, limits)?;
    }
    read_all(&json, &tail, limits)
}

/// Reads a request, once more where the first reading shows that another way is needed.
fn read_all(json: &Bytes, tail: &Bytes, limits: &CodecLimits) -> Result<DecodedInfer, DecodeError> {
    let mut context = Context::new(json, tail, limits);
    let mut result = read(&context);
    if result.is_err() && context.wants_another_reading() {
        context = Context::new(json, tail, limits).for_second_reading(Leniency::None);
        result = read(&context);
    }
    let error = match result {
        Ok(request) => return Ok(request),
        Err(error) => error,
    };
    match lenient::worth_another_reading(&context, &error) {
        None => Err(context.explain(error)),
        Some(json) => {
            let context = Context::new(&json, tail, limits).for_second_reading(Leniency::Numbers);
            read(&context).map_err(|error| context.explain(error))
        }
    }
}

fn read(context: &Context<'_>) -> Result<DecodedInfer, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(context.body);
    let request = RequestSeed(context).deserialize(&mut json)?;
    json.end()?;
    context.check_tail()?;
    Ok(request)
}

#[cfg(test)]
mod tests;
