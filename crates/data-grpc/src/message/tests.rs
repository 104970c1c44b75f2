#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::task::{Context, Poll};

use bytes::Bytes;
use data_edge::compress::pack;
use http_body::{Body, Frame};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;
use tokio::task::yield_now;

use super::*;

/// A body that comes in these pieces.
struct Pieced(VecDeque<Bytes>);

impl Body for Pieced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

fn bounds(body_bytes: usize) -> Bounds {
    Bounds::new(HttpLimits { body_bytes, ..HttpLimits::default() }, BodyBudget::new(1 << 30))
}

fn messages(body: &[u8], step: usize, encoding: Option<&'static str>) -> Messages<Pieced> {
    let pieces = body.chunks(step).map(Bytes::copy_from_slice).collect();
    let headers = encoding.map(|e| (http::HeaderName::from_static(ENCODING), HeaderValue::from_static(e)));
    Messages::new(Pieced(pieces), &headers.into_iter().collect())
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

#[tokio::test]
async fn messages_arrive_whole_however_they_are_cut() {
    let (one, two) = (vec![7; 3000], vec![8; 10]);
    let body = [framed(0, &one), framed(0, &[]), framed(0, &two)].concat();
    for step in [1, 4, 5, 6, 1024, 10_000] {
        let mut messages = messages(&body, step, None);
        let bounds = bounds(3000);
        for expected in [&one[..], &[], &two] {
            let message = messages.next_until(pending(), &bounds).await.unwrap().unwrap();
            assert_eq!(message.frames.into_bytes(), *expected, "{step}");
        }
        assert!(messages.next_until(pending(), &bounds).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn one_message_is_one() {
    let check = async |body: &[u8], code: Option<Code>| {
        for step in [1, 7, 100] {
            let found = messages(body, step, None).only(&bounds(20)).await;
            assert_eq!(found.err().map(|failure| failure.code), code, "{body:?}");
        }
    };
    check(&framed(0, b"message"), None).await;
    check(&framed(0, &[1; 20]), None).await;
    check(&framed(0, &[1; 21]), Some(Code::BodyTooLarge)).await;
    check(&[0, 255, 255, 255, 255], Some(Code::BodyTooLarge)).await;
    check(b"", Some(Code::Malformed)).await;
    check(&[0, 0, 0], Some(Code::Malformed)).await;
    check(&framed(0, b"message")[..8], Some(Code::Malformed)).await;
    check(&[framed(0, b"a"), framed(0, b"b")].concat(), Some(Code::Malformed)).await;
    check(&framed(2, b"a"), Some(Code::Malformed)).await;
    check(&framed(1, b"a"), Some(Code::Malformed)).await;
}

#[tokio::test]
async fn packed_messages_are_unpacked_as_the_request_says() {
    let content = Bytes::from(vec![9; 2000]);
    for encoding in [Encoding::Gzip, Encoding::Deflate] {
        let packed = framed(1, &pack(std::slice::from_ref(&content), encoding).await.unwrap());
        let name = encoding.as_str();
        let message = messages(&packed, 50, Some(name)).only(&bounds(2000)).await.unwrap();
        assert!(message.was_packed);
        assert_eq!(message.frames.into_bytes(), content);
        let failure = messages(&packed, 50, Some(name)).only(&bounds(1999)).await.err().unwrap();
        assert_eq!(failure.code, Code::BodyTooLarge);
        let failure = messages(&packed, 50, Some("snappy")).only(&bounds(2000)).await.err().unwrap();
        assert_eq!(failure.code, Code::UnsupportedEncoding);
        assert!(failure.message.starts_with("messages packed as snappy are not taken"), "{}", failure.message);
        // A request may say how it packs and pack nothing.
        let plain = messages(&framed(0, b"plain"), 50, Some(name)).only(&bounds(2000)).await.unwrap();
        assert!(!plain.was_packed);
    }
}

/// A body whose pieces come when a test sends them.
struct Trickling(Receiver<Bytes>);

impl Body for Trickling {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Twice, because whoever goes first is not said.
async fn let_others_go() {
    yield_now().await;
    yield_now().await;
}

/// What a stream gives whose body comes so far before the process stops, and the rest after it.
async fn stopped_at(body: &[u8], at: usize) -> Result<Option<Bytes>, Code> {
    let (sender, receiver) = channel(2);
    let mut messages = Messages::new(Trickling(receiver), &HeaderMap::new());
    let (stop, stopping) = oneshot::channel::<()>();
    let bounds = bounds(3000);
    let stopping = async { stopping.await.unwrap() };
    let reading = messages.next_until(stopping, &bounds);
    let sending = async {
        if at > 0 {
            sender.try_send(Bytes::copy_from_slice(&body[..at])).unwrap();
        }
        let_others_go().await;
        // Nobody waits for it where a message has begun.
        let _is_awaited = stop.send(());
        let_others_go().await;
        // Nobody may be listening any more.
        let _is_wanted = sender.try_send(Bytes::copy_from_slice(&body[at..]));
        drop(sender);
    };
    let (read, ()) = tokio::join!(reading, sending);
    read.map(|message| message.map(|message| message.frames.into_bytes())).map_err(|failure| failure.code)
}

#[tokio::test]
async fn a_message_that_has_begun_is_read_to_its_end_though_the_process_stops() {
    // The payload looks like another message to those who have lost its prefix.
    let message = framed(0, b"a message");
    let body = framed(0, &message);
    assert_eq!(stopped_at(&body, 0).await, Ok(None), "nothing has come");
    for at in 1..body.len() {
        assert_eq!(stopped_at(&body, at).await, Ok(Some(Bytes::copy_from_slice(&message))), "{at}");
    }
    assert_eq!(stopped_at(&body[..8], 7).await, Err(Code::Malformed), "it never came to its end");
}

#[tokio::test]
async fn a_message_that_waits_when_the_process_stops_is_told_to_come_again() {
    let (one, two) = (framed(0, b"one"), framed(0, b"two"));
    let stopped = || std::future::ready(());
    let mut waiting = messages(&one, 100, None);
    assert_eq!(waiting.next_until(stopped(), &bounds(20)).await.err().unwrap().code, Code::Draining);
    let mut half = messages(&[one, two[..3].to_vec()].concat(), 100, None);
    assert!(half.next_until(pending(), &bounds(20)).await.unwrap().is_some());
    assert_eq!(half.next_until(stopped(), &bounds(20)).await.err().unwrap().code, Code::Draining);
    assert!(messages(b"", 1, None).next_until(stopped(), &bounds(20)).await.unwrap().is_none());
}
