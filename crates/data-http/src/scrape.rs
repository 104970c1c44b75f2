//! The metrics listener: its own address, its own small limits, and nothing else on it.

use std::future::Future;
use std::time::Duration;

use base_metrics::Metrics;
use data_edge::{CONNECTION_LIMIT_ANSWER, Drained, Handle, HttpLimits, ReplyBody, listen};
use data_path::{Code, Failure};
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tower::limit::ConcurrencyLimit;
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::respond;

/// Scrapes that are rendered at once; the next waits.
const SCRAPES_MAX: usize = 2;
/// How long a scrape may take, its wait included.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5);
/// Open connections of this listener.
const CONNECTIONS_MAX: usize = 32;

/// Serves `/metrics` until `shutdown`.
pub async fn serve_metrics(listener: TcpListener, metrics: Metrics, shutdown: impl Future<Output = ()>) -> Drained {
    let content_type = HeaderValue::from_static(metrics.content_type());
    // Every scrape gets a clone that asks for its permit anew, so no idle connection keeps one.
    let renderer = ServiceBuilder::new().concurrency_limit(SCRAPES_MAX).service(service_fn(move |()| {
        let metrics = metrics.clone();
        async move { metrics.render().map(ReplyBody::from) }
    }));
    let limits = HttpLimits { connections: CONNECTIONS_MAX, drain_timeout: SCRAPE_TIMEOUT, ..HttpLimits::default() };
    listen(listener, Scrape { renderer, content_type }, &limits, shutdown).await
}

#[derive(Clone)]
struct Scrape<S> {
    renderer: ConcurrencyLimit<S>,
    content_type: HeaderValue,
}

impl<S> Handle for Scrape<S>
where
    S: tower::Service<(), Response = ReplyBody> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: std::fmt::Display,
{
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send + 'static {
        let scrape = self.clone();
        async move {
            let mut response = scrape.answer(&request).await.unwrap_or_else(|failure| respond::failure(&failure));
            if request.method() == Method::HEAD {
                let length = HeaderValue::from(response.body().len());
                response.headers_mut().insert(CONTENT_LENGTH, length);
                *response.body_mut() = ReplyBody::default();
            }
            response
        }
    }

    fn refused(&self) -> &'static [u8] {
        CONNECTION_LIMIT_ANSWER
    }
}

impl<S> Scrape<S>
where
    S: tower::Service<(), Response = ReplyBody>,
    S::Error: std::fmt::Display,
{
    async fn answer(self, request: &Request<Incoming>) -> Result<Response<ReplyBody>, Failure> {
        if request.uri().path() != "/metrics" {
            return Err(Failure::new(Code::NoSuchRoute, "there is only /metrics here"));
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let failure = Failure::new(Code::MethodNotAllowed, "only GET and HEAD are allowed here");
            let mut response = respond::failure(&failure);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(response);
        }
        let body = match timeout(SCRAPE_TIMEOUT, self.renderer.oneshot(())).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => {
                tracing::error!(%error, "metrics cannot be rendered");
                return Err(Failure::new(Code::Internal, "metrics cannot be rendered"));
            }
            Err(_) => return Err(Failure::new(Code::QueueFull, "too many scrapes at once")),
        };
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, self.content_type);
        Ok(response)
    }
}
