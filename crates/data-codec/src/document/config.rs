//! A model's configuration as Triton shows it: its own field names, with defaults printed.

use std::collections::BTreeMap;

use base_types::DataType;
use serde::Serialize;

use super::{TensorView, json};

/// What a model's configuration says.
#[derive(Debug, Clone)]
pub struct ConfigView<'a> {
    /// The model.
    pub name: &'a str,
    /// What it is.
    pub platform: &'a str,
    /// What runs it.
    pub backend: &'a str,
    /// The file with the model.
    pub model_file: &'a str,
    /// Largest batch; 0 where the batch axis is a part of the shapes.
    pub max_batch_size: u32,
    /// Which versions are wanted.
    pub versions: VersionsView,
    /// The inputs; shapes without the batch axis, where there is one.
    pub inputs: Vec<TensorView<'a>>,
    /// The outputs.
    pub outputs: Vec<TensorView<'a>>,
    /// How requests are put together into batches, where that is declared.
    pub batching: Option<BatchingView>,
    /// Runs side by side, where that is declared.
    pub instances: Option<u32>,
    /// Free parameters.
    pub parameters: &'a BTreeMap<String, String>,
}

/// Which versions are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionsView {
    /// The highest so many.
    Latest(usize),
    /// Every one.
    All,
    /// These.
    Specific(Vec<u64>),
}

/// How requests are put together into batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchingView {
    /// Sizes worth waiting for.
    pub preferred_sizes: Vec<u32>,
    /// The longest wait, in microseconds.
    pub delay_us: u64,
}

/// An object without fields.
#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum VersionPolicy {
    Latest { num_versions: usize },
    All {},
    Specific { versions: Vec<u64> },
}

#[derive(Serialize)]
struct Config<'a> {
    name: &'a str,
    platform: &'a str,
    backend: &'a str,
    runtime: &'static str,
    version_policy: VersionPolicy,
    max_batch_size: u32,
    input: Vec<Input<'a>>,
    output: Vec<Output<'a>>,
    batch_input: [Empty; 0],
    batch_output: [Empty; 0],
    instance_group: Vec<InstanceGroup<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_batching: Option<DynamicBatching>,
    default_model_filename: &'a str,
    cc_model_filenames: Empty,
    metric_tags: Empty,
    parameters: BTreeMap<&'a str, ParameterValue<'a>>,
    model_warmup: [Empty; 0],
    model_transaction_policy: TransactionPolicy,
    response_cache: ResponseCache,
}

#[derive(Serialize)]
struct Input<'a> {
    name: &'a str,
    data_type: &'static str,
    format: &'static str,
    dims: &'a [i64],
    is_shape_tensor: bool,
    allow_ragged_batch: bool,
    optional: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    data_type: &'static str,
    dims: &'a [i64],
    label_filename: &'static str,
    is_shape_tensor: bool,
}

#[derive(Serialize)]
struct InstanceGroup<'a> {
    name: &'a str,
    kind: &'static str,
    count: u32,
    gpus: [u32; 0],
    secondary_devices: [Empty; 0],
    profile: [&'static str; 0],
    passive: bool,
    host_policy: &'static str,
}

#[derive(Serialize)]
struct DynamicBatching {
    preferred_batch_size: Vec<u32>,
    max_queue_delay_microseconds: u64,
    preserve_ordering: bool,
    priority_levels: u32,
    default_priority_level: u32,
    priority_queue_policy: Empty,
}

#[derive(Serialize)]
struct ParameterValue<'a> {
    string_value: &'a str,
}

#[derive(Serialize)]
struct TransactionPolicy {
    decoupled: bool,
}

#[derive(Serialize)]
struct ResponseCache {
    enable: bool,
}

/// The answer of a model's `config`.
pub fn model_config(view: &ConfigView<'_>) -> Vec<u8> {
    let instances = view.instances.map(|count| instance_group(view.name, count));
    json(&Config {
        name: view.name,
        platform: view.platform,
        backend: view.backend,
        runtime: "",
        version_policy: match &view.versions {
            VersionsView::Latest(num_versions) => VersionPolicy::Latest { num_versions: *num_versions },
            VersionsView::All => VersionPolicy::All {},
            VersionsView::Specific(versions) => VersionPolicy::Specific { versions: versions.clone() },
        },
        max_batch_size: view.max_batch_size,
        input: view.inputs.iter().map(input).collect(),
        output: view.outputs.iter().map(output).collect(),
        batch_input: [],
        batch_output: [],
        instance_group: instances.into_iter().collect(),
        dynamic_batching: view.batching.as_ref().map(dynamic_batching),
        default_model_filename: view.model_file,
        cc_model_filenames: Empty {},
        metric_tags: Empty {},
        parameters: view.parameters.iter().map(|(name, value)| (name.as_str(), parameter(value))).collect(),
        model_warmup: [],
        model_transaction_policy: TransactionPolicy { decoupled: false },
        response_cache: ResponseCache { enable: false },
    })
}

fn input<'a>(tensor: &'a TensorView<'_>) -> Input<'a> {
    Input {
        name: tensor.name,
        data_type: data_type(tensor.datatype),
        format: "FORMAT_NONE",
        dims: &tensor.shape,
        is_shape_tensor: false,
        allow_ragged_batch: false,
        optional: false,
    }
}

fn output<'a>(tensor: &'a TensorView<'_>) -> Output<'a> {
    Output {
        name: tensor.name,
        data_type: data_type(tensor.datatype),
        dims: &tensor.shape,
        label_filename: "",
        is_shape_tensor: false,
    }
}

fn instance_group(name: &str, count: u32) -> InstanceGroup<'_> {
    InstanceGroup {
        name,
        kind: "KIND_CPU",
        count,
        gpus: [],
        secondary_devices: [],
        profile: [],
        passive: false,
        host_policy: "",
    }
}

fn dynamic_batching(batching: &BatchingView) -> DynamicBatching {
    DynamicBatching {
        preferred_batch_size: batching.preferred_sizes.clone(),
        max_queue_delay_microseconds: batching.delay_us,
        preserve_ordering: false,
        priority_levels: 0,
        default_priority_level: 0,
        priority_queue_policy: Empty {},
    }
}

fn parameter(value: &str) -> ParameterValue<'_> {
    ParameterValue { string_value: value }
}

/// The type's name in a configuration.
fn data_type(datatype: DataType) -> &'static str {
    match datatype {
        DataType::Bool => "TYPE_BOOL",
        DataType::Uint8 => "TYPE_UINT8",
        DataType::Uint16 => "TYPE_UINT16",
        DataType::Uint32 => "TYPE_UINT32",
        DataType::Uint64 => "TYPE_UINT64",
        DataType::Int8 => "TYPE_INT8",
        DataType::Int16 => "TYPE_INT16",
        DataType::Int32 => "TYPE_INT32",
        DataType::Int64 => "TYPE_INT64",
        DataType::Fp16 => "TYPE_FP16",
        DataType::Bf16 => "TYPE_BF16",
        DataType::Fp32 => "TYPE_FP32",
        DataType::Fp64 => "TYPE_FP64",
        DataType::Bytes => "TYPE_STRING",
    }
}
