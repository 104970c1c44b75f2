//! Whether a tensor's bytes are as many as its dimensions and type ask for, in the file or beside it.

use super::{MEMORY_ADDRESS_MARKER, quote};
use crate::{Refusal, RefusalCode};

const STRING: u64 = 8;
const EXTERNAL: u64 = 1;

/// What was seen of one `TensorProto`. Texts are borrowed from the file.
#[derive(Debug, Default)]
pub(super) struct Tensor<'a> {
    pub name: &'a str,
    pub data_type: u64,
    pub data_location: u64,
    pub raw_bytes: Option<u64>,
    /// Values by the field they stand in: floats, int32, strings, int64, doubles, uint64.
    pub n_float: u64,
    pub n_int32: u64,
    pub n_string: u64,
    pub n_int64: u64,
    pub n_double: u64,
    pub n_uint64: u64,
    pub external: Vec<(&'a str, &'a str)>,
    shape: Shape,
}

/// The product of dimensions, kept while they are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    elements: u64,
}

impl Default for Shape {
    fn default() -> Self {
        // A tensor without dimensions is a scalar.
        Self { elements: 1 }
    }
}

impl Shape {
    /// Takes one dimension as it stands in the file.
    pub(super) fn push(&mut self, dim: u64) -> Result<(), Refusal> {
        let dim = i64::try_from(dim).map_err(|_| {
            Refusal::new(RefusalCode::Dimensions, format!("a tensor has the negative dimension {}", dim as i64))
        })?;
        let elements = self.elements.checked_mul(dim.unsigned_abs());
        self.elements = elements.ok_or_else(|| {
            Refusal::new(RefusalCode::Dimensions, "the dimensions of a tensor multiply to more elements than can exist")
        })?;
        Ok(())
    }
}

/// Where an external tensor's bytes lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct External<'a> {
    pub location: &'a str,
    /// The first byte after the tensor.
    pub end: u64,
}

impl<'a> Tensor<'a> {
    /// Takes one dimension.
    pub(super) fn push_dim(&mut self, dim: u64) -> Result<(), Refusal> {
        self.shape.push(dim)
    }

