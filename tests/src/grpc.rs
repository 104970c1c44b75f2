//! A gRPC client of somebody else's making, with the messages of our protos, for tests that wait for each answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use data_grpc::proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use data_grpc::proto::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse, infer_parameter::ParameterChoice,
};
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::Stream;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{AsciiMetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

/// Long enough for a connection to send what is waiting.
const TURN: Duration = Duration::from_millis(50);

/// A connection, and a runtime that waits on it.
pub struct Calls {
    runtime: Runtime,
    grpc: Grpc<Channel>,
}

/// A good answer.
#[derive(Debug, Clone)]
pub struct GrpcReply<A> {
    /// Its message.
    pub message: A,
    /// Its metadata.
    pub metadata: MetadataMap,
}

/// A request to `ModelInfer` under construction.
#[derive(Debug, Clone, Default)]
pub struct GrpcInfer {
    /// The message.
    pub message: ModelInferRequest,
    metadata: Vec<(&'static str, String)>,
}

impl Calls {
    /// Connects when first used.
    pub fn new(address: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be started");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes an endpoint");
        let channel = runtime.block_on(async { endpoint.connect_lazy() });
        Self { runtime, grpc: Grpc::new(channel).max_decoding_message_size(usize::MAX) }
    }

    /// Packs requests, and asks for answers packed alike.
    pub fn packed(self, encoding: CompressionEncoding) -> Self {
        Self { grpc: self.grpc.send_compressed(encoding).accept_compressed(encoding), ..self }
    }

    /// One message for one.
    pub fn call<Q, A>(&self, path: &'static str, message: Q) -> Result<GrpcReply<A>, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        self.call_with(path, message, &[])
    }

    /// The same with metadata.
    pub fn call_with<Q, A>(
        &self,
        path: &'static str,
        message: Q,
        metadata: &[(&'static str, String)],
    ) -> Result<GrpcReply<A>, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        let request = with_metadata(message, metadata);
        self.runtime.block_on(async {
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(request, PathAndQuery::from_static(path), codec).await?;
            let (metadata, message, _) = answer.into_parts();
            Ok(GrpcReply { message, metadata })
        })
    }

    /// A call that is given up after a time, as a caller does who hangs up.
    pub fn call_and_leave(&self, request: GrpcInfer, after: Duration) {
        let mut grpc = self.grpc.clone();
        let request = with_metadata(request.message, &request.metadata);
        let left = self.runtime.block_on(async {
            grpc.ready().await.expect("the gateway is there");
            let codec = ProstCodec::<ModelInferRequest, ModelInferResponse>::default();
            let call = grpc.unary(request, PathAndQuery::from_static(INFER), codec);
            let left = tokio::time::timeout(after, call).await.is_err();
            // The reset goes out with the next turn of the connection.
            tokio::time::sleep(TURN).await;
            left
        });
        assert!(left, "the answer came before the caller left");
    }

    /// A stream both ways.
    pub fn stream<Q, A>(
        &self,
        path: &'static str,
        messages: impl Stream<Item = Q> + Send + 'static,
        metadata: &[(&'static str, String)],
    ) -> Result<Streaming<A>, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        let request = with_metadata(messages, metadata);
        self.runtime.block_on(async {
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer: Response<Streaming<A>> =
                grpc.streaming(request, PathAndQuery::from_static(path), codec).await?;
            Ok(answer.into_inner())
        })
    }

    /// The next message of a stream; `None` at its good end.
    pub fn next<A>(&self, stream: &mut Streaming<A>) -> Result<Option<A>, Status> {
        self.runtime.block_on(stream.message())
    }

    /// Lets the connection move for a moment: it does so only while somebody waits on it.
    pub fn turn(&self) {
        self.runtime.block_on(async { tokio::time::sleep(TURN).await });
    }
}

fn with_metadata<T>(message: T, metadata: &[(&'static str, String)]) -> Request<T> {
    let mut request = Request::new(message);
    for (name, value) in metadata {
        let name = AsciiMetadataKey::from_static(name);
        request.metadata_mut().append(name, value.parse().expect("metadata is printable"));
    }
    request
}

/// The path of `ModelInfer`.
const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

impl GrpcInfer {
    /// Asks a model, without inputs yet.
    pub fn new(model: &str) -> Self {
        let message = ModelInferRequest { model_name: model.to_owned(), ..ModelInferRequest::default() };
        Self { message, metadata: Vec::new() }
    }

    /// One row `x` for the models of four floats, with a given first float.
    pub fn first(model: &str, first: f32) -> Self {
        Self::new(model).floats("x", &[1, 4], &[first, 1.0, 2.0, 3.0])
    }

    /// Adds an FP32 input in raw form.
    pub fn floats(self, name: &str, shape: &[i64], data: &[f32]) -> Self {
        let raw: Vec<u8> = data.iter().flat_map(|float| float.to_le_bytes()).collect();
        self.raw(name, "FP32", shape, raw)
    }

    /// Adds an input in raw form.
    pub fn raw(mut self, name: &str, datatype: &str, shape: &[i64], raw: impl Into<Bytes>) -> Self {
        self.message.inputs.push(input(name, datatype, shape));
        self.message.raw_input_contents.push(raw.into());
        self
    }

    /// Adds an input in typed form.
    pub fn typed(mut self, name: &str, datatype: &str, shape: &[i64], contents: InferTensorContents) -> Self {
        self.message.inputs.push(InferInputTensor { contents: Some(contents), ..input(name, datatype, shape) });
        self
    }

    /// Asks for an output.
    pub fn output(mut self, name: &str) -> Self {
        let output = InferRequestedOutputTensor { name: name.to_owned(), ..InferRequestedOutputTensor::default() };
        self.message.outputs.push(output);
        self
    }

    /// Names a version or a label.
    pub fn pin(mut self, pin: impl ToString) -> Self {
        self.message.model_version = pin.to_string();
        self
    }

    /// Sets the id.
    pub fn id(mut self, id: &str) -> Self {
        self.message.id = id.to_owned();
        self
    }

    /// Sets a request parameter.
    pub fn parameter(mut self, name: &str, choice: ParameterChoice) -> Self {
        let value = InferParameter { parameter_choice: Some(choice) };
        self.message.parameters.insert(name.to_owned(), value);
        self
    }

    /// Adds metadata.
    pub fn metadata(mut self, name: &'static str, value: impl ToString) -> Self {
        self.metadata.push((name, value.to_string()));
        self
    }

    /// Sends it.
    pub fn send(&self, calls: &Calls) -> Result<GrpcReply<ModelInferResponse>, Status> {
        calls.call_with(INFER, self.message.clone(), &self.metadata)
    }
}

fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

impl<A> GrpcReply<A> {
    /// Metadata as text; empty where there is none.
    pub fn said(&self, name: &str) -> &str {
        self.metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl GrpcReply<ModelInferResponse> {
    /// The version that answered.
    pub fn version(&self) -> u64 {
        self.message.model_version.parse().expect("a version is a number")
    }

    /// Why that version.
    pub fn reason(&self) -> &str {
        self.said("switchrail-reason")
    }

    /// The bytes of an output.
    pub fn raw(&self, name: &str) -> &Bytes {
        let position = self.message.outputs.iter().position(|output| output.name == name);
        let raw = position.and_then(|index| self.message.raw_output_contents.get(index));
        raw.unwrap_or_else(|| panic!("no output {name}: {:?}", self.message.outputs))
    }

    /// The floats of an output.
    pub fn floats(&self, name: &str) -> Vec<f32> {
        self.raw(name).as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}
