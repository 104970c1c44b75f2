//! The small documents of the protocol: health, metadata and errors; configuration, statistics, the repository and
//! settings are in files of their own.

use base_types::DataType;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

mod config;
mod feedback;
mod repository;
mod settings;
mod statistics;

pub use config::{BatchingView, ConfigView, VersionsView, model_config};
pub use feedback::{
    FEEDBACK_ENTRIES_MAX, FeedbackCounts, FeedbackEntry, FeedbackSaid, decode_feedback, feedback_counts,
};
pub use repository::{IndexLine, decode_change, decode_index, repository_index};
pub use settings::{SettingValue, decode_settings, settings};
pub use statistics::{CountNs, StatisticsView, statistics};

/// Why a body is not what its route asks for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the body is not what this route asks for: {0}")]
pub struct DocumentError(pub(crate) String);

/// An input or output as a document shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorView<'a> {
    /// The name.
    pub name: &'a str,
    /// The element type.
    pub datatype: DataType,
    /// The shape; −1 where any size will do.
    pub shape: Vec<i64>,
}

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

#[derive(Serialize)]
struct Live {
    live: bool,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    live: bool,
}

#[derive(Serialize)]
struct ModelReady<'a> {
    name: &'a str,
    ready: bool,
}

#[derive(Serialize)]
struct ModelList<'a> {
    models: &'a [&'a str],
}

#[derive(Serialize)]
struct Server<'a> {
    name: &'a str,
    version: &'a str,
    extensions: &'a [&'a str],
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    versions: &'a [String],
    platform: &'a str,
    inputs: Vec<Spec<'a>>,
    outputs: Vec<Spec<'a>>,
}

#[derive(Serialize)]
struct Spec<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: &'a [i64],
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    code: &'a str,
    fault: &'a str,
}

/// The answer of `/`.
pub fn alive() -> Vec<u8> {
    json(&Alive { status: "alive" })
}

/// The answer of `/v2/health/live`.
pub fn live() -> Vec<u8> {
    json(&Live { live: true })
}

/// The answer of `/v2/health/ready`; some clients look for `live` in it.
pub fn ready(is_ready: bool) -> Vec<u8> {
    json(&Ready { ready: is_ready, live: true })
}

/// The answer of a model's `ready`.
pub fn model_ready(model: &str) -> Vec<u8> {
    json(&ModelReady { name: model, ready: true })
}

/// The models by name.
pub fn model_list(models: &[&str]) -> Vec<u8> {
    json(&ModelList { models })
}

/// What the server is and which extensions of the protocol it has.
pub fn server_metadata(name: &str, version: &str, extensions: &[&str]) -> Vec<u8> {
    json(&Server { name, version, extensions })
}

/// What a model is.
#[derive(Debug, Clone)]
pub struct ModelView<'a> {
    /// Its name.
    pub name: &'a str,
    /// The versions that answer.
    pub versions: &'a [String],
    /// The format of its file.
    pub platform: &'a str,
    /// What it takes.
    pub inputs: Vec<TensorView<'a>>,
    /// What it gives.
    pub outputs: Vec<TensorView<'a>>,
}

/// What a model takes and gives.
pub fn model_metadata(view: &ModelView<'_>) -> Vec<u8> {
    let ModelView { name, versions, platform, inputs, outputs } = view;
    let inputs = inputs.iter().map(Spec::from).collect();
    let outputs = outputs.iter().map(Spec::from).collect();
    json(&Model { name, versions, platform, inputs, outputs })
}

/// The body of every error: what is wrong, a stable code, and in whose hands it lies.
pub fn error_body(error: &str, code: &str, fault: &str) -> Vec<u8> {
    json(&ErrorBody { error, code, fault })
}

impl<'a> From<&'a TensorView<'_>> for Spec<'a> {
    fn from(tensor: &'a TensorView<'_>) -> Self {
        Self { name: tensor.name, datatype: tensor.datatype.as_str(), shape: &tensor.shape }
    }
}

/// Reads a small body; an empty one says nothing, which is the default of everything.
fn read<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, DocumentError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| DocumentError(error.to_string()))
}

/// Structs of text and numbers always have a JSON form.
fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).unwrap_or_default()
}

#[cfg(test)]
mod tests;
