//! One request, from its head to its answer.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base_types::{ModelName, OutcomeClass};
use data_path::{Code, Failure, Gateway};
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::access::{self, Ending};
use crate::body::{BodyBudget, discard};
use crate::listen::{Drained, Handle, listen};
use crate::options::{HttpLimits, HttpOptions};
use crate::path::{NoRoute, Route, route};
use crate::reply::ReplyBody;
use crate::respond;
use crate::trace::Ids;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a connection over the limit is told. In step with `respond` and with `Code::ConnectionLimit`.
pub(crate) const CONNECTION_LIMIT_ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 88\r\n\r\n\
    {\"error\":\"too many connections are open\",\"code\":\"connection_limit\",\"fault\":\"overload\"}  ";

/// Serves the data listener until `shutdown`: then readiness goes off, new connections are accepted for the grace,
/// requests under way finish within the limit, and what is left is cut off.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    options: HttpOptions,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let limits = options.limits.clone();
    let readiness = options.readiness.clone();
    let stop = async {
        shutdown.await;
        readiness.set_draining();
        sleep(limits.drain_grace).await;
    };
    let edge = Edge { gateway, budget: BodyBudget::new(limits.bodies_bytes), options, ids: Ids::new() };
    listen(listener, Arc::new(edge), &limits, stop).await
}

/// The edge, shared by all connections.
pub(crate) struct Edge {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) options: HttpOptions,
    pub(crate) budget: Arc<BodyBudget>,
    pub(crate) ids: Ids,
}

/// One request under way.
pub(crate) struct Call<'a> {
    pub(crate) edge: &'a Edge,
    pub(crate) parts: &'a Parts,
    pub(crate) request_id: &'a HeaderValue,
    /// Set before the request is counted or handed to data-path, which counts it.
    pub(crate) is_counted: AtomicBool,
}

impl Call<'_> {
    /// Counts a request that ends before data-path has seen it.
    pub(crate) fn count_refused(&self, model: Option<&ModelName>, class: OutcomeClass) {
        if !self.is_counted.swap(true, Ordering::Relaxed) {
            self.edge.gateway.metrics().refused(model, class);
        }
    }
}

impl Handle for Arc<Edge> {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send + 'static {
        let edge = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let request_id = edge.ids.request_id(&parts.headers);
            let is_counted = AtomicBool::new(false);
            let call = Call { edge: &edge, parts: &parts, request_id: &request_id, is_counted };
            let mut response = without_panic(&call, edge.answer(&call, body)).await;
            if parts.method == Method::HEAD {
                let length = HeaderValue::from(response.body().len());
                response.headers_mut().insert(CONTENT_LENGTH, length);
                *response.body_mut() = ReplyBody::default();
            }
            response.headers_mut().insert(&REQUEST_ID, request_id);
            response
        }
    }

    fn opened(&self) {
        self.gateway.metrics().connection_opened();
    }

    fn closed(&self) {
        self.gateway.metrics().connection_closed();
    }

    fn refused(&self) -> &'static [u8] {
        self.gateway.metrics().refused(None, OutcomeClass::Overload);
        CONNECTION_LIMIT_ANSWER
    }
}

impl Edge {
    async fn answer(&self, call: &Call<'_>, mut body: Incoming) -> Response<ReplyBody> {
        let parts = call.parts;
        let found = match check_head(parts, &self.options.limits) {
            Ok(()) => route(&parts.method, parts.uri.path()),
            Err(failure) => Err(NoRoute { failure, allow: None }),
        };
        match found {
            Ok(Route::Infer(target)) => self.infer(call, &target, body).await,
            Ok(route) => {
                let is_clean = discard(&mut body, &self.options.limits).await;
                let result = self.inform(&route);
                let ending = Ending { model: "", served: None, reason: None, failure: result.as_ref().err() };
                access::log(call, &ending);
                finished(parts, is_clean, result.unwrap_or_else(|failure| self.uninformed(&route, &failure)))
            }
            Err(NoRoute { failure, allow }) => {
                call.count_refused(None, failure.class);
                access::log(call, &Ending { model: "", served: None, reason: None, failure: Some(&failure) });
                let is_clean = discard(&mut body, &self.options.limits).await;
                let mut response = respond::failure(&failure);
                if let Some(methods) = allow {
                    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
                }
                finished(parts, is_clean, response)
            }
        }
    }
}

/// Says that the connection ends, where bytes of the request are left in it. HTTP/2 just resets the stream.
pub(crate) fn finished(parts: &Parts, is_clean: bool, mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    if !is_clean && parts.version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn check_head(parts: &Parts, limits: &HttpLimits) -> Result<(), Failure> {
    let uri_bytes = parts.uri.path_and_query().map_or(0, |p| p.as_str().len());
    let malformed = |what: &str, max: usize, unit: &str| {
        Err(Failure::new(Code::Malformed, format!("the request's {what} has more than {max} {unit}")))
    };
    if uri_bytes > limits.uri_bytes {
        return malformed("URI", limits.uri_bytes, "bytes");
    }
    if parts.headers.len() > limits.headers {
        return malformed("head", limits.headers, "header fields");
    }
    let head_bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head_bytes > limits.head_bytes {
        return malformed("head", limits.head_bytes, "bytes");
    }
    Ok(())
}

/// A panic becomes an answer of its own, so that neither the connection nor other streams on it suffer.
async fn without_panic(call: &Call<'_>, answer: impl Future<Output = Response<ReplyBody>>) -> Response<ReplyBody> {
    let mut answer = pin!(answer);
    let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => std::task::Poll::Ready(None),
    });
    if let Some(response) = polled.await {
        return response;
    }
    let failure = Failure::new(Code::Internal, "the gateway failed at this request");
    call.count_refused(None, failure.class);
    access::log(call, &Ending { model: "", served: None, reason: None, failure: Some(&failure) });
    finished(call.parts, false, respond::failure(&failure))
}
