//! `ModelInfer` over gRPC: the same requests as over REST get the same answers, are routed, judged and counted alike.

use std::time::Duration;

use data_grpc::proto::inference::infer_parameter::ParameterChoice;
use data_grpc::proto::inference::{InferParameter, InferTensorContents};
use switchrail_tests::{Calls, Gateway, GrpcInfer, Infer, wait_until};
use testkit::onnx::{affine4, failing_when, identity, looping, multi, nan_when, strings};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};

const SPLIT: &str = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n";

fn calls(gateway: &Gateway) -> Calls {
    Calls::new(gateway.addresses().grpc)
}

fn two_versions(routing: &str) -> Gateway {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0));
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    gateway
}

fn said<'a>(status: &'a Status, name: &str) -> &'a str {
    status.metadata().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[test]
fn an_answer_is_raw_names_its_version_and_carries_the_callers_ids() {
    let gateway = Gateway::builder().model("m", 3, &affine4(2.0, 1.0)).start();
    let calls = calls(&gateway);
    let request = GrpcInfer::first("m", 5.0).id("my-id").metadata("x-request-id", "r-1");
    let answer = request.send(&calls).unwrap();
    assert_eq!(answer.floats("y"), [11.0, 3.0, 5.0, 7.0]);
    let message = &answer.message;
    assert_eq!((message.model_name.as_str(), message.model_version.as_str(), message.id.as_str()), ("m", "3", "my-id"));
    let output = &message.outputs[0];
    assert_eq!((output.datatype.as_str(), &output.shape[..], &output.contents), ("FP32", &[1, 4][..], &None));
    let digest = answer.said("switchrail-digest");
    assert_eq!(digest.len(), 16);
    let parameter = |name: &str| match &message.parameters[name] {
        InferParameter { parameter_choice: Some(choice) } => choice.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(parameter("switchrail_digest"), ParameterChoice::StringParam(digest.to_owned()));
    assert_eq!(parameter("switchrail_reason"), ParameterChoice::StringParam("stable".to_owned()));
    let generation: i64 = answer.said("switchrail-generation").parse().unwrap();
    assert_eq!(parameter("switchrail_generation"), ParameterChoice::Int64Param(generation));
    assert_eq!((answer.said("switchrail-version"), answer.said("x-request-id")), ("3", "r-1"));
    assert_eq!(answer.said("switchrail-prediction-id").len(), 48);
    let typed = InferTensorContents { fp32_contents: vec![5.0, 1.0, 2.0, 3.0], ..InferTensorContents::default() };
    let answer = GrpcInfer::new("m").typed("x", "FP32", &[1, 4], typed).send(&calls).unwrap();
    assert_eq!(answer.floats("y"), [11.0, 3.0, 5.0, 7.0]);
    assert_eq!(gateway.metric("switchrail_requests_total", &[("protocol", "oip_grpc"), ("outcome", "ok")]), 2.0);
}

#[test]
fn every_data_type_goes_through_in_raw_form() {
    use base_types::DataType;
    let model = |datatype: DataType| format!("m-{}", datatype.as_str().to_lowercase());
    let builder = DataType::ALL
        .into_iter()
        .fold(Gateway::builder(), |builder, datatype| builder.model(&model(datatype), 1, &identity(datatype)));
    let gateway = builder.start();
    let calls = calls(&gateway);
    for datatype in DataType::ALL {
        let raw = match datatype.element_bytes() {
            // Small numbers in every type, and no infinities in the short floats.
            Some(size) => [vec![1; size], vec![0; size]].concat(),
            None => b"\x03\0\0\0a\0\xff\0\0\0\0".to_vec(),
        };
        let request = GrpcInfer::new(&model(datatype)).raw("x", datatype.as_str(), &[1, 2], raw.clone());
        let answer = request.send(&calls).unwrap_or_else(|status| panic!("{datatype}: {status}"));
        assert_eq!(*answer.raw("y"), raw, "{datatype}");
        assert_eq!(answer.message.outputs[0].datatype, datatype.as_str());
    }
}

#[test]
fn large_tensors_pass_packed_or_not() {
    let gateway = Gateway::builder()
        .model("m", 1, &affine4(2.0, 0.0))
        .routing("[models.m]\nstable = 1\nbatch_rows = 100000\n")
        .start();
    let rows = 37_632;
    let data: Vec<f32> = (0..4 * rows).map(|n| (n % 1000) as f32).collect();
    let doubled: Vec<f32> = data.iter().map(|float| float * 2.0).collect();
    let request = GrpcInfer::new("m").floats("x", &[rows, 4], &data);
    let answer = request.send(&calls(&gateway)).unwrap();
    assert!(answer.floats("y") == doubled);
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        let answer = request.send(&calls(&gateway).packed(encoding)).unwrap();
        assert!(answer.floats("y") == doubled, "{encoding:?}");
        assert_eq!(answer.said("grpc-encoding"), encoding.to_string());
    }
    // What unpacks to very much more than it is takes memory that nobody sent.
    let zeros = GrpcInfer::new("m").floats("x", &[1_000_000, 4], &vec![0.0; 4_000_000]);
    let refused = zeros.send(&calls(&gateway).packed(CompressionEncoding::Gzip)).map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
}

