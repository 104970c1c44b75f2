//! Tensors as the gateway carries them: a shape, a data type and bytes, little-endian and row-major.

use std::fmt;

use bytes::Bytes;
use thiserror::Error;

/// Element types of the Open Inference Protocol, plus BF16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the protocol's own names")]
pub enum DataType {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl DataType {
    /// Every data type.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's name, such as `FP32`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Reads the protocol's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|d| d.as_str() == text)
    }

    /// Bytes of one element; `None` for BYTES, whose elements vary.
    pub fn element_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The elements of a tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Fixed-size elements, little-endian, without padding. No alignment is promised.
    Raw(Bytes),
    /// BYTES elements, each of its own length.
    Strings(Vec<Bytes>),
}

/// A named tensor whose bytes match its shape and data type.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    name: String,
    datatype: DataType,
    shape: Vec<usize>,
    data: Data,
}

/// Says why shape, data type and bytes do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TensorError {
    /// The product of the dimensions does not fit into memory.
    #[error("the shape {0:?} has too many elements")]
    ShapeOverflow(Vec<usize>),
    /// The bytes or elements given are not as many as shape and data type ask for.
    #[error("shape {shape:?} of {datatype} asks for {expected} {unit}, {actual} given")]
    Size {
        /// The shape.
        shape: Vec<usize>,
        /// The data type.
        datatype: DataType,
        /// Bytes, or elements for BYTES.
        expected: usize,
        /// What was given.
        actual: usize,
        /// `bytes` or `elements`.
        unit: &'static str,
    },
    /// BYTES data for another type, or raw data for BYTES.
    #[error("{0} data in the wrong form")]
    Form(DataType),
}

/// The product of the dimensions, or `None` when it overflows.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
}

impl Tensor {
    /// Checks that the data fit the shape and the data type.
    pub fn new(
        name: impl Into<String>,
        datatype: DataType,
        shape: Vec<usize>,
        data: Data,
    ) -> Result<Self, TensorError> {
        let elements = element_count(&shape).ok_or_else(|| TensorError::ShapeOverflow(shape.clone()))?;
        let (expected, actual, unit) = match (&data, datatype.element_bytes()) {
            (Data::Raw(raw), Some(size)) => {
                let bytes = elements.checked_mul(size).ok_or_else(|| TensorError::ShapeOverflow(shape.clone()))?;
                (bytes, raw.len(), "bytes")
            }
            (Data::Strings(strings), None) => (elements, strings.len(), "elements"),
            _ => return Err(TensorError::Form(datatype)),
        };
        if expected != actual {
            return Err(TensorError::Size { shape, datatype, expected, actual, unit });
        }
        Ok(Self { name: name.into(), datatype, shape, data })
    }

    /// The same tensor under another name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The same elements, not copied, in another shape of as many.
    pub fn reshaped(self, shape: Vec<usize>) -> Result<Self, TensorError> {
        let expected = element_count(&shape).ok_or_else(|| TensorError::ShapeOverflow(shape.clone()))?;
        let (actual, datatype) = (self.element_count(), self.datatype);
        if expected != actual {
            return Err(TensorError::Size { shape, datatype, expected, actual, unit: "elements" });
        }
        Ok(Self { shape, ..self })
    }

    /// The same elements in memory of their own: whoever keeps it keeps nothing else.
    #[must_use]
    pub fn detached(&self) -> Self {
        let data = match &self.data {
            Data::Raw(raw) => Data::Raw(Bytes::copy_from_slice(raw)),
            Data::Strings(strings) => Data::Strings(strings.iter().map(|s| Bytes::copy_from_slice(s)).collect()),
        };
        Self { name: self.name.clone(), datatype: self.datatype, shape: self.shape.clone(), data }
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The element type.
    pub fn datatype(&self) -> DataType {
        self.datatype
    }

    /// The dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The number of elements.
    pub fn element_count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The bytes the elements take.
    pub fn data_bytes(&self) -> usize {
        match &self.data {
            Data::Raw(raw) => raw.len(),
            Data::Strings(strings) => strings.iter().map(Bytes::len).sum(),
        }
    }
}

/// Name, type and dimensions of a model's input or output. A dimension of `None` is dynamic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The name in the graph.
    pub name: String,
    /// The element type.
    pub datatype: DataType,
    /// The dimensions; `None` where any size will do.
    pub dims: Vec<Option<usize>>,
}

