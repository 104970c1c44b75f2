//! What the gateway tells about its models, whatever protocol asks: views of one snapshot, without waiting for anybody.

mod states;

use std::time::Duration;

use base_metrics::AliasFigures;
use base_serving::{ServingModel, ServingVersion, Snapshot, Stats};
use base_types::{DataType, Selector, TensorSpec, Version, VersionState};

use crate::{Code, Failure, find, no_such_model};

pub use states::{StateOfVersion, in_words_of_tfs, version_states};

/// What every model is, as Triton names it.
pub const PLATFORM: &str = "onnxruntime_onnx";
/// What runs every model, as Triton names it.
pub const BACKEND: &str = "onnxruntime";
/// The file of a version that holds the model, as Triton names it.
pub const MODEL_FILE: &str = "model.onnx";

/// States of a repository index, in Triton's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    /// It answers.
    Ready,
    /// It does not, and nothing is under way.
    Unavailable,
    /// It is being read, checked or loaded.
    Loading,
    /// Its last requests are finishing.
    Unloading,
}

impl IndexState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "READY",
            Self::Unavailable => "UNAVAILABLE",
            Self::Loading => "LOADING",
            Self::Unloading => "UNLOADING",
        }
    }
}

/// A line of the repository index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The model.
    pub name: String,
    /// Its version; none where no version of the model is known.
    pub version: Option<Version>,
    /// What it does.
    pub state: IndexState,
    /// Why it does not answer; empty where there is nothing to say.
    pub reason: String,
}

/// Every model and version that is known, by name and number.
pub fn index(snapshot: &Snapshot) -> Vec<IndexEntry> {
    sorted(snapshot).into_iter().flat_map(entries).collect()
}

fn sorted(snapshot: &Snapshot) -> Vec<&ServingModel> {
    let mut models: Vec<&ServingModel> = snapshot.models.values().map(AsRef::as_ref).collect();
    models.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    models
}

fn entries(model: &ServingModel) -> Vec<IndexEntry> {
    let entry = |version, state, reason: &str| IndexEntry {
        name: model.name.to_string(),
        version,
        state,
        reason: reason.to_owned(),
    };
    let ready = model.versions.keys().map(|version| entry(Some(*version), IndexState::Ready, ""));
    // A version can be in memory and judged bad at once; what answers nobody by its own wins.
    let is_elsewhere = |version: &Version| model.versions.contains_key(version);
    let unready = model.unready.iter().filter(|(version, _)| !is_elsewhere(version)).map(|(version, unready)| {
        let state = index_state(unready.state);
        let word = if state == IndexState::Unavailable { unready.state.as_str() } else { "" };
        entry(Some(*version), state, if unready.reason.is_empty() { word } else { &unready.reason })
    });
    let mut entries: Vec<IndexEntry> = ready.chain(unready).collect();
    if entries.is_empty() {
        entries.push(entry(None, IndexState::Unavailable, ""));
    }
    entries.sort_unstable_by_key(|entry| entry.version);
    entries
}

fn index_state(state: VersionState) -> IndexState {
    match state {
        VersionState::Ready => IndexState::Ready,
        VersionState::Gating | VersionState::Loading => IndexState::Loading,
        VersionState::Draining => IndexState::Unloading,
        VersionState::Registered | VersionState::Unloaded | VersionState::Failed | VersionState::Quarantined => {
            IndexState::Unavailable
        }
    }
}

/// The figures of one version since it was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatistics {
    /// The model.
    pub name: String,
    /// The version.
    pub version: Version,
    /// Its figures.
    pub stats: Stats,
}