#[test]
fn outputs_are_chosen_ordered_and_classified() {
    let builder = Gateway::builder().model("multi", 1, &multi()).model("m", 1, &affine4(1.0, 0.0));
    let gateway = builder.model("s", 1, &strings()).start();
    let calls = calls(&gateway);
    let asked = || {
        let b = 7i64.to_le_bytes().to_vec();
        GrpcInfer::new("multi").raw("b", "INT64", &[1, 1], b).floats("a", &[1, 2], &[1.0, 2.0])
    };
    let names = |request: &GrpcInfer| -> Vec<String> {
        request.send(&calls).unwrap().message.outputs.into_iter().map(|output| output.name).collect()
    };
    assert_eq!(names(&asked()), ["sum", "negated", "doubled"]);
    assert_eq!(names(&asked().output("doubled").output("sum")), ["doubled", "sum"]);
    let mut request = GrpcInfer::first("m", 9.0).output("y");
    let two = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(2)) };
    request.message.outputs[0].parameters.insert("classification".to_owned(), two.clone());
    let answer = request.send(&calls).unwrap();
    let output = &answer.message.outputs[0];
    assert_eq!((output.datatype.as_str(), &output.shape[..]), ("BYTES", &[1, 2][..]));
    assert_eq!(*answer.raw("y"), &b"\x03\x00\x00\x009:0\x03\x00\x00\x003:3"[..]);
    // Texts have no order of size: that is told before the model runs.
    let mut request = GrpcInfer::new("s").raw("x", "BYTES", &[1, 1], b"\x01\x00\x00\x00a".to_vec()).output("y");
    request.message.outputs[0].parameters.insert("classification".to_owned(), two);
    let refused = request.send(&calls).map(|_| ()).unwrap_err();
    assert!(refused.message().contains("cannot be classified"), "{refused}");
    let counted = |family: &str, outcome: &str| gateway.metric(family, &[("model", "s"), ("outcome", outcome)]);
    assert_eq!(counted("switchrail_requests_total", "client"), 1.0);
    assert_eq!(counted("switchrail_attempts_total", "ok"), 0.0);
}

