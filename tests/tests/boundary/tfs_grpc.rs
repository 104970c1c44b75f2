//! TensorFlow Serving's gRPC: Predict, metadata and status, on ONNX models, through the same router.

use std::collections::HashMap;

use base_types::DataType;
use data_grpc::proto::tensorflow::serving as tfs;
use data_grpc::proto::tensorflow::serving::model_spec::VersionChoice;
use data_grpc::proto::tensorflow::tensor_shape_proto::Dim;
use data_grpc::proto::tensorflow::{self, TensorProto, TensorShapeProto};
use prost::Message;
use switchrail_tests::{Calls, Gateway, GrpcReply};
use testkit::onnx::{affine4, identity, multi, nan_when};
use tonic::{Code, Status};

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";
const METADATA: &str = "/tensorflow.serving.PredictionService/GetModelMetadata";
const STATUS: &str = "/tensorflow.serving.ModelService/GetModelStatus";

fn calls(gateway: &Gateway) -> Calls {
    Calls::new(gateway.addresses().grpc)
}

fn tensor(dtype: tensorflow::DataType, shape: &[i64]) -> TensorProto {
    let dim = shape.iter().map(|size| Dim { size: *size, name: String::new() }).collect();
    let tensor_shape = Some(TensorShapeProto { dim, unknown_rank: false });
    TensorProto { dtype: dtype.into(), tensor_shape, ..TensorProto::default() }
}

fn floats(shape: &[i64], float_val: &[f32]) -> TensorProto {
    TensorProto { float_val: float_val.to_vec(), ..tensor(tensorflow::DataType::DtFloat, shape) }
}

fn spec(model: &str, version: Option<VersionChoice>) -> Option<tfs::ModelSpec> {
    Some(tfs::ModelSpec { name: model.to_owned(), version_choice: version, signature_name: String::new() })
}

fn predict(
    calls: &Calls,
    spec: Option<tfs::ModelSpec>,
    inputs: impl IntoIterator<Item = (&'static str, TensorProto)>,
) -> Result<GrpcReply<tfs::PredictResponse>, Status> {
    let inputs: HashMap<String, TensorProto> = inputs.into_iter().map(|(name, t)| (name.to_owned(), t)).collect();
    calls.call(PREDICT, tfs::PredictRequest { model_spec: spec, inputs, output_filter: Vec::new() })
}

fn said<'a>(status: &'a Status, name: &str) -> &'a str {
    status.metadata().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[test]
fn predict_answers_in_typed_fields_and_names_the_version() {
    let gateway = Gateway::builder().model("m", 3, &affine4(2.0, 1.0)).model("multi", 1, &multi()).start();
    let calls = calls(&gateway);
    let row = floats(&[1, 4], &[5.0, 1.0, 2.0, 3.0]);
    let content = TensorProto {
        tensor_content: [5.0f32, 1.0, 2.0, 3.0].map(f32::to_le_bytes).concat().into(),
        ..tensor(tensorflow::DataType::DtFloat, &[1, 4])
    };
    for input in [row, content] {
        let answer = predict(&calls, spec("m", None), [("x", input)]).unwrap();
        let output = &answer.message.outputs["y"];
        assert_eq!(output.float_val, [11.0, 3.0, 5.0, 7.0]);
        let dims: Vec<i64> = output.tensor_shape.as_ref().unwrap().dim.iter().map(|dim| dim.size).collect();
        assert_eq!((output.dtype(), dims), (tensorflow::DataType::DtFloat, vec![1, 4]));
        let served = answer.message.model_spec.clone().unwrap();
        assert_eq!((served.name.as_str(), served.signature_name.as_str()), ("m", "serving_default"));
        assert_eq!(served.version_choice, Some(VersionChoice::Version(3)));
        assert_eq!(answer.said("switchrail-version"), "3");
        assert_eq!(answer.said("switchrail-prediction-id").len(), 48);
    }
    let b = TensorProto { int64_val: vec![-7], ..tensor(tensorflow::DataType::DtInt64, &[1, 1]) };
    let request = tfs::PredictRequest {
        model_spec: spec("multi", None),
        inputs: [("a".to_owned(), floats(&[1, 2], &[1.0, 2.0])), ("b".to_owned(), b)].into(),
        output_filter: vec!["doubled".to_owned()],
    };
    let answer: GrpcReply<tfs::PredictResponse> = calls.call(PREDICT, request).unwrap();
    assert_eq!(answer.message.outputs.len(), 1);
    assert_eq!(answer.message.outputs["doubled"].int64_val, [-14]);
    assert_eq!(gateway.metric("switchrail_requests_total", &[("protocol", "tfs_grpc"), ("outcome", "ok")]), 3.0);
}

