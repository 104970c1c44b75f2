//! An input or output of a graph: its name, element type and shape.

use crate::Refusal;
use crate::preflight::wire::{Field, Value, read_field};

/// Most dimensions that are kept of a shape.
const DIMS_MAX: usize = 64;

/// An input or output as the file declares it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// The protocol's word for its elements, such as `FP32`, or ONNX's for what the protocol does not know; empty where
    /// the file does not say.
    pub datatype: String,
    /// -1 where any size goes; `None` where even the number of dimensions is open.
    pub shape: Option<Vec<i64>>,
}

/// Reads a `ValueInfoProto`.
pub(super) fn read(bytes: &[u8], message: &Field<'_>) -> Result<ValueInfo, Refusal> {
    let mut value = ValueInfo::default();
    each(bytes, message, |field| {
        match (field.number, field.value) {
            (1, Value::Bytes(content)) => value.name = String::from_utf8_lossy(content).into_owned(),
            (2, Value::Bytes(_)) => read_type(bytes, &field, &mut value)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(value)
}

fn read_type(bytes: &[u8], message: &Field<'_>, value: &mut ValueInfo) -> Result<(), Refusal> {
    each(bytes, message, |field| {
        match field.number {
            1 => return read_tensor_type(bytes, &field, value),
            4 => "SEQUENCE".clone_into(&mut value.datatype),
            5 => "MAP".clone_into(&mut value.datatype),
            8 => "SPARSE".clone_into(&mut value.datatype),
            9 => "OPTIONAL".clone_into(&mut value.datatype),
            _ => {}
        }
        Ok(())
    })
}

fn read_tensor_type(bytes: &[u8], message: &Field<'_>, value: &mut ValueInfo) -> Result<(), Refusal> {
    each(bytes, message, |field| {
        match (field.number, field.value) {
            (1, Value::Varint(number)) => value.datatype = word(number),
            (2, Value::Bytes(_)) => {
                let mut dims = Vec::new();
                each(bytes, &field, |dim| {
                    if dim.number == 1 && dims.len() < DIMS_MAX {
                        dims.push(read_dim(bytes, &dim)?);
                    }
                    Ok(())
                })?;
                value.shape = Some(dims);
            }
            _ => {}
        }
        Ok(())
    })
}

/// A size, or -1 for a name or nothing.
fn read_dim(bytes: &[u8], message: &Field<'_>) -> Result<i64, Refusal> {
    let mut size = -1;
    each(bytes, message, |field| {
        if let (1, Value::Varint(number)) = (field.number, field.value) {
            size = (number as i64).max(-1);
        }
        Ok(())
    })?;
    Ok(size)
}

fn each<'a>(
    bytes: &'a [u8],
    message: &Field<'a>,
    mut take: impl FnMut(Field<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut at = message.start;
    // A field that is no message has nothing in it.
    let end = if matches!(message.value, Value::Bytes(_)) { message.next } else { at };
    while at < end {
        let field = read_field(bytes, at, end)?;
        at = field.next;
        take(field)?;
    }
    Ok(())
}

/// The protocol's word for ONNX's number of an element type.
fn word(number: u64) -> String {
    let known = match number {
        1 => "FP32",
        2 => "UINT8",
        3 => "INT8",
        4 => "UINT16",
        5 => "INT16",
        6 => "INT32",
        7 => "INT64",
        8 => "BYTES",
        9 => "BOOL",
        10 => "FP16",
        11 => "FP64",
        12 => "UINT32",
        13 => "UINT64",
        14 => "COMPLEX64",
        15 => "COMPLEX128",
        16 => "BF16",
        other => return format!("ONNX_{other}"),
    };
    known.to_owned()
}
