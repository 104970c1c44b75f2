//! Time limits of one connection, kept where the bytes pass.
//!
//! hyper has one timeout for reading a head and starts it when the previous answer is out, so that a connection
//! either may idle for only seconds or may dribble its head for minutes; and the detection of HTTP/2 before it has
//! none. This wrapper tells three waits apart: for the first request, for the rest of a head, for the next
//! request. It arms a timer only when a read would block, and reads no clock while requests follow each other.
//!
//! A peer that takes no bytes is noticed at the socket, and one that takes no answer although it would take other bytes,
//! which HTTP/2 makes possible, by the pieces of answers that do not move.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::options::HttpLimits;
use crate::untaken::Untaken;

/// How every HTTP/2 connection begins, and no HTTP/1 request can.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the requests of a connection tell its timers.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    n_begun: AtomicU64,
    n_in_flight: AtomicUsize,
    is_h2: AtomicBool,
    /// Answers, or parts of them, that the connection holds. Always empty on HTTP/1.
    pub(crate) untaken: Untaken,
}

impl ConnectionState {
    /// Whether no request has ever come in.
    pub(crate) fn is_unused(&self) -> bool {
        self.n_begun.load(Ordering::Acquire) == 0
    }

    /// Whether answers are being made or handed over.
    fn is_answering(&self) -> bool {
        self.n_in_flight.load(Ordering::Acquire) > 0 || !self.untaken.is_empty()
    }
}

/// A request under way. Its end is when its answer has been taken over by the connection, or it was dropped.
pub(crate) struct InFlight(Arc<ConnectionState>);

impl InFlight {
    pub(crate) fn begin(state: Arc<ConnectionState>, version: Version) -> Self {
        if version == Version::HTTP_2 {
            // Told again for peers whose preface came in pieces.
            state.is_h2.store(true, Ordering::Release);
        }
        state.n_in_flight.fetch_add(1, Ordering::AcqRel);
        state.n_begun.fetch_add(1, Ordering::AcqRel);
        Self(state)
    }

