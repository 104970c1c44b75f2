//! Elements of one data type, as they are read one by one: straight into little-endian bytes, or as text.

use base_types::{Data, DataType};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use std::borrow::Cow;

use crate::error::Mistake;
use crate::tfs::flaw::Flaw;
use crate::tfs::scan::{Scalar, Scan};

/// Padding may be left out, as TensorFlow Serving has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The fewest bytes of JSON that a number and its comma take.
const NUMBER_JSON_BYTES: usize = 2;
/// The same for text.
const STRING_JSON_BYTES: usize = 3;

/// The elements read so far.
pub(super) struct Elements {
    datatype: DataType,
    held: Held,
    n_elements: usize,
}

enum Held {
    Raw(Vec<u8>),
    Strings(Vec<Bytes>),
}

impl Elements {
    pub(super) fn new(datatype: DataType) -> Self {
        let held = match datatype {
            DataType::Bytes => Held::Strings(Vec::new()),
            _ => Held::Raw(Vec::new()),
        };
        Self { datatype, held, n_elements: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.n_elements
    }

    /// Bytes of text; whoever runs the model copies them for each element.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.held {
            Held::Raw(_) => 0,
            Held::Strings(strings) => strings.iter().map(Bytes::len).sum(),
        }
    }

    /// Bytes of memory the elements have room for, without the text that is elsewhere.
    #[cfg(test)]
    pub(super) fn room_bytes(&self) -> usize {
        match &self.held {
            Held::Raw(raw) => raw.capacity(),
            Held::Strings(strings) => strings.capacity() * size_of::<Bytes>(),
        }
    }

    /// Fails where the type has no form, which nothing has shown if there were no elements.
    pub(super) fn into_data(self) -> Result<Data, Flaw> {
        match self.held {
            Held::Raw(_) if matches!(self.datatype, DataType::Fp16 | DataType::Bf16) => Err(no_form(self.datatype)),
            Held::Raw(raw) => Ok(Data::Raw(raw.into())),
            Held::Strings(strings) => Ok(Data::Strings(strings)),
        }
    }

    /// Makes room for elements to come, never for more than the rest of the body can hold.
    pub(super) fn reserve(&mut self, n_more: usize, rest_bytes: usize) {
        match &mut self.held {
            Held::Raw(raw) => {
                let size = self.datatype.element_bytes().unwrap_or(1);
                grow(raw, n_more * size, rest_bytes / NUMBER_JSON_BYTES * size);
            }
            Held::Strings(strings) => grow(strings, n_more, rest_bytes / STRING_JSON_BYTES),
        }
    }

    /// All elements once more, `n_times`, after themselves.
    pub(super) fn repeat(&mut self, n_times: usize) {
        match &mut self.held {
            Held::Raw(raw) => *raw = raw.repeat(n_times),
            Held::Strings(strings) => *strings = (0..n_times).flat_map(|_| strings.iter().cloned()).collect(),
        }
        self.n_elements *= n_times;
    }

    /// Reads the next value as an element.
    pub(super) fn read(&mut self, scan: &mut Scan<'_>, body: &Bytes) -> Result<(), Flaw> {
        match &mut self.held {
            Held::Raw(raw) => write_number(raw, self.datatype, scan)?,
            Held::Strings(strings) => {
                if strings.len() == strings.capacity() {
                    grow(strings, 1, scan.rest().len() / STRING_JSON_BYTES);
                }
                strings.push(read_string(scan, body)?);
            }
        }
        self.n_elements += 1;
        Ok(())
    }
}

/// Doubles at most, and makes room for no more than the `rest_max` elements that the rest of the body can hold.
fn grow<T>(held: &mut Vec<T>, n_more: usize, rest_max: usize) {
    let needed = held.len() + n_more;
    if needed > held.capacity() {
        let target = needed.max((2 * held.capacity()).min(held.len() + rest_max));
        held.reserve_exact(target - held.len());
    }
}

