//! What TensorFlow Serving's clients are told about models, and what is absent on purpose.

use base_types::{Signature, TensorSpec};
use data_codec::tfs::{METHOD_NAME, SIGNATURE_NAME, state_error, state_name, tensorflow_type};
use data_path::{Code, Failure, StateOfVersion, in_words_of_tfs, version_states};
use prost::Message;
use prost_types::Any;

use super::predict::Spec;
use crate::edge::Grpc;
use crate::inform::{Route, absent, told};
use crate::proto::tensorflow::serving::model_spec::VersionChoice;
use crate::proto::tensorflow::serving::model_version_status::State;
use crate::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelMetadataResponse, GetModelStatusRequest, GetModelStatusResponse, ModelSpec,
    ModelVersionStatus, SignatureDefMap, StatusProto,
};
use crate::proto::tensorflow::tensor_info::Encoding;
use crate::proto::tensorflow::tensor_shape_proto::Dim;
use crate::proto::tensorflow::{SignatureDef, TensorInfo, TensorShapeProto};

/// The one kind of metadata there is.
const SIGNATURE_DEF: &str = "signature_def";
const SIGNATURE_DEF_TYPE: &str = "type.googleapis.com/tensorflow.serving.SignatureDefMap";

/// What answers a path; `None` where it is none of TensorFlow Serving's.
pub(crate) fn tfs_route(path: &str) -> Option<Result<Route, Failure>> {
    Some(match path {
        "/tensorflow.serving.PredictionService/GetModelMetadata" => {
            Ok(Route::Tell(|grpc, frames| told(frames, |asked| grpc.metadata(asked))))
        }
        "/tensorflow.serving.ModelService/GetModelStatus" => {
            Ok(Route::Tell(|grpc, frames| told(frames, |asked| grpc.status(asked))))
        }
        "/tensorflow.serving.PredictionService/Classify" | "/tensorflow.serving.PredictionService/Regress" => {
            absent("examples are not taken over gRPC: ask with Predict, or with :classify and :regress over REST")
        }
        "/tensorflow.serving.PredictionService/MultiInference" => {
            absent("several questions in one are not taken: ask with Predict for each")
        }
        "/tensorflow.serving.ModelService/HandleReloadConfigRequest" => {
            absent("models and labels are the operator's: they are set in routing.toml and by command")
        }
        _ => return None,
    })
}

impl Grpc {
    fn metadata(&self, asked: GetModelMetadataRequest) -> Result<GetModelMetadataResponse, Failure> {
        match asked.metadata_field.iter().find(|field| *field != SIGNATURE_DEF) {
            Some(other) => {
                let text = format!("there is no metadata field {other:?}: there is {SIGNATURE_DEF:?}");
                return Err(Failure::new(Code::Malformed, text));
            }
            None if asked.metadata_field.is_empty() => {
                let text = format!("no metadata field is asked for: there is {SIGNATURE_DEF:?}");
                return Err(Failure::new(Code::Malformed, text));
            }
            None => {}
        }
        let spec = spec(asked.model_spec)?;
        let (name, pin) = spec.target()?;
        let version = pin.as_ref().map(ToString::to_string).unwrap_or_default();
        let told = self.with_version((&name, &version), |model, version, _| {
            let map = SignatureDefMap {
                signature_def: [(SIGNATURE_NAME.to_owned(), signature_def(model.signature(version)))].into(),
            };
            GetModelMetadataResponse {
                model_spec: Some(ModelSpec {
                    name: model.name.as_str().to_owned(),
                    version_choice: Some(VersionChoice::Version(version.id.version.get() as i64)),
                    signature_name: String::new(),
                }),
                metadata: [(
                    SIGNATURE_DEF.to_owned(),
                    Any { type_url: SIGNATURE_DEF_TYPE.to_owned(), value: map.encode_to_vec() },
                )]
                .into(),
            }
        });
        told.map_err(|failure| in_words_of_tfs(failure, &name, pin.as_ref()))
    }

    fn status(&self, asked: GetModelStatusRequest) -> Result<GetModelStatusResponse, Failure> {
        let spec = spec(asked.model_spec)?;
        let (name, pin) = spec.target()?;
        let snapshot = self.0.edge.gateway.snapshot();
        let model = snapshot.models.get(name.as_str()).ok_or_else(|| self.no_model(&name));
        let versions = model.and_then(|model| version_states(model, pin.as_ref()));
        let versions = versions.map_err(|failure| in_words_of_tfs(failure, &name, pin.as_ref()))?;
        Ok(GetModelStatusResponse { model_version_status: versions.into_iter().map(status_of).collect() })
    }
}

fn spec(spec: Option<ModelSpec>) -> Result<Spec, Failure> {
    let spec = spec.ok_or_else(|| Failure::new(Code::Malformed, "`model_spec` is missing"))?;
    let (version, label) = match spec.version_choice {
        None => (None, String::new()),
        Some(VersionChoice::Version(number)) => (Some(number), String::new()),
        Some(VersionChoice::VersionLabel(label)) => (None, label),
    };
    Ok(Spec { model: spec.name, version, label, signature: spec.signature_name })
}

fn signature_def(signature: &Signature) -> SignatureDef {
    let infos = |specs: &[TensorSpec]| specs.iter().map(|spec| (spec.name.clone(), info(spec))).collect();
    SignatureDef {
        inputs: infos(&signature.inputs),
        outputs: infos(&signature.outputs),
        method_name: METHOD_NAME.to_owned(),
    }
}

fn info(spec: &TensorSpec) -> TensorInfo {
    let dim = spec.wire_dims().map(|size| Dim { size, name: String::new() });
    TensorInfo {
        encoding: Some(Encoding::Name(spec.name.clone())),
        dtype: tensorflow_type(spec.datatype).number,
        tensor_shape: Some(TensorShapeProto { dim: dim.collect(), unknown_rank: false }),
    }
}

fn status_of(known: StateOfVersion<'_>) -> ModelVersionStatus {
    let StateOfVersion { version, state, reason } = known;
    let (_, error_code) = state_error(state);
    // Where all is well there is nothing to say, and where it is not there is always something.
    let error_message = match reason {
        _ if error_code == 0 => "",
        "" => state.as_str(),
        reason => reason,
    };
    ModelVersionStatus {
        version: version.get() as i64,
        state: State::from_str_name(state_name(state)).unwrap_or_default().into(),
        status: Some(StatusProto { error_code, error_message: error_message.to_owned() }),
    }
}
