//! The accept loop that all listeners share: connection limit, back-off, time limits, drain.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::connection::{ConnectionState, InFlight, TimedStream};
use crate::options::HttpLimits;
use crate::reply::ReplyBody;
use crate::turn::in_one_turn;

/// How long no connection is accepted after the system refused one, for want of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Connections over the limit that are being told so at once; more are closed without a word.
const REFUSALS_MAX: usize = 64;
/// How long such a one may take to read it.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// HTTP/1 reads and buffers this many bytes at once; large bodies profit, heads are limited apart.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// HTTP/2 streams that a peer may open and reset before we have looked at them.
const H2_PENDING_RESETS: usize = 20;
/// HTTP/2 streams that we may reset for a peer's errors before the connection is given up.
const H2_LOCAL_RESETS: usize = 64;

/// What a connection over the limit is told. In step with `table` and with `Code::ConnectionLimit`.
pub const CONNECTION_LIMIT_ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 88\r\n\r\n\
    {\"error\":\"too many connections are open\",\"code\":\"connection_limit\",\"fault\":\"overload\"}  ";

/// Answers the requests of a listener and hears of its connections.
pub trait Handle: Clone + Send + Sync + 'static {
    /// Answers a request. Dropping the future means that the caller has gone.
    fn handle(&self, request: Request<Incoming>) -> impl Future<Output = Response<ReplyBody>> + Send + 'static;

    /// A connection was accepted.
    fn opened(&self) {}

    /// It is closed.
    fn closed(&self) {}

    /// A connection was refused because the limit is reached. The bytes are the answer to send.
    fn refused(&self) -> &'static [u8];
}

/// How draining ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because their requests took too long.
    pub n_cut: usize,
}

/// Serves a listener until `stop`, then lets requests under way finish.
pub async fn listen<H: Handle>(
    listener: TcpListener,
    handler: H,
    limits: &HttpLimits,
    stop: impl Future<Output = ()>,
) -> Drained {
    let (stopping, is_stopping) = watch::channel(false);
    let server = Server { builder: builder(limits), limits: limits.clone(), handler, is_stopping };
    let (server, permits) = (Arc::new(server), Arc::new(Semaphore::new(limits.connections)));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                report_panic(ended);
                continue;
            }
            stream = accept(&listener) => stream,
        };
        if let Ok(permit) = permits.clone().try_acquire_owned() {
            connections.spawn(in_one_turn(server.clone().serve(stream, permit)));
            continue;
        }
        let answer = server.handler.refused();
        if let Ok(permit) = refusals.clone().try_acquire_owned() {
            connections.spawn(refuse(stream, answer, permit));
        }
    }
    drop(listener);
    // Fails only when there is no connection to tell.
    let _nobody = stopping.send(true);
    drain(connections, limits.drain_timeout).await
}

async fn drain(mut connections: JoinSet<()>, limit: Duration) -> Drained {
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    };
    if timeout(limit, all_ended).await.is_ok() {
        return Drained { n_cut: 0 };
    }
    let n_cut = connections.len();
    tracing::warn!(connections = n_cut, "drain limit reached: connections are cut off");
    connections.shutdown().await;
    Drained { n_cut }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended.map_err(|e| e.to_string()) {
        tracing::error!(error, "a connection ended in a panic");
    }
}

/// Waits for a connection. A peer that left again is passed over; a system out of descriptors is given a rest.
async fn accept(listener: &TcpListener) -> TcpStream {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

/// Tells a peer over the limit, then reads until it leaves: closing on unread bytes would destroy the answer.
async fn refuse(mut stream: TcpStream, answer: &'static [u8], _permit: OwnedSemaphorePermit) {
    let tell = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        let mut sink = [0; 1024];
        while stream.read(&mut sink).await? > 0 {}
        io::Result::Ok(())
    };
    match timeout(REFUSAL_TIMEOUT, tell).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection over the limit ended early"),
        Err(_) => tracing::debug!("a connection over the limit stayed open"),
    }
}

fn builder(limits: &HttpLimits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Time limits of heads are those of `TimedStream`.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(READ_BUFFER_BYTES.max(limits.head_bytes + limits.uri_bytes))
        .half_close(false)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .initial_stream_window_size(limits.h2_stream_window_bytes)
        .initial_connection_window_size(limits.h2_connection_window_bytes)
        .max_frame_size(limits.h2_frame_bytes)
        .max_header_list_size(h2_head_bytes(limits))
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(H2_LOCAL_RESETS)
        .keep_alive_interval(limits.h2_ping_interval)
        .keep_alive_timeout(limits.h2_ping_timeout);
    builder
}

/// What a head of HTTP/2 may have before it is refused without a word: as much again as is allowed, so that most that is
/// too large is told so, and the protocol's own 32 bytes for each field.
fn h2_head_bytes(limits: &HttpLimits) -> u32 {
    let bytes = 2 * (limits.head_bytes + limits.uri_bytes) + 32 * limits.headers;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

struct Server<H> {
    builder: Builder<TokioExecutor>,
    limits: HttpLimits,
    handler: H,
    is_stopping: watch::Receiver<bool>,
}

impl<H: Handle> Server<H> {
    async fn serve(self: Arc<Self>, stream: TcpStream, _permit: OwnedSemaphorePermit) {
        self.handler.opened();
        let _closed = OnDrop(|| self.handler.closed());
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
        let state = Arc::new(ConnectionState::default());
        let io = TokioIo::new(TimedStream::new(stream, state.clone(), &self.limits));
        let service = service_fn(|request: Request<Incoming>| {
            let in_flight = InFlight::begin(state.clone(), request.version());
            let answer = self.handler.handle(request);
            async move { Ok::<_, Infallible>(answer.await.map(|body| body.holding(in_flight))) }
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        let mut is_stopping = self.is_stopping.clone();
        // An error says that the listener is gone, which also means to stop.
        let stopping = async { is_stopping.wait_for(|stopping| *stopping).await.is_ok() };
        let result = tokio::select! {
            result = connection.as_mut() => result,
            _ = stopping => {
                if state.is_unused() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(error = error.as_ref() as &dyn std::error::Error, "connection ended");
        }
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
