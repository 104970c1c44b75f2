//! An answer that is made step by step while the connection takes it: one step is under way at a time, and dropping the
//! body drops it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

/// What a step brings.
pub(crate) enum Step {
    /// A message in pieces; there are more steps.
    Message(Vec<Bytes>),
    /// The end.
    End(HeaderMap),
}

/// A step under way. It hands its state on to the next one.
pub(crate) type Stepping<S> = Pin<Box<dyn Future<Output = (S, Step)> + Send>>;

/// The body of such an answer.
pub(crate) struct Steps<S> {
    step: fn(S) -> Stepping<S>,
    stepping: Option<Stepping<S>>,
    pieces: VecDeque<Bytes>,
}

impl<S> Steps<S> {
    pub(crate) fn new(state: S, step: fn(S) -> Stepping<S>) -> Self {
        Self { step, stepping: Some(step(state)), pieces: VecDeque::new() }
    }
}

impl<S: Unpin> Body for Steps<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.pieces.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let Some(stepping) = &mut this.stepping else { return Poll::Ready(None) };
            let (state, step) = ready!(stepping.as_mut().poll(cx));
            match step {
                Step::Message(pieces) => {
                    this.pieces = pieces.into();
                    this.stepping = Some((this.step)(state));
                }
                Step::End(trailers) => {
                    this.stepping = None;
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
    }
}
