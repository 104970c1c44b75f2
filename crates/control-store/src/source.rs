//! What is to be pushed: found, read and looked through before the store is touched.

mod beside;
mod content;
mod place;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use base_types::{Digest, ModelName};
use control_registry::preflight::{self, Description, Facts, TensorPlace};
use control_registry::repository::digest_of;
use control_registry::{Limits, Refusal, RefusalCode};

use crate::manifest::{self, Manifest};
use crate::record::{OnnxRecord, OpsetRecord, SignatureRecord, ValueRecord};
use crate::{FileRecord, StoreError, cut};
pub(crate) use content::{Content, changed as content_changed};
pub(crate) use place::{Place, Unpacked};

/// Under this name the store keeps a model file, whatever it was called: a version is what it does, not what it was
/// called.
pub(crate) const MODEL_FILE: &str = "model.onnx";
/// Longest metadata value that is kept, in bytes.
const METADATA_BYTES_MAX: usize = 4 << 10;

/// A file of the source and the parts it will be stored in.
#[derive(Debug)]
pub(crate) struct Planned {
    pub file: FileRecord,
    pub content: Content,
}

/// A version as it lies on the disk of whoever pushes it.
#[derive(Debug)]
pub(crate) struct Source {
    /// What the runtime reads, the model first.
    pub files: Vec<Planned>,
    pub beside: Vec<Planned>,
    pub digest: Digest,
    pub config_pbtxt: Option<String>,
    pub manifest_toml: Option<String>,
    pub manifest: Manifest,
    pub signature: SignatureRecord,
    pub onnx: OnnxRecord,
}

/// Reads a source from its place. `model` is the name it will have.
pub(crate) fn read(place: &Place, model: &ModelName, limits: &Limits) -> Result<Source, StoreError> {
    let content = place.model_file()?;
    check_size(&place.path, content.size(), limits.model_file_bytes)?;
    let bytes = content.read_all()?;
    let refused = StoreError::Refused;
    let facts = preflight::scan(&bytes, limits).map_err(refused)?;
    let description = preflight::describe(&bytes, cut::TENSOR_BYTES_MIN).map_err(refused)?;
    let (inside, outside) = tensor_spans(&description);
    let mut files = vec![content::plan(MODEL_FILE, Content::Memory(bytes.into()), &inside)?];
    let mut total = files[0].file.size;
    for external in &facts.external {
        let content = place.beside_model(&external.location)?.ok_or_else(|| missing(&external.location))?;
        if content.size() < external.bytes_min {
            return Err(too_short(&external.location, content.size(), external.bytes_min));
        }
        total = total.saturating_add(content.size());
        check_size(&place.path, total, limits.version_bytes)?;
        if external.location == MODEL_FILE {
            return Err(place.refuse(format!("its external data lie in a file named {MODEL_FILE}: export it again")));
        }
        let spans = outside.get(external.location.as_str()).map(Vec::as_slice).unwrap_or_default();
        files.push(content::plan(&external.location, content, spans)?);
    }
    let config_pbtxt = place.config()?;
    let manifest_toml = place.manifest()?;
    let manifest = match &manifest_toml {
        Some(text) => manifest::parse(text).map_err(|reason| place.refuse(format!("manifest.toml: {reason}")))?,
        None => Manifest::default(),
    };
    let beside = beside::collect(place, &files, config_pbtxt.as_deref(), &manifest, model)?;
    let hashes = files.iter().map(|f| (f.file.path.clone(), f.file.size, *f.file.sha256.as_bytes())).collect();
    Ok(Source {
        digest: digest_of(hashes),
        files,
        beside,
        config_pbtxt,
        manifest_toml,
        manifest,
        signature: signature(&description),
        onnx: onnx(&facts, description),
    })
}

type Spans = Vec<Range<u64>>;

/// Where large tensors lie, in the model file and in the files beside it.
fn tensor_spans(description: &Description) -> (Spans, BTreeMap<&str, Spans>) {
    let (mut inside, mut outside): (Spans, BTreeMap<&str, Spans>) = Default::default();
    for tensor in &description.tensors {
        match &tensor.place {
            TensorPlace::Inside(span) | TensorPlace::Values(span) => inside.push(span.clone()),
            TensorPlace::Beside { location, offset, bytes: Some(bytes) } => {
                let end = offset.saturating_add(*bytes);
                outside.entry(location.as_str()).or_default().push(*offset..end);
            }
            TensorPlace::Beside { .. } => {}
        }
    }
    (inside, outside)
}

fn signature(description: &Description) -> SignatureRecord {
    let record = |value: &preflight::ValueInfo| ValueRecord {
        name: value.name.clone(),
        datatype: value.datatype.clone(),
        shape: value.shape.clone(),
    };
    SignatureRecord {
        inputs: description.inputs.iter().map(record).collect(),
        outputs: description.outputs.iter().map(record).collect(),
    }
}

fn onnx(facts: &Facts, description: Description) -> OnnxRecord {
    let opset = |(domain, version): &(String, i64)| OpsetRecord { domain: domain.clone(), version: *version };
    let metadata = description.metadata.into_iter().map(|(key, value)| (shorten(key), shorten(value)));
    OnnxRecord {
        producer: shorten(description.producer),
        producer_version: shorten(description.producer_version),
        ir: facts.ir_version,
        opsets: facts.opsets.iter().map(opset).collect(),
        metadata: metadata.collect(),
    }
}

/// Cuts what is too long for a record; the file itself holds all of it.
fn shorten(mut text: String) -> String {
    if text.len() > METADATA_BYTES_MAX {
        let n_bytes = text.len();
        let end = (0..=METADATA_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str(&format!("… ({n_bytes} bytes)"));
    }
    text
}

fn check_size(path: &Path, bytes: u64, limit: u64) -> Result<(), StoreError> {
    if bytes <= limit {
        return Ok(());
    }
    let what = format!("{} with {bytes} bytes", path.display());
    Err(StoreError::TooLarge { what, limit, remedy: "export a smaller model" })
}

fn missing(location: &str) -> StoreError {
    let text = format!("the external data file {location:?} is missing: put it beside the model");
    StoreError::Refused(Refusal::new(RefusalCode::ExternalMissing, text))
}

fn too_short(location: &str, bytes: u64, needed: u64) -> StoreError {
    let text =
        format!("the external data file {location:?} has {bytes} bytes, the model needs {needed}: copy it again");
    StoreError::Refused(Refusal::new(RefusalCode::ExternalMissing, text))
}

pub(crate) fn source_error(path: impl Into<PathBuf>, reason: impl Into<String>) -> StoreError {
    StoreError::Source { path: path.into(), reason: reason.into() }
}
