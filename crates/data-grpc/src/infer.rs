//! A `ModelInferRequest`: from bytes to tensors.

use base_types::{Data, DataType, Tensor};
use bytes::{Buf, Bytes};
use data_codec::{CodecLimits, DecodeError, DecodedInfer, Parameters, Problem, RequestedOutput};

use crate::contents::{self, Room, Wanted};
use crate::frames::Frames;
use crate::parameters;
use crate::wire::{dimensions, element_count, next_field, split_strings};

/// A request as the caller sent it. Nothing is known yet about the model.
#[derive(Debug, Default)]
pub struct InferMessage {
    /// The model.
    pub model: String,
    /// The version or label as text; empty where none is named.
    pub version: String,
    /// Everything else.
    pub request: DecodedInfer,
}

/// Reads a request. Tensors share the memory of `bytes` or are copied once; what is allocated is bounded by a small
/// multiple of the body, whatever the shapes claim.
///
/// # Errors
/// What is wrong, and with which input or output.
pub fn decode_infer_request(bytes: Bytes, limits: &CodecLimits) -> Result<InferMessage, DecodeError> {
    decode(bytes.into(), limits)
}

/// An input as far as its own message tells.
#[derive(Default)]
struct Input {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    parameters: Parameters,
    contents: Frames,
}

/// Reads a request that came in pieces.
pub(crate) fn decode(mut message: Frames, limits: &CodecLimits) -> Result<InferMessage, DecodeError> {
    let mut read = InferMessage::default();
    let (mut inputs, mut raws): (Vec<Input>, Vec<Frames>) = Default::default();
    while let Some((number, value)) = next_field(&mut message).map_err(DecodeError::Request)? {
        match number {
            1 => read.model = value.text("model_name", limits).map_err(DecodeError::Request)?,
            2 => read.version = value.text("model_version", limits).map_err(DecodeError::Request)?,
            3 => {
                let id = value.text("id", limits).map_err(DecodeError::Request)?;
                read.request.id = Some(id).filter(|id| !id.is_empty());
            }
            4 => {
                let entry = value.frames("parameters");
                let added = entry.and_then(|entry| parameters::add(&mut read.request.parameters, entry, limits));
                added.map_err(DecodeError::Request)?;
            }
            5 => {
                let (index, mut input) = (inputs.len(), Input::default());
                let read = value.frames("inputs").and_then(|message| input.read(message, limits));
                read.map_err(|problem| input.wrong(index, problem))?;
                inputs.push(input);
                bound(inputs.len(), "inputs", limits)?;
            }
            6 => {
                let index = read.request.outputs.len();
                let output = value.frames("outputs").and_then(|output| read_output(output, limits));
                let output = output.and_then(|output| unique(output, &read.request.outputs));
                read.request.outputs.push(output.map_err(|problem| DecodeError::Output { index, problem })?);
                bound(read.request.outputs.len(), "outputs", limits)?;
            }
            7 => {
                raws.push(value.frames("raw_input_contents").map_err(DecodeError::Request)?);
                bound(raws.len(), "raw contents", limits)?;
            }
            _ => {}
        }
    }
    read.request.inputs = tensors(inputs, raws, limits)?;
    Ok(read)
}

fn bound(n: usize, what: &'static str, limits: &CodecLimits) -> Result<(), DecodeError> {
    if n <= limits.tensors {
        return Ok(());
    }
    Err(DecodeError::Request(Problem::TooMany { what, max: limits.tensors }))
}

fn unique(output: RequestedOutput, others: &[RequestedOutput]) -> Result<RequestedOutput, Problem> {
    match others.iter().any(|other| other.name == output.name) {
        true => Err(Problem::DuplicateName(output.name)),
        false => Ok(output),
    }
}

impl Input {
    fn read(&mut self, mut message: Frames, limits: &CodecLimits) -> Result<(), Problem> {
        while let Some((number, value)) = next_field(&mut message)? {
            match number {
                1 => self.name = value.text("name", limits)?,
                2 => self.datatype = value.text("datatype", limits)?,
                3 => dimensions(value, &mut self.shape, limits)?,
                4 => parameters::add(&mut self.parameters, value.frames("parameters")?, limits)?,
                // A message that comes in several parts is their sum.
                5 => self.contents.append(value.frames("contents")?),
                _ => {}
            }
        }
        Ok(())
    }

    fn wrong(&self, index: usize, problem: Problem) -> DecodeError {
        DecodeError::Input { index, name: Some(self.name.clone()).filter(|name| !name.is_empty()), problem }
    }
}

fn read_output(mut message: Frames, limits: &CodecLimits) -> Result<RequestedOutput, Problem> {
    let (mut name, mut parameters) = (String::new(), Parameters::default());
    while let Some((number, value)) = next_field(&mut message)? {
        match number {
            1 => name = value.text("name", limits)?,
            2 => parameters::add(&mut parameters, value.frames("parameters")?, limits)?,
            _ => {}
        }
    }
    parameters::refuse_shared_memory(&parameters)?;
    if name.is_empty() {
        return Err(Problem::Missing("name"));
    }
    let classes = parameters.classes()?;
    Ok(RequestedOutput { name, is_binary: None, classes, parameters })
}

/// Puts inputs and their elements together.
fn tensors(inputs: Vec<Input>, raws: Vec<Frames>, limits: &CodecLimits) -> Result<Vec<Tensor>, DecodeError> {
    let is_raw = !raws.is_empty();
    if is_raw && raws.len() != inputs.len() {
        let text = format!("{} inputs have {} raw_input_contents: each needs its own", inputs.len(), raws.len());
        return Err(DecodeError::Request(Problem::Field(text)));
    }
    let (mut raws, mut room) = (raws.into_iter(), Room::new(limits));
    let mut tensors: Vec<Tensor> = Vec::with_capacity(inputs.len());
    for (index, mut input) in inputs.into_iter().enumerate() {
        let tensor = tensor(&mut input, raws.next(), (limits, &mut room)).and_then(|tensor| {
            let is_known = tensors.iter().any(|other| other.name() == tensor.name());
            if is_known { Err(Problem::DuplicateName(tensor.name().to_owned())) } else { Ok(tensor) }
        });
        tensors.push(tensor.map_err(|problem| input.wrong(index, problem))?);
    }
    Ok(tensors)
}

fn tensor(
    input: &mut Input,
    raw: Option<Frames>,
    (limits, room): (&CodecLimits, &mut Room),
) -> Result<Tensor, Problem> {
    if input.name.is_empty() {
        return Err(Problem::Missing("name"));
    }
    parameters::refuse_shared_memory(&input.parameters)?;
    let datatype = DataType::parse(&input.datatype).ok_or_else(|| match input.datatype.as_str() {
        "" => Problem::Missing("datatype"),
        other => Problem::DataType(other.to_owned()),
    })?;
    let n_elements = element_count(&input.shape, limits)?;
    let contents = std::mem::take(&mut input.contents);
    let shape = std::mem::take(&mut input.shape);
    let data = match raw {
        Some(_) if contents.has_remaining() => {
            let text = "contents and raw_input_contents are mixed: a request has either, for all of its inputs";
            return Err(Problem::Field(text.to_owned()));
        }
        Some(raw) if datatype == DataType::Bytes => split_strings(raw, n_elements, room)?,
        Some(raw) => Data::Raw(raw.into_bytes()),
        None => contents::read(Wanted { datatype, shape: &shape, n_elements }, contents, room)?,
    };
    Ok(Tensor::new(input.name.as_str(), datatype, shape, data)?)
}

#[cfg(test)]
mod tests;
