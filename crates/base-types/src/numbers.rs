//! The elements of a tensor as numbers.

use crate::{Data, DataType, Tensor};

/// Reads one element from its little-endian bytes.
type Read = fn(&[u8]) -> f64;

impl Tensor {
    /// The elements in row-major order as numbers; `None` for texts. Whole numbers beyond 2⁵³ lose their last digits.
    pub fn numbers(&self) -> Option<impl ExactSizeIterator<Item = f64> + '_> {
        let (Data::Raw(raw), Some(read), Some(size)) =
            (self.data(), reader(self.datatype()), self.datatype().element_bytes())
        else {
            return None;
        };
        Some(raw.chunks_exact(size).map(read))
    }

    /// How many elements make a row: those of one position of the first dimension, or all of a tensor that has no more
    /// than one.
    pub fn row_length(&self) -> usize {
        match self.shape() {
            [_, rest @ ..] if !rest.is_empty() => rest.iter().product(),
            shape => shape.iter().product(),
        }
    }
}

/// The position of the largest number, the first of several; numbers that are none are passed over.
pub fn argmax(numbers: impl Iterator<Item = f64>) -> Option<usize> {
    let mut largest: Option<(usize, f64)> = None;
    for (position, number) in numbers.enumerate() {
        let is_larger = largest.is_none_or(|(_, known)| number > known);
        if !number.is_nan() && is_larger {
            largest = Some((position, number));
        }
    }
    largest.map(|(position, _)| position)
}

fn reader(datatype: DataType) -> Option<Read> {
    Some(match datatype {
        DataType::Bool | DataType::Uint8 => |b| array(b).map_or(f64::NAN, |[b]: [u8; 1]| f64::from(b)),
        DataType::Int8 => |b| array(b).map_or(f64::NAN, |b| f64::from(i8::from_le_bytes(b))),
        DataType::Uint16 => |b| array(b).map_or(f64::NAN, |b| f64::from(u16::from_le_bytes(b))),
        DataType::Int16 => |b| array(b).map_or(f64::NAN, |b| f64::from(i16::from_le_bytes(b))),
        DataType::Uint32 => |b| array(b).map_or(f64::NAN, |b| f64::from(u32::from_le_bytes(b))),
        DataType::Int32 => |b| array(b).map_or(f64::NAN, |b| f64::from(i32::from_le_bytes(b))),
        DataType::Uint64 => |b| array(b).map_or(f64::NAN, |b| u64::from_le_bytes(b) as f64),
        DataType::Int64 => |b| array(b).map_or(f64::NAN, |b| i64::from_le_bytes(b) as f64),
        DataType::Fp16 => |b| array(b).map_or(f64::NAN, |b| half(u16::from_le_bytes(b))),
        // The upper half of a single.
        DataType::Bf16 => {
            |b| array(b).map_or(f64::NAN, |b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)))
        }
        DataType::Fp32 => |b| array(b).map_or(f64::NAN, |b| f64::from(f32::from_le_bytes(b))),
        DataType::Fp64 => |b| array(b).map_or(f64::NAN, f64::from_le_bytes),
        DataType::Bytes => return None,
    })
}

/// Always the whole: elements are cut to their size.
fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// A half: one bit of sign, five of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    sign * match (exponent, fraction) {
        (0x1f, 0.0) => f64::INFINITY,
        (0x1f, _) => f64::NAN,
        (0, fraction) => fraction * (-24f64).exp2(),
        (exponent, fraction) => (1024.0 + fraction) * f64::from(exponent - 25).exp2(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use bytes::Bytes;

    use super::*;

    fn check(datatype: DataType, bytes: &[u8], expected: &[f64]) {
        let shape = vec![bytes.len() / datatype.element_bytes().unwrap()];
        let tensor = Tensor::new("y", datatype, shape, Data::Raw(Bytes::copy_from_slice(bytes))).unwrap();
        assert_eq!(tensor.numbers().unwrap().collect::<Vec<_>>(), expected, "{datatype}");
    }

    #[test]
    fn every_type_is_read() {
        check(DataType::Bool, &[0, 1], &[0.0, 1.0]);
        check(DataType::Uint8, &[255], &[255.0]);
        check(DataType::Int8, &[255], &[-1.0]);
        check(DataType::Uint16, &[0, 1], &[256.0]);
        check(DataType::Int16, &[255, 255], &[-1.0]);
        check(DataType::Uint32, &[0, 0, 0, 1], &[16_777_216.0]);
        check(DataType::Int32, &(-5i32).to_le_bytes(), &[-5.0]);
        check(DataType::Uint64, &(1u64 << 40).to_le_bytes(), &[1_099_511_627_776.0]);
        check(DataType::Int64, &(-(1i64 << 40)).to_le_bytes(), &[-1_099_511_627_776.0]);
        check(DataType::Fp32, &1.5f32.to_le_bytes(), &[1.5]);
        check(DataType::Fp64, &[1.5f64.to_le_bytes(), f64::INFINITY.to_le_bytes()].concat(), &[1.5, f64::INFINITY]);
        check(DataType::Bf16, &[0xc0, 0x3f, 0x80, 0xff], &[1.5, f64::NEG_INFINITY]);
        let halves = [0x3c00u16, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8000, 0x7c00, 0x3555];
        let expected = [1.0, -2.0, 65504.0, 2f64.powi(-14), 2f64.powi(-24), 0.0, f64::INFINITY, 0.333_251_953_125];
        check(DataType::Fp16, &halves.map(u16::to_le_bytes).concat(), &expected);
        assert!(half(0x7e00).is_nan());
        let texts = Tensor::new("y", DataType::Bytes, vec![0], Data::Strings(Vec::new())).unwrap();
        assert!(texts.numbers().is_none());
    }

    #[test]
    fn the_largest_is_the_first_of_its_size_and_never_what_is_no_number() {
        let check = |numbers: &[f64], expected| assert_eq!(argmax(numbers.iter().copied()), expected, "{numbers:?}");
        check(&[], None);
        check(&[f64::NAN], None);
        check(&[f64::NAN, -1.0, 3.0, 3.0], Some(2));
        check(&[f64::NEG_INFINITY], Some(0));
        let of = |shape: &[usize]| {
            let data = Data::Raw(Bytes::from(vec![0; shape.iter().product()]));
            Tensor::new("y", DataType::Uint8, shape.to_vec(), data).unwrap().row_length()
        };
        assert_eq!([&[][..], &[3], &[2, 3], &[2, 3, 4], &[2, 0]].map(of), [1, 3, 3, 12, 0]);
    }
}
