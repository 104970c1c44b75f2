//! How two answers to one request differ, for people.

use base_types::{Comparison, Data, DataType, Match, Tensor, largest_difference};

/// The first way in which an answer is not the wanted one.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The output.
    pub output: String,
    /// In a sentence without its subject.
    pub text: String,
    /// The largest distance between two numbers at the same place; `None` where there is none to tell.
    pub largest: Option<f64>,
}

/// Compares an answer with the wanted one, output by output; an output that is not wanted may be anything. `None` when
/// they are the same.
pub fn compare(comparison: &Comparison, wanted: &[Tensor], found: &[Tensor]) -> Option<Difference> {
    wanted.iter().find_map(|wanted| {
        let rule = comparison.of(wanted.name());
        let found = found.iter().find(|found| found.name() == wanted.name());
        let Some(found) = found else {
            return (rule != Match::Ignore).then(|| Difference {
                output: wanted.name().to_owned(),
                text: "is not there".to_owned(),
                largest: None,
            });
        };
        if rule.is_same(wanted, found) {
            return None;
        }
        Some(Difference {
            output: wanted.name().to_owned(),
            text: text(rule, wanted, found),
            largest: largest(wanted, found),
        })
    })
}

fn largest(wanted: &Tensor, found: &Tensor) -> Option<f64> {
    (wanted.shape() == found.shape()).then(|| largest_difference(wanted, found)).flatten()
}

fn text(rule: Match, wanted: &Tensor, found: &Tensor) -> String {
    if wanted.shape() != found.shape() {
        return format!("has the shape {:?}, wanted is {:?}", found.shape(), wanted.shape());
    }
    if wanted.datatype() != found.datatype() && rule == Match::Exact {
        return format!("is {}, wanted is {}", found.datatype(), wanted.datatype());
    }
    match rule {
        Match::Argmax => "has its largest value of a row at another position".to_owned(),
        Match::TopK { k, .. } => format!("has others of its {k} largest values at other positions"),
        _ => element_text(rule, wanted, found),
    }
}

/// The first element that differs, and how many do.
fn element_text(rule: Match, wanted: &Tensor, found: &Tensor) -> String {
    let pairs: Option<Vec<(f64, f64)>> =
        wanted.numbers().zip(found.numbers()).map(|(wanted, found)| wanted.zip(found).collect());
    let Some(pairs) = pairs else { return string_text(wanted, found) };
    let differs = |(wanted, found): &(f64, f64)| !is_near(rule, *wanted, *found);
    let n_other = pairs.iter().filter(|pair| differs(pair)).count();
    let first = pairs.iter().position(differs);
    let Some((at, (wanted_value, value))) = first.and_then(|at| Some((at, pairs.get(at)?))) else {
        return "differs in digits that are not shown".to_owned();
    };
    let place = place(at, wanted.shape());
    let bound = match rule {
        Match::Tolerance { absolute, relative } => format!(" ± {absolute} ± {relative} of it"),
        _ => String::new(),
    };
    let (value, wanted_value) = (shown(*value, found), shown(*wanted_value, wanted));
    format!("{place} is {value}, wanted is {wanted_value}{bound} ({n_other} of {} elements are off)", pairs.len())
}

/// A number with the digits that its type has.
fn shown(number: f64, of: &Tensor) -> String {
    match of.datatype() {
        DataType::Fp32 => (number as f32).to_string(),
        _ => number.to_string(),
    }
}

fn is_near(rule: Match, wanted: f64, found: f64) -> bool {
    let (absolute, relative) = match rule {
        Match::Tolerance { absolute, relative } => (absolute, relative),
        _ => (0.0, 0.0),
    };
    let is_finite = wanted.is_finite() && found.is_finite();
    let is_within = is_finite && (wanted - found).abs() <= absolute + relative * wanted.abs();
    wanted == found || wanted.is_nan() && found.is_nan() || is_within
}

fn string_text(wanted: &Tensor, found: &Tensor) -> String {
    let (Data::Strings(wanted_texts), Data::Strings(texts)) = (wanted.data(), found.data()) else {
        return format!("is {}, wanted is {}", found.datatype(), wanted.datatype());
    };
    let shown = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.chars().take(60).collect::<String>()
    };
    match wanted_texts.iter().zip(texts).position(|(wanted, found)| wanted != found) {
        None => "differs".to_owned(),
        Some(at) => {
            let place = place(at, wanted.shape());
            format!("{place} is {:?}, wanted is {:?}", shown(&texts[at]), shown(&wanted_texts[at]))
        }
    }
}

/// The indices of an element by its position in row-major order.
fn place(mut at: usize, shape: &[usize]) -> String {
    let mut indices = Vec::with_capacity(shape.len());
    for size in shape.iter().rev() {
        indices.push((at % size.max(&1)).to_string());
        at /= size.max(&1);
    }
    indices.reverse();
    format!("[{}]", indices.join(","))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use crate::read_tensors;

    use super::*;

    fn outputs(data: &str, datatype: &str, shape: &str) -> Vec<Tensor> {
        let json =
            format!(r#"{{"outputs": [{{"name": "y", "datatype": "{datatype}", "shape": {shape}, "data": {data}}}]}}"#);
        read_tensors(json.as_bytes(), "outputs").unwrap()
    }

    #[test]
    fn the_first_element_that_differs_is_named() {
        let wanted = outputs("[1, 2, 3, 4]", "FP32", "[2,2]");
        let check = |found: &[Tensor], expected: &str| {
            let difference = compare(&Comparison::default(), &wanted, found).unwrap();
            assert_eq!((difference.output.as_str(), difference.text.as_str()), ("y", expected));
        };
        let near = outputs("[1, 2.0001, 3, 4]", "FP32", "[2,2]");
        assert_eq!(compare(&Comparison::default(), &wanted, &near), None);
        check(
            &outputs("[1, 2, 3.5, 5]", "FP32", "[2,2]"),
            "[1,0] is 3.5, wanted is 3 ± 0.00001 ± 0.001 of it (2 of 4 elements are off)",
        );
        check(&outputs("[1, 2, 3, 4]", "FP32", "[4,1]"), "has the shape [4, 1], wanted is [2, 2]");
        check(&[], "is not there");
        let texts = outputs("[\"a\", \"b\"]", "BYTES", "[2]");
        let others = outputs("[\"a\", \"c\"]", "BYTES", "[2]");
        let difference = compare(&Comparison::default(), &texts, &others).unwrap();
        assert_eq!(difference.text, "[1] is \"c\", wanted is \"b\"");
    }
}
