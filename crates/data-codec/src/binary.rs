//! The binary tensor data extension: tensors behind the JSON of a request or answer, little-endian, row-major, in
//! the order of the JSON and without padding. An element of BYTES is its length in four bytes, then its bytes.
//!
//! What is read shares the memory of the body; only handles of BYTES elements are made.

use base_types::{Data, DataType, Signature, Tensor, element_count};
use bytes::{Buf, Bytes};

use crate::error::{BinaryFlaw, DecodeError, EncodeError, Problem};
use crate::infer::DecodedInfer;
use crate::limits::CodecLimits;
use crate::parameters::{BINARY_OUTPUTS, Parameter};

/// Bytes of the length in front of a BYTES element.
const LENGTH_BYTES: usize = 4;

/// The elements of one tensor of known type and shape.
pub(crate) fn data(raw: Bytes, datatype: DataType, shape: &[usize]) -> Result<Data, Problem> {
    let n_elements = element_count(shape).unwrap_or(usize::MAX);
    match datatype.element_bytes() {
        Some(size) => {
            let expected = n_elements.saturating_mul(size);
            if raw.len() != expected {
                let shape = shape.to_vec();
                return Err(BinaryFlaw::Size { shape, datatype, expected, actual: raw.len() }.into());
            }
            Ok(Data::Raw(raw))
        }
        None => read_strings(raw, n_elements).map(Data::Strings),
    }
}

/// Reads BYTES elements as the extension lays them out: as many as there have to be, and nothing else.
///
/// # Errors
/// There are fewer or more, or the last one is cut off.
pub fn read_strings(mut raw: Bytes, n_elements: usize) -> Result<Vec<Bytes>, Problem> {
    // Each takes four bytes at least: no more room is made than they can fill.
    if n_elements > raw.len() / LENGTH_BYTES {
        return Err(BinaryFlaw::TooFewStrings { expected: n_elements, bytes: raw.len() }.into());
    }
    let mut strings = Vec::with_capacity(n_elements);
    for at in 0..n_elements {
        let cut = || Problem::from(BinaryFlaw::CutString { at });
        let length = raw.try_get_u32_le().map_err(|_| cut())? as usize;
        if length > raw.len() {
            return Err(cut());
        }
        strings.push(raw.split_to(length));
    }
    match raw.len() {
        0 => Ok(strings),
        left => Err(BinaryFlaw::BehindStrings { expected: n_elements, left }.into()),
    }
}

/// Writes BYTES elements as the extension lays them out.
///
/// # Errors
/// An element has 4 GiB or more, which its length cannot say.
pub fn write_strings(name: &str, strings: &[Bytes]) -> Result<Bytes, EncodeError> {
    let mut raw = Vec::with_capacity(strings.iter().map(|string| LENGTH_BYTES + string.len()).sum());
    for (at, string) in strings.iter().enumerate() {
        let length = u32::try_from(string.len()).map_err(|_| EncodeError::TooLong { name: name.to_owned(), at })?;
        raw.extend_from_slice(&length.to_le_bytes());
        raw.extend_from_slice(string);
    }
    Ok(raw.into())
}

/// The bytes of a tensor behind the JSON. Only BYTES elements are copied.
///
/// # Errors
/// An element is too long.
pub fn tensor_bytes(tensor: &Tensor) -> Result<Bytes, EncodeError> {
    match tensor.data() {
        Data::Raw(raw) => Ok(raw.clone()),
        Data::Strings(strings) => write_strings(tensor.name(), strings),
    }
}

/// Reads a request that is nothing but its only input, as the header `inference-header-content-length: 0` says. All
/// outputs are asked for in binary.
///
/// The shape is that of a batch of one. Where another dimension is open, the number of elements gives it; more than
/// one cannot be told. For BYTES the body is the one element, without its length.
///
/// # Errors
/// The model does not have exactly one input, or the body does not fit it.
pub fn decode_raw(body: Bytes, signature: &Signature, limits: &CodecLimits) -> Result<DecodedInfer, DecodeError> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(DecodeError::Request(BinaryFlaw::RawInputs(signature.inputs.len()).into()));
    };
    let input = || -> Result<Tensor, Problem> {
        let n_elements = spec.datatype.element_bytes().map_or(1, |size| body.len() / size);
        let shape = raw_shape(&spec.dims, n_elements)?;
        if element_count(&shape).is_none_or(|n| n > limits.elements) {
            return Err(Problem::TooMany { what: "elements in a tensor", max: limits.elements });
        }
        let data = match spec.datatype {
            DataType::Bytes => Data::Strings(vec![body.clone()]),
            datatype => data(body.clone(), datatype, &shape)?,
        };
        Ok(Tensor::new(spec.name.as_str(), spec.datatype, shape, data)?)
    };
    let name = || Some(spec.name.clone());
    let input = input().map_err(|problem| DecodeError::Input { index: 0, name: name(), problem })?;
    let mut request = DecodedInfer { inputs: vec![input], ..DecodedInfer::default() };
    request.parameters.push(BINARY_OUTPUTS.to_owned(), Parameter::Bool(true));
    Ok(request)
}

fn raw_shape(dims: &[Option<usize>], n_elements: usize) -> Result<Vec<usize>, Problem> {
    let mut shape: Vec<Option<usize>> = dims.to_vec();
    if let [first @ None, _, ..] = shape.as_mut_slice() {
        *first = Some(1);
    }
    let n_known = element_count(&shape.iter().map(|dim| dim.unwrap_or(1)).collect::<Vec<_>>()).unwrap_or(0);
    let n_open = shape.iter().filter(|dim| dim.is_none()).count();
    if n_open > 1 {
        return Err(BinaryFlaw::RawShape(dims.iter().map(|dim| dim.map_or(-1, |d| d as i64)).collect()).into());
    }
    let open = n_elements.checked_div(n_known).unwrap_or(0);
    Ok(shape.into_iter().map(|dim| dim.unwrap_or(open)).collect())
}

#[cfg(test)]
mod tests;
