//! Messages out of a request's body: five bytes of prefix, then the message, maybe packed.

use std::future::{Future, poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Buf;
use data_edge::compress::{Encoding, unpack};
use data_edge::{Arriving, BodyBudget, HttpLimits, Pieces, Share, discard};
use data_path::{Code, Failure};
use http::{HeaderMap, HeaderValue};
use tokio::select;

use crate::frames::Frames;

/// A flag and the length.
pub(crate) const PREFIX_BYTES: usize = 5;
/// Beside a message of the largest size: its prefix, and the frame in which the next one begins.
const ROOM_BYTES: usize = 256 * 1024;
/// How the messages of a request are packed.
pub(crate) const ENCODING: &str = "grpc-encoding";
/// How those of its answer may be.
pub(crate) const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// One message, unpacked.
pub(crate) struct Message {
    /// Its bytes.
    pub(crate) frames: Frames,
    /// Whether it came packed.
    pub(crate) was_packed: bool,
    /// Kept as long as the bytes are.
    pub(crate) _share: Share,
}

/// The bounds of messages.
pub(crate) struct Bounds {
    /// Those of a message.
    pub(crate) limits: HttpLimits,
    /// Those of the bytes it comes in, with room for its prefix.
    arriving: HttpLimits,
    budget: Arc<BodyBudget>,
}

impl Bounds {
    pub(crate) fn new(limits: HttpLimits, budget: Arc<BodyBudget>) -> Self {
        let arriving = HttpLimits { body_bytes: limits.body_bytes.saturating_add(ROOM_BYTES), ..limits.clone() };
        Self { limits, arriving, budget }
    }
}

/// The messages of one request.
pub(crate) struct Messages<B> {
    body: B,
    /// What has arrived and was not read yet.
    frames: Frames,
    encoding: Option<HeaderValue>,
}

impl<B: Arriving> Messages<B> {
    pub(crate) fn new(body: B, headers: &HeaderMap) -> Self {
        Self { body, frames: Frames::default(), encoding: headers.get(ENCODING).cloned() }
    }

    /// The only message.
    ///
    /// # Errors
    /// There is none, or more than one, or it is too large, too slow or broken.
    pub(crate) async fn only(&mut self, bounds: &Bounds) -> Result<Message, Failure> {
        let message = self.next(bounds).await?.ok_or_else(|| malformed("the request holds no message"))?;
        // A second one shows at the latest where the end should be.
        if !self.frames.has_remaining() && !self.body.is_end_stream() {
            self.gather(1, &mut Pieces::new(&bounds.arriving, &bounds.budget)).await?;
        }
        if self.frames.has_remaining() {
            return Err(malformed("the request holds more than one message"));
        }
        Ok(message)
    }

    /// The next message; `None` at the end, or where nothing has come when `stopping` becomes ready. Its first bytes
    /// are waited for as long as it takes; a message that has begun is read to its end whatever happens. Must not be
    /// dropped half-way if there is to be another one.
    ///
    /// # Errors
    /// It is too large, too slow or broken, or it begins when the process is stopping already.
    pub(crate) async fn next_until(
        &mut self,
        stopping: impl Future<Output = ()>,
        bounds: &Bounds,
    ) -> Result<Option<Message>, Failure> {
        let has_begun = select! {
            biased;
            () = stopping => return self.stopped().await,
            has_begun = self.begin() => has_begun?,
        };
        if has_begun { self.next(bounds).await } else { Ok(None) }
    }

    /// The end because the process stops. A message that is here already is told to come again.
    async fn stopped(&mut self) -> Result<Option<Message>, Failure> {
        let has_begun = select! {
            biased;
            has_begun = self.begin() => has_begun?,
            () = ready(()) => false,
        };
        if has_begun {
            return Err(Failure::new(Code::Draining, "the gateway is going out of service"));
        }
        Ok(None)
    }

    /// Waits until a message has begun; `false` at the end. May be dropped: nothing is taken.
    async fn begin(&mut self) -> Result<bool, Failure> {
        Ok(self.frames.has_remaining() || self.wait_for_more().await?)
    }

    /// Reads and drops what is left, if it is little.
    pub(crate) async fn discard(&mut self, bounds: &Bounds) {
        // Whether all is gone or the stream is reset makes no difference to others.
        let _is_clean = discard(&mut self.body, &bounds.limits).await;
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Option<Message>, Failure> {
        let mut pieces = Pieces::new(&bounds.arriving, &bounds.budget);
        self.gather(PREFIX_BYTES, &mut pieces).await?;
        if !self.frames.has_remaining() {
            return Ok(None);
        }
        let Some(mut prefix) = self.frames.split_to(PREFIX_BYTES) else { return Err(cut_off()) };
        let (flag, n_bytes) = (prefix.get_u8(), prefix.get_u32() as usize);
        let max = bounds.limits.body_bytes;
        if n_bytes > max {
            let text = format!("the message has {n_bytes} bytes, at most {max} are taken");
            return Err(Failure::new(Code::BodyTooLarge, text));
        }
        self.gather(n_bytes, &mut pieces).await?;
        let frames = self.frames.split_to(n_bytes).ok_or_else(cut_off)?;
        let share = pieces.finish();
        match flag {
            0 => Ok(Some(Message { frames, was_packed: false, _share: share })),
            1 => self.unpack(frames, share, bounds).await.map(Some),
            _ => Err(malformed("a message begins with a flag that is neither 0 nor 1")),
        }
    }

    /// Reads until there are so many bytes, or the end is there.
    async fn gather(&mut self, n_bytes: usize, pieces: &mut Pieces<'_>) -> Result<(), Failure> {
        while self.frames.remaining() < n_bytes {
            let Some(piece) = pieces.next(&mut self.body).await? else { return Ok(()) };
            self.frames.push(piece);
        }
        Ok(())
    }

    async fn unpack(&self, frames: Frames, share: Share, bounds: &Bounds) -> Result<Message, Failure> {
        let encoding = match self.encoding.as_ref().map(HeaderValue::as_bytes) {
            Some(b"gzip") => Encoding::Gzip,
            Some(b"deflate") => Encoding::Deflate,
            None | Some(b"identity") => {
                return Err(malformed("a message is marked as packed, and the request does not say how"));
            }
            Some(name) => {
                let name = name.escape_ascii();
                let text = format!("messages packed as {name} are not taken: gzip, deflate and identity are");
                return Err(Failure::new(Code::UnsupportedEncoding, text));
            }
        };
        let packed = share.of(frames.into_bytes());
        let (bytes, share) = unpack(packed, (encoding, 0), &bounds.limits, &bounds.budget).await?.into_parts();
        Ok(Message { frames: bytes.into(), was_packed: true, _share: share })
    }

    /// Waits for bytes, without a limit; `false` at the end.
    async fn wait_for_more(&mut self) -> Result<bool, Failure> {
        loop {
            match poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await {
                None => return Ok(false),
                Some(Err(_)) => return Err(Failure::new(Code::CallerGone, "the request broke off")),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => {
                        self.frames.push(bytes);
                        return Ok(true);
                    }
                    _ => {}
                },
            }
        }
    }
}

fn cut_off() -> Failure {
    malformed("the request ends within a message")
}

fn malformed(text: &str) -> Failure {
    Failure::new(Code::Malformed, text)
}

#[cfg(test)]
mod tests;
