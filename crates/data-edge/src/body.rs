//! Collecting a request's body under limits of size, time, rate and number of chunks.
//!
//! The common body is one frame that is already here: it is handed on without a copy, a timer or an allocation. A
//! large one is copied once, into memory made for it as soon as enough of it has come to believe its announced
//! length.

mod aligned;
mod arriving;
mod gather;
mod pieces;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use data_path::{Code, Failure};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep, timeout};

pub(crate) use aligned::Aligned;
pub use arriving::Arriving;
use arriving::broken_off;
use gather::Gather;
pub use pieces::{Pieces, Share};

use crate::call::Call;
use crate::compress::{request_encoding, unpack};
use crate::options::HttpLimits;

/// Bodies up to this size are not counted against the bytes held over all connections.
const SMALL_BODY_BYTES: usize = 64 * 1024;
/// How often the rate of a slow body is looked at.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

/// The bytes of large bodies that are held at once, over all connections.
pub struct BodyBudget {
    held_bytes: AtomicUsize,
    max_bytes: usize,
}

impl BodyBudget {
    /// At most this many.
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { held_bytes: AtomicUsize::new(0), max_bytes })
    }

    /// What is missing in shares held already to cover so many bytes of one body.
    pub(crate) fn cover(self: &Arc<Self>, held: &[Held], bytes: usize) -> Result<Option<Held>, Failure> {
        let covered = SMALL_BODY_BYTES + held.iter().map(|share| share.bytes).sum::<usize>();
        match bytes.saturating_sub(covered) {
            0 => Ok(None),
            missing => self.take(missing).map(Some).ok_or_else(|| no_room(self)),
        }
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let held = self.held_bytes.fetch_add(bytes, Ordering::AcqRel);
        let held = Held { budget: self.clone(), bytes, is_over: held + bytes > self.max_bytes };
        (!held.is_over).then_some(held)
    }
}

/// A share of the budget, given back on drop.
pub(crate) struct Held {
    budget: Arc<BodyBudget>,
    bytes: usize,
    is_over: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// A whole body. The share of the budget is held for as long as the bytes are.
pub struct Collected {
    /// The bytes.
    pub bytes: Bytes,
    pub(crate) _held: Vec<Held>,
}

/// Reads a request's body to its end and unpacks it. Its byte `aligned_at` comes to lie on an address the runtime
/// can take tensors from, unless all of the body came in one piece.
///
/// # Errors
/// The body is too large, too slow, broken, or packed in a way that is not accepted.
pub async fn receive<B: Arriving>(call: &Call<'_>, body: &mut B, aligned_at: usize) -> Result<Collected, Failure> {
    let (limits, budget) = (&call.edge.options.limits, &call.edge.budget);
    match request_encoding(&call.parts.headers)? {
        None => collect_aligned(body, limits, budget, aligned_at).await,
        Some(encoding) => {
            let packed = collect(body, limits, budget).await?;
            unpack(packed, (encoding, aligned_at), limits, budget).await
        }
    }
}

/// Reads a body to its end.
///
/// # Errors
/// The body is too large, too slow, or broken off.
pub async fn collect<B: Arriving>(
    body: &mut B,
    limits: &HttpLimits,
    budget: &Arc<BodyBudget>,
) -> Result<Collected, Failure> {
    collect_aligned(body, limits, budget, 0).await
}

async fn collect_aligned<B: Arriving>(
    body: &mut B,
    limits: &HttpLimits,
    budget: &Arc<BodyBudget>,
    aligned_at: usize,
) -> Result<Collected, Failure> {
    let announced = body.size_hint().exact();
    if announced.is_some_and(|bytes| bytes > limits.body_bytes as u64) {
        return Err(too_large(limits));
    }
    let mut reader =
        Reader { limits, timer: None, began: None, n_bytes: 0, n_chunks: 0, is_chunked: announced.is_none() };
    let Some(first) = reader.next(body).await? else {
        return Ok(Collected { bytes: Bytes::new(), _held: Vec::new() });
    };
    if body.is_end_stream() {
        return Ok(Collected { bytes: first, _held: Vec::new() });
    }
    let mut gather = Gather::new(budget, announced.map(|n| n as usize), aligned_at);
    gather.push(first)?;
    while let Some(chunk) = reader.next(body).await? {
        gather.push(chunk)?;
    }
    gather.finish()
}

/// Reads and drops what is left of a body, if it is little, so that the connection can go on. Says whether all
/// of it is gone.
pub async fn discard<B>(body: &mut B, limits: &HttpLimits) -> bool
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.is_end_stream() {
        return true;
    }
    if body.size_hint().lower() > limits.discard_bytes as u64 {
        return false;
    }
    let mut left = limits.discard_bytes;
    let all = poll_fn(|cx| {
        loop {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => return Poll::Ready(true),
                Some(Err(_)) => return Poll::Ready(false),
                Some(Ok(frame)) => match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(rest) => left = rest,
                    None => return Poll::Ready(false),
                },
            }
        }
    });
    timeout(limits.discard_timeout, all).await.unwrap_or(false)
}

