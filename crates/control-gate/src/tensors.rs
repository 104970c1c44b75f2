//! Tensors in the JSON of the Open Inference Protocol, as files hold them: `{"inputs": [{"name", "shape", "datatype",
//! "data"}]}`. Elements are written as they are read, so that what is held is no more than a small multiple of the file.

use std::fmt;

use base_types::{Data, DataType, Tensor, element_count};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// Deepest nesting of `data`.
const DEPTH_MAX: usize = 32;

/// Why a text holds no tensors.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TensorsError {
    /// It is no JSON of the protocol.
    #[error("{0}")]
    Json(String),
    /// One of the tensors makes no sense.
    #[error("tensor {name:?}: {text}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        text: String,
    },
}

/// A tensor whose elements have not been looked at.
#[derive(Deserialize)]
pub(crate) struct StoredTensor<'a> {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    inputs: Vec<StoredTensor<'a>>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    outputs: Vec<StoredTensor<'a>>,
}

/// Reads the tensors of a field, `inputs` or `outputs`, of a request or an answer. Other fields are passed over.
pub fn read_tensors(json: &[u8], field: &str) -> Result<Vec<Tensor>, TensorsError> {
    let stored = match field {
        "outputs" => serde_json::from_slice::<Answer<'_>>(json).map(|answer| answer.outputs),
        _ => serde_json::from_slice::<Request<'_>>(json).map(|request| request.inputs),
    };
    tensors_of(&stored.map_err(|error| TensorsError::Json(error.to_string()))?)
}

/// The tensors that a file holds.
pub(crate) fn tensors_of(stored: &[StoredTensor<'_>]) -> Result<Vec<Tensor>, TensorsError> {
    let mut tensors: Vec<Tensor> = Vec::with_capacity(stored.len());
    for stored in stored {
        let refuse = |text: String| TensorsError::Tensor { name: stored.name.clone(), text };
        let tensor = tensor(stored).map_err(refuse)?;
        if tensors.iter().any(|known| known.name() == tensor.name()) {
            return Err(refuse("is there twice".to_owned()));
        }
        tensors.push(tensor);
    }
    Ok(tensors)
}

fn tensor(stored: &StoredTensor<'_>) -> Result<Tensor, String> {
    let datatype = DataType::parse(&stored.datatype).ok_or_else(|| format!("{:?} is no datatype", stored.datatype))?;
    let mut elements = Elements { datatype, raw: Vec::new(), texts: Vec::new(), n: 0 };
    let mut json = serde_json::Deserializer::from_str(stored.data.get());
    let read = Nested { elements: &mut elements, depth: 0 }.deserialize(&mut json);
    // The place is one within the elements, and means nothing to whoever reads the file.
    read.map_err(|error| error.to_string().split(" at line ").next().unwrap_or_default().to_owned())?;
    let Elements { raw, texts, n, .. } = elements;
    if element_count(&stored.shape) != Some(n) {
        return Err(format!("the shape {:?} does not have {n} elements", stored.shape));
    }
    let data = if datatype == DataType::Bytes { Data::Strings(texts) } else { Data::Raw(raw.into()) };
    Tensor::new(stored.name.clone(), datatype, stored.shape.clone(), data).map_err(|error| error.to_string())
}

/// Elements as they come.
struct Elements {
    datatype: DataType,
    raw: Vec<u8>,
    texts: Vec<Bytes>,
    n: usize,
}

/// One element as JSON has it.
#[derive(Debug, Clone, Copy)]
enum Element<'a> {
    Null,
    Flag(bool),
    Whole(i128),
    Float(f64),
    Text(&'a str),
}

impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Float(number) => number.fmt(f),
            Self::Text(text) => write!(f, "{:?}", text.chars().take(60).collect::<String>()),
        }
    }
}

