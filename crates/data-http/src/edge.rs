//! One request, from its head to its answer.

use std::future::Future;
use std::sync::Arc;

use base_types::{OutcomeClass, Protocol};
use data_edge::{
    Beside, CONNECTION_LIMIT_ANSWER, Call, Drained, Edge, Ending, Handle, ReplyBody, check_head, discard, listen,
    without_panic,
};
use data_path::{Code, Failure};
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, HeaderName};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, Version};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::path::{NoRoute, Route, route};
use crate::respond;
use crate::tfs::protocol_of;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves the data listener until `shutdown`: then readiness goes off, new connections are accepted for the grace,
/// requests under way finish within the limit, and what is left is cut off.
pub async fn serve(listener: TcpListener, edge: impl Into<Arc<Edge>>, shutdown: impl Future<Output = ()>) -> Drained {
    serve_with(listener, edge.into(), |rest| rest, shutdown).await
}

/// [`serve`] with a guest that answers some of the requests: those `is_for_guest` finds.
pub async fn serve_beside<G: Handle>(
    listener: TcpListener,
    edge: Arc<Edge>,
    (guest, is_for_guest): (G, fn(&Request<Incoming>) -> bool),
    shutdown: impl Future<Output = ()>,
) -> Drained {
    serve_with(listener, edge, |host| Beside { host, guest, is_for_guest }, shutdown).await
}

async fn serve_with<H: Handle>(
    listener: TcpListener,
    edge: Arc<Edge>,
    handler: impl FnOnce(Rest) -> H,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let limits = edge.options.limits.clone();
    let readiness = edge.options.readiness.clone();
    let stop = async {
        shutdown.await;
        readiness.set_draining();
        sleep(limits.drain_grace).await;
    };
    listen(listener, handler(Rest(edge)), &limits, stop).await
}

/// The edge as this protocol sees it.
#[derive(Clone)]
pub(crate) struct Rest(pub(crate) Arc<Edge>);

impl Handle for Rest {
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send + 'static {
        let rest = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let request_id = rest.0.ids.request_id(&parts.headers);
            let call = Call::new(&rest.0, &parts, &request_id, protocol_of(parts.uri.path()));
            let answer = without_panic(rest.answer(&call, body)).await;
            let mut response = answer.unwrap_or_else(|| panicked(&call));
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
        self.0.gateway.metrics().connection_opened();
    }

    fn closed(&self) {
        self.0.gateway.metrics().connection_closed();
    }

    fn refused(&self) -> &'static [u8] {
        self.0.gateway.metrics().refused(Protocol::OipRest, None, OutcomeClass::Overload);
        CONNECTION_LIMIT_ANSWER
    }
}

impl Rest {
    async fn answer(&self, call: &Call<'_>, mut body: Incoming) -> Response<ReplyBody> {
        let parts = call.parts;
        if call.protocol == Protocol::TfsRest {
            // Boxed here and below: the future of a request is moved several times, and is as large as its largest part.
            return Box::pin(self.tfs(call, body)).await;
        }
        let found = match check_head(parts, &self.0.options.limits) {
            Ok(()) => route(&parts.method, parts.uri.path()),
            Err(failure) => Err(NoRoute { failure, allow: None }),
        };
        match found {
            Ok(Route::Infer(target)) => self.infer(call, &target, body).await,
            Ok(route) if parts.method == Method::POST => Box::pin(self.manage(call, &route, body)).await,
            Ok(route) => {
                let is_clean = discard(&mut body, &self.0.options.limits).await;
                let result = self.inform(&route);
                let ending = Ending { model: "", served: None, reason: None, failure: result.as_ref().err() };
                call.log(&ending);
                finished(parts, is_clean, result.unwrap_or_else(|failure| self.uninformed(&route, &failure)))
            }
            Err(NoRoute { failure, allow }) => {
                call.count_refused(None, failure.class);
                call.log(&Ending { model: "", served: None, reason: None, failure: Some(&failure) });
                let is_clean = discard(&mut body, &self.0.options.limits).await;
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

/// The answer to a request that made us panic.
fn panicked(call: &Call<'_>) -> Response<ReplyBody> {
    let failure = Failure::new(Code::Internal, "the gateway failed at this request");
    call.count_refused(None, failure.class);
    call.log(&Ending { model: "", served: None, reason: None, failure: Some(&failure) });
    finished(call.parts, false, respond::failure(&failure))
}
