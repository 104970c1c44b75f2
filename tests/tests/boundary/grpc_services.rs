//! Everything over gRPC that asks no model: metadata, repository, settings, health, reflection, and what is absent.

use data_grpc::proto::health::{HealthCheckRequest, HealthCheckResponse};
use data_grpc::proto::inference as oip;
use data_grpc::proto::inference::{log_settings_request, log_settings_response};
use switchrail_tests::{Calls, Gateway, GrpcInfer};
use testkit::onnx::affine4;
use tonic::{Code, Status};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

macro_rules! oip {
    ($name:literal) => {
        concat!("/inference.GRPCInferenceService/", $name)
    };
}

const CHECK: &str = "/grpc.health.v1.Health/Check";

fn calls(gateway: &Gateway) -> Calls {
    Calls::new(gateway.addresses().grpc)
}

fn gateway() -> Gateway {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0));
    let gateway = builder.model("empty", 1, b"no model").routing("[models.m]\nstable = 1\n").start();
    gateway.wait_state("m", 2, "ready");
    gateway
}

fn said<'a>(status: &'a Status, name: &str) -> &'a str {
    status.metadata().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn model(name: &str, version: &str) -> (String, String) {
    (name.to_owned(), version.to_owned())
}

#[test]
fn server_and_models_are_described_as_over_rest() {
    let gateway = gateway();
    let calls = calls(&gateway);
    let live: oip::ServerLiveResponse = calls.call(oip!("ServerLive"), oip::ServerLiveRequest {}).unwrap().message;
    let ready: oip::ServerReadyResponse = calls.call(oip!("ServerReady"), oip::ServerReadyRequest {}).unwrap().message;
    assert!(live.live && ready.ready);
    let server: oip::ServerMetadataResponse =
        calls.call(oip!("ServerMetadata"), oip::ServerMetadataRequest {}).unwrap().message;
    let rest = gateway.get("/v2").json();
    assert_eq!(serde_json::json!([server.name, server.version]), serde_json::json!([rest["name"], rest["version"]]));
    assert_eq!(serde_json::json!(server.extensions), rest["extensions"]);
    let metadata = |(name, version)| {
        let asked = oip::ModelMetadataRequest { name, version };
        calls.call::<_, oip::ModelMetadataResponse>(oip!("ModelMetadata"), asked).map(|reply| reply.message)
    };
    let all = metadata(model("m", "")).unwrap();
    assert_eq!((all.versions, all.platform.as_str()), (vec!["1".to_owned(), "2".to_owned()], "onnxruntime_onnx"));
    let input = &all.inputs[0];
    assert_eq!((input.name.as_str(), input.datatype.as_str(), &input.shape[..]), ("x", "FP32", &[-1, 4][..]));
    assert_eq!(metadata(model("m", "2")).unwrap().versions, ["2"]);
    for (asked, code) in [
        (model("nobody", ""), Code::NotFound),
        (model("m", "7"), Code::NotFound),
        (model("m", "x"), Code::NotFound),
        (model("m", "0"), Code::InvalidArgument),
        (model("empty", ""), Code::Unavailable),
    ] {
        assert_eq!(metadata(asked.clone()).unwrap_err().code(), code, "{asked:?}");
    }
    let is_ready = |(name, version)| {
        let asked = oip::ModelReadyRequest { name, version };
        calls.call::<_, oip::ModelReadyResponse>(oip!("ModelReady"), asked).map(|reply| reply.message.ready)
    };
    assert!(is_ready(model("m", "")).unwrap() && is_ready(model("m", "2")).unwrap());
    assert!(!is_ready(model("empty", "")).unwrap());
    assert_eq!(is_ready(model("nobody", "")).unwrap_err().code(), Code::NotFound);
}

