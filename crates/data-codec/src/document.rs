//! The small documents of the protocol: health, metadata and errors.

use base_types::{Signature, TensorSpec};
use serde::Serialize;

/// What every model is, as Triton names it.
const PLATFORM: &str = "onnxruntime_onnx";

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    live: bool,
}

#[derive(Serialize)]
struct ModelReady<'a> {
    name: &'a str,
    ready: bool,
}

#[derive(Serialize)]
struct ModelList<'a> {
    models: &'a [&'a str],
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    version: &'a str,
    extensions: &'a [&'a str],
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    versions: &'a [String],
    platform: &'a str,
    inputs: Vec<Spec<'a>>,
    outputs: Vec<Spec<'a>>,
}

#[derive(Serialize)]
struct Spec<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: Vec<i64>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    code: &'a str,
    fault: &'a str,
}

/// The answer of `/v2/health/live`.
pub fn live() -> Vec<u8> {
    json(&Live { live: true })
}

/// The answer of `/v2/health/ready`; some clients look for `live` in it.
pub fn ready(is_ready: bool) -> Vec<u8> {
    json(&Ready { ready: is_ready, live: true })
}

/// The answer of a model's `ready`.
pub fn model_ready(model: &str) -> Vec<u8> {
    json(&ModelReady { name: model, ready: true })
}

/// The models by name.
pub fn model_list(models: &[&str]) -> Vec<u8> {
    json(&ModelList { models })
}

/// What the server is and which extensions of the protocol it has.
pub fn server_metadata(name: &str, version: &str, extensions: &[&str]) -> Vec<u8> {
    json(&Server { name, version, extensions })
}

/// What a model takes and gives. `versions` are those that answer.
pub fn model_metadata(model: &str, versions: &[String], signature: &Signature) -> Vec<u8> {
    let inputs = signature.inputs.iter().map(Spec::from).collect();
    let outputs = signature.outputs.iter().map(Spec::from).collect();
    json(&Model { name: model, versions, platform: PLATFORM, inputs, outputs })
}

/// The body of every error: what is wrong, a stable code, and in whose hands it lies.
pub fn error_body(error: &str, code: &str, fault: &str) -> Vec<u8> {
    json(&ErrorBody { error, code, fault })
}

impl<'a> From<&'a TensorSpec> for Spec<'a> {
    fn from(spec: &'a TensorSpec) -> Self {
        Self { name: &spec.name, datatype: spec.datatype.as_str(), shape: spec.wire_dims().collect() }
    }
}

/// Structs of text and numbers always have a JSON form.
fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}
