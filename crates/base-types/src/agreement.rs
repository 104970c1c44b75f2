//! Whether two tensors are the same answer, and how far they are from each other.

use crate::numbers::argmax;
use crate::{Data, DataType, Match, Tensor};

impl Match {
    /// Whether two outputs of the same name are the same answer. Shapes must be equal.
    pub fn is_same(self, ours: &Tensor, theirs: &Tensor) -> bool {
        self == Self::Ignore || ours.shape() == theirs.shape() && is_same(self, ours, theirs)
    }
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
    let (Some(a), Some(b)) = (ours.numbers(), theirs.numbers()) else { return false };
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
    let length = ours.row_length();
    let (Some(a), Some(b)) = (ours.numbers(), theirs.numbers()) else { return false };
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
/// other another one. `None` where they are no numbers.
pub fn largest_difference(ours: &Tensor, theirs: &Tensor) -> Option<f64> {
    let pairs = ours.numbers()?.zip(theirs.numbers()?);
    let distances = pairs.map(|(a, b)| match (a - b).abs() {
        _ if a == b || a.is_nan() && b.is_nan() => 0.0,
        distance if distance.is_nan() => f64::INFINITY,
        distance => distance,
    });
    distances.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Tensor::new("y", DataType::Fp32, shape.to_vec(), Data::Raw(raw.into())).unwrap()
    }

    #[test]
    fn each_match_sees_what_it_is_for() {
        let check = |rule: Match, ours: &[f32], theirs: &[f32], expected: bool| {
            let shape = [1, ours.len()];
            assert_eq!(rule.is_same(&floats(&shape, ours), &floats(&shape, theirs)), expected, "{rule:?} {theirs:?}");
        };
        let near = Match::Tolerance { absolute: 0.1, relative: 0.0 };
        check(Match::Exact, &[1.0, 2.0], &[1.0, 2.0], true);
        check(Match::Exact, &[1.0, 2.0], &[1.0, 2.000_001], false);
        check(near, &[1.0, 2.0], &[1.05, 1.95], true);
        check(near, &[1.0, 2.0], &[1.2, 2.0], false);
        check(near, &[f32::NAN, 2.0], &[f32::NAN, 2.0], true);
        check(near, &[f32::NAN, 2.0], &[1.0, 2.0], false);
        check(Match::Argmax, &[1.0, 2.0], &[-5.0, 0.0], true);
        check(Match::Argmax, &[1.0, 2.0], &[3.0, 2.0], false);
        check(Match::TopK { k: 2, overlap: 0.5 }, &[3.0, 2.0, 1.0], &[3.0, 1.0, 2.0], true);
        check(Match::TopK { k: 2, overlap: 1.0 }, &[3.0, 2.0, 1.0], &[3.0, 1.0, 2.0], false);
        check(Match::Ignore, &[1.0], &[9.0], true);
    }

    #[test]
    fn another_shape_is_another_answer_and_distances_are_told() {
        let (row, column) = (floats(&[1, 2], &[1.0, 2.0]), floats(&[2, 1], &[1.0, 2.0]));
        assert!(!Match::default().is_same(&row, &column));
        assert_eq!(largest_difference(&row, &floats(&[1, 2], &[1.5, 2.0])), Some(0.5));
        assert_eq!(largest_difference(&row, &floats(&[1, 2], &[f32::NAN, 2.0])), Some(f64::INFINITY));
    }
}
