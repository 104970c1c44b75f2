//! Answers to labelled inputs are right often enough, and about as often as stable's.

use base_types::{Data, Tensor, argmax};
use serde::Deserialize;
use serde_json::Value;

use crate::manifest::{Quality, QualityMetric};
use crate::report::Finding;
use crate::run::{Asking, Halt};
use crate::subject::Subject;
use crate::tensors::{StoredTensor, tensors_of};

/// Most lines of a labelled set.
const LINES_MAX: usize = 100_000;

/// One line of a labelled set.
#[derive(Deserialize)]
pub(crate) struct Labelled<'a> {
    #[serde(borrow)]
    pub(crate) inputs: Vec<StoredTensor<'a>>,
    label: Value,
}

/// Scores of one version on a labelled set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Score {
    sum: f64,
    n: u64,
}

impl Score {
    fn mean(self) -> f64 {
        self.sum / self.n as f64
    }
}

pub(crate) fn ask(asking: &Asking<'_>) -> Option<Finding> {
    let quality = asking.manifest.quality.as_ref()?;
    Some(judge(asking, quality).unwrap_or_else(Finding::failed))
}

fn judge(asking: &Asking<'_>, quality: &Quality) -> Result<Finding, String> {
    let asked = asking.asked;
    let ours = score(asking, quality, asked.candidate)?;
    let (word, value) = (quality.metric.as_str(), ours.mean());
    let mut text = format!("{word} is {} on {} labels", shown(value), ours.n);
    let mut threshold = quality.at_least.or(quality.at_most);
    let mut holds =
        quality.at_least.is_none_or(|least| value >= least) && quality.at_most.is_none_or(|most| value <= most);
    for (bound, name) in [(quality.at_least, "at least"), (quality.at_most, "at most")] {
        text.push_str(&bound.map(|bound| format!(", wanted is {name} {}", shown(bound))).unwrap_or_default());
    }
    let relative = quality.worse_than_stable_by_at_most;
    match (relative, asked.stable) {
        (None, _) => {}
        (Some(_), None) => {
            text.push_str("; there is no stable version to compare with");
            if threshold.is_none() {
                return Ok(Finding::skipped(text));
            }
        }
        (Some(allowed), Some((version, stable))) => {
            let theirs =
                score(asking, quality, stable).map_err(|text| format!("stable version {version}: {text}"))?.mean();
            // What is better is larger for the one and smaller for the other.
            let (worse_by, bound) = match quality.metric {
                QualityMetric::Accuracy => (theirs - value, theirs - allowed),
                QualityMetric::MeanAbsoluteError => (value - theirs, theirs + allowed),
            };
            // Means of the same numbers may differ in their last digit.
            holds &= worse_by <= allowed + f64::EPSILON * theirs.abs().max(1.0);
            threshold = threshold.or(Some(bound));
            text.push_str(&format!(
                "; stable version {version} has {}, it may be worse by at most {}",
                shown(theirs),
                shown(allowed)
            ));
        }
    }
    Ok(Finding::of(holds, text).measured(value, threshold))
}

/// Runs a version over the set.
fn score(asking: &Asking<'_>, quality: &Quality, subject: &dyn Subject) -> Result<Score, String> {
    let path = &quality.labelled;
    let text = std::str::from_utf8(asking.asked.beside.file(path)?).map_err(|_| format!("{path} is not UTF-8 text"))?;
    let mut score = Score::default();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (number, line) in lines {
        let told = |text: String| format!("{path}:{}: {text}", number + 1);
        if number >= LINES_MAX {
            return Err(told(format!("at most {LINES_MAX} lines are allowed")));
        }
        let line: Labelled<'_> = serde_json::from_str(line).map_err(|error| told(error.to_string()))?;
        let inputs = tensors_of(&line.inputs).map_err(|error| told(error.to_string()))?;
        let labels = labels(&line.label).map_err(&told)?;
        let ran = match asking.answer(subject, &inputs) {
            Ok(ran) => ran,
            // A version that cannot answer what it is asked is not right; one that is asked nonsense is not wrong.
            Err(Halt::Fault(fault)) => return Err(told(fault.to_string())),
            Err(halt) => return Err(asking.told(&halt)),
        };
        let output = output(quality, &ran.outputs).map_err(&told)?;
        let one = match quality.metric {
            QualityMetric::Accuracy => accuracy(output, &labels),
            QualityMetric::MeanAbsoluteError => distance(output, &labels),
        };
        let one = one.map_err(&told)?;
        score = Score { sum: score.sum + one.sum, n: score.n + one.n };
    }
    if score.n == 0 {
        return Err(format!("{path} holds no labelled inputs"));
    }
    Ok(score)
}

