//! Protocol buffers, field by field. The messages that carry tensors are read by hand: what a caller may have
//! allocated is bounded while it is read, and element data go straight to where they stay.

use base_types::Data;
use bytes::Buf;
use data_codec::{CodecLimits, Problem, read_strings};
use prost::encoding::{WireType, decode_key, decode_varint};

use crate::contents::Room;
use crate::frames::Frames;

/// A field's value as it stands on the wire.
pub(crate) enum Value {
    /// Integers and booleans.
    Varint(u64),
    /// Four bytes, little-endian.
    Fixed32([u8; 4]),
    /// Eight bytes, little-endian.
    Fixed64([u8; 8]),
    /// Text, bytes, a message, or repeated numbers in one.
    Bytes(Frames),
}

/// A field: its number and its value.
pub(crate) type Field = (u32, Value);

/// Takes the next field off a message; `None` at its end.
pub(crate) fn next_field(message: &mut Frames) -> Result<Option<Field>, Problem> {
    if !message.has_remaining() {
        return Ok(None);
    }
    let (number, wire_type) = decode_key(message).map_err(|error| broken(&error.to_string()))?;
    let value = match wire_type {
        WireType::Varint => Value::Varint(varint(message)?),
        WireType::ThirtyTwoBit => Value::Fixed32(fixed(message)?),
        WireType::SixtyFourBit => Value::Fixed64(fixed(message)?),
        WireType::LengthDelimited => {
            let n_bytes = varint(message)?;
            let part = usize::try_from(n_bytes).ok().and_then(|n| message.split_to(n));
            Value::Bytes(part.ok_or_else(|| broken("a field is longer than what is left"))?)
        }
        // Proto3 has no groups.
        WireType::StartGroup | WireType::EndGroup => return Err(broken("there is a group")),
    };
    Ok(Some((number, value)))
}

/// Takes a number off the front.
pub(crate) fn varint(message: &mut Frames) -> Result<u64, Problem> {
    decode_varint(message).map_err(|error| broken(&error.to_string()))
}

/// Takes a number of fixed size off the front.
pub(crate) fn fixed<const N: usize>(message: &mut Frames) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    message.try_copy_to_slice(&mut bytes).map_err(|_| broken("a number is cut off"))?;
    Ok(bytes)
}

/// The bytes are no message.
pub(crate) fn broken(what: &str) -> Problem {
    Problem::Field(format!("this is no valid protocol buffer: {what}"))
}

/// A field whose value has the wrong wire type.
pub(crate) fn mistyped(field: &str) -> Problem {
    broken(&format!("{field} has the wrong wire type"))
}

impl Value {
    /// A message or bytes.
    pub(crate) fn frames(self, field: &str) -> Result<Frames, Problem> {
        match self {
            Self::Bytes(frames) => Ok(frames),
            _ => Err(mistyped(field)),
        }
    }

    /// A number.
    pub(crate) fn varint(self, field: &str) -> Result<u64, Problem> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(mistyped(field)),
        }
    }

    /// A text of bounded length.
    pub(crate) fn text(self, field: &'static str, limits: &CodecLimits) -> Result<String, Problem> {
        let frames = self.frames(field)?;
        if frames.remaining() > limits.name_bytes {
            return Err(Problem::TooMany { what: "bytes in a name or id", max: limits.name_bytes });
        }
        String::from_utf8(frames.into_bytes().into()).map_err(|_| Problem::Field(format!("{field} is not UTF-8 text")))
    }
}

/// Adds dimensions to a shape: a single one, or several packed into one field.
pub(crate) fn dimensions(value: Value, shape: &mut Vec<usize>, limits: &CodecLimits) -> Result<(), Problem> {
    match value {
        Value::Varint(dimension) => push_dimension(dimension, shape, limits),
        Value::Bytes(mut packed) => {
            while packed.has_remaining() {
                push_dimension(varint(&mut packed)?, shape, limits)?;
            }
            Ok(())
        }
        _ => Err(mistyped("shape")),
    }
}

/// Adds one dimension.
pub(crate) fn push_dimension(dimension: u64, shape: &mut Vec<usize>, limits: &CodecLimits) -> Result<(), Problem> {
    if (dimension as i64) < 0 {
        return Err(Problem::Field(format!("a dimension of a shape is {}: it is not negative", dimension as i64)));
    }
    if shape.len() == limits.rank {
        return Err(Problem::TooMany { what: "dimensions", max: limits.rank });
    }
    if dimension > limits.dimension as u64 {
        return Err(Problem::TooMany { what: "items in one dimension", max: limits.dimension });
    }
    shape.push(dimension as usize);
    Ok(())
}

/// The elements of a shape, within bounds.
pub(crate) fn element_count(shape: &[usize], limits: &CodecLimits) -> Result<usize, Problem> {
    base_types::element_count(shape)
        .filter(|n| *n <= limits.elements)
        .ok_or(Problem::TooMany { what: "elements in a tensor", max: limits.elements })
}

/// Splits raw BYTES data: each element is a length of four bytes, little-endian, and so many bytes.
pub(crate) fn split_strings(raw: Frames, n_elements: usize, room: &mut Room) -> Result<Data, Problem> {
    room.take_strings(n_elements)?;
    read_strings(raw.into_bytes(), n_elements).map(Data::Strings)
}
