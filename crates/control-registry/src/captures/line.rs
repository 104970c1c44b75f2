//! One capture as a line of JSON. Elements are base64: exact for every bit, NaN payloads and texts that are no UTF-8
//! too.

use base_serving::CapturedTensor;
use base_types::{Data, DataType, Tensor};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Capture, Fingerprint, datatype};

/// What every line begins with. Id and model stand first, in this form, so that a reader passes over the others without
/// reading them.
const HEAD: &str = "{\"prediction_id\":\"";
const MODEL: &str = "\",\"model\":\"";

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    prediction_id: &'a str,
    model: &'a str,
    at_unix_ms: u64,
    version: u64,
    digest: String,
    generation: u64,
    reason: String,
    #[serde(default)]
    asked: Vec<String>,
    positions: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch_rows: Option<usize>,
    was_redacted: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    fingerprint: Fingerprint,
    inputs: Vec<LineTensor>,
    outputs: Vec<LineTensor>,
}

#[derive(Serialize, Deserialize)]
struct LineTensor {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<Elements>,
}

/// All elements in one text; those of BYTES, which vary in length, each in its own.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Elements {
    Raw(String),
    Texts(Vec<String>),
}

/// The line of a capture, without its end.
pub(super) fn write(capture: &base_serving::Capture, fingerprint: &Fingerprint) -> Vec<u8> {
    let tensors = |tensors: &[CapturedTensor]| tensors.iter().map(LineTensor::from).collect::<Vec<_>>();
    let is_redacted = capture.inputs.iter().chain(&capture.outputs).any(|tensor| tensor.data.is_none());
    let line = Line {
        prediction_id: capture.prediction.as_str(),
        model: capture.model.as_str(),
        at_unix_ms: capture.unix_ms,
        version: capture.version.get(),
        digest: capture.digest.to_string(),
        generation: capture.generation.0,
        reason: capture.reason.as_str().to_owned(),
        asked: capture.asked.clone(),
        positions: capture.positions.clone(),
        batch_rows: capture.batch_rows,
        was_redacted: is_redacted,
        trace_id: capture.trace_id.clone(),
        fingerprint: Fingerprint { provider: capture.provider.as_str().to_owned(), ..fingerprint.clone() },
        inputs: tensors(&capture.inputs),
        outputs: tensors(&capture.outputs),
    };
    // Plain text and numbers always have a form in JSON.
    serde_json::to_vec(&line).unwrap_or_default()
}

/// Id and model of a line, without reading the rest.
pub(super) fn head(line: &[u8]) -> Option<(&str, &str)> {
    let rest = line.strip_prefix(HEAD.as_bytes())?;
    let id_end = rest.iter().position(|byte| *byte == b'"')?;
    let (id, rest) = rest.split_at(id_end);
    let rest = rest.strip_prefix(MODEL.as_bytes())?;
    let model_end = rest.iter().position(|byte| *byte == b'"')?;
    Some((std::str::from_utf8(id).ok()?, std::str::from_utf8(&rest[..model_end]).ok()?))
}

/// The capture of a line; `None` where it is torn or is no capture.
pub(super) fn read(line: &[u8]) -> Option<Capture> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let tensors = |tensors: Vec<LineTensor>| tensors.into_iter().map(LineTensor::kept).collect::<Option<Vec<_>>>();
    Some(Capture {
        prediction_id: line.prediction_id.to_owned(),
        at_unix_ms: line.at_unix_ms,
        model: base_types::ModelName::new(line.model).ok()?,
        version: base_types::Version::new(line.version)?,
        digest: line.digest.parse().ok()?,
        generation: line.generation,
        reason: line.reason,
        fingerprint: line.fingerprint,
        asked: line.asked,
        positions: line.positions,
        batch_rows: line.batch_rows,
        inputs: tensors(line.inputs)?,
        outputs: tensors(line.outputs)?,
        was_redacted: line.was_redacted,
        trace_id: line.trace_id,
    })
}

impl From<&CapturedTensor> for LineTensor {
    fn from(tensor: &CapturedTensor) -> Self {
        let data = tensor.data.as_ref().map(|data| match data {
            Data::Raw(raw) => Elements::Raw(STANDARD.encode(raw)),
            Data::Strings(texts) => Elements::Texts(texts.iter().map(|text| STANDARD.encode(text)).collect()),
        });
        let datatype = tensor.datatype.as_str().to_owned();
        Self { name: tensor.name.clone(), datatype, shape: tensor.shape.clone(), data }
    }
}

impl LineTensor {
    fn kept(self) -> Option<CapturedTensor> {
        let decode = |text: String| STANDARD.decode(text).ok();
        let data = match self.data {
            None => None,
            Some(Elements::Raw(text)) => Some(Data::Raw(decode(text)?.into())),
            Some(Elements::Texts(texts)) => {
                let texts: Option<Vec<_>> = texts.into_iter().map(|text| decode(text).map(Into::into)).collect();
                Some(Data::Strings(texts?))
            }
        };
        let tensor = CapturedTensor { name: self.name, datatype: datatype(&self.datatype)?, shape: self.shape, data };
        // What claims to be whole is.
        match tensor.tensor() {
            Some(Err(_)) => None,
            _ => Some(tensor),
        }
    }
}

/// An input as the Open Inference Protocol writes it in JSON. The protocol's JSON has no form for NaN, infinities and
/// texts that are no UTF-8, nor for halves; `None` for an input that holds any.
pub(super) fn as_request_input(tensor: &Tensor) -> Option<Value> {
    let data: Vec<Value> = match tensor.data() {
        Data::Strings(texts) => {
            texts.iter().map(|text| Some(std::str::from_utf8(text).ok()?.into())).collect::<Option<_>>()?
        }
        Data::Raw(raw) => elements(tensor.datatype(), raw)?,
    };
    Some(
        json!({ "name": tensor.name(), "datatype": tensor.datatype().as_str(), "shape": tensor.shape(), "data": data }),
    )
}

fn elements(datatype: DataType, raw: &[u8]) -> Option<Vec<Value>> {
    fn each<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> Option<Value>) -> Option<Vec<Value>> {
        raw.chunks_exact(N).map(|chunk| read(chunk.try_into().ok()?)).collect()
    }
    let float = |number: f64| serde_json::Number::from_f64(number).map(Value::Number);
    match datatype {
        DataType::Bool => each(raw, |[byte]| Some((byte != 0).into())),
        DataType::Uint8 => each(raw, |bytes| Some(u8::from_le_bytes(bytes).into())),
        DataType::Uint16 => each(raw, |bytes| Some(u16::from_le_bytes(bytes).into())),
        DataType::Uint32 => each(raw, |bytes| Some(u32::from_le_bytes(bytes).into())),
        DataType::Uint64 => each(raw, |bytes| Some(u64::from_le_bytes(bytes).into())),
        DataType::Int8 => each(raw, |bytes| Some(i8::from_le_bytes(bytes).into())),
        DataType::Int16 => each(raw, |bytes| Some(i16::from_le_bytes(bytes).into())),
        DataType::Int32 => each(raw, |bytes| Some(i32::from_le_bytes(bytes).into())),
        DataType::Int64 => each(raw, |bytes| Some(i64::from_le_bytes(bytes).into())),
        // A single as a double is exact, and is read back as the same single.
        DataType::Fp32 => each(raw, |bytes| float(f64::from(f32::from_le_bytes(bytes)))),
        DataType::Fp64 => each(raw, |bytes| float(f64::from_le_bytes(bytes))),
        DataType::Fp16 | DataType::Bf16 | DataType::Bytes => None,
    }
}
