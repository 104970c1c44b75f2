//! The protobuf wire format, as much of it as ONNX files need: an encoder and a field-by-field reader.

use thiserror::Error;

/// Builds one protobuf message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn int(mut self, field: u32, value: i64) -> Self {
        self.key(field, 0);
        // Negative numbers are encoded as their 64-bit two's complement.
        self.varint(value as u64);
        self
    }

    pub(crate) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(crate) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    pub(crate) fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.varint(u64::from(field << 3 | wire_type));
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The bytes are not a protobuf message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed protobuf at byte {offset} of its message")]
pub struct WireError {
    /// Where reading stopped making sense.
    pub offset: usize,
}

/// What one field holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// One field of a message with the bytes it was read from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// Key and value as they stand in the message, for copying.
    pub(crate) raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// The bytes of a length-delimited field of this number.
    pub(crate) fn bytes(&self, number: u32) -> Option<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) if self.number == number => Some(bytes),
            _ => None,
        }
    }

    /// The integer of a varint field of this number.
    pub(crate) fn int(&self, number: u32) -> Option<i64> {
        match self.value {
            Value::Varint(value) if self.number == number => Some(value as i64),
            _ => None,
        }
    }
}

/// Reads the fields of a message in order, without descending into any.
pub(crate) fn fields(message: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
    let mut reader = Reader { message, at: 0 };
    let mut fields = Vec::new();
    while reader.at < message.len() {
        fields.push(reader.field()?);
    }
    Ok(fields)
}

struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn field(&mut self) -> Result<Field<'a>, WireError> {
        let start = self.at;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| WireError { offset: start })?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| WireError { offset: start })?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(WireError { offset: start }),
        };
        Ok(Field { number, value, raw: &self.message[start..self.at] })
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let error = WireError { offset: self.at };
        let end = self.at.checked_add(length).ok_or(error)?;
        let bytes = self.message.get(self.at..end).ok_or(error)?;
        self.at = end;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError { offset: self.at })
    }
}

#[cfg(test)]
mod tests;