fn output<'a>(quality: &Quality, outputs: &'a [Tensor]) -> Result<&'a Tensor, String> {
    let found = match (&quality.output, outputs) {
        (Some(name), outputs) => outputs.iter().find(|output| output.name() == name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let names = || outputs.iter().map(|output| format!("{:?}", output.name())).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| format!("say in [quality] which output is judged; there are {}", names()))
}

/// One label for each row.
fn labels(value: &Value) -> Result<Vec<&Value>, String> {
    fn flat<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| flat(value, into)),
            value => into.push(value),
        }
    }
    let mut labels = Vec::new();
    flat(value, &mut labels);
    let is_label = |value: &&Value| value.is_number() || value.is_string() || value.is_boolean();
    match labels.iter().all(is_label) && !labels.is_empty() {
        true => Ok(labels),
        false => Err("the label is no number, text or list of them".to_owned()),
    }
}

/// How many rows have the right answer.
fn accuracy(output: &Tensor, labels: &[&Value]) -> Result<Score, String> {
    let is_right: Vec<bool> = match output.data() {
        Data::Strings(texts) => {
            count(texts.len(), labels)?;
            texts
                .iter()
                .zip(labels)
                .map(|(text, label)| label.as_str().is_some_and(|l| l.as_bytes() == &**text))
                .collect()
        }
        Data::Raw(_) => {
            let numbers: Vec<f64> = output.numbers().map(Iterator::collect).unwrap_or_default();
            let length = output.row_length().max(1);
            count(numbers.len() / length, labels)?;
            let rows = numbers.chunks(length).zip(labels);
            let is_right = |(row, label): (&[f64], &&Value)| {
                let wanted = number(label).ok_or_else(|| format!("the label {label} is no number"))?;
                Ok(match row {
                    [only] => *only == wanted,
                    row => argmax(row.iter().copied()).is_some_and(|at| at as f64 == wanted),
                })
            };
            rows.map(is_right).collect::<Result<_, String>>()?
        }
    };
    let n_right = is_right.iter().filter(|is_right| **is_right).count();
    Ok(Score { sum: n_right as f64, n: is_right.len() as u64 })
}

/// How far the output is from its labels.
fn distance(output: &Tensor, labels: &[&Value]) -> Result<Score, String> {
    let numbers: Vec<f64> = output.numbers().ok_or_else(|| "the output is a text, not a number".to_owned())?.collect();
    count(numbers.len(), labels)?;
    let mut score = Score::default();
    for (found, label) in numbers.iter().zip(labels) {
        let wanted = number(label).ok_or_else(|| format!("the label {label} is no number"))?;
        let distance = (found - wanted).abs();
        if distance.is_nan() {
            return Err(format!("the output is {found}, which has no distance from {wanted}"));
        }
        score = Score { sum: score.sum + distance, n: score.n + 1 };
    }
    Ok(score)
}

fn count(n_answers: usize, labels: &[&Value]) -> Result<(), String> {
    match n_answers == labels.len() {
        true => Ok(()),
        false => Err(format!("there are {n_answers} answers and {} labels", labels.len())),
    }
}

fn number(label: &Value) -> Option<f64> {
    label.as_f64().or_else(|| label.as_bool().map(f64::from))
}

/// At most six digits, without zeros at the end.
fn shown(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
