//! What each field of a `config.pbtxt` means here: honoured, a hint, or refused.

use std::collections::BTreeSet;
use std::str::FromStr;

use base_types::{DataType, ModelName, Version};

use super::text::{Field, Value};
use super::{ConfiguredTensor, ModelConfig, VersionPolicy};
use crate::{Refusal, RefusalCode};

/// Parameters of Triton's ONNX Runtime backend that change numbers, so ignoring them would change answers.
const DECISIVE_PARAMETERS: [&str; 2] = ["session.set_denormal_as_zero", "optimization.enable_gelu_approximation"];

/// Reads the fields of the file.
pub(super) fn read(message: &[Field], model: &ModelName) -> Result<ModelConfig, Refusal> {
    let mut config = ModelConfig::default();
    let mut seen = BTreeSet::new();
    for field in message {
        let is_repeated = matches!(
            field.name.as_str(),
            "input" | "output" | "instance_group" | "parameters" | "model_warmup" | "metric_tags"
        );
        if !is_repeated && !seen.insert(field.name.as_str()) {
            return Err(mismatch(field, "is given twice"));
        }
        top_field(&mut config, field, model)?;
    }
    for (side, tensors) in [("input", &config.inputs), ("output", &config.outputs)] {
        let mut names = BTreeSet::new();
        if let Some(tensor) = tensors.iter().find(|tensor| !names.insert(&tensor.name)) {
            let text = format!("config.pbtxt line {}: the {side} {:?} is described twice", tensor.line, tensor.name);
            return Err(Refusal::new(RefusalCode::ConfigMismatch, text));
        }
    }
    Ok(config)
}

fn top_field(config: &mut ModelConfig, field: &Field, model: &ModelName) -> Result<(), Refusal> {
    match field.name.as_str() {
        "name" => {
            let name = text(field)?;
            if !name.is_empty() && name != model.as_str() {
                return Err(mismatch(field, &format!("is {name:?}, the folder is named {:?}", model.as_str())));
            }
        }
        "platform" => only(field, &["", "onnxruntime_onnx"])?,
        "backend" => only(field, &["", "onnxruntime"])?,
        "default_model_filename" => only(field, &["", "model.onnx"])?,
        "max_batch_size" => config.max_batch_size = Some(number(field)?).filter(|size| *size > 0),
        "input" => config.inputs.push(tensor(config.warnings.as_mut(), field, "input")?),
        "output" => config.outputs.push(tensor(config.warnings.as_mut(), field, "output")?),
        "version_policy" => config.version_policy = Some(version_policy(field)?),
        "parameters" => {
            check_parameter(field)?;
            warn(&mut config.warnings, field);
        }
        "model_transaction_policy" => {
            for inner in fields(field)? {
                only_false(inner, &["decoupled"])?;
            }
        }
        "instance_group" | "dynamic_batching" | "optimization" | "model_warmup" | "metric_tags" | "model_metrics"
        | "response_cache" | "runtime" => warn(&mut config.warnings, field),
        "ensemble_scheduling"
        | "sequence_batching"
        | "batch_input"
        | "batch_output"
        | "cc_model_filenames"
        | "model_operations"
        | "model_repository_agents" => {
            return Err(unsupported(
                field,
                "would change answers and is not supported: remove it or serve this model elsewhere",
            ));
        }
        _ => return Err(unsupported(field, "is not a known field: remove it or correct its name")),
    }
    Ok(())
}

fn tensor(warnings: &mut Vec<String>, field: &Field, side: &str) -> Result<ConfiguredTensor, Refusal> {
    let (mut name, mut datatype, mut dims) = (None, None, Vec::new());
    let mut seen = BTreeSet::new();
    for inner in fields(field)? {
        if inner.name != "dims" && !seen.insert(inner.name.as_str()) {
            return Err(mismatch(inner, "is given twice"));
        }
        match inner.name.as_str() {
            "name" => name = Some(text(inner)?.to_owned()),
            "data_type" => datatype = Some(data_type(inner)?),
            "dims" => dims.push(dim(inner)?),
            "format" if side == "input" => warn(warnings, inner),
            "label_filename" if side == "output" => warn(warnings, inner),
            "is_shape_tensor" | "is_non_linear_format_io" => only_false(inner, &[&inner.name])?,
            "allow_ragged_batch" | "optional" if side == "input" => only_false(inner, &[&inner.name])?,
            "reshape" => {
                return Err(unsupported(
                    inner,
                    "would change answers and is not supported: give the dims the model has",
                ));
            }
            _ => return Err(unsupported(inner, &format!("is not a known field of an {side}"))),
        }
    }
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| mismatch(field, "has no name"))?;
    let datatype = datatype.ok_or_else(|| mismatch(field, &format!("{name:?} has no data_type")))?;
    Ok(ConfiguredTensor { name, datatype, dims, line: field.line })
}

