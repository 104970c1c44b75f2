//! `ModelStreamInfer`: one answer for each request, in order, and errors that end a stream only where they are asked to.

use std::time::Instant;

use data_grpc::proto::inference::infer_parameter::ParameterChoice;
use data_grpc::proto::inference::{ModelInferRequest, ModelStreamInferResponse};
use switchrail_tests::{Calls, Gateway, GrpcInfer, wait_until};
use testkit::onnx::{affine4, looping};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Streaming};

const PATH: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

/// A stream that a test writes to as it likes.
struct Open {
    calls: Calls,
    sender: Option<Sender<ModelInferRequest>>,
    answers: Streaming<ModelStreamInferResponse>,
}

/// What is sent, as a stream.
struct Sent(Receiver<ModelInferRequest>);

impl tokio_stream::Stream for Sent {
    type Item = ModelInferRequest;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<ModelInferRequest>> {
        self.0.poll_recv(cx)
    }
}

impl Open {
    fn new(calls: Calls, metadata: &[(&'static str, String)]) -> Self {
        let (sender, receiver) = channel(32);
        let answers = calls.stream(PATH, Sent(receiver), metadata).unwrap();
        Self { calls, sender: Some(sender), answers }
    }

    fn send(&self, request: GrpcInfer) {
        self.sender.as_ref().unwrap().try_send(request.message).unwrap();
    }

    fn next(&mut self) -> Option<ModelStreamInferResponse> {
        self.calls.next(&mut self.answers).unwrap()
    }
}

fn first_float(answer: &ModelStreamInferResponse) -> f32 {
    let raw = &answer.infer_response.as_ref().unwrap().raw_output_contents[0];
    f32::from_le_bytes(raw[..4].try_into().unwrap())
}

fn start() -> Gateway {
    Gateway::builder().model("m", 1, &affine4(2.0, 0.0)).start()
}

#[test]
fn answers_come_in_the_order_of_requests_and_errors_inside() {
    let gateway = start();
    let mut stream = Open::new(Calls::new(gateway.addresses().grpc), &[]);
    for n in 0..20 {
        stream.send(GrpcInfer::first("m", n as f32).id(&n.to_string()));
    }
    let mut predictions = std::collections::BTreeSet::new();
    for n in 0..20 {
        let answer = stream.next().unwrap();
        assert_eq!(first_float(&answer), 2.0 * n as f32);
        let answer = answer.infer_response.unwrap();
        assert_eq!((answer.id, answer.model_version.as_str()), (n.to_string(), "1"));
        let last = answer.parameters["triton_final_response"].parameter_choice.clone();
        assert_eq!(last, Some(ParameterChoice::BoolParam(true)));
        let Some(ParameterChoice::StringParam(id)) = &answer.parameters["switchrail_prediction_id"].parameter_choice
        else {
            panic!("every answer has an id of its own: {:?}", answer.parameters);
        };
        assert!(id.len() == 48 && predictions.insert(id.clone()), "{id}");
    }
    stream.send(GrpcInfer::first("nobody", 1.0).id("a"));
    stream.send(GrpcInfer::new("m").floats("x", &[1, 4], &[1.0]));
    stream.send(GrpcInfer::first("m", 3.0));
    let refused = stream.next().unwrap();
    assert!(refused.error_message.contains("nobody"), "{}", refused.error_message);
    let about = refused.infer_response.unwrap();
    let code = about.parameters["switchrail_code"].parameter_choice.clone();
    assert_eq!((about.id.as_str(), code), ("a", Some(ParameterChoice::StringParam("model_unknown".to_owned()))));
    assert!(stream.next().unwrap().error_message.contains("asks for"));
    assert_eq!(first_float(&stream.next().unwrap()), 6.0);
    stream.sender = None;
    assert!(stream.next().is_none(), "the end of the requests is the end of the answers");
    let counted =
        |outcome| gateway.metric("switchrail_requests_total", &[("protocol", "oip_grpc"), ("outcome", outcome)]);
    assert_eq!((counted("ok"), counted("client")), (21.0, 2.0));
}

#[test]
fn a_header_turns_errors_into_statuses() {
    let gateway = start();
    let metadata = [("triton_grpc_error", "true".to_owned())];
    let mut stream = Open::new(Calls::new(gateway.addresses().grpc), &metadata);
    stream.send(GrpcInfer::first("m", 3.0));
    stream.send(GrpcInfer::first("nobody", 1.0));
    assert_eq!(first_float(&stream.next().unwrap()), 6.0);
    let status = stream.calls.next(&mut stream.answers).unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status}");
}

#[test]
fn packed_streams_are_answered_packed() {
    let gateway = start();
    let calls = Calls::new(gateway.addresses().grpc).packed(CompressionEncoding::Gzip);
    let mut stream = Open::new(calls, &[]);
    let floats: Vec<f32> = (0..4000).map(|n| n as f32).collect();
    stream.send(GrpcInfer::new("m").floats("x", &[1000, 4], &floats));
    let answer = stream.next().unwrap().infer_response.unwrap();
    assert_eq!(answer.raw_output_contents[0].len(), 16_000);
}

#[test]
fn a_drain_ends_idle_streams_and_waits_for_the_request_under_way() {
    let builder = Gateway::builder().model("m", 1, &looping(256, 1.0, 0.0));
    let mut gateway = builder.routing("[models.m]\nstable = 1\nrun_timeout_ms = 20000\n").start();
    let mut idle = Open::new(Calls::new(gateway.addresses().grpc), &[]);
    idle.send(GrpcInfer::first("m", 1.0));
    idle.next().unwrap();
    let mut busy = Open::new(Calls::new(gateway.addresses().grpc), &[]);
    busy.send(GrpcInfer::first("m", 2_000.0));
    // The connection moves while its runtime is waited on.
    busy.calls.turn();
    wait_until("the request to run", || gateway.metric("switchrail_in_flight", &[]) == 1.0);
    let began = Instant::now();
    gateway.signal(rustix::process::Signal::TERM);
    assert!(busy.next().unwrap().error_message.is_empty());
    assert!(busy.next().is_none());
    assert!(idle.next().is_none());
    drop((idle, busy));
    assert_eq!(gateway.wait_exit().code(), Some(0));
    assert!(began.elapsed().as_millis() < 4500, "idle streams hold up nobody: {:?}", began.elapsed());
}

#[test]
fn a_caller_who_leaves_a_stream_stops_its_work() {
    let builder = Gateway::builder().model("m", 1, &looping(256, 1.0, 0.0));
    let gateway = builder.routing("[models.m]\nstable = 1\nrun_timeout_ms = 20000\n").start();
    let stream = Open::new(Calls::new(gateway.addresses().grpc), &[]);
    stream.send(GrpcInfer::first("m", 10_000_000.0));
    stream.calls.turn();
    wait_until("the request to run", || gateway.metric("switchrail_in_flight", &[]) == 1.0);
    drop(stream);
    wait_until("the work to stop", || gateway.metric("switchrail_in_flight", &[]) == 0.0);
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "cancelled")]), 1.0);
}
