//! Elements as repeated fields of numbers, written once as little-endian bytes of their data type.

use base_types::{Data, DataType};
use bytes::{Buf, Bytes};
use data_codec::{CodecLimits, Problem};

use crate::frames::Frames;
use crate::wire::{Value, mistyped, next_field, varint};

/// A field that holds elements, and how an element of it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A number of variable length that stands for a bool.
    Bool,
    /// A number of variable length that stands for a signed integer.
    Signed,
    /// A number of variable length that stands for an unsigned integer, or for the bits of a short float.
    Unsigned,
    /// Four bytes.
    Four,
    /// Eight bytes.
    Eight,
    /// Bytes of any length.
    Strings,
}

/// Strings of this size on the wire pay for their handles.
const BYTES_OF_A_STRING: usize = 4;
/// Shorter ones may be so many in one request.
const STRINGS_SPARE: usize = 16 * 1024;
/// Elements of one request that are repeated rather than sent may take so many bytes.
const REPEATED_BYTES_MAX: usize = 512 * 1024;

/// What elements are read for.
pub(crate) struct Wanted<'a> {
    /// The type they become.
    pub(crate) datatype: DataType,
    /// The shape they have to fill.
    pub(crate) shape: &'a [usize],
    /// The product of the shape.
    pub(crate) n_elements: usize,
}

/// What may be made for one request beyond what its bytes pay for, over all of its tensors.
pub(crate) struct Room {
    /// Elements of BYTES tensors that may still come.
    strings: usize,
    /// How many there may be in all.
    strings_max: usize,
    /// Handles of strings: an empty one takes two bytes on the wire, and its handle much more.
    spare_strings: usize,
    /// Bytes of elements that are repeated rather than sent.
    repeated_bytes: usize,
}

impl Room {
    /// All the room of a request.
    pub(crate) fn new(limits: &CodecLimits) -> Self {
        Self {
            strings: limits.strings,
            strings_max: limits.strings,
            spare_strings: STRINGS_SPARE,
            repeated_bytes: REPEATED_BYTES_MAX,
        }
    }

    /// Takes so many elements of a BYTES tensor.
    ///
    /// # Errors
    /// There are too many, with those of the tensors before.
    pub(crate) fn take_strings(&mut self, n_strings: usize) -> Result<(), Problem> {
        self.strings = self.strings.checked_sub(n_strings).ok_or_else(|| self.too_many_strings())?;
        Ok(())
    }

    /// Takes handles for so many strings that came in so many bytes.
    fn take_spare(&mut self, n_strings: usize, n_bytes: usize) {
        self.spare_strings = self.spare_strings.saturating_sub(n_strings.saturating_sub(n_bytes / BYTES_OF_A_STRING));
    }

    fn too_many_strings(&self) -> Problem {
        Problem::TooMany { what: "elements in BYTES tensors", max: self.strings_max }
    }
}

/// Gathers the elements of one tensor.
pub(crate) struct Elements<'a> {
    wanted: Wanted<'a>,
    form: Form,
    raw: Vec<u8>,
    /// Bytes that came in one field and are the elements as they are.
    whole: Option<Bytes>,
    strings: Vec<Bytes>,
    strings_max: usize,
    n_bytes: usize,
    n_elements: usize,
    room: &'a mut Room,
}

impl<'a> Elements<'a> {
    /// Makes place for elements that come out of `n_bytes` bytes: each takes one at least, so what is merely announced
    /// by a shape gets none.
    pub(crate) fn new(wanted: Wanted<'a>, form: Form, n_bytes: usize, room: &'a mut Room) -> Self {
        let n_elements = wanted.n_elements.min(n_bytes);
        let strings_max = room.strings.min(n_bytes / BYTES_OF_A_STRING + room.spare_strings);
        let (mut raw, mut strings) = (Vec::new(), Vec::new());
        match (form, wanted.datatype.element_bytes()) {
            // A string takes two bytes on the wire at least.
            (Form::Strings, _) => strings.reserve_exact(n_elements.min(n_bytes / 2).min(strings_max)),
            // Those that come packed may need no room.
            (Form::Four | Form::Eight, _) | (_, None) => {}
            (_, Some(size)) => raw.reserve_exact(n_elements * size),
        }
        Self { wanted, form, raw, whole: None, strings, strings_max, n_bytes, n_elements: 0, room }
    }