#[test]
fn every_data_type_goes_through() {
    use tensorflow::DataType as T;
    let of = |dtype: T| tensor(dtype, &[1, 2]);
    let cases = [
        (DataType::Bool, TensorProto { bool_val: vec![true, false], ..of(T::DtBool) }),
        (DataType::Uint8, TensorProto { int_val: vec![255, 0], ..of(T::DtUint8) }),
        (DataType::Uint16, TensorProto { int_val: vec![65535, 0], ..of(T::DtUint16) }),
        (DataType::Uint32, TensorProto { uint32_val: vec![u32::MAX, 0], ..of(T::DtUint32) }),
        (DataType::Uint64, TensorProto { uint64_val: vec![u64::MAX, 0], ..of(T::DtUint64) }),
        (DataType::Int8, TensorProto { int_val: vec![-128, 127], ..of(T::DtInt8) }),
        (DataType::Int16, TensorProto { int_val: vec![-1, 1], ..of(T::DtInt16) }),
        (DataType::Int32, TensorProto { int_val: vec![i32::MIN, 1], ..of(T::DtInt32) }),
        (DataType::Int64, TensorProto { int64_val: vec![i64::MIN, 1], ..of(T::DtInt64) }),
        (DataType::Fp16, TensorProto { half_val: vec![0x3c00, 0], ..of(T::DtHalf) }),
        (DataType::Bf16, TensorProto { half_val: vec![0x3f80, 0], ..of(T::DtBfloat16) }),
        (DataType::Fp32, TensorProto { float_val: vec![1.5, -0.5], ..of(T::DtFloat) }),
        (DataType::Fp64, TensorProto { double_val: vec![1e300, 0.0], ..of(T::DtDouble) }),
        (DataType::Bytes, TensorProto { string_val: vec![b"a\0\xff".to_vec().into(), "".into()], ..of(T::DtString) }),
    ];
    let name = |datatype: DataType| datatype.as_str().to_lowercase();
    let builder = cases.iter().fold(Gateway::builder(), |b, (t, _)| b.model(&name(*t), 1, &identity(*t)));
    let gateway = builder.start();
    let calls = calls(&gateway);
    for (datatype, input) in cases {
        let answer = predict(&calls, spec(&name(datatype), None), [("x", input.clone())]);
        let answer = answer.unwrap_or_else(|status| panic!("{datatype}: {status}"));
        assert_eq!(answer.message.outputs["y"], input, "{datatype}");
    }
}

