//! Elements of any number type: which is the larger, and how they read.

use std::fmt::{self, Write};

use base_types::DataType;

/// A number that orders elements of one type by size; NaN is the least, both zeros are equal.
pub(super) fn rank(datatype: DataType, element: &[u8]) -> i128 {
    match value(datatype, element) {
        Value::Integer(integer) => integer,
        Value::Float(float) if float.is_nan() => i128::MIN,
        // Doubles sort like their bits, the negative ones the other way round; adding zero makes both zeros one.
        Value::Float(float) => {
            let bits = (float + 0.0).to_bits() as i64;
            i128::from(bits ^ (((bits >> 63) as u64) >> 1) as i64)
        }
    }
}

/// Writes an element in its shortest exact form.
pub(super) fn write(text: &mut String, datatype: DataType, element: &[u8]) -> fmt::Result {
    match (datatype, value(datatype, element)) {
        (_, Value::Integer(integer)) => write!(text, "{integer}"),
        // The shortest text depends on the precision of the type.
        (DataType::Fp64, Value::Float(float)) => write_float(text, float, float),
        (_, Value::Float(float)) => write_float(text, float as f32, float),
    }
}

fn write_float(text: &mut String, shown: impl fmt::Display + fmt::LowerExp, float: f64) -> fmt::Result {
    // Without exponent the extremes have hundreds of digits.
    match float.abs() {
        0.0 | 1e-6..1e16 => write!(text, "{shown}"),
        size if size.is_finite() => write!(text, "{shown:e}"),
        _ => write!(text, "{shown}"),
    }
}

enum Value {
    Integer(i128),
    Float(f64),
}

fn value(datatype: DataType, element: &[u8]) -> Value {
    let mut bytes = [0u8; 8];
    let n = element.len().min(8);
    bytes[..n].copy_from_slice(&element[..n]);
    let bits = u64::from_le_bytes(bytes);
    match datatype {
        DataType::Int8 => Value::Integer((bits as i8).into()),
        DataType::Int16 => Value::Integer((bits as i16).into()),
        DataType::Int32 => Value::Integer((bits as i32).into()),
        DataType::Int64 => Value::Integer((bits as i64).into()),
        DataType::Fp16 => Value::Float(half(bits as u16)),
        DataType::Bf16 => Value::Float(f32::from_bits((bits as u32) << 16).into()),
        DataType::Fp32 => Value::Float(f32::from_bits(bits as u32).into()),
        DataType::Fp64 => Value::Float(f64::from_bits(bits)),
        DataType::Bool | DataType::Bytes => Value::Integer(0),
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint64 => Value::Integer(bits.into()),
    }
}

/// A half precision number by its bits.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff) / 1024.0);
    sign * match exponent {
        0 => fraction * 2f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    }
}
