//! The protobuf wire format: tags and values, without any knowledge of ONNX.

use crate::{Refusal, RefusalCode};

/// The value of one field as it stands in the file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed64,
    Fixed32,
    Bytes(&'a [u8]),
}

/// One field: its number, its value, and where the next one begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub number: u32,
    pub value: Value<'a>,
    /// Where a length-delimited value begins; its end is `next`.
    pub start: usize,
    pub next: usize,
}

pub(super) fn malformed(at: usize, what: &str) -> Refusal {
    let text = format!("the model file is not a valid ONNX protobuf ({what} at byte {at}): copy or export it again");
    Refusal::new(RefusalCode::Malformed, text)
}

/// Reads the field at `at`, which must end by `end`.
pub(super) fn read_field(bytes: &[u8], at: usize, end: usize) -> Result<Field<'_>, Refusal> {
    let (tag, start) = read_varint(bytes, at, end)?;
    let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
    let number = number.ok_or_else(|| malformed(at, "bad field number"))?;
    let fixed = |size: usize, value| {
        let next = start.checked_add(size).filter(|next| *next <= end).ok_or_else(|| malformed(at, "cut short"))?;
        Ok(Field { number, value, start, next })
    };
    match tag & 7 {
        0 => {
            let (value, next) = read_varint(bytes, start, end)?;
            Ok(Field { number, value: Value::Varint(value), start, next })
        }
        1 => fixed(8, Value::Fixed64),
        5 => fixed(4, Value::Fixed32),
        2 => {
            let (length, start) = read_varint(bytes, start, end)?;
            let next = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
            let next = next.filter(|next| *next <= end).ok_or_else(|| malformed(at, "cut short"))?;
            let content = bytes.get(start..next).ok_or_else(|| malformed(at, "cut short"))?;
            Ok(Field { number, value: Value::Bytes(content), start, next })
        }
        // 3 and 4 are groups, which ONNX never used and which nest without a length.
        _ => Err(malformed(at, "unknown wire type")),
    }
}

/// Reads one varint; answers its value and the position after it.
fn read_varint(bytes: &[u8], at: usize, end: usize) -> Result<(u64, usize), Refusal> {
    let mut value = 0u64;
    for (i, byte) in bytes.get(at..end).unwrap_or_default().iter().take(10).enumerate() {
        // The tenth byte holds the 64th bit alone; more would overflow.
        if i == 9 && *byte > 1 {
            return Err(malformed(at, "number too large"));
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok((value, at + i + 1));
        }
    }
    let what = if end.saturating_sub(at) < 10 { "cut short" } else { "number too large" };
    Err(malformed(at, what))
}

/// Reads the varints of a packed field.
pub(super) fn packed(bytes: &[u8], at: usize) -> impl Iterator<Item = Result<u64, Refusal>> + '_ {
    let mut position = 0;
    std::iter::from_fn(move || {
        if position >= bytes.len() {
            return None;
        }
        let read = read_varint(bytes, position, bytes.len());
        // After an error nothing more can be told apart.
        position = read.as_ref().map_or(bytes.len(), |(_, next)| *next);
        Some(read.map(|(value, _)| value).map_err(|_| malformed(at, "bad packed number")))
    })
}