#[test]
fn versions_labels_and_faults_go_the_same_way_as_over_rest() {
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\nlabels = { champion = 2 }\n";
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &nan_when(100.0, 2.0, 0.0));
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    let calls = calls(&gateway);
    let ask = |version: Option<VersionChoice>, first: f32| {
        predict(&calls, spec("m", version), [("x", floats(&[1, 4], &[first, 1.0, 2.0, 3.0]))])
    };
    let label = |text: &str| Some(VersionChoice::VersionLabel(text.to_owned()));
    let pinned = ask(Some(VersionChoice::Version(2)), 1.0).unwrap();
    assert_eq!((pinned.said("switchrail-version"), pinned.said("switchrail-reason")), ("2", "pin"));
    assert_eq!(ask(label("champion"), 1.0).unwrap().said("switchrail-reason"), "label");
    for (version, code) in [
        (Some(VersionChoice::Version(7)), Code::NotFound),
        (Some(VersionChoice::Version(0)), Code::InvalidArgument),
        (label("nobody"), Code::NotFound),
        (label("2"), Code::InvalidArgument),
    ] {
        let refused = ask(version.clone(), 1.0).unwrap_err();
        assert_eq!(refused.code(), code, "{version:?}: {refused}");
    }
    let unknown = predict(&calls, spec("nobody", None), []).unwrap_err();
    assert!(unknown.message().starts_with("Servable not found for request: Latest(nobody)"), "{unknown}");
    assert_eq!(predict(&calls, None, []).unwrap_err().code(), Code::InvalidArgument);
    let wrong = predict(&calls, spec("m", None), [("x", floats(&[1, 4], &[1.0; 5]))]).unwrap_err();
    assert_eq!((wrong.code(), said(&wrong, "switchrail-code")), (Code::InvalidArgument, "input_mismatch"));
    let answers: Vec<_> = (0..60).map(|_| ask(None, 200.0).unwrap()).collect();
    assert!(answers.iter().all(|answer| answer.said("switchrail-version") == "1"));
    gateway.wait_state("m", 2, "quarantined");
}

#[test]
fn metadata_and_status_are_those_of_the_model() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, b"no model");
    let gateway = builder.routing("[models.m]\nstable = 1\n").start();
    gateway.wait_refused("m", 2);
    let calls = calls(&gateway);
    let metadata = |model: &str, fields: &[&str]| {
        let metadata_field = fields.iter().map(|field| (*field).to_owned()).collect();
        let asked = tfs::GetModelMetadataRequest { model_spec: spec(model, None), metadata_field };
        calls.call::<_, tfs::GetModelMetadataResponse>(METADATA, asked).map(|reply| reply.message)
    };
    let found = metadata("m", &["signature_def"]).unwrap();
    let any = &found.metadata["signature_def"];
    assert_eq!(any.type_url, "type.googleapis.com/tensorflow.serving.SignatureDefMap");
    let map = tfs::SignatureDefMap::decode(&any.value[..]).unwrap();
    let definition = &map.signature_def["serving_default"];
    let input = &definition.inputs["x"];
    let dims: Vec<i64> = input.tensor_shape.as_ref().unwrap().dim.iter().map(|dim| dim.size).collect();
    assert_eq!((input.dtype(), dims), (tensorflow::DataType::DtFloat, vec![-1, 4]));
    assert_eq!(definition.method_name, "tensorflow/serving/predict");
    assert_eq!(metadata("m", &[]).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(metadata("m", &["other"]).unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(metadata("nobody", &["signature_def"]).unwrap_err().code(), Code::NotFound);
    let status = |model: &str, version| {
        let asked = tfs::GetModelStatusRequest { model_spec: spec(model, version) };
        calls.call::<_, tfs::GetModelStatusResponse>(STATUS, asked).map(|reply| {
            let versions = reply.message.model_version_status.into_iter();
            let line = |v: tfs::ModelVersionStatus| (v.version, v.state(), v.status.unwrap().error_code);
            versions.map(line).collect::<Vec<_>>()
        })
    };
    use tfs::model_version_status::State;
    assert_eq!(status("m", None).unwrap(), [(2, State::End, 13), (1, State::Available, 0)]);
    assert_eq!(status("m", Some(VersionChoice::Version(1))).unwrap(), [(1, State::Available, 0)]);
    assert_eq!(status("m", Some(VersionChoice::Version(9))).unwrap_err().code(), Code::NotFound);
    assert_eq!(status("nobody", None).unwrap_err().code(), Code::NotFound);
}

#[test]
fn what_is_absent_says_so() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let calls = calls(&gateway);
    for path in [
        "/tensorflow.serving.PredictionService/Classify",
        "/tensorflow.serving.PredictionService/Regress",
        "/tensorflow.serving.PredictionService/MultiInference",
        "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
    ] {
        let refused = calls.call::<_, ()>(path, ()).unwrap_err();
        assert_eq!((refused.code(), said(&refused, "switchrail-code")), (Code::Unimplemented, "not_implemented"));
    }
}
