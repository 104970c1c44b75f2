//! Whether what serves answers as the original does, on input that is made up.
//!
//! The original is asked before anything of it is packed, so that the two differ by rounding and no more.

use base_serving::engine::{RunControl, Runner};
use base_types::{Data, DataType, Signature, Tensor, TensorSpec, element_count};

use super::Unshared;
use crate::runner::OnnxRunner;

/// More input than this is not made up.
const INPUT_BYTES_MAX: usize = 16 << 20;
/// By how much answers may differ, of the largest number in them.
const TOLERANCE: f64 = 0.02;

/// What the original takes and gives.
pub(super) struct Expected {
    signature: Signature,
    /// Input and answers; `None` where it answers no made-up input.
    sample: Option<(Vec<Tensor>, Vec<Tensor>)>,
}

impl Expected {
    /// Asks the original.
    pub(super) fn of(original: &OnnxRunner) -> Self {
        let signature = original.signature().clone();
        let inputs: Option<Vec<Tensor>> =
            signature.inputs.iter().enumerate().map(|(i, spec)| made_up(spec, i)).collect();
        let answers = inputs.and_then(|inputs| Some((ask(original, &inputs)?, inputs)));
        Self { signature, sample: answers.map(|(answers, inputs)| (inputs, answers)) }
    }

    /// Whether another answers the same.
    pub(super) fn compare(&self, other: &OnnxRunner) -> Result<(), Unshared> {
        if *other.signature() != self.signature {
            return Err("it has another signature than the original".to_owned());
        }
        let Some((inputs, expected)) = &self.sample else { return Ok(()) };
        let answers = ask(other, inputs).ok_or("it fails where the original answers")?;
        let is_alike = expected.len() == answers.len() && expected.iter().zip(&answers).all(|(a, b)| is_alike(a, b));
        if is_alike { Ok(()) } else { Err("it answers otherwise than the original".to_owned()) }
    }
}

fn ask(runner: &OnnxRunner, inputs: &[Tensor]) -> Option<Vec<Tensor>> {
    let outputs: Vec<usize> = (0..runner.signature().outputs.len()).collect();
    runner.run(inputs, &outputs, &RunControl::default()).ok()
}

fn is_alike(a: &Tensor, b: &Tensor) -> bool {
    if (a.datatype(), a.shape()) != (b.datatype(), b.shape()) {
        return false;
    }
    match (a.data(), b.data()) {
        (Data::Raw(a_raw), Data::Raw(b_raw)) if a.datatype() == DataType::Fp32 => {
            let numbers = |raw: &[u8]| -> Vec<f64> {
                let fours = raw.chunks_exact(4).filter_map(|four| <[u8; 4]>::try_from(four).ok());
                fours.map(|four| f64::from(f32::from_le_bytes(four))).collect()
            };
            are_close(&numbers(a_raw), &numbers(b_raw))
        }
        // Halves are rounded so roughly that packing may move them; their shape has been compared.
        (Data::Raw(_), Data::Raw(_)) if matches!(a.datatype(), DataType::Fp16 | DataType::Bf16) => true,
        (a, b) => a == b,
    }
}

fn are_close(a: &[f64], b: &[f64]) -> bool {
    let largest = a.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs()));
    let is_close = |x: f64, y: f64| x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= TOLERANCE * largest;
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| is_close(*x, *y))
}

/// A tensor with every open dimension 2, of small numbers that are not all alike.
fn made_up(spec: &TensorSpec, seed: usize) -> Option<Tensor> {
    let shape: Vec<usize> = spec.dims.iter().map(|d| d.unwrap_or(2)).collect();
    let n_elements = element_count(&shape)?;
    let size = spec.datatype.element_bytes()?;
    let n_bytes = n_elements.checked_mul(size).filter(|n| *n <= INPUT_BYTES_MAX)?;
    let mut raw = Vec::with_capacity(n_bytes);
    for index in 0..n_elements {
        let small = ((index * 7 + seed) % 5) as u8;
        let fraction = f32::from(small) * 0.25 - 0.5;
        match spec.datatype {
            DataType::Fp32 => raw.extend(fraction.to_le_bytes()),
            DataType::Fp64 => raw.extend(f64::from(fraction).to_le_bytes()),
            // 0, 0.5, 1, 1.5 or 2 in half precision, and in its brief form.
            DataType::Fp16 => raw.extend([0x0000u16, 0x3800, 0x3c00, 0x3e00, 0x4000][usize::from(small)].to_le_bytes()),
            DataType::Bf16 => raw.extend([0x0000u16, 0x3f00, 0x3f80, 0x3fc0, 0x4000][usize::from(small)].to_le_bytes()),
            // Valid as an index, a mask and a flag.
            _ => raw.extend((0..size).map(|byte| if byte == 0 { small & 1 } else { 0 })),
        }
    }
    Tensor::new(spec.name.clone(), spec.datatype, shape, Data::Raw(raw.into())).ok()
}