/// Data may be nested as the shape is, or flat.
struct Nested<'e> {
    elements: &'e mut Elements,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Nested<'_> {
    fn put<E: Error>(self, element: Element<'_>) -> Result<(), E> {
        if self.depth == 0 {
            return Err(E::custom("its data is no list"));
        }
        self.elements.put(element).map_err(E::custom)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("elements or lists of them")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { elements, depth } = self;
        if depth >= DEPTH_MAX {
            return Err(A::Error::custom("its data is nested too deeply"));
        }
        while list.next_element_seed(Nested { elements, depth: depth + 1 })?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(Element::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.put(Element::Flag(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.put(Element::Whole(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.put(Element::Whole(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.put(Element::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(Element::Text(text))
    }
}

impl Elements {
    fn put(&mut self, element: Element<'_>) -> Result<(), String> {
        let Self { raw, texts, n, .. } = self;
        let datatype = self.datatype;
        *n += 1;
        let misfit = || format!("{element} is no {datatype}");
        match datatype {
            DataType::Bytes => match element {
                Element::Text(text) => texts.push(Bytes::copy_from_slice(text.as_bytes())),
                _ => return Err(misfit()),
            },
            DataType::Bool => raw.push(match element {
                Element::Flag(flag) => u8::from(flag),
                Element::Whole(number @ (0 | 1)) => number as u8,
                _ => return Err(misfit()),
            }),
            DataType::Fp16 => raw.extend(half(float(element).ok_or_else(misfit)? as f32).to_le_bytes()),
            DataType::Bf16 => raw.extend(upper_half(float(element).ok_or_else(misfit)? as f32).to_le_bytes()),
            DataType::Fp32 => raw.extend((float(element).ok_or_else(misfit)? as f32).to_le_bytes()),
            DataType::Fp64 => raw.extend(float(element).ok_or_else(misfit)?.to_le_bytes()),
            whole => {
                let (low, high) = bounds(whole);
                let Element::Whole(number) = element else { return Err(misfit()) };
                if !(low..=high).contains(&number) {
                    return Err(misfit());
                }
                raw.extend(&number.to_le_bytes()[..whole.element_bytes().unwrap_or_default()]);
            }
        }
        Ok(())
    }
}

/// A number; what JSON has no number for is written as a text, or as null for no number.
fn float(element: Element<'_>) -> Option<f64> {
    match element {
        Element::Null | Element::Text("NaN") => Some(f64::NAN),
        Element::Text("Infinity") => Some(f64::INFINITY),
        Element::Text("-Infinity") => Some(f64::NEG_INFINITY),
        Element::Whole(number) => Some(number as f64),
        Element::Float(number) => Some(number),
        Element::Flag(_) | Element::Text(_) => None,
    }
}

fn bounds(datatype: DataType) -> (i128, i128) {
    match datatype {
        DataType::Uint8 => (0, u8::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Uint32 => (0, u32::MAX.into()),
        DataType::Uint64 => (0, u64::MAX.into()),
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// The upper half of a single, rounded to nearest, ties to even.
fn upper_half(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// A half: one bit of sign, five of exponent, ten of fraction; rounded to nearest, ties to even.
fn half(value: f32) -> u16 {
    let sign = (value.to_bits() >> 16 & 0x8000) as u16;
    let size = f64::from(value.abs());
    if value.is_nan() {
        return sign | 0x7e00;
    }
    // The steps of a half are 2⁻²⁴ below 2⁻¹⁴ and grow with each power of two above.
    let exponent = ((value.to_bits() >> 23 & 0xff) as i32 - 127).max(-14);
    let steps = (size / f64::from(exponent - 10).exp2()).round_ties_even();
    let bits = steps + f64::from(exponent + 14) * 1024.0;
    if bits >= 31744.0 { sign | 0x7c00 } else { sign | bits as u16 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn one(datatype: &str, shape: &str, data: &str) -> Result<Tensor, TensorsError> {
        let json = format!(
            "{{\"inputs\": [{{\"name\": \"x\", \"datatype\": \"{datatype}\", \"shape\": {shape}, \"data\": {data}}}]}}"
        );
        read_tensors(json.as_bytes(), "inputs").map(|mut tensors| tensors.remove(0))
    }

    #[test]
    fn every_type_is_read() {
        for datatype in DataType::ALL.into_iter().filter(|d| *d != DataType::Bytes) {
            let tensor = one(datatype.as_str(), "[2]", "[1, 0]").unwrap();
            assert_eq!(tensor.numbers().unwrap().collect::<Vec<_>>(), [1.0, 0.0], "{datatype}");
        }
        let texts = one("BYTES", "[1,2]", "[[\"a\", \"é\"]]").unwrap();
        assert_eq!(texts.data(), &Data::Strings(vec![Bytes::from("a"), Bytes::from("é")]));
        let odd = one("FP32", "[4]", "[null, \"Infinity\", \"-Infinity\", -1.5]").unwrap();
        let odd: Vec<f64> = odd.numbers().unwrap().collect();
        assert!(odd[0].is_nan() && odd[1..] == [f64::INFINITY, f64::NEG_INFINITY, -1.5]);
        let large = one("UINT64", "[1]", "[18446744073709551615]").unwrap();
        assert_eq!(large.data(), &Data::Raw(vec![255; 8].into()));
    }

    #[test]
    fn halves_are_rounded_to_nearest() {
        for (value, bits) in [
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (65504.0, 0x7bff),
            (65519.0, 0x7bff),
            (65520.0, 0x7c00),
            (1e9, 0x7c00),
            (0.333_251_95, 0x3555),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            (1e-9, 0x0000),
            (-0.0, 0x8000),
            (2047.5, 0x6800),
        ] {
            assert_eq!(half(value), bits, "{value}");
        }
        // Every half comes back as itself.
        for bits in (0..0x7c00u16).chain(0x8000..0xfc00) {
            let raw = Data::Raw(bits.to_le_bytes().to_vec().into());
            let number = Tensor::new("x", DataType::Fp16, vec![1], raw).unwrap().numbers().unwrap().next().unwrap();
            assert_eq!(half(number as f32), bits, "{number}");
        }
        assert_eq!(upper_half(1.5), 0x3fc0);
    }

    #[test]
    fn what_is_no_tensor_is_refused_in_words() {
        let check = |read: Result<Tensor, TensorsError>, expected: &str| {
            let error = read.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(one("FP33", "[1]", "[1]"), "no datatype");
        check(one("FP32", "[3]", "[1]"), "does not have 1 elements");
        check(one("FP32", "[18446744073709551615, 9]", "[1]"), "does not have 1 elements");
        check(one("INT8", "[1]", "[300]"), "300 is no INT8");
        check(one("FP32", "[1]", "[\"a\"]"), "is no FP32");
        check(one("FP32", "[1]", "1"), "no list");
        check(one("FP32", "[1]", &format!("{}1{}", "[".repeat(40), "]".repeat(40))), "too deeply");
        assert!(read_tensors(b"{}", "inputs").is_err());
        assert!(read_tensors(b"\xff", "inputs").is_err());
    }
}
