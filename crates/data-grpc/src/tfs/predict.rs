//! A `PredictRequest`: from bytes to tensors.

use base_types::{Data, DataType, Selector, Tensor};
use bytes::{Buf, Bytes};
use data_codec::tfs::{SIGNATURE_NAME, datatype_of};
use data_codec::{CodecLimits, DecodeError, Problem};
use data_path::{Code, Failure};

use crate::ask::named;
use crate::contents::{Elements, Form, Room, Wanted};
use crate::frames::Frames;
use crate::wire::{Value, element_count, mistyped, next_field, push_dimension};

/// A request as the caller sent it. Nothing is known yet about the model.
#[derive(Debug, Default)]
pub struct PredictMessage {
    /// The model and version.
    pub spec: Spec,
    /// The inputs.
    pub inputs: Vec<Tensor>,
    /// Names of the wanted outputs; empty means all.
    pub outputs: Vec<String>,
}

/// Which model is meant.
#[derive(Debug, Default)]
pub struct Spec {
    /// The model.
    pub model: String,
    /// The number of a version.
    pub version: Option<i64>,
    /// The label of a version; empty where none is named.
    pub label: String,
    /// The signature; empty for the only one.
    pub signature: String,
}

impl Spec {
    /// The model, and the version or label.
    ///
    /// # Errors
    /// None is named, or the signature is one that no model here has.
    pub(crate) fn target(&self) -> Result<(String, Option<Selector>), Failure> {
        if !self.signature.is_empty() && self.signature != SIGNATURE_NAME {
            let text = format!("there is no signature {:?}: every model has {SIGNATURE_NAME:?} alone", self.signature);
            return Err(Failure::new(Code::Malformed, text));
        }
        let version = match self.version {
            Some(number) => number.to_string(),
            None if !self.label.is_empty() && self.label.bytes().all(|b| b.is_ascii_digit()) => {
                let text = format!("the label {:?} is all digits, and digits always mean a version", self.label);
                return Err(Failure::new(Code::Malformed, text));
            }
            None => self.label.clone(),
        };
        named(&self.model, &version)
    }
}

/// Reads a request. What is allocated is bounded by a small multiple of the body, whatever the shapes claim.
///
/// # Errors
/// What is wrong, and with which input.
pub fn decode_predict_request(bytes: Bytes, limits: &CodecLimits) -> Result<PredictMessage, DecodeError> {
    decode(bytes.into(), limits)
}

/// Reads a request that came in pieces.
pub(crate) fn decode(mut message: Frames, limits: &CodecLimits) -> Result<PredictMessage, DecodeError> {
    let (mut request, mut room) = (PredictMessage::default(), Room::new(limits));
    while let Some((number, value)) = next_field(&mut message).map_err(DecodeError::Request)? {
        match number {
            1 => {
                let spec = value.frames("model_spec");
                spec.and_then(|spec| read_spec(spec, &mut request.spec, limits)).map_err(DecodeError::Request)?;
            }
            2 => {
                let index = request.inputs.len();
                let entry = value.frames("inputs").map_err(|problem| (String::new(), problem));
                let input = entry.and_then(|entry| read_input(entry, limits, &mut room));
                let input = input.and_then(|input| added(&request.inputs, input, limits));
                request.inputs.push(input.map_err(|(name, problem)| DecodeError::Input {
                    index,
                    name: Some(name).filter(|name| !name.is_empty()),
                    problem,
                })?);
            }
            3 => {
                let name = value.text("output_filter", limits).map_err(DecodeError::Request)?;
                if request.outputs.len() == limits.tensors {
                    let max = limits.tensors;
                    return Err(DecodeError::Request(Problem::TooMany { what: "outputs", max }));
                }
                request.outputs.push(name);
            }
            _ => {}
        }
    }
    if request.spec.model.is_empty() {
        return Err(DecodeError::Request(Problem::Missing("model_spec.name")));
    }
    Ok(request)
}

/// An input, unless it is one too many or there already.
fn added(others: &[Tensor], input: Tensor, limits: &CodecLimits) -> Result<Tensor, (String, Problem)> {
    let name = input.name().to_owned();
    if others.len() == limits.tensors {
        return Err((name, Problem::TooMany { what: "inputs", max: limits.tensors }));
    }
    if others.iter().any(|other| other.name() == name) {
        return Err((name.clone(), Problem::DuplicateName(name)));
    }
    Ok(input)
}

