//! Two answers to one request: where they differ, and by how much.

use base_serving::CapturedTensor;
use base_types::{Data, Tensor};
use data_path::{argmax, numbers, row_length};

/// How an output differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Difference {
    /// The output.
    pub(super) output: String,
    /// What is different.
    pub(super) what: What,
}

/// What is different about an output.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    /// The version has no such output.
    Missing,
    /// Type or shape, as they were and are.
    Form(String, String),
    /// Elements.
    Elements(Elements),
}

/// How elements differ.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Elements {
    /// How many.
    pub(super) n_differing: usize,
    /// Of how many.
    pub(super) n_elements: usize,
    /// Position of the first that differs, in row-major order.
    pub(super) first: usize,
    /// The largest difference between finite numbers, and the largest relative to the larger of the two; `None` for texts.
    pub(super) largest: Option<(f64, f64)>,
    /// How many of them are NaN or infinite in one answer at least.
    pub(super) n_special: usize,
    /// Rows whose largest element stands elsewhere, of how many; `None` where rows are single elements or texts.
    pub(super) classes: Option<(usize, usize)>,
}

/// Compares what was answered with what is answered now. Outputs whose values were not kept are passed over.
pub(super) fn compare(then: &[CapturedTensor], now: &[Tensor]) -> Vec<Difference> {
    let kept = then.iter().filter_map(|output| output.tensor()?.ok());
    kept.filter_map(|then| {
        let what = match now.iter().find(|now| now.name() == then.name()) {
            None => What::Missing,
            Some(now) => of_one(&then, now)?,
        };
        Some(Difference { output: then.name().to_owned(), what })
    })
    .collect()
}

fn of_one(then: &Tensor, now: &Tensor) -> Option<What> {
    let form = |tensor: &Tensor| format!("{} {:?}", tensor.datatype(), tensor.shape());
    if (then.datatype(), then.shape()) != (now.datatype(), now.shape()) {
        return Some(What::Form(form(then), form(now)));
    }
    let differing = differing(then, now);
    let first = *differing.first()?;
    let mut elements = Elements {
        n_differing: differing.len(),
        n_elements: then.element_count(),
        first,
        classes: classes(then, now),
        ..Elements::default()
    };
    if let (Some(before), Some(after)) = (numbers(then), numbers(now)) {
        let mut largest = (0.0f64, 0.0f64);
        for (before, after) in before.zip(after).filter(|(before, after)| before.to_bits() != after.to_bits()) {
            if before.is_finite() && after.is_finite() {
                let difference = (before - after).abs();
                let scale = before.abs().max(after.abs());
                let relative = if scale > 0.0 { difference / scale } else { 0.0 };
                largest = (largest.0.max(difference), largest.1.max(relative));
            } else {
                elements.n_special += 1;
            }
        }
        elements.largest = Some(largest);
    }
    Some(What::Elements(elements))
}

/// Positions of elements that differ in any bit.
fn differing(then: &Tensor, now: &Tensor) -> Vec<usize> {
    let unequal = |pairs: &mut dyn Iterator<Item = bool>| {
        pairs.enumerate().filter(|(_, is_equal)| !is_equal).map(|(at, _)| at).collect()
    };
    match (then.data(), now.data()) {
        (Data::Raw(a), Data::Raw(b)) => {
            let size = then.datatype().element_bytes().unwrap_or(1);
            unequal(&mut a.chunks(size).zip(b.chunks(size)).map(|(a, b)| a == b))
        }
        (Data::Strings(a), Data::Strings(b)) => unequal(&mut a.iter().zip(b).map(|(a, b)| a == b)),
        // One type has one form.
        _ => vec![0],
    }
}

fn classes(then: &Tensor, now: &Tensor) -> Option<(usize, usize)> {
    let n = row_length(then.shape());
    if n < 2 {
        return None;
    }
    let (before, after): (Vec<f64>, Vec<f64>) = (numbers(then)?.collect(), numbers(now)?.collect());
    let rows = before.chunks(n).zip(after.chunks(n));
    let changed = rows.clone().filter(|(a, b)| argmax(a.iter().copied()) != argmax(b.iter().copied()));
    Some((changed.count(), rows.len()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]

    use base_types::DataType;

    use super::*;

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new("y", DataType::Fp32, shape.to_vec(), Data::Raw(bytes.into())).unwrap()
    }

    fn kept(tensor: &Tensor) -> CapturedTensor {
        base_serving::CapturePlan::default().keep(tensor)
    }

    fn between(then: &Tensor, now: &Tensor) -> Option<What> {
        compare(&[kept(then)], std::slice::from_ref(now)).pop().map(|difference| difference.what)
    }

    fn elements(then: &Tensor, now: &Tensor) -> Elements {
        match between(then, now) {
            Some(What::Elements(elements)) => elements,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_same_bits_are_the_same_whatever_they_mean() {
        let nan = f32::from_bits(0x7fc1_2345);
        let tensor = floats(&[1, 3], &[nan, -0.0, 1.0]);
        assert_eq!(between(&tensor, &tensor.clone()), None);
        let other = floats(&[1, 3], &[f32::from_bits(0x7fc1_2346), 0.0, 1.0]);
        let found = elements(&tensor, &other);
        assert_eq!((found.n_differing, found.first, found.largest), (2, 0, Some((0.0, 0.0))));
    }

    #[test]
    fn numbers_differ_by_so_much_and_rows_by_their_class() {
        let then = floats(&[2, 2], &[1.0, 2.0, 4.0, 3.0]);
        let now = floats(&[2, 2], &[1.0, 2.5, 2.0, 3.0]);
        let found = elements(&then, &now);
        assert_eq!((found.n_differing, found.n_elements, found.first), (2, 4, 1));
        assert_eq!((found.largest, found.classes, found.n_special), (Some((2.0, 0.5)), Some((1, 2)), 0));
        let special = elements(&then, &floats(&[2, 2], &[f32::NAN, 2.0, 4.0, f32::INFINITY]));
        assert_eq!((special.n_special, special.largest), (2, Some((0.0, 0.0))));
        assert_eq!(elements(&floats(&[2], &[1.0, 2.0]), &floats(&[2], &[2.0, 1.0])).classes, Some((1, 1)));
        assert_eq!(elements(&floats(&[2, 1], &[1.0, 2.0]), &floats(&[2, 1], &[2.0, 1.0])).classes, None);
    }

    #[test]
    fn form_and_absence_are_told_first() {
        let then = floats(&[2], &[1.0, 2.0]);
        assert!(matches!(between(&then, &floats(&[1, 2], &[1.0, 2.0])), Some(What::Form(..))));
        assert_eq!(between(&then, &then.clone().named("z")), Some(What::Missing));
        let texts = |texts: &[&'static [u8]]| {
            let data = Data::Strings(texts.iter().map(|text| (*text).into()).collect());
            Tensor::new("y", DataType::Bytes, vec![texts.len()], data).unwrap()
        };
        let found = elements(&texts(&[b"a", b"\xff"]), &texts(&[b"a", b"\xfe"]));
        assert_eq!((found.n_differing, found.first, found.largest, found.classes), (1, 1, None, None));
    }

    #[test]
    fn what_was_not_kept_is_not_compared() {
        let (then, now) = (floats(&[1], &[1.0]), floats(&[1], &[2.0]));
        let hidden = CapturedTensor { data: None, ..kept(&then) };
        assert_eq!(compare(&[hidden], &[now]), []);
    }
}
