//! Outputs as the answer of the Open Inference Protocol v2, in JSON that is written straight into bytes, or behind it.
//!
//! Data are flat, because some clients read nothing else. Who computed the answer stands at the top level, never
//! on an output: clients take an output with parameters for a binary one, so only those have any. NaN and infinities become `null`, which
//! clients read as NaN; no token for them is valid JSON.

use std::io::{self, Write};

use base_types::{Data, DataType, Tensor};
use bytes::Bytes;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::binary::tensor_bytes;
use crate::error::EncodeError;

/// What an answer says besides its outputs.
#[derive(Debug, Clone, Copy)]
pub struct AnswerHead<'a> {
    /// The model.
    pub model: &'a str,
    /// The version that computed the answer.
    pub version: u64,
    /// The id the caller sent.
    pub id: Option<&'a str>,
    /// The first digits of the version's digest.
    pub digest: &'a str,
    /// The generation of the routing that chose the version.
    pub generation: u64,
    /// Why that version.
    pub reason: &'a str,
}

/// Bytes of the longest JSON form of an element, by rough guess: enough that the buffer seldom grows.
const ELEMENT_BYTES: usize = 12;
const HEAD_BYTES: usize = 256;
const OUTPUT_BYTES: usize = 128;

/// How an output is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As `data` in the JSON.
    Json,
    /// Behind the JSON.
    Binary,
}

/// An answer in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedAnswer {
    /// The JSON, then the outputs behind it. All of them together are the body.
    pub pieces: Vec<Bytes>,
    /// The length of the JSON where something follows it; it belongs into the header
    /// `inference-header-content-length`.
    pub json_bytes: Option<usize>,
}

/// Writes an answer. The bytes of binary outputs are handed on as they are.
///
/// # Errors
/// An output has no such form.
pub fn encode_answer(head: &AnswerHead<'_>, outputs: &[(Tensor, Form)]) -> Result<EncodedAnswer, EncodeError> {
    let mut tails = Vec::with_capacity(outputs.len());
    for (output, form) in outputs {
        tails.push(match form {
            Form::Json => check(output).map(|()| None)?,
            Form::Binary => Some(tensor_bytes(output)?),
        });
    }
    let room = outputs.iter().filter(|(_, form)| *form == Form::Json).map(|(output, _)| room(output)).sum::<usize>();
    let mut json = Vec::with_capacity(HEAD_BYTES + OUTPUT_BYTES * outputs.len() + room);
    // Writing to a vector cannot fail.
    if write_answer(&mut json, head, outputs.iter().map(|(output, _)| output).zip(&tails)).is_err() {
        json.clear();
    }
    let has_tail = tails.iter().flatten().any(|tail| !tail.is_empty());
    let json_bytes = has_tail.then_some(json.len());
    Ok(EncodedAnswer { pieces: [json.into()].into_iter().chain(tails.into_iter().flatten()).collect(), json_bytes })
}

fn room(output: &Tensor) -> usize {
    output.data_bytes() + output.element_count() * ELEMENT_BYTES
}

/// Whether an output has a JSON form.
fn check(output: &Tensor) -> Result<(), EncodeError> {
    let name = || output.name().to_owned();
    match output.data() {
        Data::Raw(_) if matches!(output.datatype(), DataType::Fp16 | DataType::Bf16) => {
            Err(EncodeError::NoJsonForm { name: name(), datatype: output.datatype() })
        }
        Data::Raw(_) => Ok(()),
        Data::Strings(strings) => match strings.iter().position(|s| std::str::from_utf8(s).is_err()) {
            Some(at) => Err(EncodeError::NotText { name: name(), at }),
            None => Ok(()),
        },
    }
}

fn write_answer<'a>(
    json: &mut Vec<u8>,
    head: &AnswerHead<'_>,
    outputs: impl Iterator<Item = (&'a Tensor, &'a Option<Bytes>)>,
) -> io::Result<()> {
    json.extend_from_slice(b"{\"model_name\":");
    write_text(json, head.model)?;
    json.extend_from_slice(b",\"model_version\":\"");
    CompactFormatter.write_u64(json, head.version)?;
    json.push(b'"');
    if let Some(id) = head.id {
        json.extend_from_slice(b",\"id\":");
        write_text(json, id)?;
    }
    json.extend_from_slice(b",\"parameters\":{\"switchrail_digest\":");
    write_text(json, head.digest)?;
    json.extend_from_slice(b",\"switchrail_generation\":");
    CompactFormatter.write_u64(json, head.generation)?;
    json.extend_from_slice(b",\"switchrail_reason\":");
    write_text(json, head.reason)?;
    json.extend_from_slice(b"},\"outputs\":[");
    for (index, (output, tail)) in outputs.enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_output(json, output, tail.as_ref())?;
    }
    json.extend_from_slice(b"]}");
    Ok(())
}