fn write_number(raw: &mut Vec<u8>, datatype: DataType, scan: &mut Scan<'_>) -> Result<(), Flaw> {
    macro_rules! write {
        ($type:ty) => {
            raw.extend_from_slice(&<$type as Number>::take(datatype, scan)?.to_le_bytes())
        };
    }
    match datatype {
        DataType::Bool => raw.push(u8::from(take_bool(scan)?)),
        DataType::Uint8 => write!(u8),
        DataType::Uint16 => write!(u16),
        DataType::Uint32 => write!(u32),
        DataType::Uint64 => write!(u64),
        DataType::Int8 => write!(i8),
        DataType::Int16 => write!(i16),
        DataType::Int32 => write!(i32),
        DataType::Int64 => write!(i64),
        DataType::Fp32 => write!(f32),
        DataType::Fp64 => write!(f64),
        DataType::Fp16 | DataType::Bf16 | DataType::Bytes => {
            return Err(no_form(datatype));
        }
    }
    Ok(())
}

fn no_form(datatype: DataType) -> Flaw {
    Flaw::at(Mistake::Unsupported, format!("{datatype} has no JSON form here: send a model that takes FP32 or FP64"))
}

fn take_bool(scan: &mut Scan<'_>) -> Result<bool, Flaw> {
    match take_scalar(scan, "true or false")? {
        Scalar::Bool(value) => Ok(value),
        other => Err(unexpected(other.found(), "true or false")),
    }
}

/// A scalar where one is expected; an object or array is told from broken JSON.
fn take_scalar<'a>(scan: &mut Scan<'a>, expected: &str) -> Result<Scalar<'a>, Flaw> {
    match scan.peek() {
        Some(b'[') => Err(unexpected("an array", expected)),
        Some(b'{') => Err(unexpected("an object", expected)),
        _ => scan.scalar(),
    }
}

fn unexpected(found: &str, expected: &str) -> Flaw {
    Flaw::mismatch(format!("{found}, expected {expected}"))
}

fn out_of_range(value: impl std::fmt::Display, datatype: DataType) -> Flaw {
    /// Digits of a number that are worth showing.
    const SHOWN: usize = 40;
    let mut shown = value.to_string();
    if shown.len() > SHOWN {
        shown.truncate(SHOWN);
        shown.push_str("...");
    }
    Flaw::mismatch(format!("{shown} does not fit {datatype}"))
}

/// A number with its own way from text.
trait Number: Sized {
    fn take(datatype: DataType, scan: &mut Scan<'_>) -> Result<Self, Flaw>;
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn take(datatype: DataType, scan: &mut Scan<'_>) -> Result<Self, Flaw> {
                match take_scalar(scan, "an integer")? {
                    Scalar::Number(text) => text.parse().map_err(|_| out_of_range(text, datatype)),
                    Scalar::Special(value) => Err(out_of_range(value, datatype)),
                    other => Err(unexpected(other.found(), "an integer")),
                }
            }
        }
    )*};
}

integer!(u8, u16, u32, u64, i8, i16, i32, i64);

macro_rules! float {
    ($($type:ty),*) => {$(
        impl Number for $type {
            fn take(datatype: DataType, scan: &mut Scan<'_>) -> Result<Self, Flaw> {
                match take_scalar(scan, "a number")? {
                    Scalar::Number(text) => match text.parse::<$type>() {
                        Ok(value) if value.is_finite() => Ok(value),
                        _ => Err(out_of_range(text, datatype)),
                    },
                    Scalar::Special(value) => Ok(value as $type),
                    other => Err(unexpected(other.found(), "a number")),
                }
            }
        }
    )*};
}

float!(f32, f64);

/// Whether the next value is `{"b64": text}` and nothing else.
pub(super) fn is_base64(mut scan: Scan<'_>) -> bool {
    scan.take(b'{')
        && scan.string().is_ok_and(|key| key == "b64")
        && scan.take(b':')
        && scan.string().is_ok()
        && scan.take(b'}')
}

fn read_string(scan: &mut Scan<'_>, body: &Bytes) -> Result<Bytes, Flaw> {
    const EXPECTED: &str = "a string or {\"b64\": text}";
    if is_base64(*scan) {
        let mut decoded = Vec::new();
        scan.entries(|scan, _| {
            decoded = BASE64.decode(scan.string()?.as_bytes()).map_err(|e| Flaw::mismatch(format!("b64: {e}")))?;
            Ok(())
        })?;
        return Ok(decoded.into());
    }
    match take_scalar(scan, EXPECTED)? {
        Scalar::Text(Cow::Borrowed(text)) => Ok(body.slice_ref(text.as_bytes())),
        Scalar::Text(Cow::Owned(text)) => Ok(text.into()),
        other => Err(unexpected(other.found(), EXPECTED)),
    }
}
