//! Batching of a model: what routing.toml and config.pbtxt say together, and which versions it cannot be had for.

use base_serving::ModelLimits;
use base_serving::batching::unfit;

use crate::state::Model;

/// The bounds with what the model's config.pbtxt declares.
pub(crate) fn settled(mut limits: ModelLimits, model: &Model) -> ModelLimits {
    limits.batching = limits.batching.settled(&model.declared);
    limits
}

/// The versions in memory whose requests cannot be put together although that is asked for, each with the reason.
pub(crate) fn notices(limits: &ModelLimits, model: &Model) -> Vec<String> {
    if limits.batching.on().is_none() {
        return Vec::new();
    }
    let loaded = model.versions.iter().filter_map(|(version, entry)| Some((version, entry.serving.as_ref()?)));
    loaded
        .filter_map(|(version, serving)| {
            let why = unfit(serving.runner.signature())?;
            Some(format!("requests of version {version} cannot be put together: {why}; each runs by itself"))
        })
        .collect()
}