#[test]
fn configuration_and_statistics_are_as_perf_analyzer_reads_them() {
    let gateway = Gateway::builder()
        .model("m", 1, &affine4(1.0, 0.0))
        .pbtxt("m", "max_batch_size: 8\nparameters { key: \"owner\" value { string_value: \"us\" } }\n")
        .start();
    let calls = calls(&gateway);
    let asked = oip::ModelConfigRequest { name: "m".to_owned(), version: String::new() };
    let config: oip::ModelConfigResponse = calls.call(oip!("ModelConfig"), asked).unwrap().message;
    let config = config.config.unwrap();
    assert_eq!((config.name.as_str(), config.max_batch_size, config.backend.as_str()), ("m", 8, "onnxruntime"));
    assert_eq!((config.input[0].data_type(), &config.input[0].dims[..]), (oip::DataType::TypeFp32, &[4][..]));
    assert_eq!(config.parameters["owner"].string_value, "us");
    assert!(!config.model_transaction_policy.unwrap().decoupled);
    for _ in 0..3 {
        GrpcInfer::new("m").floats("x", &[2, 4], &[1.0; 8]).send(&calls).unwrap();
    }
    let asked = oip::ModelStatisticsRequest { name: "m".to_owned(), version: String::new() };
    let found: oip::ModelStatisticsResponse = calls.call(oip!("ModelStatistics"), asked).unwrap().message;
    let stats = &found.model_stats[0];
    assert_eq!((stats.name.as_str(), stats.version.as_str()), ("m", "1"));
    assert_eq!((stats.inference_count, stats.execution_count), (6, 3));
    assert!(stats.last_inference > 0);
    let sums = stats.inference_stats.unwrap();
    let parts = [sums.success, sums.queue, sums.compute_input, sums.compute_infer, sums.compute_output];
    assert_eq!(parts.map(|part| part.unwrap().count), [3; 5]);
    assert_eq!([sums.fail, sums.cache_hit, sums.cache_miss].map(|part| part.unwrap().count), [0; 3]);
    let batches: Vec<_> = stats.batch_stats.iter().map(|b| (b.batch_size, b.compute_infer.unwrap().count)).collect();
    assert_eq!(batches, [(2, 3)]);
    let all: oip::ModelStatisticsResponse =
        calls.call(oip!("ModelStatistics"), oip::ModelStatisticsRequest::default()).unwrap().message;
    assert_eq!(all.model_stats.len(), 1);
}

#[test]
fn the_repository_is_listed_and_changed_only_where_the_operator_allows_it() {
    let index = |calls: &Calls, ready| {
        let asked = oip::RepositoryIndexRequest { repository_name: String::new(), ready };
        let found: oip::RepositoryIndexResponse = calls.call(oip!("RepositoryIndex"), asked).unwrap().message;
        found.models.into_iter().map(|m| format!("{} {} {}", m.name, m.version, m.state)).collect::<Vec<_>>()
    };
    let load = |calls: &Calls, model: &str| {
        let asked = oip::RepositoryModelLoadRequest { model_name: model.to_owned(), ..Default::default() };
        calls.call::<_, oip::RepositoryModelLoadResponse>(oip!("RepositoryModelLoad"), asked).map(|_| ())
    };
    let unload = |calls: &Calls, model: &str| {
        let asked = oip::RepositoryModelUnloadRequest { model_name: model.to_owned(), ..Default::default() };
        calls.call::<_, oip::RepositoryModelUnloadResponse>(oip!("RepositoryModelUnload"), asked).map(|_| ())
    };
    let closed = gateway();
    let calls_closed = calls(&closed);
    assert_eq!(index(&calls_closed, true), ["m 1 READY", "m 2 READY"]);
    assert_eq!(index(&calls_closed, false), ["empty 1 UNAVAILABLE", "m 1 READY", "m 2 READY"]);
    let refused = unload(&calls_closed, "m").unwrap_err();
    assert_eq!((refused.code(), said(&refused, "switchrail-code")), (Code::FailedPrecondition, "change_refused"));
    assert!(refused.message().contains("model_control"), "{refused}");
    let open = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).set("model_control", "true").start();
    let calls = calls(&open);
    unload(&calls, "m").unwrap();
    assert_eq!(index(&calls, true), [""; 0]);
    assert_eq!(GrpcInfer::first("m", 1.0).send(&calls).unwrap_err().code(), Code::Unavailable);
    load(&calls, "m").unwrap();
    assert_eq!(index(&calls, true), ["m 1 READY"]);
    assert_eq!(load(&calls, "nobody").unwrap_err().code(), Code::NotFound);
    let file = oip::ModelRepositoryParameter { parameter_choice: None };
    let asked = oip::RepositoryModelLoadRequest {
        model_name: "m".to_owned(),
        parameters: [("file:1/model.onnx".to_owned(), file)].into(),
        ..Default::default()
    };
    let refused = calls.call::<_, oip::RepositoryModelLoadResponse>(oip!("RepositoryModelLoad"), asked).unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[test]