/// Reads a `ModelSpec`.
pub(super) fn read_spec(mut message: Frames, spec: &mut Spec, limits: &CodecLimits) -> Result<(), Problem> {
    while let Some((number, value)) = next_field(&mut message)? {
        match number {
            1 => spec.model = value.text("model_spec.name", limits)?,
            // One of the two: the last that is set counts.
            2 => {
                let mut wrapped = value.frames("model_spec.version")?;
                let mut version = 0;
                while let Some((number, value)) = next_field(&mut wrapped)? {
                    if number == 1 {
                        version = value.varint("model_spec.version")? as i64;
                    }
                }
                spec.version = Some(version);
                spec.label.clear();
            }
            3 => spec.signature = value.text("model_spec.signature_name", limits)?,
            4 => {
                spec.label = value.text("model_spec.version_label", limits)?;
                spec.version = None;
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_input(mut entry: Frames, limits: &CodecLimits, room: &mut Room) -> Result<Tensor, (String, Problem)> {
    let (mut name, mut tensor) = (String::new(), Frames::default());
    loop {
        let read = next_field(&mut entry).and_then(|field| {
            match field {
                None => return Ok(false),
                Some((1, value)) => name = value.text("the name of an input", limits)?,
                Some((2, value)) => tensor = value.frames("a tensor")?,
                Some(_) => {}
            }
            Ok(true)
        });
        match read {
            Ok(true) => {}
            Ok(false) => break,
            Err(problem) => return Err((name, problem)),
        }
    }
    if name.is_empty() {
        return Err((name, Problem::Missing("name")));
    }
    read_tensor(&name, tensor, (limits, room)).map_err(|problem| (name, problem))
}

/// The field of a `TensorProto` that a data type comes in, and its form.
pub(super) fn field_of(datatype: DataType) -> (u32, Form) {
    match datatype {
        DataType::Fp32 => (5, Form::Four),
        DataType::Fp64 => (6, Form::Eight),
        DataType::Int32 | DataType::Int16 | DataType::Int8 => (7, Form::Signed),
        DataType::Uint16 | DataType::Uint8 => (7, Form::Unsigned),
        DataType::Bytes => (8, Form::Strings),
        DataType::Int64 => (10, Form::Signed),
        DataType::Bool => (11, Form::Bool),
        DataType::Fp16 | DataType::Bf16 => (13, Form::Unsigned),
        DataType::Uint32 => (16, Form::Unsigned),
        DataType::Uint64 => (17, Form::Unsigned),
    }
}

/// Whether a field of a `TensorProto` holds elements.
fn holds_elements(field: u32) -> bool {
    matches!(field, 5..=17)
}

fn read_tensor(name: &str, message: Frames, (limits, room): (&CodecLimits, &mut Room)) -> Result<Tensor, Problem> {
    let (mut number, mut shape, mut content) = (0, Vec::new(), None);
    let mut head = message.clone();
    while let Some((field, value)) = next_field(&mut head)? {
        match field {
            1 => number = i32::try_from(value.varint("dtype")?).unwrap_or(-1),
            2 => read_shape(value.frames("tensor_shape")?, &mut shape, limits)?,
            4 => content = Some(value.frames("tensor_content")?).filter(Buf::has_remaining),
            _ => {}
        }
    }
    let datatype = datatype_of(number).ok_or_else(|| Problem::DataType(format!("the number {number}")))?;
    let n_elements = element_count(&shape, limits)?;
    let data = match content {
        Some(_) if datatype == DataType::Bytes => {
            return Err(Problem::Field("strings come in string_val, not in tensor_content".to_owned()));
        }
        Some(content) => Data::Raw(content.into_bytes()),
        None => read_values(message, Wanted { datatype, shape: &shape, n_elements }, room)?,
    };
    Ok(Tensor::new(name, datatype, shape, data)?)
}

fn read_shape(mut message: Frames, shape: &mut Vec<usize>, limits: &CodecLimits) -> Result<(), Problem> {
    while let Some((number, value)) = next_field(&mut message)? {
        match (number, value) {
            (2, Value::Bytes(mut dimension)) => {
                let mut size = 0;
                while let Some((number, value)) = next_field(&mut dimension)? {
                    if number == 1 {
                        size = value.varint("dim.size")?;
                    }
                }
                push_dimension(size, shape, limits)?;
            }
            (3, Value::Varint(is_unknown)) if is_unknown != 0 => {
                return Err(Problem::Field("the rank of the shape is unknown: say the dimensions".to_owned()));
            }
            (2 | 3, Value::Fixed32(_) | Value::Fixed64(_)) | (2, Value::Varint(_)) => return Err(mistyped("dim")),
            _ => {}
        }
    }
    Ok(())
}

fn read_values(mut message: Frames, wanted: Wanted<'_>, room: &mut Room) -> Result<Data, Problem> {
    let datatype = wanted.datatype;
    let (number, form) = field_of(datatype);
    let mut elements = Elements::new(wanted, form, message.remaining(), room);
    while let Some((field, value)) = next_field(&mut message)? {
        if field == number {
            // Negative numbers of small unsigned types are how some writers say them; they are out of range here.
            elements.add(value)?;
        } else if holds_elements(field) {
            let text = format!("values are in the field {field}, those of {datatype} are in the field {number}");
            return Err(Problem::Field(text));
        }
    }
    // The last element may stand for all that follow, as TensorFlow has it.
    elements.finish(true)
}

#[cfg(test)]
mod tests;