    /// The connection, if it is one of HTTP/2.
    pub(crate) fn h2_connection(&self) -> Option<Arc<ConnectionState>> {
        self.0.is_h2.load(Ordering::Acquire).then(|| self.0.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.n_in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a blocked read is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The first request.
    First,
    /// The rest of a head that has begun.
    Head,
    /// The next request.
    Next,
}

/// A socket that gives up on peers that keep it waiting.
pub(crate) struct TimedStream {
    stream: TcpStream,
    state: Arc<ConnectionState>,
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Runs out at the time limit or before it; then it is decided anew.
    read_timer: Pin<Box<Sleep>>,
    armed_for: Wait,
    /// `n_begun` when it was last looked at.
    n_begun_seen: u64,
    /// Bytes have come in that no request has been made of yet.
    has_unused_bytes: bool,
    /// How much of the preface of HTTP/2 has come; `None` once it is known whether it is one.
    n_preface_bytes: Option<usize>,
    /// Something happened since the idle timer was last armed.
    is_active: bool,
    write_timer: Option<Pin<Box<Sleep>>>,
    is_write_waiting: bool,
    /// Ends the rounds of `untaken`.
    untaken_timer: Option<Pin<Box<Sleep>>>,
    is_untaken_watched: bool,
}

impl TimedStream {
    pub(crate) fn new(stream: TcpStream, state: Arc<ConnectionState>, limits: &HttpLimits) -> Self {
        Self {
            stream,
            state,
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            read_timer: Box::pin(sleep(limits.head_timeout)),
            armed_for: Wait::First,
            n_begun_seen: 0,
            has_unused_bytes: false,
            n_preface_bytes: Some(0),
            is_active: false,
            write_timer: None,
            is_write_waiting: false,
            untaken_timer: None,
            is_untaken_watched: false,
        }
    }

    fn took_bytes(&mut self, bytes: &[u8]) {
        self.has_unused_bytes = true;
        let Some(n_before) = self.n_preface_bytes else { return };
        let expected = &H2_PREFACE[n_before..];
        let n_new = expected.len().min(bytes.len());
        let is_preface = expected[..n_new] == bytes[..n_new];
        self.n_preface_bytes = (is_preface && n_new < expected.len()).then_some(n_before + n_new);
        // A peer that has sent a part of it has said nothing yet.
        if is_preface && self.n_preface_bytes.is_none() {
            self.state.is_h2.store(true, Ordering::Release);
            self.is_active = true;
        }
    }

    fn is_h2(&self) -> bool {
        self.state.is_h2.load(Ordering::Acquire)
    }

    /// Ready when a blocked read has waited too long.
    fn poll_read_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Then the gateway is at work, or a body is being read or an answer taken, which has limits of its own. The timer
        // is kept going, because nothing promises that the end of the request leads to another read.
        let is_busy = self.state.is_answering();
        self.is_active |= is_busy;
        let n_begun = self.state.n_begun.load(Ordering::Acquire);
        if n_begun != self.n_begun_seen {
            self.n_begun_seen = n_begun;
            self.has_unused_bytes = false;
            self.is_active = true;
            self.armed_for = Wait::Next;
        }
        // An HTTP/2 peer sends frames that belong to no request; what it may hold back is bounded by its pings.
        let wait = match n_begun {
            _ if is_busy || self.is_h2() => Wait::Next,
            0 => Wait::First,
            _ if self.has_unused_bytes => Wait::Head,
            _ => Wait::Next,
        };
        if wait == Wait::Head && self.armed_for != Wait::Head {
            self.arm(wait, self.head_timeout);
        }
        loop {
            ready!(self.read_timer.as_mut().poll(cx));
            if wait != Wait::Next || !std::mem::take(&mut self.is_active) {
                return Poll::Ready(());
            }
            self.arm(Wait::Next, self.idle_timeout);
        }
    }

    /// Ready when the peer has let go nothing of some answer for too long. A blocked read is where this is looked at,
    /// because HTTP/2 always reads, whatever it may not write.
    fn poll_untaken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.write_timeout;
        let timer = self.untaken_timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.is_untaken_watched {
            // A request begins on this task, before this read; its answer may be handed over on another, after it.
            if !self.state.is_answering() {
                return Poll::Pending;
            }
            self.is_untaken_watched = true;
            timer.as_mut().reset(Instant::now() + timeout);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if !self.state.untaken.end_round() {
                return Poll::Ready(());
            }
            if !self.state.is_answering() {
                self.is_untaken_watched = false;
                return Poll::Pending;
            }
            timer.as_mut().reset(Instant::now() + timeout);
        }
    }

    fn arm(&mut self, wait: Wait, timeout: Duration) {
        self.read_timer.as_mut().reset(Instant::now() + timeout);
        self.armed_for = wait;
    }

    /// Passes a write's result on; a blocked one fails when no byte was taken for too long.
    fn timed_write<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.is_write_waiting = false;
            // Writes of HTTP/2 may be pings, which are no activity.
            self.is_active |= !self.is_h2();
            return result;
        }
        let timeout = self.write_timeout;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.is_write_waiting {
            self.is_write_waiting = true;
            timer.as_mut().reset(Instant::now() + timeout);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(timed_out("the peer takes no bytes")))
    }
}

fn timed_out(text: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, text)
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n_before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Ready(result) => {
                self.took_bytes(&buf.filled()[n_before..]);
                Poll::Ready(result)
            }
            Poll::Pending => {
                if self.is_h2() && self.poll_untaken(cx).is_ready() {
                    return Poll::Ready(Err(timed_out("the peer takes no answer")));
                }
                ready!(self.poll_read_timeout(cx));
                Poll::Ready(Err(timed_out("the peer sends no request")))
            }
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed_write(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed_write(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
