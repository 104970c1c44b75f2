//! A model's configuration as Triton's message: what config.pbtxt declares, and the model's own inputs and outputs.

use base_serving::{ServingModel, ServingVersion, WantedVersions};
use base_types::DataType;
use data_path::{BACKEND, MODEL_FILE, PLATFORM, wire_signature};

use crate::proto::inference as oip;
use crate::proto::inference::model_config::SchedulingChoice;
use crate::proto::inference::model_instance_group::Kind;
use crate::proto::inference::model_version_policy::{All, Latest, PolicyChoice, Specific};

/// The configuration of a model, with the signature of one version.
pub(crate) fn model_config(model: &ServingModel, version: &ServingVersion) -> oip::ModelConfig {
    let signature = wire_signature(model, version);
    let declared = &model.declared;
    let input = signature.inputs.iter().map(|tensor| oip::ModelInput {
        name: tensor.name.to_owned(),
        data_type: data_type(tensor.datatype).into(),
        dims: tensor.dims.clone(),
        ..oip::ModelInput::default()
    });
    let output = signature.outputs.iter().map(|tensor| oip::ModelOutput {
        name: tensor.name.to_owned(),
        data_type: data_type(tensor.datatype).into(),
        dims: tensor.dims.clone(),
        ..oip::ModelOutput::default()
    });
    let instances = declared.instances.map(|count| oip::ModelInstanceGroup {
        name: model.name.as_str().to_owned(),
        count: i32::try_from(count).unwrap_or(i32::MAX),
        kind: Kind::Cpu.into(),
    });
    let batching = declared.batching.as_ref().map(|batching| oip::ModelDynamicBatching {
        preferred_batch_size: batching.preferred_sizes.iter().filter_map(|size| i32::try_from(*size).ok()).collect(),
        max_queue_delay_microseconds: u64::try_from(batching.delay_max.as_micros()).unwrap_or(u64::MAX),
    });
    let parameters = declared.parameters.iter();
    oip::ModelConfig {
        name: model.name.as_str().to_owned(),
        platform: PLATFORM.to_owned(),
        backend: BACKEND.to_owned(),
        version_policy: Some(oip::ModelVersionPolicy { policy_choice: Some(policy(&declared.versions)) }),
        max_batch_size: i32::try_from(declared.max_batch_size).unwrap_or(i32::MAX),
        input: input.collect(),
        output: output.collect(),
        instance_group: instances.into_iter().collect(),
        default_model_filename: MODEL_FILE.to_owned(),
        scheduling_choice: batching.map(SchedulingChoice::DynamicBatching),
        parameters: parameters
            .map(|(name, value)| (name.clone(), oip::ModelParameter { string_value: value.clone() }))
            .collect(),
        model_transaction_policy: Some(oip::ModelTransactionPolicy { decoupled: false }),
        response_cache: Some(oip::ModelResponseCache { enable: false }),
    }
}

fn policy(wanted: &WantedVersions) -> PolicyChoice {
    match wanted {
        WantedVersions::Latest(n) => {
            PolicyChoice::Latest(Latest { num_versions: u32::try_from(*n).unwrap_or(u32::MAX) })
        }
        WantedVersions::All => PolicyChoice::All(All {}),
        WantedVersions::Specific(versions) => {
            PolicyChoice::Specific(Specific { versions: versions.iter().map(|v| v.get() as i64).collect() })
        }
    }
}

fn data_type(datatype: DataType) -> oip::DataType {
    match datatype {
        DataType::Bool => oip::DataType::TypeBool,
        DataType::Uint8 => oip::DataType::TypeUint8,
        DataType::Uint16 => oip::DataType::TypeUint16,
        DataType::Uint32 => oip::DataType::TypeUint32,
        DataType::Uint64 => oip::DataType::TypeUint64,
        DataType::Int8 => oip::DataType::TypeInt8,
        DataType::Int16 => oip::DataType::TypeInt16,
        DataType::Int32 => oip::DataType::TypeInt32,
        DataType::Int64 => oip::DataType::TypeInt64,
        DataType::Fp16 => oip::DataType::TypeFp16,
        DataType::Bf16 => oip::DataType::TypeBf16,
        DataType::Fp32 => oip::DataType::TypeFp32,
        DataType::Fp64 => oip::DataType::TypeFp64,
        DataType::Bytes => oip::DataType::TypeString,
    }
}