impl TensorSpec {
    /// Whether a tensor of this type and shape fits.
    pub fn accepts(&self, datatype: DataType, shape: &[usize]) -> bool {
        self.datatype == datatype
            && self.dims.len() == shape.len()
            && self.dims.iter().zip(shape).all(|(dim, size)| dim.is_none_or(|d| d == *size))
    }

    /// The dimensions as the protocols show them: −1 where dynamic.
    pub fn wire_dims(&self) -> impl Iterator<Item = i64> + '_ {
        self.dims.iter().map(|dim| dim.map_or(-1, |d| d as i64))
    }
}

/// A shape that fits `from` as a shape that fits `to`, where the two differ by fixed dimensions of 1 alone: those may
/// come and go, because they move no element. `None` where they differ by more.
pub fn without_ones(shape: &[usize], from: &[Option<usize>], to: &[Option<usize>]) -> Option<Vec<usize>> {
    if from.len() != shape.len() {
        return None;
    }
    let mut kept = from.iter().zip(shape).filter(|(dim, _)| **dim != Some(1)).map(|(_, size)| *size);
    let moved = to.iter().map(|dim| if *dim == Some(1) { Some(1) } else { kept.next() });
    let moved: Option<Vec<usize>> = moved.collect();
    moved.filter(|_| kept.next().is_none())
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.wire_dims().map(|d| d.to_string()).collect();
        write!(f, "{} {}[{}]", self.name, self.datatype, dims.join(","))
    }
}

/// What goes into a model and what comes out of it, in the model's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The inputs.
    pub inputs: Vec<TensorSpec>,
    /// The outputs.
    pub outputs: Vec<TensorSpec>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |specs: &[TensorSpec]| specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "{} -> {}", list(&self.inputs), list(&self.outputs))
    }
}

/// The first way in which a version cannot succeed another one under the same model.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureMismatch {
    /// An input or output that callers rely on is gone.
    #[error("{side} {name:?} is missing")]
    Missing {
        /// `input` or `output`.
        side: &'static str,
        /// Its name.
        name: String,
    },
    /// A new input that no caller sends.
    #[error("input {0:?} is new: callers do not send it")]
    NewInput(String),
    /// Type or shape differ.
    #[error("{side} was {before}, is {after}")]
    Changed {
        /// `input` or `output`.
        side: &'static str,
        /// As it was.
        before: String,
        /// As it is.
        after: String,
    },
}

impl Signature {
    /// Whether callers of `self` are served by `next` without noticing: every input accepts at least what it
    /// accepted, every output keeps type, rank and fixed dimensions. More outputs are allowed.
    pub fn succeeded_by(&self, next: &Self) -> Result<(), SignatureMismatch> {
        let find = |side: &'static str, specs: &[TensorSpec], name: &str| {
            let found = specs.iter().find(|s| s.name == name).cloned();
            found.ok_or_else(|| SignatureMismatch::Missing { side, name: name.to_owned() })
        };
        let changed = |side, before: &TensorSpec, after: &TensorSpec| {
            Err(SignatureMismatch::Changed { side, before: before.to_string(), after: after.to_string() })
        };
        let narrows = |from: &TensorSpec, to: &TensorSpec| {
            from.datatype != to.datatype
                || from.dims.len() != to.dims.len()
                || from.dims.iter().zip(&to.dims).any(|(f, t)| t.is_some() && f != t)
        };
        for before in &self.inputs {
            let after = find("input", &next.inputs, &before.name)?;
            if narrows(before, &after) {
                return changed("input", before, &after);
            }
        }
        if let Some(new) = next.inputs.iter().find(|n| self.inputs.iter().all(|o| o.name != n.name)) {
            return Err(SignatureMismatch::NewInput(new.name.clone()));
        }
        for before in &self.outputs {
            let after = find("output", &next.outputs, &before.name)?;
            if narrows(&after, before) {
                return changed("output", before, &after);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