    /// Checks the finished tensor; answers where its bytes lie if not in the file.
    pub(super) fn check(&self) -> Result<Option<External<'a>>, Refusal> {
        if self.data_location == EXTERNAL {
            return self.check_external().map(Some);
        }
        if !self.external.is_empty() {
            return Err(self.refuse(RefusalCode::ExternalData, "names external data but is not marked as external"));
        }
        self.check_inside().map(|()| None)
    }

    /// Bytes of the elements in row-major form; `None` for strings and unknown types.
    pub(super) fn expected_bytes(&self) -> Option<u64> {
        dense_bytes(self.shape, self.data_type)
    }

    fn check_inside(&self) -> Result<(), Refusal> {
        let n_typed = self.typed_values();
        let total: u64 = n_typed.iter().sum();
        if let Some(raw_bytes) = self.raw_bytes {
            let expected = self.expected_bytes().ok_or_else(|| self.bad_type("raw"))?;
            if total > 0 {
                return Err(self.refuse(RefusalCode::TensorBytes, "has both raw and typed values"));
            }
            return if raw_bytes == expected { Ok(()) } else { Err(self.bytes_differ(raw_bytes, expected, "bytes")) };
        }
        let (field, expected) = self.expected_values().ok_or_else(|| self.bad_type("typed"))?;
        let given = n_typed[field];
        if given != total {
            return Err(self.refuse(RefusalCode::TensorBytes, "holds values of another type than it says"));
        }
        if given != expected {
            return Err(self.bytes_differ(given, expected, "values"));
        }
        Ok(())
    }

    fn check_external(&self) -> Result<External<'a>, Refusal> {
        if self.raw_bytes.is_some() || self.typed_values().iter().any(|n| *n > 0) {
            return Err(self.refuse(RefusalCode::ExternalData, "has values both in the model and in an external file"));
        }
        let (mut location, mut offset, mut length) = (None, None, None);
        for (key, value) in &self.external {
            let is_new = match *key {
                "location" => location.replace(*value).is_none(),
                "offset" => offset.replace(self.number("offset", value)?).is_none(),
                "length" => length.replace(self.number("length", value)?).is_none(),
                "checksum" => true,
                other => {
                    return Err(self.external_error(&format!("has the unknown external data key {}", quote(other))));
                }
            };
            if !is_new {
                return Err(self.external_error(&format!("gives the external data key {key:?} twice")));
            }
        }
        let location = location.ok_or_else(|| self.external_error("has external data without a location"))?;
        self.check_location(location)?;
        let expected = self.expected_bytes().ok_or_else(|| self.bad_type("external"))?;
        if let Some(length) = length.filter(|length| *length != expected) {
            return Err(self.bytes_differ(length, expected, "bytes"));
        }
        let end = offset.unwrap_or(0).checked_add(expected).filter(|end| i64::try_from(*end).is_ok());
        let end = end.ok_or_else(|| self.external_error("has an external data offset beyond any file"))?;
        Ok(External { location, end })
    }

    /// A location is one plain file name beside the model.
    fn check_location(&self, location: &str) -> Result<(), Refusal> {
        let problem = if location.contains(MEMORY_ADDRESS_MARKER) {
            "points its external data at an address in memory"
        } else if location.is_empty() || location == "." || location == ".." {
            "has external data without a file name"
        } else if location.contains(['/', '\\', '\0']) {
            "has external data outside the folder of the model"
        } else {
            return Ok(());
        };
        let shown = quote(location);
        Err(self.external_error(&format!("{problem} ({shown}): save the file beside the model and refer to its name")))
    }

    /// Decimal digits only; `+1`, ` 1` and `0x1` are read differently by different parsers.
    fn number(&self, key: &str, value: &str) -> Result<u64, Refusal> {
        let is_plain = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let number = if is_plain { value.parse().ok() } else { None };
        // The runtime computes with signed 64-bit numbers.
        number.filter(|n| i64::try_from(*n).is_ok()).ok_or_else(|| {
            self.external_error(&format!("has the external data {key} {}, which is no file position", quote(value)))
        })
    }

    fn typed_values(&self) -> [u64; 6] {
        [self.n_float, self.n_int32, self.n_string, self.n_int64, self.n_double, self.n_uint64]
    }

    /// The typed field that must hold the values (as an index into [`Self::typed_values`]), and how many.
    fn expected_values(&self) -> Option<(usize, u64)> {
        let n = self.shape.elements;
        Some(match self.data_type {
            1 => (0, n),
            14 => (0, n.checked_mul(2)?),
            2..=6 | 9 | 10 | 16..=20 | 24 | 27 | 28 => (1, n),
            21..=23 => (1, n.div_ceil(2)),
            25 | 26 => (1, n.div_ceil(4)),
            STRING => (2, n),
            7 => (3, n),
            11 => (4, n),
            15 => (4, n.checked_mul(2)?),
            12 | 13 => (5, n),
            _ => return None,
        })
    }

    fn external_error(&self, what: &str) -> Refusal {
        self.refuse(RefusalCode::ExternalData, what)
    }

    fn bad_type(&self, form: &str) -> Refusal {
        let data_type = self.data_type;
        self.refuse(RefusalCode::TensorBytes, &format!("has data type {data_type}, which has no {form} form"))
    }

    fn bytes_differ(&self, given: u64, expected: u64, unit: &str) -> Refusal {
        let what = format!("holds {given} {unit}, its dimensions and type ask for {expected}");
        self.refuse(RefusalCode::TensorBytes, &what)
    }

    fn refuse(&self, code: RefusalCode, what: &str) -> Refusal {
        Refusal::new(code, format!("tensor {} {what}", quote(self.name)))
    }
}

/// Bytes of a dense tensor of this shape and type; `None` for strings, unknown types and overflow.
pub(super) fn dense_bytes(shape: Shape, data_type: u64) -> Option<u64> {
    let bits: u64 = match data_type {
        25 | 26 => 2,
        21..=23 => 4,
        27 | 28 => 6,
        2 | 3 | 9 | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        _ => return None,
    };
    if bits >= 8 {
        shape.elements.checked_mul(bits / 8)
    } else {
        shape.elements.checked_mul(bits).map(|b| b.div_ceil(8))
    }
}