fn write_output(json: &mut Vec<u8>, output: &Tensor, tail: Option<&Bytes>) -> io::Result<()> {
    json.extend_from_slice(b"{\"name\":");
    write_text(json, output.name())?;
    json.extend_from_slice(b",\"datatype\":\"");
    json.extend_from_slice(output.datatype().as_str().as_bytes());
    json.extend_from_slice(b"\",\"shape\":[");
    for (index, dimension) in output.shape().iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        CompactFormatter.write_u64(json, *dimension as u64)?;
    }
    if let Some(tail) = tail {
        json.extend_from_slice(b"],\"parameters\":{\"binary_data_size\":");
        CompactFormatter.write_u64(json, tail.len() as u64)?;
        json.extend_from_slice(b"}}");
        return Ok(());
    }
    json.extend_from_slice(b"],\"data\":[");
    match output.data() {
        Data::Raw(raw) => write_numbers(json, output.datatype(), raw)?,
        Data::Strings(strings) => {
            for (index, text) in strings.iter().enumerate() {
                if index > 0 {
                    json.push(b',');
                }
                // Checked before: every element is text.
                write_text(json, std::str::from_utf8(text).unwrap_or_default())?;
            }
        }
    }
    json.extend_from_slice(b"]}");
    Ok(())
}

fn write_numbers(json: &mut Vec<u8>, datatype: DataType, raw: &[u8]) -> io::Result<()> {
    match datatype {
        DataType::Bool => each(json, raw, |json, b: [u8; 1]| CompactFormatter.write_bool(json, b != [0])),
        DataType::Uint8 => each(json, raw, |json, b| CompactFormatter.write_u8(json, u8::from_le_bytes(b))),
        DataType::Uint16 => each(json, raw, |json, b| CompactFormatter.write_u16(json, u16::from_le_bytes(b))),
        DataType::Uint32 => each(json, raw, |json, b| CompactFormatter.write_u32(json, u32::from_le_bytes(b))),
        DataType::Uint64 => each(json, raw, |json, b| CompactFormatter.write_u64(json, u64::from_le_bytes(b))),
        DataType::Int8 => each(json, raw, |json, b| CompactFormatter.write_i8(json, i8::from_le_bytes(b))),
        DataType::Int16 => each(json, raw, |json, b| CompactFormatter.write_i16(json, i16::from_le_bytes(b))),
        DataType::Int32 => each(json, raw, |json, b| CompactFormatter.write_i32(json, i32::from_le_bytes(b))),
        DataType::Int64 => each(json, raw, |json, b| CompactFormatter.write_i64(json, i64::from_le_bytes(b))),
        DataType::Fp32 => each(json, raw, |json, b| match f32::from_le_bytes(b) {
            number if number.is_finite() => CompactFormatter.write_f32(json, number),
            _ => CompactFormatter.write_null(json),
        }),
        DataType::Fp64 => each(json, raw, |json, b| match f64::from_le_bytes(b) {
            number if number.is_finite() => CompactFormatter.write_f64(json, number),
            _ => CompactFormatter.write_null(json),
        }),
        // Refused by `check`, or not raw.
        DataType::Fp16 | DataType::Bf16 | DataType::Bytes => Ok(()),
    }
}

fn each<const N: usize>(
    json: &mut Vec<u8>,
    raw: &[u8],
    mut write: impl FnMut(&mut Vec<u8>, [u8; N]) -> io::Result<()>,
) -> io::Result<()> {
    let mut is_first = true;
    for element in raw.as_chunks::<N>().0 {
        if !is_first {
            json.push(b',');
        }
        is_first = false;
        write(json, *element)?;
    }
    Ok(())
}

fn write_text(json: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let is_plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if is_plain {
        json.push(b'"');
        json.write_all(text.as_bytes())?;
        json.push(b'"');
        return Ok(());
    }
    serde_json::to_writer(json, text).map_err(io::Error::from)
}

#[cfg(test)]
mod tests;