    /// Adds the elements of one field.
    pub(crate) fn add(&mut self, value: Value) -> Result<(), Problem> {
        match (self.form, value) {
            (Form::Strings, Value::Bytes(text)) => {
                self.count(1)?;
                if self.strings.len() == self.strings_max {
                    return Err(self.too_many_strings());
                }
                self.strings.push(text.into_bytes());
                Ok(())
            }
            (Form::Bool | Form::Signed | Form::Unsigned, Value::Varint(number)) => self.put(number),
            (Form::Bool | Form::Signed | Form::Unsigned, Value::Bytes(mut packed)) => {
                while packed.has_remaining() {
                    let number = varint(&mut packed)?;
                    self.put(number)?;
                }
                Ok(())
            }
            (Form::Four, Value::Fixed32(bytes)) => self.extend(&bytes, 4),
            (Form::Four, Value::Bytes(packed)) => self.take(packed, 4),
            (Form::Eight, Value::Fixed64(bytes)) => self.extend(&bytes, 8),
            (Form::Eight, Value::Bytes(packed)) => self.take(packed, 8),
            _ => Err(mistyped("the field of the elements")),
        }
    }

    /// The elements, which have to be as many as the shape says. The last one may stand for all that follow where
    /// `is_filled_up`.
    pub(crate) fn finish(mut self, is_filled_up: bool) -> Result<Data, Problem> {
        let wanted = self.wanted.n_elements;
        self.room.take_spare(self.strings.len(), self.n_bytes);
        if (1..wanted).contains(&self.n_elements) && is_filled_up {
            self.fill_up()?;
        }
        if self.n_elements != wanted {
            return Err(self.miscounted(self.n_elements));
        }
        self.room.take_strings(self.strings.len())?;
        Ok(match (self.form, self.whole) {
            (Form::Strings, _) => Data::Strings(self.strings),
            (_, Some(whole)) => Data::Raw(whole),
            (_, None) => Data::Raw(self.raw.into()),
        })
    }

    fn put(&mut self, number: u64) -> Result<(), Problem> {
        let at = self.n_elements;
        self.count(1)?;
        let datatype = self.wanted.datatype;
        let range = |value: String| Problem::Range { at, value, datatype };
        let signed = number as i64;
        let out_of = || range(if self.form == Form::Signed { signed.to_string() } else { number.to_string() });
        match datatype {
            DataType::Bool => self.raw.push(u8::from(number != 0)),
            DataType::Int8 => self.raw.extend(i8::try_from(signed).map_err(|_| out_of())?.to_le_bytes()),
            DataType::Int16 => self.raw.extend(i16::try_from(signed).map_err(|_| out_of())?.to_le_bytes()),
            DataType::Int32 => self.raw.extend(i32::try_from(signed).map_err(|_| out_of())?.to_le_bytes()),
            DataType::Int64 => self.raw.extend(signed.to_le_bytes()),
            DataType::Uint8 => self.raw.extend(u8::try_from(number).map_err(|_| out_of())?.to_le_bytes()),
            DataType::Uint16 | DataType::Fp16 | DataType::Bf16 => {
                self.raw.extend(u16::try_from(number).map_err(|_| out_of())?.to_le_bytes());
            }
            DataType::Uint32 => self.raw.extend(u32::try_from(number).map_err(|_| out_of())?.to_le_bytes()),
            DataType::Uint64 => self.raw.extend(number.to_le_bytes()),
            DataType::Fp32 | DataType::Fp64 | DataType::Bytes => return Err(mistyped("the field of the elements")),
        }
        Ok(())
    }

