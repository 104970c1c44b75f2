//! The elements of one tensor, from a flat or nested JSON array straight into little-endian bytes.
//!
//! Each data type has a [`Sink`]; one walk over the array serves them all. Numbers are read with the precision
//! of their type: FP32 is the single nearest to the decimal text, not the single nearest to its double.

mod sink;

use std::fmt;

use base_types::{Data, DataType, element_count};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Problem;
use crate::lenient;
use crate::request::{Context, Leniency};
use sink::{Misfit, Number, Numbers, Origin, Sink, Strings};

/// What is known about how the elements are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One array of elements.
    Flat,
    /// Arrays in arrays, as the shape says.
    Nested,
    /// The first item will tell.
    Unknown,
}

/// Reads `data`; `None` for `null`.
pub(crate) struct DataSeed<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) datatype: DataType,
    pub(crate) shape: &'a [usize],
    pub(crate) layout: Layout,
}

impl<'de> DeserializeSeed<'de> for DataSeed<'_> {
    type Value = Option<Data>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Data>, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for DataSeed<'_> {
    type Value = Option<Data>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array as `data`")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        let data = match self.datatype {
            DataType::Bool => self.numbers::<bool, D>(json),
            DataType::Uint8 => self.numbers::<u8, D>(json),
            DataType::Uint16 => self.numbers::<u16, D>(json),
            DataType::Uint32 => self.numbers::<u32, D>(json),
            DataType::Uint64 => self.numbers::<u64, D>(json),
            DataType::Int8 => self.numbers::<i8, D>(json),
            DataType::Int16 => self.numbers::<i16, D>(json),
            DataType::Int32 => self.numbers::<i32, D>(json),
            DataType::Int64 => self.numbers::<i64, D>(json),
            DataType::Fp32 => self.numbers::<f32, D>(json),
            DataType::Fp64 => self.numbers::<f64, D>(json),
            DataType::Bytes => self.strings(json),
            DataType::Fp16 | DataType::Bf16 => Err(self.context.problem(Problem::NoJsonForm(self.datatype))),
        };
        data.map(Some)
    }
}

impl DataSeed<'_> {
    fn numbers<'de, T: Number, D: Deserializer<'de>>(self, json: D) -> Result<Data, D::Error> {
        let numbers = Numbers::<T>::with_capacity(self.room());
        Ok(Data::Raw(self.fill(json, numbers)?.into_bytes()))
    }

    fn strings<'de, D: Deserializer<'de>>(self, json: D) -> Result<Data, D::Error> {
        let expected = element_count(self.shape).unwrap_or(usize::MAX);
        self.context.count_strings(expected).map_err(|problem| self.context.problem(problem))?;
        // Two quotes and a comma each.
        let strings = Strings::with_capacity(self.context.body, self.context.room(expected, 3));
        Ok(Data::Strings(self.fill(json, strings)?.into_vec()))
    }

    /// Elements worth making room for: an element and its comma take two bytes of JSON at least.
    pub(crate) fn room(&self) -> usize {
        self.context.room(element_count(self.shape).unwrap_or(0), 2)
    }

    fn fill<'de, S: Sink, D: Deserializer<'de>>(self, json: D, sink: S) -> Result<S, D::Error> {
        let expected = element_count(self.shape).unwrap_or(0);
        let mut fill = Fill { seed: &self, sink, n_elements: 0, expected };
        let want = if self.layout == Layout::Nested { Want::Array } else { Want::Top };
        let result = json.deserialize_seq(Item { fill: &mut fill, depth: 0, want });
        let n_elements = fill.n_elements;
        if let Err(error) = result {
            self.context.has_failed_in_floats.set(matches!(self.datatype, DataType::Fp32 | DataType::Fp64));
            let detail = || without_position(&error.to_string());
            self.context.note(|| Problem::Element { at: n_elements, detail: detail() });
            return Err(error);
        }
        if n_elements != expected {
            return Err(self.context.problem(self.miscount(n_elements)));
        }
        self.context.count_elements(n_elements);
        Ok(fill.sink)
    }

    fn miscount(&self, actual: usize) -> Problem {
        Problem::Count { shape: self.shape.to_vec(), expected: element_count(self.shape).unwrap_or(0), actual }
    }
}

/// The element's position says where; the parser's line and column may be relative to the data alone.
fn without_position(text: &str) -> String {
    text.rsplit_once(" at line ").map_or(text, |(what, _)| what).to_owned()
}

struct Fill<'a, S> {
    seed: &'a DataSeed<'a>,
    sink: S,
    n_elements: usize,
    expected: usize,
}

/// What the next item of an array has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    /// The outermost array: elements, or arrays if the layout is unknown and the first item is one.
    Top,
    /// An array, which `depth` places in the shape.
    Array,
    /// An element.
    Element,
    /// Either; decides the layout.
    Either,
}

