//! What lies beside a model and goes with it: what `config.pbtxt` and the manifest name, and the rest of its folder.

use std::collections::BTreeMap;

use base_types::ModelName;
use control_registry::model_config::{ModelConfig, WarmupData};

use super::place::{CONFIG_FILE, MANIFEST_FILE, Place};
use super::{Content, MODEL_FILE, Planned, content};
use crate::StoreError;
use crate::manifest::Manifest;

/// Most files beside a model.
const FILES_MAX: usize = 1_024;
/// Largest of them, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Largest sum of them, in bytes.
const TOTAL_BYTES_MAX: u64 = 256 << 20;

/// Finds the files, within bounds.
pub(super) fn collect(
    place: &Place,
    files: &[Planned],
    config: Option<&str>,
    manifest: &Manifest,
    model: &ModelName,
) -> Result<Vec<Planned>, StoreError> {
    let mut found = place.unnamed()?;
    // What the runtime reads and what is kept as text is there already.
    let nested = |path: &str| path.strip_prefix("model.onnx/").map(str::to_owned);
    let is_known =
        |path: &str| path == CONFIG_FILE || path == MANIFEST_FILE || files.iter().any(|f| f.file.path == path);
    found.retain(|path, _| !is_known(path) && !nested(path).is_some_and(|path| is_known(&path)));
    for name in &manifest.files {
        check_path(place, name)?;
        if !found.contains_key(name) {
            let content = place.beside_manifest(name)?;
            let content = content.ok_or_else(|| {
                place.refuse(format!("manifest.toml names {name:?}, which is not there: put it beside the manifest"))
            })?;
            found.insert(name.clone(), content);
        }
    }
    if let Some(text) = config {
        named_by_config(place, text, model, &mut found)?;
    }
    check_bounds(place, &found)?;
    found.into_iter().map(|(path, content)| content::plan(&path, content, &[])).collect()
}

fn named_by_config(
    place: &Place,
    text: &str,
    model: &ModelName,
    found: &mut BTreeMap<String, Content>,
) -> Result<(), StoreError> {
    let config = ModelConfig::parse(text, model).map_err(StoreError::Refused)?;
    let labels = config.outputs.iter().filter_map(|output| output.label_file.clone());
    let samples = config.warmups.iter().flat_map(|sample| &sample.inputs);
    let warmups = samples.filter_map(|input| match &input.data {
        WarmupData::File(name) => Some(format!("warmup/{name}")),
        _ => None,
    });
    for name in labels.chain(warmups) {
        check_path(place, &name)?;
        if !found.contains_key(&name)
            && let Some(content) = place.beside_config(&name)?
        {
            found.insert(name, content);
        }
    }
    Ok(())
}

/// Names from files lead to nowhere else.
fn check_path(place: &Place, name: &str) -> Result<(), StoreError> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    if name.split('/').all(is_plain) && name != MODEL_FILE {
        return Ok(());
    }
    Err(place.refuse(format!("a file beside the model cannot be {name:?}: name one in its folder or below")))
}

fn check_bounds(place: &Place, found: &BTreeMap<String, Content>) -> Result<(), StoreError> {
    let remedy = "push the model file itself, which takes only what it and its manifest name";
    let place = place.path.display();
    let too_large = |what, limit| Err(StoreError::TooLarge { what, limit, remedy });
    if found.len() > FILES_MAX {
        return too_large(format!("the number of files beside the model in {place}"), FILES_MAX as u64);
    }
    if let Some((path, _)) = found.iter().find(|(_, content)| content.size() > FILE_BYTES_MAX) {
        return too_large(format!("{path:?} beside the model in {place}"), FILE_BYTES_MAX);
    }
    if found.values().map(Content::size).sum::<u64>() > TOTAL_BYTES_MAX {
        return too_large(format!("the size of the files beside the model in {place}"), TOTAL_BYTES_MAX);
    }
    Ok(())
}