fn settings_of_log_and_trace_are_shown_and_set() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).set("model_control", "true").start();
    let calls = calls(&gateway);
    let log = |settings: Vec<(&str, log_settings_request::setting_value::ParameterChoice)>| {
        let value = |choice| log_settings_request::SettingValue { parameter_choice: Some(choice) };
        let settings = settings.into_iter().map(|(name, choice)| (name.to_owned(), value(choice))).collect();
        let asked = oip::LogSettingsRequest { settings };
        calls.call::<_, oip::LogSettingsResponse>(oip!("LogSettings"), asked).map(|reply| reply.message.settings)
    };
    use log_settings_request::setting_value::ParameterChoice as Asked;
    use log_settings_response::setting_value::ParameterChoice as Told;
    let value = |choice| log_settings_response::SettingValue { parameter_choice: Some(choice) };
    assert_eq!(log(vec![]).unwrap()["log_verbose_level"], value(Told::Uint32Param(0)));
    let changed = log(vec![("log_verbose_level", Asked::Uint32Param(1)), ("log_info", Asked::BoolParam(true))]);
    assert_eq!(changed.unwrap()["log_verbose_level"], value(Told::Uint32Param(1)));
    let file = log(vec![("log_file", Asked::StringParam("/tmp/x".to_owned()))]).unwrap_err();
    assert_eq!(file.code(), Code::FailedPrecondition);
    let trace = |model: &str, settings: &[(&str, &[&str])]| {
        let value = |values: &[&str]| oip::trace_setting_request::SettingValue {
            value: values.iter().map(|text| (*text).to_owned()).collect(),
        };
        let settings = settings.iter().map(|(name, values)| ((*name).to_owned(), value(values))).collect();
        let asked = oip::TraceSettingRequest { settings, model_name: model.to_owned() };
        calls.call::<_, oip::TraceSettingResponse>(oip!("TraceSetting"), asked).map(|reply| reply.message.settings)
    };
    assert_eq!(trace("", &[]).unwrap()["trace_level"].value, ["OFF"]);
    let changed = trace("m", &[("trace_level", &["TIMESTAMPS"]), ("trace_rate", &["1"])]).unwrap();
    assert_eq!((&changed["trace_level"].value[0][..], &changed["trace_rate"].value[0][..]), ("TIMESTAMPS", "1"));
    assert_eq!(trace("nobody", &[]).unwrap_err().code(), Code::NotFound);
}

#[test]
fn health_is_that_of_the_process() {
    let gateway = gateway();
    let calls = calls(&gateway);
    for service in ["", "inference.GRPCInferenceService"] {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let found: HealthCheckResponse = calls.call(CHECK, asked).unwrap().message;
        assert_eq!(found.status, 1, "{service}");
    }
    let asked = HealthCheckRequest { service: "other".to_owned() };
    let unknown = calls.call::<_, HealthCheckResponse>(CHECK, asked).unwrap_err();
    assert_eq!((unknown.code(), said(&unknown, "switchrail-code")), (Code::NotFound, "service_unknown"));
}

#[test]
fn watchers_of_health_hear_of_the_end_and_hold_up_nobody() {
    let mut gateway = gateway();
    let calls = calls(&gateway);
    let watch = |service: &str| {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let once = tokio_stream::once(asked);
        calls.stream::<_, HealthCheckResponse>("/grpc.health.v1.Health/Watch", once, &[]).unwrap()
    };
    let (mut known, mut unknown) = (watch(""), watch("other"));
    let status = |found: Option<HealthCheckResponse>| found.map(|found| found.status);
    assert_eq!(status(calls.next(&mut known).unwrap()), Some(1));
    assert_eq!(status(calls.next(&mut unknown).unwrap()), Some(3));
    let began = std::time::Instant::now();
    gateway.signal(rustix::process::Signal::TERM);
    assert_eq!(status(calls.next(&mut known).unwrap()), Some(2));
    assert_eq!(status(calls.next(&mut known).unwrap()), None);
    assert_eq!(status(calls.next(&mut unknown).unwrap()), None);
    drop(calls);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(began.elapsed().as_millis() < 4000, "the drain waits for no watcher");
}