#[test]
fn mistakes_have_the_statuses_of_the_table_and_never_count_against_a_version() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("s", 1, &strings());
    let builder = builder.model("bad", 1, &failing_when(100.0, 1.0, 0.0)).model("empty", 1, b"no model");
    let routing = "[models.m]\nstable = 1\nbatch_rows = 8\n[models.bad]\nstable = 1\n[models.s]\nstable = 1\n";
    let gateway = builder.routing(routing).set("limits.body_bytes", "4000").start();
    let calls = calls(&gateway);
    let first = || GrpcInfer::first("m", 1.0);
    let typed = || InferTensorContents { fp32_contents: vec![1.0; 4], ..InferTensorContents::default() };
    let mut mixed = first();
    mixed.message.inputs[0].contents = Some(typed());
    let mut shared = first();
    let region = InferParameter { parameter_choice: Some(ParameterChoice::StringParam("r".to_owned())) };
    shared.message.inputs[0].parameters.insert("shared_memory_region".to_owned(), region);
    let sequence = first().parameter("sequence_id", ParameterChoice::Int64Param(7));
    let cases = [
        (mixed, Code::InvalidArgument, "malformed"),
        (GrpcInfer::new("m").floats("x", &[1, 4], &[1.0; 3]), Code::InvalidArgument, "input_mismatch"),
        (GrpcInfer::new("m").floats("x", &[1, 5], &[1.0; 5]), Code::InvalidArgument, "input_mismatch"),
        (GrpcInfer::new("m").floats("x", &[9, 4], &[1.0; 36]), Code::InvalidArgument, "batch_too_large"),
        (GrpcInfer::new("m").floats("z", &[1, 4], &[1.0; 4]), Code::InvalidArgument, "input_unknown"),
        (GrpcInfer::new("m"), Code::InvalidArgument, "input_missing"),
        (GrpcInfer::new("m").typed("x", "FP16", &[1, 4], typed()), Code::InvalidArgument, "malformed"),
        (GrpcInfer::new("s").raw("x", "BYTES", &[1, 1], &b"\x05\0\0\0a"[..]), Code::InvalidArgument, "input_mismatch"),
        (first().output("z"), Code::InvalidArgument, "output_unknown"),
        (first().pin("01"), Code::InvalidArgument, "malformed"),
        (first().pin("2"), Code::NotFound, "version_unknown"),
        (first().pin("champion"), Code::NotFound, "label_unknown"),
        (GrpcInfer::first("nobody", 1.0), Code::NotFound, "model_unknown"),
        (GrpcInfer::first("a/b", 1.0), Code::InvalidArgument, "malformed"),
        (GrpcInfer::first("", 1.0), Code::InvalidArgument, "malformed"),
        (shared, Code::Unimplemented, "unsupported"),
        (sequence, Code::Unimplemented, "not_implemented"),
        (GrpcInfer::new("m").floats("x", &[250, 4], &[1.0; 1000]), Code::ResourceExhausted, "body_too_large"),
        (first().metadata("grpc-timeout", "soon"), Code::InvalidArgument, "malformed"),
        (GrpcInfer::first("empty", 1.0), Code::Unavailable, "model_not_ready"),
    ];
    let n_cases = cases.len() as f64;
    for (request, code, ours) in cases {
        let status = request.send(&calls).expect_err(ours);
        assert_eq!((status.code(), said(&status, "switchrail-code")), (code, ours), "{status}");
        assert!(!status.message().is_empty());
        let fault = if ours == "model_not_ready" { "unavailable" } else { "client" };
        assert_eq!(said(&status, "switchrail-fault"), fault);
        assert_eq!(said(&status, "x-request-id").len(), 16);
    }
    let failed = GrpcInfer::first("bad", 200.0).send(&calls).unwrap_err();
    assert_eq!((failed.code(), said(&failed, "switchrail-code")), (Code::Internal, "version_fault"));
    assert_eq!((said(&failed, "switchrail-version"), said(&failed, "switchrail-fault")), ("1", "version_fault"));
    let counted =
        |outcome| gateway.metric("switchrail_requests_total", &[("protocol", "oip_grpc"), ("outcome", outcome)]);
    assert_eq!(counted("client"), n_cases - 1.0);
    assert_eq!((counted("unavailable"), counted("version_fault")), (1.0, 1.0));
    assert_eq!(gateway.metric("switchrail_requests_total", &[]), n_cases + 1.0, "each once");
}

#[test]
fn metadata_route_as_headers_do() {
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\nlabels = { champion = 2 }\n\
        sticky = [{ header = \"x-user\" }, { parameter = \"user\" }]\n\
        [[models.m.rules]]\nwhen = { header = \"x-tester\", present = true }\nuse = 2\n";
    let gateway = two_versions(routing);
    let calls = calls(&gateway);
    let ask = |request: GrpcInfer| request.send(&calls).unwrap();
    let pinned = ask(GrpcInfer::first("m", 1.0).pin(2));
    assert_eq!((pinned.version(), pinned.reason()), (2, "pin"));
    let labelled = ask(GrpcInfer::first("m", 1.0).pin("champion"));
    assert_eq!((labelled.version(), labelled.reason()), (2, "label"));
    let ruled = ask(GrpcInfer::first("m", 1.0).metadata("x-tester", "1"));
    assert_eq!((ruled.version(), ruled.reason()), (2, "rule"));
    let mut versions = std::collections::BTreeSet::new();
    for user in 0..40 {
        let by_header = ask(GrpcInfer::first("m", 1.0).metadata("x-user", user));
        let parameter = ParameterChoice::StringParam(user.to_string());
        let by_parameter = ask(GrpcInfer::first("m", 1.0).parameter("user", parameter));
        let over_rest = gateway.infer(&Infer::first("m", 1.0).header("x-user", user)).ok();
        assert_eq!((by_header.version(), by_header.reason()), (over_rest.version(), "sticky"));
        assert_eq!(by_parameter.version(), over_rest.version());
        versions.insert(by_header.version());
    }
    assert_eq!(versions, [1, 2].into());
}

#[test]
fn a_bad_candidate_is_covered_by_stable_and_rolled_back() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &nan_when(100.0, 2.0, 0.0));
    let gateway = builder.routing(SPLIT).start();
    gateway.wait_state("m", 2, "ready");
    let calls = calls(&gateway);
    let answers: Vec<_> = (0..60).map(|_| GrpcInfer::first("m", 200.0).send(&calls).unwrap()).collect();
    assert!(answers.iter().all(|answer| answer.version() == 1));
    assert!(answers.iter().any(|answer| answer.reason() == "fallback"));
    gateway.wait_state("m", 2, "quarantined");
    let pinned = GrpcInfer::first("m", 1.0).pin(2).send(&calls).unwrap_err();
    assert_eq!((pinned.code(), said(&pinned, "switchrail-code")), (Code::FailedPrecondition, "version_quarantined"));
}

