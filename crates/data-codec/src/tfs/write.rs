//! Tensors as nested JSON arrays, the way TensorFlow Serving writes them: floats keep a decimal point, NaN and
//! infinities are tokens, and text of outputs whose name ends in `_bytes` goes out in base64.

use std::io::{self, Write};
use std::ops::Range;

use base_types::{Data, DataType, Tensor};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::error::EncodeError;

/// Outputs of such names hold text in base64.
const BINARY_SUFFIX: &str = "_bytes";
/// The most empty arrays an output without elements may be made of.
const EMPTY_ARRAYS_MAX: usize = 65_536;
/// Bytes of the longest JSON form of an element, by rough guess: enough that the buffer seldom grows.
const ELEMENT_BYTES: usize = 12;

/// Whether an output has a JSON form.
pub(super) fn check(output: &Tensor) -> Result<(), EncodeError> {
    let name = || output.name().to_owned();
    let n_arrays = output.shape().iter().take_while(|size| **size > 0).try_fold(1usize, |n, size| n.checked_mul(*size));
    if output.element_count() == 0 && n_arrays.is_none_or(|n| n > EMPTY_ARRAYS_MAX) {
        let text = format!("output {:?} has no elements in more than {EMPTY_ARRAYS_MAX} arrays", output.name());
        return Err(EncodeError::Arrangement(text));
    }
    match output.data() {
        Data::Raw(_) if matches!(output.datatype(), DataType::Fp16 | DataType::Bf16) => {
            Err(EncodeError::NoJsonForm { name: name(), datatype: output.datatype() })
        }
        Data::Strings(strings) if !output.name().ends_with(BINARY_SUFFIX) => {
            match strings.iter().position(|text| std::str::from_utf8(text).is_err()) {
                Some(at) => Err(EncodeError::NotText { name: name(), at }),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Room for an output, by rough guess.
pub(super) fn room(output: &Tensor) -> usize {
    64 + output.data_bytes() + output.element_count().saturating_mul(ELEMENT_BYTES)
}

/// Writes a whole tensor.
pub(super) fn write_tensor(json: &mut Vec<u8>, tensor: &Tensor) -> io::Result<()> {
    write_part(json, tensor, tensor.shape(), 0)
}

/// Writes one row of a tensor that has rows.
pub(super) fn write_row(json: &mut Vec<u8>, tensor: &Tensor, row: usize) -> io::Result<()> {
    let dims = tensor.shape().get(1..).unwrap_or_default();
    write_part(json, tensor, dims, row * dims.iter().product::<usize>())
}

/// Writes the elements of these dimensions that begin at a position.
fn write_part(json: &mut Vec<u8>, tensor: &Tensor, dims: &[usize], from: usize) -> io::Result<()> {
    match dims {
        [] => write_elements(json, tensor, from..from + 1),
        [n_items] => {
            json.push(b'[');
            write_elements(json, tensor, from..from + n_items)?;
            json.push(b']');
            Ok(())
        }
        [n_items, inner @ ..] => {
            let step: usize = inner.iter().product();
            json.push(b'[');
            for index in 0..*n_items {
                separate(json, index);
                write_part(json, tensor, inner, from + index * step)?;
            }
            json.push(b']');
            Ok(())
        }
    }
}

/// A comma before every item but the first.
pub(super) fn separate(json: &mut Vec<u8>, index: usize) {
    if index > 0 {
        json.push(b',');
    }
}

/// Writes elements with commas between them.
pub(super) fn write_elements(json: &mut Vec<u8>, tensor: &Tensor, range: Range<usize>) -> io::Result<()> {
    match tensor.data() {
        Data::Strings(strings) => {
            for (index, text) in strings.get(range).unwrap_or_default().iter().enumerate() {
                separate(json, index);
                if tensor.name().ends_with(BINARY_SUFFIX) {
                    json.extend_from_slice(b"{\"b64\":\"");
                    json.extend_from_slice(STANDARD.encode(text).as_bytes());
                    json.extend_from_slice(b"\"}");
                } else {
                    // `check` has seen that it is text.
                    write_text(json, std::str::from_utf8(text).unwrap_or_default())?;
                }
            }
            Ok(())
        }
        Data::Raw(raw) => write_numbers(json, tensor.datatype(), raw, range),
    }
}

fn write_numbers(json: &mut Vec<u8>, datatype: DataType, raw: &[u8], range: Range<usize>) -> io::Result<()> {
    let size = datatype.element_bytes().unwrap_or(1);
    let raw = raw.get(range.start * size..range.end * size).unwrap_or_default();
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
        DataType::Fp32 => each(json, raw, |json, b| {
            let value = f32::from_le_bytes(b);
            write_float(json, f64::from(value), |json| CompactFormatter.write_f32(json, value))
        }),
        DataType::Fp64 => each(json, raw, |json, b| {
            let value = f64::from_le_bytes(b);
            write_float(json, value, |json| CompactFormatter.write_f64(json, value))
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
    for (index, element) in raw.as_chunks::<N>().0.iter().enumerate() {
        separate(json, index);
        write(json, *element)?;
    }
    Ok(())
}

fn write_float(json: &mut Vec<u8>, value: f64, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    if !value.is_finite() {
        json.extend_from_slice(match value {
            _ if value.is_nan() => b"NaN",
            _ if value > 0.0 => b"Infinity",
            _ => b"-Infinity",
        });
        return Ok(());
    }
    let from = json.len();
    write(json)?;
    // The shortest form of a large or small number may be `1e30`.
    let is_between = (1e-3..1e9).contains(&value.abs());
    if !is_between && !json[from..].contains(&b'.') {
        let at = json[from..].iter().position(|b| *b == b'e').map_or(json.len(), |at| from + at);
        json.splice(at..at, *b".0");
    }
    Ok(())
}

/// Writes text in quotes.
pub(super) fn write_text(json: &mut Vec<u8>, text: &str) -> io::Result<()> {
    let is_plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if is_plain {
        json.push(b'"');
        json.write_all(text.as_bytes())?;
        json.push(b'"');
        return Ok(());
    }
    serde_json::to_writer(json, text).map_err(io::Error::from)
}
