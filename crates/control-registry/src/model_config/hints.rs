//! Fields that change no answer: kept for those who ask what is declared, and told in the log where they are not used.

use super::text::Field;
use super::values::{fields, flag, mismatch, number, text, unsupported, warn, word};
use super::{Batching, ModelConfig};
use crate::Refusal;

/// Parameters of Triton's ONNX Runtime backend that change numbers, so ignoring them would change answers.
const DECISIVE_PARAMETERS: [&str; 2] = ["session.set_denormal_as_zero", "optimization.enable_gelu_approximation"];
/// Most parameters of one model.
const PARAMETERS_MAX: usize = 1_024;
/// Most preferred batch sizes.
const SIZES_MAX: usize = 256;

/// A parameter is a message with a key and a value around a string.
pub(super) fn parameter(config: &mut ModelConfig, field: &Field) -> Result<(), Refusal> {
    let inner = fields(field)?;
    if let Some(unknown) = inner.iter().find(|f| f.name != "key" && f.name != "value") {
        return Err(unsupported(unknown, "is not a known field of parameters"));
    }
    let key = inner.iter().find(|f| f.name == "key").map(text).transpose()?.unwrap_or_default();
    let value = inner.iter().find(|f| f.name == "value").map(fields).transpose()?.unwrap_or_default();
    let value = value.iter().find(|f| f.name == "string_value").map(text).transpose()?.unwrap_or_default();
    if DECISIVE_PARAMETERS.contains(&key) && !matches!(value, "" | "0" | "false") {
        return Err(unsupported(field, &format!("{key:?} would change answers and is not supported: remove it")));
    }
    if config.parameters.len() >= PARAMETERS_MAX {
        return Err(unsupported(field, &format!("stands there more than {PARAMETERS_MAX} times")));
    }
    if config.parameters.insert(key.to_owned(), value.to_owned()).is_some() {
        return Err(mismatch(field, &format!("{key:?} is given twice")));
    }
    // For callers who read the config; nothing here acts on them.
    warn(&mut config.warnings, field);
    Ok(())
}

/// How requests are to be put together. What is asked for beyond sizes and delay changes no answer.
pub(super) fn batching(config: &mut ModelConfig, field: &Field) -> Result<(), Refusal> {
    let mut batching = Batching::default();
    for inner in fields(field)? {
        match inner.name.as_str() {
            "preferred_batch_size" => batching.preferred_sizes.push(number(inner)?),
            "max_queue_delay_microseconds" => batching.delay_max_us = number(inner)?,
            "preserve_ordering" => drop(flag(inner)?),
            "priority_levels" | "default_priority_level" => drop(number::<u64>(inner)?),
            "default_queue_policy" | "priority_queue_policy" => drop(fields(inner)?),
            _ => return Err(unsupported(inner, "is not a known field of dynamic_batching")),
        }
    }
    if batching.preferred_sizes.len() > SIZES_MAX {
        return Err(mismatch(field, &format!("has more than {SIZES_MAX} preferred batch sizes")));
    }
    config.batching = Some(batching);
    Ok(())
}

/// Runs go to one pool of workers, so instances are only a number to be shown; but a model meant for a device that is
/// not served here must not run elsewhere unnoticed.
pub(super) fn instances(config: &mut ModelConfig, field: &Field) -> Result<(), Refusal> {
    let mut count = 1_u32;
    for inner in fields(field)? {
        match inner.name.as_str() {
            "count" => count = number::<u32>(inner)?.max(1),
            "kind" => match word(inner)? {
                "KIND_AUTO" | "KIND_CPU" => {}
                other => {
                    let what = format!("{other} is not supported, only KIND_CPU and KIND_AUTO: models run on the CPU");
                    return Err(unsupported(inner, &what));
                }
            },
            "gpus" => return Err(unsupported(inner, "is not supported: models run on the CPU")),
            "secondary_devices" => return Err(unsupported(inner, "is not supported: models run on the CPU")),
            "name" | "host_policy" => drop(text(inner)?),
            "profile" => drop(text(inner)?),
            "passive" => drop(flag(inner)?),
            "rate_limiter" => drop(fields(inner)?),
            _ => return Err(unsupported(inner, "is not a known field of instance_group")),
        }
    }
    config.instances = Some(config.instances.unwrap_or(0).saturating_add(count));
    config.warnings.push(format!(
        "config.pbtxt line {}: instance_group is not used here: run_threads of gateway.toml says how much runs side by side",
        field.line
    ));
    Ok(())
}
