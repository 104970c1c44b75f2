//! What a model's config.pbtxt declares, as callers are shown it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base_serving::{Declaration, DeclaredBatching, WantedVersions};
use control_registry::model_config::{ModelConfig, VersionPolicy};

use crate::state::Model;

/// Renews the declaration of a model whose config or contracts changed.
pub(crate) fn settle(model: &mut Model) {
    let declared = model.config.as_ref().map(|config| declaration(config, model)).unwrap_or_default();
    if *model.declared != declared {
        model.declared = Arc::new(declared);
    }
}

fn declaration(config: &ModelConfig, model: &Model) -> Declaration {
    let versions = match &config.version_policy {
        None | Some(VersionPolicy::All) => WantedVersions::All,
        Some(VersionPolicy::Latest(n)) => WantedVersions::Latest(*n),
        Some(VersionPolicy::Specific(versions)) => WantedVersions::Specific(versions.clone()),
    };
    let batching = config.batching.as_ref().map(|batching| DeclaredBatching {
        preferred_sizes: batching.preferred_sizes.clone(),
        delay_max: Duration::from_micros(batching.delay_max_us),
    });
    Declaration {
        max_batch_size: u32::try_from(config.max_batch_size.unwrap_or(0)).unwrap_or(u32::MAX),
        versions,
        batching,
        instances: config.instances,
        parameters: config.parameters.clone(),
        labels: labels(config, model),
    }
}

/// The labels by the names of the file and, where a version's outputs have other names for its callers, by those.
fn labels(config: &ModelConfig, model: &Model) -> BTreeMap<String, Arc<[String]>> {
    let mut labels = config.labels.clone();
    for (version, contract) in &model.contracts {
        let Some(serving) = model.serving(*version) else { continue };
        for (ours, theirs) in contract.outputs.iter().zip(&serving.signature.outputs) {
            if let Some(known) = config.labels.get(&theirs.name).filter(|_| !config.labels.contains_key(&ours.name)) {
                labels.insert(ours.name.clone(), known.clone());
            }
        }
    }
    labels
}
