//! Whether two answers to the same request are the same: the rule of each output, and the largest difference for people.

use base_serving::watch::OutputDifference;
use base_types::{Comparison, Data, DataType, Match, Tensor};

use crate::numbers::{argmax, numbers, row_length};

/// Two answers, compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agreement {
    /// Output by output, in stable's order.
    pub(crate) outputs: Vec<OutputDifference>,
}

impl Agreement {
    /// Whether all outputs are the same.
    pub(crate) fn is_same(&self) -> bool {
        self.outputs.iter().all(|output| output.is_same)
    }
}

/// Compares a candidate's answer with stable's. Outputs are found by their names, which are those of the callers; what
/// stable does not have is passed over.
pub(crate) fn compare(comparison: &Comparison, stable: &[Tensor], candidate: &[Tensor]) -> Agreement {
    let outputs = stable.iter().map(|ours| {
        let rule = comparison.of(ours.name());
        let theirs = candidate.iter().find(|theirs| theirs.name() == ours.name());
        let theirs = theirs.filter(|theirs| theirs.shape() == ours.shape());
        OutputDifference {
            output: ours.name().to_owned(),
            is_same: rule == Match::Ignore || theirs.is_some_and(|theirs| is_same(rule, ours, theirs)),
            largest: theirs.and_then(|theirs| largest(ours, theirs)),
        }
    });
    Agreement { outputs: outputs.collect() }
}

/// Both have the same shape.
fn is_same(rule: Match, ours: &Tensor, theirs: &Tensor) -> bool {
    let is_number = |tensor: &Tensor| !matches!(tensor.datatype(), DataType::Bytes | DataType::Bool);
    let has_order = is_number(ours) && is_number(theirs);
    match rule {
        Match::Ignore => true,
        Match::Exact => is_equal(ours, theirs),
        // What has no order of size and no distance is the same or it is not.
        _ if !has_order => is_equal(ours, theirs),
        Match::Tolerance { absolute, relative } => is_near(ours, theirs, (absolute, relative)),
        Match::Argmax => {
            let largest = |row: &[f64]| argmax(row.iter().copied());
            rows(ours, theirs, |ours, theirs| largest(ours) == largest(theirs))
        }
        Match::TopK { k, overlap } => rows(ours, theirs, |ours, theirs| share_of_top(k, ours, theirs) >= overlap),
    }
}

fn is_equal(ours: &Tensor, theirs: &Tensor) -> bool {
    ours.datatype() == theirs.datatype() && ours.data() == theirs.data()
}

/// Each pair differs by at most the tolerance. Infinities and what is no number are near only to themselves.
fn is_near(ours: &Tensor, theirs: &Tensor, (absolute, relative): (f64, f64)) -> bool {
    if let (Some(ours), Some(theirs)) = (whole_numbers(ours), whole_numbers(theirs)) {
        // Doubles would not tell large ones apart.
        return ours.zip(theirs).all(|(a, b)| a == b || distance(a, b) <= absolute + relative * (a as f64).abs());
    }
    let (Some(a), Some(b)) = (numbers(ours), numbers(theirs)) else { return false };
    a.zip(b).all(|(a, b)| {
        let is_finite = a.is_finite() && b.is_finite();
        a == b || a.is_nan() && b.is_nan() || is_finite && (a - b).abs() <= absolute + relative * a.abs()
    })
}

fn distance(a: i128, b: i128) -> f64 {
    a.abs_diff(b) as f64
}

/// The elements of a tensor of 64-bit whole numbers.
fn whole_numbers(tensor: &Tensor) -> Option<impl Iterator<Item = i128> + '_> {
    let Data::Raw(raw) = tensor.data() else { return None };
    let read: fn([u8; 8]) -> i128 = match tensor.datatype() {
        DataType::Int64 => |b| i128::from(i64::from_le_bytes(b)),
        DataType::Uint64 => |b| i128::from(u64::from_le_bytes(b)),
        _ => return None,
    };
    Some(raw.as_chunks::<8>().0.iter().map(move |bytes| read(*bytes)))
}

/// Whether something holds for each pair of rows.
fn rows(ours: &Tensor, theirs: &Tensor, holds: impl Fn(&[f64], &[f64]) -> bool) -> bool {
    let length = row_length(ours.shape());
    let (Some(a), Some(b)) = (numbers(ours), numbers(theirs)) else { return false };
    let (a, b): (Vec<f64>, Vec<f64>) = (a.collect(), b.collect());
    // Without elements there is nothing to differ in.
    length == 0 || a.chunks(length).zip(b.chunks(length)).all(|(a, b)| holds(a, b))
}

/// The share of the positions of our `k` largest numbers that are among the positions of theirs.
fn share_of_top(k: usize, ours: &[f64], theirs: &[f64]) -> f64 {
    let k = k.min(ours.len());
    let (ours, theirs) = (top(k, ours), top(k, theirs));
    let n_common = ours.iter().filter(|position| theirs.contains(position)).count();
    if k == 0 { 1.0 } else { n_common as f64 / k as f64 }
}

/// The positions of the `k` largest numbers; of equal ones the first, and what is no number last.
fn top(k: usize, numbers: &[f64]) -> Vec<usize> {
    let size = |position: &usize| match numbers[*position] {
        number if number.is_nan() => f64::NEG_INFINITY,
        number => number,
    };
    let mut positions: Vec<usize> = (0..numbers.len()).collect();
    // Sorting keeps the order of equals.
    positions.sort_by(|a, b| size(b).total_cmp(&size(a)));
    positions.truncate(k);
    positions
}

/// The largest distance between two numbers at the same place: infinite where one of them is no finite number and the
/// other another one.
fn largest(ours: &Tensor, theirs: &Tensor) -> Option<f64> {
    let pairs = numbers(ours)?.zip(numbers(theirs)?);
    let distances = pairs.map(|(a, b)| match (a - b).abs() {
        _ if a == b || a.is_nan() && b.is_nan() => 0.0,
        distance if distance.is_nan() => f64::INFINITY,
        distance => distance,
    });
    distances.reduce(f64::max)
}

#[cfg(test)]
mod tests;
