#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::collections::VecDeque;
use std::convert::Infallible;

use http_body::SizeHint;

use super::*;

/// Frames that are all here.
struct Frames {
    frames: VecDeque<Bytes>,
    announced: Option<u64>,
}

impl Frames {
    fn new(whole: &[u8], frame_bytes: usize, announced: Option<u64>) -> Self {
        Self { frames: whole.chunks(frame_bytes).map(Bytes::copy_from_slice).collect(), announced }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.frames.pop_front().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.announced.is_some() && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn content(n: usize) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn the_chosen_byte_is_aligned_however_the_body_comes() {
    let limits = HttpLimits::default();
    let budget = BodyBudget::new(limits.bodies_bytes);
    for n in [70usize, 5_000, 600_000, 3_000_000] {
        let whole = content(n);
        for frame_bytes in [n / 2 + 1, 16 * 1024 + 1, 100_000] {
            for announced in [Some(n as u64), None] {
                for at in [0, 1, 63, 65, n - 1] {
                    let mut body = Frames::new(&whole, frame_bytes, announced);
                    if body.frames.len() < 2 {
                        continue;
                    }
                    let collected = collect_aligned(&mut body, &limits, &budget, at).await.unwrap();
                    assert_eq!(collected.bytes, whole);
                    let place = collected.bytes[at..].as_ptr().addr();
                    assert_eq!(place % 64, 0, "{n} bytes in frames of {frame_bytes}, {announced:?}, at {at}");
                }
            }
        }
    }
}

#[tokio::test]
async fn one_frame_is_handed_on_as_it_is() {
    let limits = HttpLimits::default();
    let budget = BodyBudget::new(limits.bodies_bytes);
    for announced in [Some(1000), None] {
        let mut body = Frames::new(&content(1000), 1000, announced);
        let place = body.frames[0].as_ptr();
        let collected = collect(&mut body, &limits, &budget).await.unwrap();
        assert_eq!(collected.bytes.as_ptr(), place, "{announced:?}");
    }
}

#[test]
fn memory_follows_what_has_come_and_not_what_was_announced() {
    let budget = BodyBudget::new(usize::MAX / 2);
    for announced in [Some(64 * 1024 * 1024), None] {
        let mut gather = Gather::new(&budget, announced, 0);
        let mut n_bytes = 0;
        for _ in 0..200 {
            gather.push(Bytes::from(vec![7; 10_000])).ok().unwrap();
            n_bytes += 10_000;
            assert!(gather.held_bytes() <= 8 * n_bytes + 64, "{announced:?}: {} of {n_bytes}", gather.held_bytes());
        }
        assert!(gather.held_bytes() >= n_bytes);
    }
}

#[test]
fn an_announced_body_is_copied_once() {
    let budget = BodyBudget::new(usize::MAX / 2);
    let mut gather = Gather::new(&budget, Some(600_000), 0);
    let mut places = Vec::new();
    for _ in 0..60 {
        gather.push(Bytes::from(vec![7; 10_000])).ok().unwrap();
        places.extend(gather.place());
    }
    places.dedup();
    assert_eq!(places.len(), 1, "memory was made once");
}

#[test]
fn frames_beyond_the_small_ones_take_their_share_of_the_budget() {
    let budget = BodyBudget::new(500_000);
    let mut first = Gather::new(&budget, None, 0);
    (0..40).for_each(|_| first.push(Bytes::from(vec![7; 10_000])).ok().unwrap());
    let mut second = Gather::new(&budget, None, 0);
    let n_taken = (0..40).take_while(|_| second.push(Bytes::from(vec![7; 10_000])).is_ok()).count();
    assert!((6..30).contains(&n_taken), "{n_taken} frames");
    drop(first);
    drop(second);
    let mut third = Gather::new(&budget, None, 0);
    (0..40).for_each(|_| third.push(Bytes::from(vec![7; 10_000])).ok().unwrap());
}

#[tokio::test]
async fn the_largest_body_allowed_passes_however_it_comes() {
    const BODY_BYTES: usize = 600_000;
    let limits = HttpLimits { bodies_bytes: 1, ..HttpLimits::default() }.with_body_bytes(BODY_BYTES);
    let budget = BodyBudget::new(limits.bodies_bytes);
    for announced in [Some(BODY_BYTES as u64), None] {
        let mut body = Frames::new(&content(BODY_BYTES), 16 * 1024, announced);
        assert!(collect(&mut body, &limits, &budget).await.is_ok(), "{announced:?}");
    }
    // Piece by piece it takes no more than itself: the rounding ends at the limit.
    let exact = BodyBudget::new(BODY_BYTES);
    let mut body = Frames::new(&content(BODY_BYTES), 16 * 1024, None);
    let mut pieces = Pieces::new(&limits, &exact);
    while pieces.next(&mut body).await.ok().unwrap().is_some() {}
    assert_eq!(HttpLimits::default().with_body_bytes(1).bodies_bytes, HttpLimits::default().bodies_bytes);
}