/// One item of an array: an element or an array of further items. Its value says whether it was an array.
struct Item<'f, 'a, S> {
    fill: &'f mut Fill<'a, S>,
    /// Of the array, if the item is one.
    depth: usize,
    want: Want,
}

impl<'de, S: Sink> DeserializeSeed<'de> for Item<'_, '_, S> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        match self.want {
            Want::Element if self.is_lenient() => self.read_leniently(json),
            Want::Element => S::ask(json, self),
            Want::Either => json.deserialize_any(self),
            Want::Top | Want::Array => json.deserialize_seq(self),
        }
    }
}

impl<S: Sink> Item<'_, '_, S> {
    fn is_lenient(&self) -> bool {
        let seed = self.fill.seed;
        seed.context.leniency == Leniency::Numbers && matches!(seed.datatype, DataType::Fp32 | DataType::Fp64)
    }

    /// Reads a float that may be one that JSON does not know.
    fn read_leniently<'de, D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        let text = <&RawValue>::deserialize(json)?.get();
        if let Some(value) = lenient::special(text) {
            return self.put(|sink| sink.special(value));
        }
        let result = S::ask(&mut serde_json::Deserializer::from_str(text), self);
        result.map_err(|error| D::Error::custom(without_position(&error.to_string())))
    }

    fn put<E: Error>(self, put: impl FnOnce(&mut S) -> Result<(), Misfit>) -> Result<bool, E> {
        let fill = self.fill;
        if fill.n_elements == fill.expected {
            return Err(fill.seed.context.problem(fill.seed.miscount(fill.expected + 1)));
        }
        match put(&mut fill.sink) {
            Ok(()) => {
                fill.n_elements += 1;
                Ok(false)
            }
            Err(Misfit::Range(value)) => {
                let (at, datatype) = (fill.n_elements, fill.seed.datatype);
                Err(fill.seed.context.problem(Problem::Range { at, value, datatype }))
            }
            Err(Misfit::Kind(found)) => {
                let detail = format!("{found}, expected {}", S::EXPECTED);
                Err(fill.seed.context.problem(Problem::Element { at: fill.n_elements, detail }))
            }
        }
    }

    fn put_text<E: Error>(self, text: &str, origin: Origin) -> Result<bool, E> {
        // What stands in for a number is no text, also where text is asked for.
        if self.fill.seed.context.leniency == Leniency::Numbers && lenient::is_stand_in(text) {
            return self.put(|_| Err(Misfit::Kind("NaN or an infinity")));
        }
        self.put(|sink| sink.text(text, origin))
    }

    /// The items of an array: at the top of unknown layout, the first decides.
    fn items<'de, A: SeqAccess<'de>>(self, mut array: A) -> Result<bool, A::Error> {
        let Self { fill, depth, want } = self;
        let shape = fill.seed.shape;
        let is_innermost = depth + 1 >= shape.len();
        let mut next = match want {
            Want::Top if fill.seed.layout == Layout::Unknown => Want::Either,
            Want::Top => Want::Element,
            _ if is_innermost => Want::Element,
            _ => Want::Array,
        };
        let mut is_nested = want != Want::Top;
        let mut n_items = 0;
        while let Some(was_array) = array.next_element_seed(Item { fill, depth: depth + 1, want: next })? {
            if next == Want::Either {
                is_nested = was_array;
                next = if was_array { Want::Array } else { Want::Element };
            }
            n_items += 1;
            if is_nested && n_items > shape[depth] {
                return Err(wrong_length(fill, depth));
            }
        }
        if is_nested && n_items != shape[depth] {
            return Err(wrong_length(fill, depth));
        }
        Ok(true)
    }
}

fn wrong_length<S, E: Error>(fill: &Fill<'_, S>, depth: usize) -> E {
    let shape = fill.seed.shape;
    fill.seed.context.problem(Problem::Nesting { depth, expected: shape[depth], shape: shape.to_vec() })
}

impl<'de, S: Sink> Visitor<'de> for Item<'_, '_, S> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.want {
            Want::Top => "an array as `data`",
            Want::Array => "an array, as the shape and the items before say",
            Want::Element | Want::Either => S::EXPECTED,
        })
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        self.put(|sink| sink.bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<bool, E> {
        self.put(|sink| sink.unsigned(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<bool, E> {
        self.put(|sink| sink.signed(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<bool, E> {
        // Read as a double because an array was as likely; only where that could round twice, read again.
        if self.want == Want::Either && S::rounds_twice(value) {
            return Err(self.fill.seed.context.read_again());
        }
        self.put(|sink| sink.float(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<bool, E> {
        self.put_text(value, Origin::Body)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<bool, E> {
        self.put_text(value, Origin::Scratch)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, array: A) -> Result<bool, A::Error> {
        self.items(array)
    }
}
