//! Callers that speak HTTP/2, as gRPC does: one connection each, one request at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper::header::CONTENT_TYPE;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Counts;

/// What every caller sends.
#[derive(Debug, Clone)]
pub struct Http2Request {
    /// The path.
    pub path: String,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

pub(super) async fn drive(address: &str, ask: &Http2Request, n_callers: usize, counts: &Arc<Counts>) -> io::Result<()> {
    let mut callers = JoinSet::new();
    for _ in 0..n_callers {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        callers.spawn(call(stream, format!("http://{address}{}", ask.path), ask.clone(), Arc::clone(counts)));
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn call(stream: TcpStream, uri: String, ask: Http2Request, counts: Arc<Counts>) -> io::Result<()> {
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    while !counts.is_over.load(Ordering::Relaxed) {
        let request = Request::post(&uri).header(CONTENT_TYPE, ask.content_type).header("te", "trailers");
        let request = request.body(Full::new(ask.body.clone())).map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?;
        // gRPC tells the outcome at the end, or in the head when there is nothing else to tell.
        let told = body.trailers().and_then(|fields| fields.get("grpc-status")).or(head.headers.get("grpc-status"));
        let is_good = head.status == 200 && told.is_none_or(|status| status == "0");
        let counter = if is_good { &counts.answered } else { &counts.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
    connection.abort();
    Ok(())
}
