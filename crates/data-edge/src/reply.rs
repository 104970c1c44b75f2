//! The body of an answer: bytes that are already there, in one piece or several, with trailers where the protocol
//! has them; or a stream.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::connection::InFlight;
use crate::untaken::Piece;

/// HTTP/2 takes no larger piece than 2 GiB.
const PIECE_BYTES_MAX: usize = 1 << 30;

/// A stream of frames.
pub type Frames = Pin<Box<dyn Body<Data = Bytes, Error = Infallible> + Send>>;

/// The body of an answer.
#[derive(Default)]
pub struct ReplyBody {
    content: Content,
    /// Ends when the connection has taken the bytes over.
    in_flight: Option<InFlight>,
}

enum Content {
    Whole { first: Bytes, rest: VecDeque<Bytes>, trailers: Option<Box<HeaderMap>> },
    Stream(Frames),
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole { first: Bytes::new(), rest: VecDeque::new(), trailers: None }
    }
}

impl ReplyBody {
    /// Pieces that follow each other, so that large ones need not be copied into one.
    pub fn pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let mut rest: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let first = rest.pop_front().unwrap_or_default();
        Self { content: Content::Whole { first, rest, trailers: None }, in_flight: None }
    }

    /// A stream of frames, trailers included.
    pub fn stream(frames: Frames) -> Self {
        Self { content: Content::Stream(frames), in_flight: None }
    }

    /// Trailers after the bytes. A stream brings its own.
    #[must_use]
    pub fn with_trailers(mut self, fields: HeaderMap) -> Self {
        if let Content::Whole { trailers, .. } = &mut self.content {
            *trailers = Some(Box::new(fields));
        }
        self
    }

    pub(crate) fn holding(self, in_flight: InFlight) -> Self {
        Self { in_flight: Some(in_flight), ..self }
    }

    /// The number of bytes; 0 for a stream, whose length nobody knows.
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Whole { first, rest, .. } => first.len() + rest.iter().map(Bytes::len).sum::<usize>(),
            Content::Stream(_) => 0,
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<B: Into<Bytes>> From<B> for ReplyBody {
    fn from(bytes: B) -> Self {
        let content = Content::Whole { first: bytes.into(), rest: VecDeque::new(), trailers: None };
        Self { content, in_flight: None }
    }
}

impl Body for ReplyBody {
    type Data = Piece;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Infallible>>> {
        let Self { content, in_flight } = self.get_mut();
        let frame = match content {
            Content::Whole { first, rest, trailers } => match next(first, rest, PIECE_BYTES_MAX) {
                Some(bytes) => Some(Ok(Frame::data(bytes))),
                None => trailers.take().map(|fields| Ok(Frame::trailers(*fields))),
            },
            Content::Stream(frames) => ready!(frames.as_mut().poll_frame(cx)),
        };
        let watched = |frame: Frame<Bytes>| frame.map_data(|bytes| Piece::new(bytes, in_flight.as_ref()));
        Poll::Ready(frame.map(|frame| frame.map(watched)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole { first, trailers, .. } => first.is_empty() && trailers.is_none(),
            Content::Stream(frames) => frames.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole { .. } => SizeHint::with_exact(self.len() as u64),
            Content::Stream(frames) => frames.size_hint(),
        }
    }
}

/// The next bytes, not more than `max` of them; `None` at the end.
fn next(first: &mut Bytes, rest: &mut VecDeque<Bytes>, max: usize) -> Option<Bytes> {
    if first.len() > max {
        return Some(first.split_to(max));
    }
    let bytes = std::mem::replace(first, rest.pop_front().unwrap_or_default());
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_none_is_too_large() {
        let mut rest: VecDeque<Bytes> = [&b"klm"[..], b"n"].map(Bytes::from_static).into();
        let mut first = Bytes::from_static(b"abcdefghij");
        let pieces: Vec<Bytes> = std::iter::from_fn(|| next(&mut first, &mut rest, 4)).collect();
        assert_eq!(pieces, ["abcd", "efgh", "ij", "klm", "n"]);
    }
}