    /// Takes bytes that are elements as they stand; without a copy where they are all of them.
    fn take(&mut self, packed: Frames, size: usize) -> Result<(), Problem> {
        let packed = packed.into_bytes();
        if packed.len() == self.wanted.n_elements.saturating_mul(size) && self.n_elements == 0 {
            self.n_elements = self.wanted.n_elements;
            self.whole = Some(packed);
            return Ok(());
        }
        self.extend(&packed, size)
    }

    /// Copies bytes that are elements as they stand.
    fn extend(&mut self, elements: &[u8], size: usize) -> Result<(), Problem> {
        if !elements.len().is_multiple_of(size) {
            return Err(Problem::Field(format!("{} bytes are no whole number of elements", elements.len())));
        }
        self.count(elements.len() / size)?;
        self.raw.extend_from_slice(elements);
        Ok(())
    }

    fn count(&mut self, n_elements: usize) -> Result<(), Problem> {
        self.n_elements += n_elements;
        if self.n_elements > self.wanted.n_elements {
            return Err(self.miscounted(self.n_elements));
        }
        Ok(())
    }

    /// Repeats the last element there is until the shape is full, where that is little.
    fn fill_up(&mut self) -> Result<(), Problem> {
        let missing = self.wanted.n_elements - self.n_elements;
        // Repeated text is shared here, but the runtime makes a copy for each element.
        let text_bytes = self.strings.last().map_or(0, Bytes::len);
        let size = self.wanted.datatype.element_bytes().unwrap_or(size_of::<Bytes>() + text_bytes);
        let n_bytes = size.saturating_mul(missing);
        if n_bytes > self.room.repeated_bytes {
            return Err(self.miscounted(self.n_elements));
        }
        self.room.repeated_bytes -= n_bytes;
        if let Some(last) = self.strings.last().cloned() {
            self.strings.reserve_exact(missing);
            self.strings.extend(std::iter::repeat_n(last, missing));
        } else {
            self.raw.reserve_exact(n_bytes);
            let last = self.raw.len() - size.min(self.raw.len());
            (0..missing).for_each(|_| self.raw.extend_from_within(last..last + size));
        }
        self.n_elements += missing;
        Ok(())
    }

    fn too_many_strings(&self) -> Problem {
        if self.strings_max == self.room.strings {
            return self.room.too_many_strings();
        }
        Problem::TooMany { what: "elements in a BYTES tensor for so few bytes", max: self.strings_max }
    }

    fn miscounted(&self, actual: usize) -> Problem {
        Problem::Count { shape: self.wanted.shape.to_vec(), expected: self.wanted.n_elements, actual }
    }
}

/// The number, name and form of the field of `contents` that a data type comes in; `None` for types that come raw only.
fn field_of(datatype: DataType) -> Option<(u32, &'static str, Form)> {
    Some(match datatype {
        DataType::Bool => (1, "bool_contents", Form::Bool),
        DataType::Int8 | DataType::Int16 | DataType::Int32 => (2, "int_contents", Form::Signed),
        DataType::Int64 => (3, "int64_contents", Form::Signed),
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 => (4, "uint_contents", Form::Unsigned),
        DataType::Uint64 => (5, "uint64_contents", Form::Unsigned),
        DataType::Fp32 => (6, "fp32_contents", Form::Four),
        DataType::Fp64 => (7, "fp64_contents", Form::Eight),
        DataType::Bytes => (8, "bytes_contents", Form::Strings),
        DataType::Fp16 | DataType::Bf16 => return None,
    })
}

/// Reads the `contents` of an input.
pub(crate) fn read(wanted: Wanted<'_>, mut contents: Frames, room: &mut Room) -> Result<Data, Problem> {
    let datatype = wanted.datatype;
    let Some((number, name, form)) = field_of(datatype) else {
        return Err(Problem::Field(format!("{datatype} comes in raw_input_contents only")));
    };
    let mut elements = Elements::new(wanted, form, contents.remaining(), room);
    while let Some((field, value)) = next_field(&mut contents)? {
        if field == number {
            elements.add(value)?;
        } else if (1..=8).contains(&field) {
            let text = format!("contents are in the field {field}, those of {datatype} are in {name} ({number})");
            return Err(Problem::Field(text));
        }
    }
    elements.finish(false)
}
