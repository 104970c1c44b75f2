//! Where elements go: one sink per data type, which takes what the parser found or says why it cannot.

use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserializer, Visitor};

/// Why an element was not taken.
pub(super) enum Misfit {
    /// A number outside the type's range, or with a fraction it cannot hold.
    Range(String),
    /// Not the kind of value the type is made of.
    Kind(&'static str),
}

/// Where a text lies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the body, as it is.
    Body,
    /// In the parser's memory, with escapes resolved.
    Scratch,
}

/// Takes elements of one data type.
pub(super) trait Sink {
    const EXPECTED: &'static str;

    /// Asks the parser for the kind of value the type is made of.
    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error>;

    /// Whether a decimal read as this double may differ from the same decimal read as the type itself.
    fn rounds_twice(_: f64) -> bool {
        false
    }

    fn bool(&mut self, _: bool) -> Result<(), Misfit> {
        Err(Misfit::Kind("a boolean"))
    }

    fn unsigned(&mut self, _: u64) -> Result<(), Misfit> {
        Err(Misfit::Kind("a number"))
    }

    fn signed(&mut self, _: i64) -> Result<(), Misfit> {
        Err(Misfit::Kind("a number"))
    }

    fn float(&mut self, _: f64) -> Result<(), Misfit> {
        Err(Misfit::Kind("a number"))
    }

    /// NaN or an infinity, which the parser does not know.
    fn special(&mut self, _: f64) -> Result<(), Misfit> {
        Err(Misfit::Kind("NaN or an infinity"))
    }

    fn text(&mut self, _: &str, _: Origin) -> Result<(), Misfit> {
        Err(Misfit::Kind("a string"))
    }
}

/// Text elements; those without escapes share the memory of the body.
pub(super) struct Strings<'a> {
    body: &'a Bytes,
    strings: Vec<Bytes>,
}

impl<'a> Strings<'a> {
    pub(super) fn with_capacity(body: &'a Bytes, n_elements: usize) -> Self {
        Self { body, strings: Vec::with_capacity(n_elements) }
    }

    pub(super) fn into_vec(self) -> Vec<Bytes> {
        self.strings
    }
}

impl Sink for Strings<'_> {
    const EXPECTED: &'static str = "a string";

    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error> {
        json.deserialize_str(visitor)
    }

    fn text(&mut self, text: &str, origin: Origin) -> Result<(), Misfit> {
        self.strings.push(match origin {
            Origin::Body => self.body.slice_ref(text.as_bytes()),
            Origin::Scratch => Bytes::copy_from_slice(text.as_bytes()),
        });
        Ok(())
    }
}

/// Fixed-size elements, little-endian.
pub(super) struct Numbers<T> {
    raw: Vec<u8>,
    number: PhantomData<T>,
}

impl<T> Numbers<T> {
    pub(super) fn with_capacity(n_elements: usize) -> Self {
        Self { raw: Vec::with_capacity(n_elements * size_of::<T>()), number: PhantomData }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.raw.into()
    }
}

impl<T: Number> Sink for Numbers<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error> {
        T::ask(json, visitor)
    }

    fn rounds_twice(value: f64) -> bool {
        T::rounds_twice(value)
    }

    fn bool(&mut self, value: bool) -> Result<(), Misfit> {
        T::from_bool(value).ok_or(Misfit::Kind("a boolean"))?.write(&mut self.raw);
        Ok(())
    }

    fn unsigned(&mut self, value: u64) -> Result<(), Misfit> {
        T::from_unsigned(value).ok_or_else(|| Misfit::Range(value.to_string()))?.write(&mut self.raw);
        Ok(())
    }

    fn signed(&mut self, value: i64) -> Result<(), Misfit> {
        T::from_signed(value).ok_or_else(|| Misfit::Range(value.to_string()))?.write(&mut self.raw);
        Ok(())
    }

    fn float(&mut self, value: f64) -> Result<(), Misfit> {
        T::from_float(value).ok_or_else(|| Misfit::Range(value.to_string()))?.write(&mut self.raw);
        Ok(())
    }

    fn special(&mut self, value: f64) -> Result<(), Misfit> {
        T::from_special(value).ok_or(Misfit::Kind("NaN or an infinity"))?.write(&mut self.raw);
        Ok(())
    }
}