#[test]
fn the_shortest_deadline_counts_and_a_caller_who_leaves_stops_the_work() {
    let builder = Gateway::builder().model("m", 1, &looping(256, 1.0, 0.0));
    let gateway = builder.routing("[models.m]\nstable = 1\nrun_timeout_ms = 20000\n").start();
    let calls = calls(&gateway);
    let long = || GrpcInfer::first("m", 10_000_000.0);
    let late = [
        long().metadata("grpc-timeout", "60000m").metadata("switchrail-timeout-ms", 100),
        long().parameter("timeout", ParameterChoice::Int64Param(100_000)),
        long().metadata("switchrail-timeout-ms", 100).parameter("timeout", ParameterChoice::Int64Param(60_000_000)),
    ];
    for request in late {
        let status = request.send(&calls).unwrap_err();
        assert_eq!((status.code(), said(&status, "switchrail-code")), (Code::DeadlineExceeded, "deadline_in_run"));
        assert_eq!(said(&status, "switchrail-fault"), "caller_deadline");
    }
    calls.call_and_leave(long(), Duration::from_millis(300));
    let in_flight = || gateway.metric("switchrail_in_flight", &[]);
    let cancelled =
        || gateway.metric("switchrail_requests_total", &[("outcome", "cancelled"), ("protocol", "oip_grpc")]);
    wait_until("the caller who left to be counted", || cancelled() == 1.0);
    wait_until("nothing to be in flight", || in_flight() == 0.0);
    assert!(GrpcInfer::first("m", 1.0).send(&calls).is_ok());
}

#[test]
fn overload_and_versions_on_their_way_are_told_apart() {
    let builder = Gateway::builder().model("m", 1, &looping(256, 1.0, 0.0)).model("m", 2, b"no model");
    let routing = "[models.m]\nstable = 1\nqueue_requests = 1\nrun_timeout_ms = 20000\n";
    let gateway = builder.routing(routing).set("runtime.run_threads", "1").start();
    gateway.wait_refused("m", 2);
    let unready = GrpcInfer::first("m", 1.0).pin(2).send(&calls(&gateway)).unwrap_err();
    assert_eq!((unready.code(), said(&unready, "switchrail-code")), (Code::Unavailable, "version_not_ready"));
    assert_eq!(said(&unready, "retry-after"), "1");
    let long = || GrpcInfer::first("m", 10_000_000.0).metadata("switchrail-timeout-ms", 1500);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| long().send(&calls(&gateway)).unwrap_err());
        let in_flight = |n: f64| {
            wait_until("requests to be in flight", || gateway.metric("switchrail_in_flight", &[]) == n);
        };
        in_flight(1.0);
        let second = scope.spawn(|| long().send(&calls(&gateway)).unwrap_err());
        in_flight(2.0);
        let third = long().send(&calls(&gateway)).unwrap_err();
        // No UNAVAILABLE: some clients answer that with three more requests.
        assert_eq!((third.code(), said(&third, "switchrail-fault")), (Code::ResourceExhausted, "overload"), "{third}");
        assert!(!said(&third, "retry-after").is_empty());
        assert_eq!(said(&first.join().unwrap(), "switchrail-code"), "deadline_in_run");
        let second = second.join().unwrap();
        assert_eq!(second.code(), Code::DeadlineExceeded, "{second}");
    });
}
