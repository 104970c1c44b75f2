//! What each field of a `config.pbtxt` means here: honoured, a hint, or refused.

use std::collections::BTreeSet;

use base_types::{ModelName, Version};

use super::tensors::tensor;
use super::text::Field;
use super::values::{fields, mismatch, number, only, only_false, text, unsupported, warn};
use super::{ModelConfig, VersionPolicy, hints, warmup};
use crate::{Refusal, RefusalCode};

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
    let rows_max = config.max_batch_size.unwrap_or(1);
    if config.batching.is_some() && rows_max < 2 {
        let text = "config.pbtxt: dynamic_batching is not used without a max_batch_size of at least 2: each request runs by itself";
        config.warnings.push(text.to_owned());
    }
    if let Some(sample) = config.warmups.iter().find(|sample| sample.batch_size as u64 > rows_max) {
        let (name, rows) = (&sample.name, sample.batch_size);
        let text =
            format!("config.pbtxt: model_warmup {name:?} has a batch_size of {rows}, max_batch_size allows {rows_max}");
        return Err(Refusal::new(RefusalCode::ConfigMismatch, text));
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
        "parameters" => hints::parameter(config, field)?,
        "dynamic_batching" => hints::batching(config, field)?,
        "instance_group" => hints::instances(config, field)?,
        "model_warmup" => warmup::sample(config, field)?,
        "response_cache" => {
            for inner in fields(field)? {
                only_false(inner, &["enable"])?;
            }
        }
        "model_transaction_policy" => {
            for inner in fields(field)? {
                only_false(inner, &["decoupled"])?;
            }
        }
        "optimization" | "metric_tags" | "model_metrics" | "runtime" => warn(&mut config.warnings, field),
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
