//! The listener: a bounded number of connections, each with time limits, and an orderly end.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use control_loop::Control;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::Service;

use crate::guard::Peer;
use crate::routes::{App, router};
use crate::{AdminLimits, AdminOptions};

/// How long no connection is accepted after the system refused one, for want of descriptors or memory.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Header fields of a request.
const HEADERS_MAX: usize = 64;

/// Serves the admin API until `stop`, then lets requests under way finish.
pub async fn serve(
    listener: TcpListener,
    control: Arc<Control>,
    options: AdminOptions,
    stop: impl Future<Output = ()>,
) {
    let bound = match listener.local_addr() {
        Ok(bound) => bound,
        Err(error) => {
            tracing::error!(%error, "the admin listener has no address: it is closed");
            return;
        }
    };
    let limits = options.limits.clone();
    let permits = Arc::new(Semaphore::new(limits.requests));
    let app = router(App { control, options: Arc::new(options), bound, permits });
    let (stopping, is_stopping) = watch::channel(false);
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                report_panic(ended);
                continue;
            }
            accepted = accept(&listener, &places) => accepted,
        };
        if let Some((place, stream, peer)) = accepted {
            connections.spawn(connection(app.clone(), stream, peer, limits.clone(), is_stopping.clone(), place));
        }
    }
    drop(listener);
    // Fails only when there is no connection to tell.
    let _nobody = stopping.send(true);
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    };
    if timeout(limits.drain_timeout, all_ended).await.is_err() {
        tracing::warn!(connections = connections.len(), "admin connections are cut off");
        connections.shutdown().await;
    }
}

/// Waits for a place, then for a connection; `None` when there is none to be had at the moment.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, TcpStream, Peer)> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, remote)) => {
            // A peer that has left again has no address.
            let peer = Peer { remote, local: stream.local_addr().ok()? };
            Some((place, stream, peer))
        }
        Err(error) if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) => None,
        Err(error) => {
            tracing::warn!(%error, "cannot accept admin connections");
            sleep(ACCEPT_BACKOFF).await;
            None
        }
    }
}

async fn connection(
    app: Router,
    stream: TcpStream,
    peer: Peer,
    limits: AdminLimits,
    mut is_stopping: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        app.clone().call(request.map(Body::new))
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // An error says that the listener is gone, which also means to stop.
    let stopping = async { is_stopping.wait_for(|stopping| *stopping).await.is_ok() };
    let result = tokio::select! {
        result = connection.as_mut() => result,
        _ = stopping => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, peer = %peer.remote, "admin connection ended");
    }
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "an admin connection ended in a panic");
    }
}
