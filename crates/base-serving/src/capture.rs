//! Requests kept with their answers, so that one can be run again and compared bit for bit.

use std::collections::BTreeSet;

use base_types::{Data, DataType, Digest, Generation, ModelName, Reason, Tensor, TensorError, Version};

use crate::{PredictionId, Provider};

/// What a capture takes in memory besides its elements, at most.
const OVERHEAD_BYTES: usize = 4096;
/// What each text takes besides its bytes.
const TEXT_OVERHEAD_BYTES: usize = 64;

/// Which requests of a model are captured, and what of them is left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CapturePlan {
    /// Share of the answered requests, drawn at random.
    pub share: f64,
    /// Inputs and outputs, by the names callers use, whose values are not kept.
    pub redact: BTreeSet<Box<str>>,
}

/// An input or output of a capture.
#[derive(Debug, Clone, PartialEq)]
pub struct CapturedTensor {
    /// The name callers use.
    pub name: String,
    /// The element type.
    pub datatype: DataType,
    /// The dimensions.
    pub shape: Vec<usize>,
    /// The elements; `None` where they were left out.
    pub data: Option<Data>,
}

/// An answered request: what came in, what went out, and who computed it.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// The answer's id.
    pub prediction: PredictionId,
    /// When it was answered, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The model.
    pub model: ModelName,
    /// The version that answered.
    pub version: Version,
    /// What that version is.
    pub digest: Digest,
    /// The snapshot that routed the request.
    pub generation: Generation,
    /// Why that version; [`Reason::Fallback`] where stable stood in for another one.
    pub reason: Reason,
    /// The outputs asked for, in order; empty for all.
    pub asked: Vec<String>,
    /// Positions of the outputs in the version's signature, in the order of `outputs`.
    pub positions: Vec<usize>,
    /// The inputs in the order of the version's signature.
    pub inputs: Vec<CapturedTensor>,
    /// The outputs as they were answered.
    pub outputs: Vec<CapturedTensor>,
    /// What computed it.
    pub provider: Provider,
    /// Rows of the whole run, where it was shared with other requests.
    pub batch_rows: Option<usize>,
    /// The trace that the caller's request was part of, as 32 hexadecimal digits, where he said so.
    pub trace_id: Option<String>,
}

/// Writes captures down. Implemented by the control plane; called on the request path.
pub trait CaptureSink: Send + Sync {
    /// Whether a capture of so many bytes can be taken: to be asked before one is made. A refusal is counted.
    fn has_room(&self, n_bytes: usize) -> bool;

    /// Takes a capture or drops it and counts that; never waits, never touches the disk.
    fn captured(&self, capture: Capture);
}

impl CapturePlan {
    /// The tensor as it is kept: with elements in memory of their own, or with none.
    pub fn keep(&self, tensor: &Tensor) -> CapturedTensor {
        let data = (!self.redact.contains(tensor.name())).then(|| tensor.detached().data().clone());
        let (name, shape) = (tensor.name().to_owned(), tensor.shape().to_vec());
        CapturedTensor { name, datatype: tensor.datatype(), shape, data }
    }

    /// Bytes that a capture of these tensors holds in memory.
    pub fn n_bytes<'a>(&self, tensors: impl Iterator<Item = &'a Tensor>) -> usize {
        let kept = tensors.filter(|tensor| !self.redact.contains(tensor.name()));
        OVERHEAD_BYTES
            + kept.map(|tensor| tensor.data_bytes() + n_texts(tensor.data()) * TEXT_OVERHEAD_BYTES).sum::<usize>()
    }
}

impl Capture {
    /// Bytes it holds in memory.
    pub fn n_bytes(&self) -> usize {
        let data = self.inputs.iter().chain(&self.outputs).filter_map(|tensor| tensor.data.as_ref());
        let n_bytes = |data: &Data| match data {
            Data::Raw(raw) => raw.len(),
            Data::Strings(texts) => texts.iter().map(|text| text.len() + TEXT_OVERHEAD_BYTES).sum(),
        };
        OVERHEAD_BYTES + data.map(n_bytes).sum::<usize>()
    }
}

impl CapturedTensor {
    /// The tensor as it was; `None` where its elements were left out.
    ///
    /// # Errors
    /// The elements do not fit type and shape: whoever kept it kept it wrong.
    pub fn tensor(&self) -> Option<Result<Tensor, TensorError>> {
        let data = self.data.clone()?;
        Some(Tensor::new(self.name.clone(), self.datatype, self.shape.clone(), data))
    }
}

fn n_texts(data: &Data) -> usize {
    match data {
        Data::Raw(_) => 0,
        Data::Strings(texts) => texts.len(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    fn tensor(name: &str, texts: &[&'static [u8]]) -> Tensor {
        let data = Data::Strings(texts.iter().map(|text| (*text).into()).collect());
        Tensor::new(name, DataType::Bytes, vec![texts.len()], data).unwrap()
    }

    #[test]
    fn what_is_redacted_is_not_kept_and_not_counted() {
        let plan = CapturePlan { share: 1.0, redact: ["secret".into()].into() };
        let (open, secret) = (tensor("open", &[b"a", b"\xff\x00"]), tensor("secret", &[b"hidden"]));
        assert_eq!(plan.keep(&open).tensor().unwrap().unwrap(), open);
        let kept = plan.keep(&secret);
        assert_eq!((kept.data.clone(), kept.tensor().is_none(), kept.shape.as_slice()), (None, true, &[1][..]));
        let (with, without) = (plan.n_bytes([&open, &secret].into_iter()), plan.n_bytes([&open].into_iter()));
        assert_eq!(with, without);
        assert_eq!(without, OVERHEAD_BYTES + 3 + 2 * TEXT_OVERHEAD_BYTES);
    }
}
