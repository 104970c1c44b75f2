//! The samples of `model_warmup` as requests: zeros, small made-up values, or the bytes of a file.

use std::sync::Arc;

use base_types::{Data, DataType, Signature, Tensor, TensorSpec, element_count, without_ones};
use bytes::Bytes;
use control_registry::Refusal;
use control_registry::model_config::{ModelConfig, WarmupData, WarmupInput, WarmupSample};

/// The largest input of a sample, all rows together.
const INPUT_BYTES_MAX: usize = 64 << 20;
/// The largest sum of all inputs of all samples of a version.
const SAMPLES_BYTES_MAX: usize = 256 << 20;

/// A request to be run before the version is used: inputs fit the graph and stand in its order.
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) inputs: Arc<[Tensor]>,
    /// How often.
    pub(crate) count: usize,
}

/// Reads a file of input data, of at most so many bytes.
pub(crate) type ReadData<'a> = &'a dyn Fn(&str, u64) -> Result<Vec<u8>, Refusal>;

/// Makes the samples of a config for a version, given what callers know of it and what its graph says.
pub(crate) fn samples(
    config: &ModelConfig,
    (contract, graph): (&Signature, &Signature),
    read: ReadData<'_>,
) -> Result<Vec<Sample>, String> {
    let is_batched = config.max_batch_size.is_some();
    let mut bytes_left = SAMPLES_BYTES_MAX;
    let one = |sample: &WarmupSample| {
        let refuse = |text: String| format!("model_warmup {:?}: {text}", sample.name);
        let specs = contract.inputs.iter().zip(&graph.inputs);
        let inputs = specs.map(|(ours, theirs)| {
            let found = sample.inputs.iter().find(|input| input.name == ours.name || input.name == theirs.name);
            let input = found.ok_or_else(|| format!("the input {ours} is missing"))?;
            let tensor = tensor(input, is_batched.then_some(sample.batch_size), (ours, theirs), read)?;
            let handles =
                if tensor.datatype() == DataType::Bytes { size_of::<Bytes>() * tensor.element_count() } else { 0 };
            let left = bytes_left.checked_sub(tensor.data_bytes() + handles);
            bytes_left =
                left.ok_or_else(|| format!("the samples have more than {SAMPLES_BYTES_MAX} bytes together"))?;
            Ok(tensor)
        });
        let inputs = inputs.collect::<Result<Arc<[Tensor]>, String>>().map_err(refuse)?;
        if sample.inputs.len() > inputs.len() {
            return Err(refuse(format!("it has inputs the model does not have; {contract}")));
        }
        Ok(Sample { name: sample.name.clone(), inputs, count: sample.count as usize })
    };
    config.warmups.iter().map(one).collect()
}

fn tensor(
    input: &WarmupInput,
    n_rows: Option<usize>,
    (ours, theirs): (&TensorSpec, &TensorSpec),
    read: ReadData<'_>,
) -> Result<Tensor, String> {
    let shape: Vec<usize> = n_rows.into_iter().chain(input.dims.iter().copied()).collect();
    if !ours.accepts(input.datatype, &shape) {
        return Err(format!("the input {ours} is given as {} {shape:?}", input.datatype));
    }
    let too_large = || format!("the input {:?} has more than {INPUT_BYTES_MAX} bytes", ours.name);
    let n_elements = element_count(&input.dims).ok_or_else(too_large)?;
    let n_bytes = n_elements
        .checked_mul(n_rows.unwrap_or(1))
        .and_then(|n| n.checked_mul(input.datatype.element_bytes().unwrap_or(size_of::<Bytes>())));
    if n_bytes.is_none_or(|n| n > INPUT_BYTES_MAX) {
        return Err(too_large());
    }
    let row = match &input.data {
        WarmupData::Zero => zeros(input.datatype, n_elements),
        WarmupData::Random => random(input.datatype, n_elements),
        WarmupData::File(name) => {
            let content = read(name, INPUT_BYTES_MAX as u64).map_err(|refusal| refusal.text)?;
            from_file(input, content, n_elements).map_err(|text| format!("the file {name:?} {text}"))?
        }
    };
    let moved = without_ones(&shape, &ours.dims, &theirs.dims).unwrap_or(shape);
    let tensor = Tensor::new(theirs.name.clone(), input.datatype, moved, repeated(row, n_rows.unwrap_or(1)));
    tensor.map_err(|error| format!("the input {:?}: {error}", ours.name))
}

fn repeated(row: Data, n_rows: usize) -> Data {
    match row {
        Data::Raw(raw) if n_rows > 1 => Data::Raw(raw.repeat(n_rows).into()),
        Data::Strings(strings) if n_rows > 1 => Data::Strings(vec![strings; n_rows].concat()),
        row => row,
    }
}

fn zeros(datatype: DataType, n_elements: usize) -> Data {
    match datatype.element_bytes() {
        Some(size) => Data::Raw(vec![0; n_elements * size].into()),
        None => Data::Strings(vec![Bytes::new(); n_elements]),
    }
}

/// Numbers from 0 to 1, whole ones up to 7: larger ones are no valid index of most models. The same at every load.
fn random(datatype: DataType, n_elements: usize) -> Data {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    if datatype == DataType::Bytes {
        return Data::Strings((0..n_elements).map(|_| Bytes::from(format!("{:x}", next() >> 32))).collect());
    }
    let mut raw = Vec::with_capacity(n_elements * datatype.element_bytes().unwrap_or(0));
    for _ in 0..n_elements {
        let draw = next() >> 40;
        let part = draw as f32 / (1_u32 << 24) as f32;
        let whole = draw & 7;
        match datatype {
            DataType::Bool => raw.push((whole & 1) as u8),
            DataType::Fp32 => raw.extend(part.to_le_bytes()),
            DataType::Fp64 => raw.extend(f64::from(part).to_le_bytes()),
            // From a half to one: the exponent stays, the fraction is drawn.
            DataType::Fp16 => raw.extend((0x3800 | (draw & 0x3ff) as u16).to_le_bytes()),
            DataType::Bf16 => raw.extend(((part.to_bits() >> 16) as u16).to_le_bytes()),
            other => raw.extend(&whole.to_le_bytes()[..other.element_bytes().unwrap_or(0)]),
        }
    }
    Data::Raw(raw.into())
}

/// The elements as the binary protocol has them: texts with their length in four bytes in front.
fn from_file(input: &WarmupInput, content: Vec<u8>, n_elements: usize) -> Result<Data, String> {
    if let Some(size) = input.datatype.element_bytes() {
        let expected = n_elements * size;
        return match content.len() == expected {
            true => Ok(Data::Raw(content.into())),
            false => Err(format!("has {} bytes, {} {:?} takes {expected}", content.len(), input.datatype, input.dims)),
        };
    }
    let mut rest = Bytes::from(content);
    let mut strings = Vec::new();
    while !rest.is_empty() && strings.len() < n_elements {
        let Some(length) = rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize) else { break };
        if rest.len() - 4 < length {
            break;
        }
        strings.push(rest.slice(4..4 + length));
        rest = rest.slice(4 + length..);
    }
    match rest.is_empty() && strings.len() == n_elements {
        true => Ok(Data::Strings(strings)),
        false => Err(format!("does not hold {n_elements} texts, each with its length in four bytes in front")),
    }
}

#[cfg(test)]
mod tests;
