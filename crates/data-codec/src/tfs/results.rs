//! Outputs as the answer to a classify or regress request: one result for each example.
//!
//! ONNX models know no such methods. A model can regress when it has one float output with one value for each
//! example, and classify when it has one float output of scores for each example, with or without an output of
//! labels in text. Without labels the position of a score is its label.

use std::io;

use base_types::{DataType, Signature, Tensor, TensorSpec};

use crate::error::EncodeError;
use crate::tfs::write::{check, room, separate, write_elements, write_text};

/// A method that answers example by example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Labels and scores.
    Classify,
    /// One number.
    Regress,
}

impl Method {
    fn needs(self) -> &'static str {
        match self {
            Self::Classify => {
                "classify needs one FP32 or FP64 output of shape [n, k], with at most one BYTES output of labels of the \
                 same shape beside it"
            }
            Self::Regress => "regress needs one FP32 or FP64 output of shape [n] or [n, 1], and no other",
        }
    }
}

/// Whether a model of this signature can answer; to be asked before it runs.
pub fn check_results(method: Method, signature: &Signature) -> Result<(), EncodeError> {
    let outputs = &signature.outputs;
    let parts = split(method, outputs, |spec| spec.datatype, |spec| spec.dims.len());
    let is_possible = parts.is_some_and(|Parts { scores, .. }| match (method, scores.dims.as_slice()) {
        (Method::Regress, [_, Some(width)]) => *width == 1,
        _ => true,
    });
    if is_possible {
        return Ok(());
    }
    let shown: Vec<String> = outputs.iter().map(TensorSpec::to_string).collect();
    Err(EncodeError::Arrangement(format!("{}; this model has {}: use predict", method.needs(), shown.join(", "))))
}

/// Writes the results of `n_examples` examples.
pub fn encode_results(method: Method, outputs: &[Tensor], n_examples: usize) -> Result<Vec<u8>, EncodeError> {
    outputs.iter().try_for_each(check)?;
    let misfit = || {
        let shown: Vec<String> = outputs.iter().map(|t| format!("{} {:?}", t.name(), t.shape())).collect();
        let text = format!("{}; the model gave {} for {n_examples} examples", method.needs(), shown.join(", "));
        EncodeError::Arrangement(text)
    };
    let parts = split(method, outputs, Tensor::datatype, |tensor| tensor.shape().len()).ok_or_else(misfit)?;
    let shape = parts.scores.shape();
    let width = shape.get(1).copied().unwrap_or(1);
    let has_width = method == Method::Classify || width == 1;
    if shape.first() != Some(&n_examples) || !has_width || parts.labels.is_some_and(|t| t.shape() != shape) {
        return Err(misfit());
    }
    let mut json = Vec::with_capacity(64 + 2 * outputs.iter().map(room).sum::<usize>());
    let written = match method {
        Method::Classify => write_classes(&mut json, &parts, n_examples, width),
        Method::Regress => write_regressions(&mut json, parts.scores, n_examples),
    };
    // Writing to a vector cannot fail.
    if written.is_err() {
        json.clear();
    }
    Ok(json)
}

/// The outputs by what they are for.
struct Parts<'a, T> {
    scores: &'a T,
    labels: Option<&'a T>,
}

/// Finds scores and labels; `None` where there is anything else, or of another rank.
fn split<T>(
    method: Method,
    outputs: &[T],
    datatype: impl Fn(&T) -> DataType,
    rank: impl Fn(&T) -> usize,
) -> Option<Parts<'_, T>> {
    let is_score = |output: &T| matches!(datatype(output), DataType::Fp32 | DataType::Fp64);
    let has_rank = |output: &T| match method {
        Method::Classify => rank(output) == 2,
        Method::Regress => matches!(rank(output), 1 | 2),
    };
    let parts = match (method, outputs) {
        (_, [only]) => Parts { scores: only, labels: None },
        (Method::Classify, [a, b]) if datatype(a) == DataType::Bytes => Parts { scores: b, labels: Some(a) },
        (Method::Classify, [a, b]) if datatype(b) == DataType::Bytes => Parts { scores: a, labels: Some(b) },
        _ => return None,
    };
    let is_possible = is_score(parts.scores) && has_rank(parts.scores) && parts.labels.is_none_or(has_rank);
    is_possible.then_some(parts)
}

fn write_classes(json: &mut Vec<u8>, parts: &Parts<'_, Tensor>, n_examples: usize, width: usize) -> io::Result<()> {
    json.extend_from_slice(b"{\"results\":[");
    for example in 0..n_examples {
        separate(json, example);
        json.push(b'[');
        for class in 0..width {
            let at = example * width + class;
            separate(json, class);
            json.push(b'[');
            match parts.labels {
                Some(labels) => write_elements(json, labels, at..at + 1)?,
                None => write_text(json, &class.to_string())?,
            }
            json.push(b',');
            write_elements(json, parts.scores, at..at + 1)?;
            json.push(b']');
        }
        json.push(b']');
    }
    json.extend_from_slice(b"]}");
    Ok(())
}

fn write_regressions(json: &mut Vec<u8>, values: &Tensor, n_examples: usize) -> io::Result<()> {
    json.extend_from_slice(b"{\"results\":[");
    write_elements(json, values, 0..n_examples)?;
    json.extend_from_slice(b"]}");
    Ok(())
}
