//! `model_warmup`: what to run before a version is used.

use base_types::{DataType, element_count};

use super::ModelConfig;
use super::text::Field;
use super::values::{data_type, fields, file_name, flag, mismatch, number, text, unsupported};
use crate::Refusal;

/// Most samples of one model.
const SAMPLES_MAX: usize = 64;
/// Most runs of one sample.
const COUNT_MAX: u32 = 10_000;
/// Most inputs of one sample.
const INPUTS_MAX: usize = 256;
/// Most elements of one input of a sample, all rows together.
const ELEMENTS_MAX: usize = 1 << 26;

/// One request to be made before a version is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmupSample {
    /// Its name, for messages.
    pub name: String,
    /// How often the rows of each input are repeated along the batch axis, where the model has one.
    pub batch_size: usize,
    /// How often it is run.
    pub count: u32,
    /// Every input.
    pub inputs: Vec<WarmupInput>,
}

/// One input of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmupInput {
    /// The name of the input.
    pub name: String,
    /// The element type.
    pub datatype: DataType,
    /// The dimensions, without the batch axis.
    pub dims: Vec<usize>,
    /// The elements.
    pub data: WarmupData,
}

/// Where the elements of a sample come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WarmupData {
    /// Zeros, or empty texts.
    Zero,
    /// Small made-up values.
    Random,
    /// A file in the folder `warmup` of the model, in the form of the binary protocol.
    File(String),
}

/// Reads one sample.
pub(super) fn sample(config: &mut ModelConfig, field: &Field) -> Result<(), Refusal> {
    if config.warmups.len() >= SAMPLES_MAX {
        return Err(mismatch(field, &format!("stands there more than {SAMPLES_MAX} times")));
    }
    let mut sample = WarmupSample { name: String::new(), batch_size: 1, count: 1, inputs: Vec::new() };
    for inner in fields(field)? {
        match inner.name.as_str() {
            "name" => text(inner)?.clone_into(&mut sample.name),
            // 0 says that nothing is said.
            "batch_size" => sample.batch_size = number::<usize>(inner)?.max(1),
            "count" => sample.count = number::<u32>(inner)?.max(1),
            "inputs" => sample.inputs.push(input(inner)?),
            _ => return Err(unsupported(inner, "is not a known field of model_warmup")),
        }
    }
    let n_elements = |input: &WarmupInput| element_count(&input.dims)?.checked_mul(sample.batch_size);
    if sample.inputs.iter().any(|input| n_elements(input).is_none_or(|n| n > ELEMENTS_MAX)) {
        return Err(mismatch(field, &format!("{:?} has an input of more than {ELEMENTS_MAX} elements", sample.name)));
    }
    if sample.count > COUNT_MAX || sample.inputs.len() > INPUTS_MAX {
        let what = format!("{:?} has more than {COUNT_MAX} runs or {INPUTS_MAX} inputs", sample.name);
        return Err(mismatch(field, &what));
    }
    if sample.inputs.is_empty() {
        return Err(mismatch(field, &format!("{:?} has no inputs", sample.name)));
    }
    config.warmups.push(sample);
    Ok(())
}

/// An entry of the map: a key and a value around the description.
fn input(field: &Field) -> Result<WarmupInput, Refusal> {
    let inner = fields(field)?;
    if let Some(unknown) = inner.iter().find(|f| f.name != "key" && f.name != "value") {
        return Err(unsupported(unknown, "is not a known field of inputs"));
    }
    let name = inner.iter().find(|f| f.name == "key").map(text).transpose()?.unwrap_or_default().to_owned();
    let value = inner.iter().find(|f| f.name == "value");
    let value = value.ok_or_else(|| mismatch(field, &format!("{name:?} has no value")))?;
    let (mut datatype, mut dims, mut data) = (None, Vec::new(), None);
    for inner in fields(value)? {
        match inner.name.as_str() {
            "data_type" => datatype = Some(data_type(inner)?),
            "dims" => dims.push(number::<usize>(inner)?),
            "zero_data" if flag(inner)? => data = Some(WarmupData::Zero),
            "random_data" if flag(inner)? => data = Some(WarmupData::Random),
            "zero_data" | "random_data" => {}
            "input_data_file" => data = Some(WarmupData::File(file_name(inner)?.to_owned())),
            _ => return Err(unsupported(inner, "is not a known field of a warm-up input")),
        }
    }
    let datatype = datatype.ok_or_else(|| mismatch(value, &format!("{name:?} has no data_type")))?;
    let data = data
        .ok_or_else(|| mismatch(value, &format!("{name:?} needs one of zero_data, random_data and input_data_file")))?;
    Ok(WarmupInput { name, datatype, dims, data })
}