fn too_large(limits: &HttpLimits) -> Failure {
    Failure::new(Code::BodyTooLarge, format!("the body has more than {} bytes", limits.body_bytes))
}

fn no_room(budget: &BodyBudget) -> Failure {
    let text = format!("requests of {} bytes are being read already", budget.max_bytes);
    Failure::new(Code::QueueFull, text)
}

/// Reads frame by frame. The timer exists only for bodies that keep us waiting.
struct Reader<'a> {
    limits: &'a HttpLimits,
    timer: Option<Pin<Box<Sleep>>>,
    began: Option<Instant>,
    n_bytes: usize,
    n_chunks: usize,
    is_chunked: bool,
}

impl Reader<'_> {
    /// The next bytes; `None` at the end. Trailers are ignored.
    async fn next<B: Arriving>(&mut self, body: &mut B) -> Result<Option<Bytes>, Failure> {
        loop {
            match poll_fn(|cx| self.poll_frame(body, cx)).await? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.count(bytes.len())?;
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    fn count(&mut self, n_bytes: usize) -> Result<(), Failure> {
        self.n_bytes += n_bytes;
        self.n_chunks += 1;
        if self.n_bytes > self.limits.body_bytes {
            return Err(too_large(self.limits));
        }
        if self.is_chunked && self.n_chunks > self.limits.body_chunks {
            let text = format!("the body comes in more than {} chunks", self.limits.body_chunks);
            return Err(Failure::new(Code::Malformed, text));
        }
        Ok(())
    }

    fn poll_frame<B: Arriving>(
        &mut self,
        body: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Failure>> {
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame.transpose().map_err(|error| broken_off(error.into())));
        }
        self.poll_patience(cx).map(Err)
    }

    /// Ready when the body has taken too long, as a whole or for the bytes it has sent.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let limits = self.limits;
        let began = *self.began.get_or_insert_with(Instant::now);
        let first = limits.body_grace.min(limits.body_timeout);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(first)));
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            let elapsed = now - began;
            if elapsed >= limits.body_timeout {
                let text = format!("the body did not arrive within {} s", limits.body_timeout.as_secs_f32());
                return Poll::Ready(Failure::new(Code::BodyTooSlow, text));
            }
            let slow = elapsed.saturating_sub(limits.body_grace).as_secs() as usize;
            if self.n_bytes < slow.saturating_mul(limits.body_bytes_per_second) {
                let text = format!("the body comes slower than {} bytes a second", limits.body_bytes_per_second);
                return Poll::Ready(Failure::new(Code::BodyTooSlow, text));
            }
            timer.as_mut().reset((now + RATE_INTERVAL).min(began + limits.body_timeout));
        }
    }
}

#[cfg(test)]
mod tests;
