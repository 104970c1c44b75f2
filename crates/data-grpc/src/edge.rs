//! One call, from its head to its answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use base_types::{OutcomeClass, Protocol};
use data_edge::{
    CONNECTION_LIMIT_ANSWER, Call, Drained, Edge, Ending, Handle, HttpLimits, ReplyBody, check_head, listen,
    without_panic,
};
use data_path::{Code, Failure};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::inform::MESSAGE_BYTES_MAX;
use crate::message::{Bounds, Message, Messages};
use crate::reflection::Reflection;
use crate::reply;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What the type of a call's content begins with.
const CONTENT: &[u8] = b"application/grpc";

/// Becomes ready when no more is to be begun.
pub(crate) type Stopping = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The gRPC edge. Cheap to clone.
#[derive(Clone)]
pub struct Grpc(pub(crate) Arc<Shared>);

/// What all calls share.
pub(crate) struct Shared {
    pub(crate) edge: Arc<Edge>,
    /// Bounds of messages that carry tensors.
    pub(crate) bounds: Bounds,
    /// Bounds of all others.
    pub(crate) small: Bounds,
    pub(crate) reflection: Reflection,
    stopping: Box<dyn Fn() -> Stopping + Send + Sync>,
}

impl Grpc {
    /// An edge in front of the request path. `stopping` gives futures that become ready when the process is asked to
    /// stop: streams then end as soon as what they are at is answered.
    pub fn new<F>(edge: Arc<Edge>, stopping: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let limits = &edge.options.limits;
        let bounds = Bounds::new(limits.clone(), edge.budget.clone());
        let body_bytes = limits.body_bytes.min(MESSAGE_BYTES_MAX);
        let small = Bounds::new(HttpLimits { body_bytes, ..limits.clone() }, edge.budget.clone());
        let stopping = Box::new(move || Box::pin(stopping()) as Stopping);
        Self(Arc::new(Shared { edge, bounds, small, reflection: Reflection::new(), stopping }))
    }

    /// Becomes ready when the process is asked to stop.
    pub(crate) fn stopping(&self) -> Stopping {
        (self.0.stopping)()
    }
}

/// Whether a request is a call of this protocol, for listeners that take others too.
pub fn is_grpc(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_2 && has_grpc_content(request)
}

/// The protocol's name alone, or with the only encoding of messages that there is here.
fn has_grpc_content(request: &Request<Incoming>) -> bool {
    let content = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content.and_then(|text| text.strip_prefix(CONTENT));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b";") || rest.starts_with(b"+proto"))
}

/// Serves the listener until the process is asked to stop: then new connections are accepted for the grace, calls under
/// way finish within the limit, and what is left is cut off.
pub async fn serve(listener: TcpListener, grpc: Grpc) -> Drained {
    let limits = grpc.0.edge.options.limits.clone();
    let (stopping, readiness) = (grpc.stopping(), grpc.0.edge.options.readiness.clone());
    let stop = async {
        stopping.await;
        readiness.set_draining();
        sleep(limits.drain_grace).await;
    };
    listen(listener, grpc, &limits, stop).await
}

impl Handle for Grpc {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send + 'static {
        let grpc = self.clone();
        async move {
            if !has_grpc_content(&request) || request.method() != Method::POST {
                return no_call();
            }
            let request_id = grpc.0.edge.ids.request_id(request.headers());
            let (parts, body) = request.into_parts();
            let call = Call::new(&grpc.0.edge, &parts, &request_id, protocol(parts.uri.path()));
            let answer = without_panic(grpc.answer(&call, body)).await;
            let mut response = answer.unwrap_or_else(|| panicked(&call));
            response.headers_mut().insert(&REQUEST_ID, request_id.clone());
            response
        }
    }

    fn opened(&self) {
        self.0.edge.gateway.metrics().connection_opened();
    }

    fn closed(&self) {
        self.0.edge.gateway.metrics().connection_closed();
    }

    fn refused(&self) -> &'static [u8] {
        self.0.edge.gateway.metrics().refused(Protocol::OipGrpc, None, OutcomeClass::Overload);
        CONNECTION_LIMIT_ANSWER
    }
}

fn protocol(path: &str) -> Protocol {
    if path.starts_with("/tensorflow.") { Protocol::TfsGrpc } else { Protocol::OipGrpc }
}

impl Grpc {
    async fn answer(&self, call: &Call<'_>, body: Incoming) -> Response<ReplyBody> {
        if let Err(failure) = check_head(call.parts, &self.0.edge.options.limits) {
            return refused(call, &failure);
        }
        match call.parts.uri.path() {
            "/inference.GRPCInferenceService/ModelInfer" => self.infer(call, body).await,
            "/inference.GRPCInferenceService/ModelStreamInfer" => self.stream(call, body),
            "/tensorflow.serving.PredictionService/Predict" => self.predict(call, body).await,
            "/grpc.health.v1.Health/Watch" => self.watch(call, body).await,
            path if path.starts_with("/grpc.reflection.") => self.reflect(call, body).await,
            _ => self.inform(call, body).await,
        }
    }

    /// The one message of a call that asks a model. A caller who leaves before it is whole is logged and counted.
    pub(crate) async fn arrived(&self, call: &Call<'_>, body: Incoming) -> Result<Message, Failure> {
        let mut arriving = call.watch("");
        let mut messages = Messages::new(body, &call.parts.headers);
        let read = messages.only(&self.0.bounds).await;
        arriving.is_over = true;
        if read.is_err() {
            messages.discard(&self.0.bounds).await;
        }
        read
    }
}

/// The answer to a call that ends before a model is asked.
pub(crate) fn refused(call: &Call<'_>, failure: &Failure) -> Response<ReplyBody> {
    call.count_refused(None, failure.class);
    call.log(&Ending { model: "", served: None, reason: None, failure: Some(failure) });
    reply::failed(failure)
}

/// The answer to a call that made us panic.
fn panicked(call: &Call<'_>) -> Response<ReplyBody> {
    refused(call, &Failure::new(Code::Internal, "the gateway failed at this request"))
}

/// The answer to what is no call: the protocol wants a status of HTTP.
fn no_call() -> Response<ReplyBody> {
    let text = "only gRPC is spoken here: HTTP/2, POST, content-type application/grpc\n";
    let mut response = Response::new(ReplyBody::from(text));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