fn version_policy(field: &Field) -> Result<VersionPolicy, Refusal> {
    let [choice] = fields(field)? else {
        return Err(mismatch(field, "must be exactly one of latest, all and specific"));
    };
    let inner = fields(choice)?;
    match choice.name.as_str() {
        "all" if inner.is_empty() => Ok(VersionPolicy::All),
        "latest" => {
            let mut n_versions = 1;
            for field in inner {
                if field.name != "num_versions" {
                    return Err(unsupported(field, "is not a known field of latest"));
                }
                n_versions = number(field)?;
            }
            let n_versions = usize::try_from(n_versions).ok().filter(|n| *n > 0);
            n_versions.map(VersionPolicy::Latest).ok_or_else(|| mismatch(choice, "needs num_versions of at least 1"))
        }
        "specific" => {
            let mut versions = BTreeSet::new();
            for field in inner {
                if field.name != "versions" {
                    return Err(unsupported(field, "is not a known field of specific"));
                }
                let version = Version::new(number(field)?);
                versions.insert(version.ok_or_else(|| mismatch(field, "must be positive integers"))?);
            }
            Ok(VersionPolicy::Specific(versions))
        }
        _ => Err(unsupported(choice, "is no version policy known here")),
    }
}

/// A parameter is a message with a key and a value around a string.
fn check_parameter(field: &Field) -> Result<(), Refusal> {
    let inner = fields(field)?;
    let key = inner.iter().find(|f| f.name == "key").map(text).transpose()?.unwrap_or_default();
    let value = inner.iter().find(|f| f.name == "value").map(fields).transpose()?.unwrap_or_default();
    let value = value.iter().find(|f| f.name == "string_value").map(text).transpose()?.unwrap_or_default();
    if DECISIVE_PARAMETERS.contains(&key) && !matches!(value, "" | "0" | "false") {
        return Err(unsupported(field, &format!("{key:?} would change answers and is not supported: remove it")));
    }
    Ok(())
}

fn data_type(field: &Field) -> Result<DataType, Refusal> {
    let word = word(field)?;
    let name = word.strip_prefix("TYPE_").unwrap_or_default();
    let name = if name == "STRING" { "BYTES" } else { name };
    DataType::parse(name)
        .filter(|_| word != "TYPE_BYTES")
        .ok_or_else(|| mismatch(field, &format!("{word} is not known")))
}

fn dim(field: &Field) -> Result<Option<usize>, Refusal> {
    let word = word(field)?;
    match word {
        "-1" => Ok(None),
        _ => word.parse().map(Some).map_err(|_| mismatch(field, &format!("must be -1 or a size, not {word}"))),
    }
}

fn warn(warnings: &mut Vec<String>, field: &Field) {
    warnings.push(format!("config.pbtxt line {}: {} is a hint that is not used here", field.line, field.name));
}

/// A field that may stand there as long as it says one of these.
fn only(field: &Field, allowed: &[&str]) -> Result<(), Refusal> {
    let value = text(field)?;
    if allowed.contains(&value) {
        return Ok(());
    }
    let named: Vec<&str> = allowed.iter().copied().filter(|allowed| !allowed.is_empty()).collect();
    Err(unsupported(field, &format!("{value:?} is not supported, only {:?}", named.join(", "))))
}

/// A switch that may stand there as long as it is off.
fn only_false(field: &Field, known: &[&str]) -> Result<(), Refusal> {
    if !known.contains(&field.name.as_str()) {
        return Err(unsupported(field, "is not a known field"));
    }
    match word(field)? {
        "false" | "False" | "f" | "0" => Ok(()),
        _ => Err(unsupported(field, "would change answers and is not supported: remove it or set it to false")),
    }
}

fn number<T: FromStr>(field: &Field) -> Result<T, Refusal> {
    let word = word(field)?;
    word.parse().map_err(|_| mismatch(field, &format!("must be a non-negative number, not {word}")))
}

fn text(field: &Field) -> Result<&str, Refusal> {
    match &field.value {
        Value::Text(text) => Ok(text),
        _ => Err(mismatch(field, "must be a quoted text")),
    }
}

fn word(field: &Field) -> Result<&str, Refusal> {
    match &field.value {
        Value::Word(word) => Ok(word),
        _ => Err(mismatch(field, "must be a number or a word without quotes")),
    }
}

fn fields(field: &Field) -> Result<&[Field], Refusal> {
    match &field.value {
        Value::Message(fields) => Ok(fields),
        _ => Err(mismatch(field, "must be a message in braces")),
    }
}

fn unsupported(field: &Field, what: &str) -> Refusal {
    Refusal::new(RefusalCode::ConfigUnsupported, format!("config.pbtxt line {}: {} {what}", field.line, field.name))
}

fn mismatch(field: &Field, what: &str) -> Refusal {
    Refusal::new(RefusalCode::ConfigMismatch, format!("config.pbtxt line {}: {} {what}", field.line, field.name))
}