/// The figures of versions that answer: of one, of a model's, or of all models', by name and number.
///
/// # Errors
/// No such model, version or label, or nothing of the model answers.
pub fn statistics(
    snapshot: &Snapshot,
    model: Option<&str>,
    pin: Option<&Selector>,
) -> Result<Vec<ModelStatistics>, Failure> {
    let Some(name) = model else {
        let models = sorted(snapshot).into_iter();
        return Ok(models.flat_map(|model| model.versions.values()).map(|version| figures(version)).collect());
    };
    let model = snapshot.models.get(name).ok_or_else(|| no_such_model(name))?;
    if pin.is_some() {
        return Ok(vec![figures(find(model, pin)?)]);
    }
    if model.versions.is_empty() {
        return Err(Failure::new(Code::ModelNotReady, format!("no version of model {name:?} is ready")));
    }
    Ok(model.versions.values().map(|version| figures(version)).collect())
}

fn figures(version: &ServingVersion) -> ModelStatistics {
    ModelStatistics { name: version.id.model.to_string(), version: version.id.version, stats: version.stats.read() }
}

/// The same figures as other servers name them in their metrics.
pub fn alias_figures(snapshot: &Snapshot) -> Vec<AliasFigures> {
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let figures = |version: &ServingVersion| {
        let stats = version.stats.read();
        AliasFigures {
            model: version.id.model.to_string(),
            version: version.id.version.get(),
            n_success: stats.success.count,
            n_failure: stats.fail.count,
            n_rows: stats.n_rows,
            n_runs: stats.n_runs,
            n_waiting: version.lane.waiting() as u64,
            request_us: us(stats.success.time),
            queue_us: us(stats.queue.time),
            input_us: us(stats.input.time),
            infer_us: us(stats.infer.time),
        }
    };
    sorted(snapshot).into_iter().flat_map(|model| model.versions.values()).map(|version| figures(version)).collect()
}

/// An input or output as the protocols show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireTensor<'a> {
    /// The name callers use.
    pub name: &'a str,
    /// The element type.
    pub datatype: DataType,
    /// The whole shape, for metadata: −1 where any size will do.
    pub shape: Vec<i64>,
    /// The shape as a model configuration declares it: without the batch axis, where the model has one of its own.
    pub dims: Vec<i64>,
}

/// What a version takes and gives, as the protocols show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireSignature<'a> {
    /// The inputs, in the model's order.
    pub inputs: Vec<WireTensor<'a>>,
    /// The outputs, in the model's order.
    pub outputs: Vec<WireTensor<'a>>,
}

/// The signature of a version under the names of the model's contract.
pub fn wire_signature<'a>(model: &'a ServingModel, version: &'a ServingVersion) -> WireSignature<'a> {
    let is_batched = model.declared.max_batch_size >= 1;
    let signature = model.signature(version);
    let wire = |specs: &'a [TensorSpec]| specs.iter().map(|spec| wire_tensor(spec, is_batched)).collect();
    WireSignature { inputs: wire(&signature.inputs), outputs: wire(&signature.outputs) }
}

fn wire_tensor(spec: &TensorSpec, is_batched: bool) -> WireTensor<'_> {
    let mut shape: Vec<i64> = spec.wire_dims().collect();
    let dims = shape.iter().skip(usize::from(is_batched)).copied().collect();
    if let Some(batch) = shape.first_mut().filter(|_| is_batched) {
        *batch = -1;
    }
    WireTensor { name: &spec.name, datatype: spec.datatype, shape, dims }
}

/// Takes a model's name and the text of a version or label as a caller gave them, by the same rules on every wire. An
/// empty version means none was named.
///
/// # Errors
/// The name is empty or holds a `/`, or the version is neither a positive integer nor a label.
pub fn target<'a>(model: &'a str, version: &str) -> Result<(&'a str, Option<Selector>), Failure> {
    if model.is_empty() || model.contains('/') {
        let text = format!("{model:?} is no name of a model: it is not empty and holds no '/'");
        return Err(Failure::new(Code::Malformed, text));
    }
    if version.is_empty() {
        return Ok((model, None));
    }
    let pin = version.parse().map_err(|error: base_types::NameError| Failure::new(Code::Malformed, error.to_string()));
    Ok((model, Some(pin?)))
}

#[cfg(test)]
mod tests;