#[test]
fn reflection_lists_the_services_and_shows_their_messages() {
    let gateway = gateway();
    let calls = calls(&gateway);
    let ask = |message: MessageRequest| {
        let asked = ServerReflectionRequest { host: String::new(), message_request: Some(message) };
        let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        let mut stream: tonic::Streaming<ServerReflectionResponse> =
            calls.stream(path, tokio_stream::once(asked), &[]).unwrap();
        calls.next(&mut stream).map(|found| found.unwrap().message_response.unwrap())
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())).unwrap() else {
        panic!("no list");
    };
    let services: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    for service in [
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "tensorflow.serving.PredictionService",
        "tensorflow.serving.ModelService",
    ] {
        assert!(services.contains(&service.to_owned()), "{services:?}");
    }
    let symbol = MessageRequest::FileContainingSymbol("inference.ModelInferRequest".to_owned());
    let MessageResponse::FileDescriptorResponse(files) = ask(symbol).unwrap() else { panic!("no file") };
    assert!(!files.file_descriptor_proto.is_empty());
    let nothing = MessageRequest::FileContainingSymbol("no.such.Thing".to_owned());
    assert_eq!(ask(nothing).unwrap_err().code(), Code::NotFound);
}

#[test]
fn what_is_absent_says_so() {
    let gateway = gateway();
    let calls = calls(&gateway);
    let regions: oip::SystemSharedMemoryStatusResponse =
        calls.call(oip!("SystemSharedMemoryStatus"), oip::SystemSharedMemoryStatusRequest::default()).unwrap().message;
    assert!(regions.regions.is_empty());
    let regions: oip::CudaSharedMemoryStatusResponse =
        calls.call(oip!("CudaSharedMemoryStatus"), oip::CudaSharedMemoryStatusRequest::default()).unwrap().message;
    assert!(regions.regions.is_empty());
    for path in [
        oip!("SystemSharedMemoryRegister"),
        oip!("SystemSharedMemoryUnregister"),
        oip!("CudaSharedMemoryRegister"),
        oip!("CudaSharedMemoryUnregister"),
    ] {
        let refused = calls.call::<_, ()>(path, ()).unwrap_err();
        assert_eq!((refused.code(), said(&refused, "switchrail-code")), (Code::Unimplemented, "not_implemented"));
        assert!(refused.message().contains("shared memory"), "{refused}");
    }
    for path in [oip!("NoSuchCall"), "/other.Service/Call", "/"] {
        let refused = calls.call::<_, ()>(path, ()).unwrap_err();
        assert_eq!((refused.code(), said(&refused, "switchrail-code")), (Code::Unimplemented, "no_such_route"));
    }
}

#[test]
fn nobody_has_to_send_a_message_to_be_told_that_there_is_nothing() {
    let gateway = gateway();
    let calls = calls(&gateway);
    for (path, code) in [
        (oip!("NoSuchCall"), "no_such_route"),
        ("/other.Service/Call", "no_such_route"),
        (oip!("SystemSharedMemoryRegister"), "not_implemented"),
        ("/tensorflow.serving.PredictionService/Classify", "not_implemented"),
    ] {
        let began = std::time::Instant::now();
        let endless = tokio_stream::pending::<oip::ServerLiveRequest>();
        let refused = calls.stream::<_, oip::ServerLiveResponse>(path, endless, &[]).unwrap_err();
        assert_eq!((refused.code(), said(&refused, "switchrail-code")), (Code::Unimplemented, code), "{path}");
        assert!(began.elapsed().as_secs() < 5, "{path} is answered at once");
    }
    let asked = oip::ModelReadyRequest { name: "m".repeat(300_000), version: String::new() };
    let refused = calls.call::<_, oip::ModelReadyResponse>(oip!("ModelReady"), asked).unwrap_err();
    assert_eq!((refused.code(), said(&refused, "switchrail-code")), (Code::ResourceExhausted, "body_too_large"));
}

#[test]
fn the_http_listener_takes_grpc_only_where_it_is_told_to() {
    let with = |value: &str| Gateway::builder().model("m", 1, &affine4(2.0, 0.0)).set("grpc_on_http", value).start();
    let both = with("true");
    let over_http = Calls::new(both.addresses().http);
    assert_eq!(GrpcInfer::first("m", 4.0).send(&over_http).unwrap().floats("y")[0], 8.0);
    let missing = GrpcInfer::first("nobody", 4.0).send(&over_http).unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(both.ask("m", 4.0).ok().floats("y")[0], 8.0);
    assert!(GrpcInfer::first("m", 4.0).send(&Calls::new(both.addresses().grpc)).is_ok());
    let apart = with("false");
    assert!(GrpcInfer::first("m", 4.0).send(&Calls::new(apart.addresses().http)).is_err());
}

#[test]
fn other_protocols_are_told_what_is_spoken() {
    let gateway = gateway();
    let mut client = switchrail_tests::Client::new(gateway.addresses().grpc);
    let response = client.send("GET", "/v2", &[], b"");
    assert_eq!(response.status, 415);
    assert!(response.text().contains("gRPC"), "{}", response.text());
}