/// A fixed-size element.
pub(super) trait Number: Sized {
    const EXPECTED: &'static str;

    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error>;

    fn rounds_twice(_: f64) -> bool {
        false
    }

    fn from_bool(_: bool) -> Option<Self> {
        None
    }

    fn from_unsigned(value: u64) -> Option<Self>;
    fn from_signed(value: i64) -> Option<Self>;
    fn from_float(value: f64) -> Option<Self>;

    fn from_special(_: f64) -> Option<Self> {
        None
    }

    fn write(self, raw: &mut Vec<u8>);
}

macro_rules! integer {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const EXPECTED: &'static str = "an integer";

            fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error> {
                json.deserialize_i64(visitor)
            }

            fn from_unsigned(value: u64) -> Option<Self> {
                value.try_into().ok()
            }

            fn from_signed(value: i64) -> Option<Self> {
                value.try_into().ok()
            }

            /// Some clients know no numbers but doubles and write 3 as 3.0. Beyond 2^53 a double stands for several
            /// integers, and nobody knows which was meant.
            fn from_float(value: f64) -> Option<Self> {
                const EXACT_BELOW: f64 = (1u64 << 53) as f64;
                let is_whole = value.trunc() == value && value.abs() < EXACT_BELOW;
                is_whole.then(|| (value as i64).try_into().ok())?
            }

            fn write(self, raw: &mut Vec<u8>) {
                raw.extend_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}

integer!(u8, u16, u32, u64, i8, i16, i32, i64);

impl Number for f32 {
    const EXPECTED: &'static str = "a number";

    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error> {
        json.deserialize_f32(visitor)
    }

    fn rounds_twice(value: f64) -> bool {
        // A double half-way between two singles may stand for a decimal just beside the middle. Below the normal
        // singles the middle lies elsewhere, so those are always read again.
        const BELOW_SINGLE: u64 = (1 << 29) - 1;
        let is_subnormal = value != 0.0 && value.abs() < f64::from(f32::MIN_POSITIVE);
        value.to_bits() & BELOW_SINGLE == 1 << 28 || is_subnormal
    }

    fn from_unsigned(value: u64) -> Option<Self> {
        Some(value as Self)
    }

    fn from_signed(value: i64) -> Option<Self> {
        Some(value as Self)
    }

    fn from_float(value: f64) -> Option<Self> {
        let single = value as Self;
        single.is_finite().then_some(single)
    }

    fn from_special(value: f64) -> Option<Self> {
        Some(value as Self)
    }

    fn write(self, raw: &mut Vec<u8>) {
        raw.extend_from_slice(&self.to_le_bytes());
    }
}

impl Number for f64 {
    const EXPECTED: &'static str = "a number";

    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error> {
        json.deserialize_f64(visitor)
    }

    fn from_unsigned(value: u64) -> Option<Self> {
        Some(value as Self)
    }

    fn from_signed(value: i64) -> Option<Self> {
        Some(value as Self)
    }

    fn from_float(value: f64) -> Option<Self> {
        Some(value)
    }

    fn from_special(value: f64) -> Option<Self> {
        Some(value)
    }

    fn write(self, raw: &mut Vec<u8>) {
        raw.extend_from_slice(&self.to_le_bytes());
    }
}

impl Number for bool {
    const EXPECTED: &'static str = "true or false";

    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(json: D, visitor: V) -> Result<V::Value, D::Error> {
        json.deserialize_bool(visitor)
    }

    fn from_bool(value: bool) -> Option<Self> {
        Some(value)
    }

    fn from_unsigned(_: u64) -> Option<Self> {
        None
    }

    fn from_signed(_: i64) -> Option<Self> {
        None
    }

    fn from_float(_: f64) -> Option<Self> {
        None
    }

    fn write(self, raw: &mut Vec<u8>) {
        raw.push(u8::from(self));
    }
}
