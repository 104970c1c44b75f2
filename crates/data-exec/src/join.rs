//! Inputs of several requests as one, and its outputs as theirs again.

use base_serving::lane::Job;
use base_types::{Data, DataType, Tensor};
use bytes::Bytes;

/// Rows of a job that may share a run: the first dimension of all its inputs. 0 where there is no such number, and
/// where there are no rows.
pub(crate) fn rows(job: &Job) -> usize {
    let mut sizes = job.inputs.iter().map(|input| input.shape().first().copied());
    let Some(Some(first)) = sizes.next() else { return 0 };
    if sizes.all(|size| size == Some(first)) { first } else { 0 }
}

/// Whether two jobs of one version may share a run: they differ in their rows alone. Types and order of the inputs are
/// the version's.
pub(crate) fn may_join(one: &Job, other: &Job) -> bool {
    let is_row_alike = |(a, b): (&Tensor, &Tensor)| a.shape().get(1..) == b.shape().get(1..);
    one.outputs == other.outputs
        && (std::sync::Arc::ptr_eq(&one.limits, &other.limits) || one.limits == other.limits)
        && one.inputs.len() == other.inputs.len()
        && one.inputs.iter().zip(other.inputs.iter()).all(is_row_alike)
}

/// The inputs of several jobs, row after row. Each element is copied once; the room is made once.
pub(crate) fn join(jobs: &[&Job]) -> Option<Vec<Tensor>> {
    let first = jobs.first()?;
    (0..first.inputs.len())
        .map(|index| {
            let parts = || jobs.iter().map(|job| &job.inputs[index]);
            let shape_of_first = first.inputs[index].shape();
            let n_rows = parts().map(|part| part.shape().first().copied().unwrap_or(0)).sum();
            let shape = [n_rows].into_iter().chain(shape_of_first.iter().skip(1).copied()).collect();
            let data = match first.inputs[index].data() {
                Data::Raw(_) => {
                    let mut joined = Vec::with_capacity(parts().map(Tensor::data_bytes).sum());
                    parts().for_each(|part| joined.extend_from_slice(raw(part)));
                    Data::Raw(Bytes::from(joined))
                }
                Data::Strings(_) => Data::Strings(parts().flat_map(strings).cloned().collect()),
            };
            Tensor::new(first.inputs[index].name(), first.inputs[index].datatype(), shape, data).ok()
        })
        .collect()
}

fn raw(tensor: &Tensor) -> &[u8] {
    match tensor.data() {
        Data::Raw(raw) => raw,
        Data::Strings(_) => &[],
    }
}

fn strings(tensor: &Tensor) -> &[Bytes] {
    match tensor.data() {
        Data::Raw(_) => &[],
        Data::Strings(strings) => strings,
    }
}

/// The part of each request, whose rows are given in order. Numbers are not copied. Says what is wrong with an output
/// that does not have a row for each row of the inputs.
pub(crate) fn split(outputs: &[Tensor], rows: &[usize]) -> Result<Vec<Vec<Tensor>>, String> {
    let n_rows: usize = rows.iter().sum();
    if let Some(odd) = outputs.iter().find(|output| output.shape().first() != Some(&n_rows)) {
        return Err(format!("output {:?} of a batch of {n_rows} rows has the shape {:?}", odd.name(), odd.shape()));
    }
    let mut begin = 0;
    rows.iter()
        .map(|n| {
            let (from, to) = (begin, begin + n);
            begin = to;
            let part = |output: &Tensor| {
                part(output, (from, to), n_rows).ok_or_else(|| format!("output {:?} cannot be divided", output.name()))
            };
            outputs.iter().map(part).collect()
        })
        .collect()
}

fn part(output: &Tensor, (from, to): (usize, usize), n_rows: usize) -> Option<Tensor> {
    let shape: Vec<usize> = [to - from].into_iter().chain(output.shape().iter().skip(1).copied()).collect();
    let data = match output.data() {
        Data::Raw(raw) => {
            let row_bytes = raw.len() / n_rows;
            Data::Raw(raw.slice(from * row_bytes..to * row_bytes))
        }
        Data::Strings(strings) => {
            let row_elements = strings.len() / n_rows;
            Data::Strings(strings[from * row_elements..to * row_elements].to_vec())
        }
    };
    Tensor::new(output.name(), output.datatype(), shape, data).ok()
}

/// Says where the outputs of a request in a batch lie further from those of a run alone than allowed: `tolerance` is a
/// part of the largest number of the output. Whole numbers and texts must be the same.
pub(crate) fn difference(batched: &[Tensor], alone: &[Tensor], tolerance: f64) -> Option<String> {
    if batched.len() != alone.len() {
        return Some(format!("{} outputs in a batch, {} alone", batched.len(), alone.len()));
    }
    batched.iter().zip(alone).find_map(|(b, a)| {
        let (name, shapes) = (b.name(), (b.shape(), a.shape()));
        if shapes.0 != shapes.1 || b.datatype() != a.datatype() {
            return Some(format!("output {name:?} is {:?} in a batch and {:?} alone", shapes.0, shapes.1));
        }
        if b.data() == a.data() {
            return None;
        }
        let (Some(b), Some(a)) = (numbers(b), numbers(a)) else {
            return Some(format!("output {name:?} is not the same in a batch as alone"));
        };
        let scale = a.iter().filter(|x| x.is_finite()).fold(0.0_f64, |largest, x| largest.max(x.abs()));
        let is_near = |(b, a): (&f64, &f64)| {
            b == a || (b.is_nan() && a.is_nan()) || (b - a).abs() <= tolerance * scale.max(f64::MIN_POSITIVE)
        };
        let (b, a) = b.iter().zip(&a).find(|pair| !is_near(*pair))?;
        Some(format!("output {name:?} has {b} in a batch where it has {a} alone: the rows depend on each other"))
    })
}

/// The values of a floating-point tensor; `None` of any other.
fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    let Data::Raw(raw) = tensor.data() else { return None };
    match tensor.datatype() {
        DataType::Fp32 => Some(raw.as_chunks::<4>().0.iter().map(|c| f64::from(f32::from_le_bytes(*c))).collect()),
        DataType::Fp64 => Some(raw.as_chunks::<8>().0.iter().map(|c| f64::from_le_bytes(*c)).collect()),
        DataType::Fp16 => Some(raw.as_chunks::<2>().0.iter().map(|c| half(u16::from_le_bytes(*c))).collect()),
        DataType::Bf16 => {
            let wide = |c: &[u8; 2]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*c)) << 16));
            Some(raw.as_chunks::<2>().0.iter().map(wide).collect())
        }
        _ => None,
    }
}

/// A number of half precision.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2.0_f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests;
