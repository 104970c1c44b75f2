//! Closed loop: a fixed number of callers, each asking again as soon as it has its answer. It finds what a server
//! can do and what a request costs it. It tells nothing about latency under a given load: for that see `open`.
//!
//! All callers live on one thread, so that the generator takes at most one core and little of that.

mod http2;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::BenchError;
use crate::error::io_at;
use crate::http1::extent;

pub use http2::Http2Request;

const CHUNK_BYTES: usize = 16 << 10;

#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    refused: AtomicU64,
    is_over: AtomicBool,
}

/// A running closed loop.
#[derive(Debug)]
pub struct ClosedLoop {
    counts: Arc<Counts>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ClosedLoop {
    /// Starts `n_callers`, all sending the same bytes.
    pub fn start(address: &str, request: Vec<u8>, n_callers: usize) -> Result<Self, BenchError> {
        let (address, request) = (address.to_owned(), Arc::<[u8]>::from(request));
        Self::spawn(move |runtime, counts| runtime.block_on(drive(&address, &request, n_callers, counts)))
    }

    /// The same over HTTP/2. An answer counts as good when gRPC's status, if there is one, says so too.
    pub fn start_http2(address: &str, request: Http2Request, n_callers: usize) -> Result<Self, BenchError> {
        let address = address.to_owned();
        Self::spawn(move |runtime, counts| runtime.block_on(http2::drive(&address, &request, n_callers, counts)))
    }

    fn spawn(
        drive: impl FnOnce(&Runtime, &Arc<Counts>) -> io::Result<()> + Send + 'static,
    ) -> Result<Self, BenchError> {
        let counts = Arc::new(Counts::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(io_at("start the load generator"))?;
        let shared = Arc::clone(&counts);
        let thread = std::thread::Builder::new().name("closed loop".to_owned()).spawn(move || drive(&runtime, &shared));
        Ok(Self { counts, thread: Some(thread.map_err(io_at("start the load generator"))?) })
    }

    /// Answers with status 200 so far.
    pub fn n_answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// Ends the loop after the answers under way. An answer other than 200, or none, is an error.
    pub fn stop(mut self) -> Result<(), BenchError> {
        self.counts.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().map(JoinHandle::join);
        match thread {
            Some(Ok(result)) => result.map_err(io_at("drive the server"))?,
            _ => return Err(BenchError::Incorrect("the load generator panicked".to_owned())),
        }
        match self.counts.refused.load(Ordering::Relaxed) {
            0 => Ok(()),
            n => Err(BenchError::Incorrect(format!("{n} requests of the closed loop had another status than 200"))),
        }
    }
}

impl Drop for ClosedLoop {
    fn drop(&mut self) {
        self.counts.is_over.store(true, Ordering::Relaxed);
    }
}

async fn drive(address: &str, request: &Arc<[u8]>, n_callers: usize, counts: &Arc<Counts>) -> io::Result<()> {
    let mut callers = JoinSet::new();
    for _ in 0..n_callers {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        callers.spawn(call(stream, Arc::clone(request), Arc::clone(counts)));
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

async fn call(stream: TcpStream, request: Arc<[u8]>, counts: Arc<Counts>) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK_BYTES);
    while !counts.is_over.load(Ordering::Relaxed) {
        send(&stream, &request).await?;
        let extent = loop {
            if let Some(extent) = extent(&buffer)? {
                break extent;
            }
            stream.readable().await?;
            match stream.try_read_buf(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        };
        let counter = if extent.status == 200 { &counts.answered } else { &counts.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        buffer.drain(..extent.total_bytes);
    }
    Ok(())
}

async fn send(stream: &TcpStream, mut request: &[u8]) -> io::Result<()> {
    while !request.is_empty() {
        match stream.try_write(request) {
            Ok(n) => request = &request[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
