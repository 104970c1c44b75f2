#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use super::*;

const BOTH: [Encoding; 2] = [Encoding::Gzip, Encoding::Deflate];

/// Nothing here waits for anything but its next turn.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn packed(encoding: Encoding, bytes: &[u8]) -> Bytes {
    now(pack(&[Bytes::copy_from_slice(bytes)], encoding)).unwrap()
}

fn inflate(encoding: Encoding, packed: &[u8], max: usize) -> Result<Bytes, InflateError> {
    Inflate::new(encoding, Bytes::copy_from_slice(packed), max).finish()
}

/// Bytes that shrink a little, as floats do.
fn noise(n: usize) -> Vec<u8> {
    let mut state = 7u64;
    let next = |_| {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (state >> 33) as u8 & 0x7f
    };
    (0..n).map(next).collect()
}

#[test]
fn what_was_packed_comes_out_again() {
    for encoding in BOTH {
        for n in [0, 1, 15, 16 * 1024, 16 * 1024 + 1, 300_000, 1_000_000] {
            let bytes = noise(n);
            let packed = packed(encoding, &bytes);
            assert_eq!(inflate(encoding, &packed, n).unwrap(), bytes, "{encoding:?} {n}");
        }
    }
}

#[test]
fn pieces_are_packed_as_one() {
    for encoding in BOTH {
        let pieces = [Bytes::from_static(b"ab"), Bytes::new(), Bytes::from(vec![b'c'; 200_000])];
        let packed = now(pack(&pieces, encoding)).unwrap();
        assert_eq!(inflate(encoding, &packed, 1 << 20).unwrap(), pieces.concat());
    }
}

#[test]
fn every_cut_and_everything_behind_is_noticed() {
    for encoding in BOTH {
        let packed = packed(encoding, b"a body of some length, some length");
        for cut in 0..packed.len() {
            let error = inflate(encoding, &packed[..cut], 1000).expect_err("a part");
            assert!(matches!(error, InflateError::Truncated(_)), "{encoding:?} {cut}: {error}");
        }
        for tail in [&b"x"[..], &packed] {
            let error = inflate(encoding, &[&packed, tail].concat(), 1000).expect_err("more");
            assert_eq!(error, InflateError::Trailing(encoding.as_str()));
        }
        let mut damaged = packed.to_vec();
        let last = damaged.len() - if encoding == Encoding::Gzip { 6 } else { 1 };
        damaged[last] ^= 1;
        assert_eq!(inflate(encoding, &damaged, 1000), Err(InflateError::Broken(encoding.as_str())));
    }
    for garbage in [&b"{\"inputs\":[]}"[..], &[0; 40], &[0xff; 40]] {
        for encoding in BOTH {
            assert!(matches!(inflate(encoding, garbage, 1000), Err(InflateError::Broken(_))), "{encoding:?}");
        }
    }
}

#[test]
fn bombs_are_stopped_by_size_and_by_ratio() {
    for encoding in BOTH {
        let megabyte = packed(encoding, &vec![0; 1024 * 1024]);
        assert!(megabyte.len() < 20_000, "the case is a bomb");
        assert_eq!(inflate(encoding, &megabyte, 1 << 30).unwrap().len(), 1024 * 1024, "small ones are let be");
        let error = inflate(encoding, &megabyte, 1024 * 1024 - 1).expect_err("too large");
        assert_eq!(error, InflateError::TooLarge { max: 1024 * 1024 - 1 });
        let more = packed(encoding, &vec![0; 1024 * 1024 + 1]);
        assert_eq!(inflate(encoding, &more, 1 << 30), Err(InflateError::Ratio));
        let honest = packed(encoding, &noise(3_000_000));
        assert_eq!(inflate(encoding, &honest, 1 << 30).unwrap().len(), 3_000_000);
    }
}

#[test]
fn an_unpacked_body_has_its_tensors_on_an_aligned_address() {
    for encoding in BOTH {
        let packed = packed(encoding, &noise(300_001));
        for at in [0, 1, 77, 300_000] {
            let bytes = Inflate::new(encoding, packed.clone(), 1 << 20).aligned_at(at).finish().unwrap();
            assert_eq!(bytes[at..].as_ptr().addr() % 64, 0, "{encoding:?} {at}");
            assert_eq!(bytes, noise(300_001));
        }
    }
}

#[test]
fn unpacking_holds_a_share_of_the_budget() {
    let limits = HttpLimits::default();
    let body = || Collected { bytes: packed(Encoding::Gzip, &noise(900_000)), _held: Vec::new() };
    let roomy = BodyBudget::new(1_500_000);
    for _ in 0..3 {
        let bytes = now(unpack(body(), (Encoding::Gzip, 0), &limits, &roomy)).unwrap().bytes;
        assert_eq!(bytes.len(), 900_000);
    }
    let tight = BodyBudget::new(300_000);
    let failure = now(unpack(body(), (Encoding::Gzip, 0), &limits, &tight)).err().expect("no room");
    assert_eq!(failure.code, Code::QueueFull);
    let kept = now(unpack(body(), (Encoding::Gzip, 0), &limits, &roomy)).unwrap();
    assert!(now(unpack(body(), (Encoding::Gzip, 0), &limits, &roomy)).is_err(), "held as long as the bytes");
    drop(kept);
    assert!(now(unpack(body(), (Encoding::Gzip, 0), &limits, &roomy)).is_ok());
}

fn headers(name: http::HeaderName, values: &[&str]) -> HeaderMap {
    values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
}

#[test]
fn requests_may_be_packed_once_in_a_known_way() {
    let check = |values: &[&str], expected: Result<Option<Encoding>, Code>| {
        let found = request_encoding(&headers(CONTENT_ENCODING, values)).map_err(|failure| failure.code);
        assert_eq!(found, expected, "{values:?}");
    };
    check(&[], Ok(None));
    check(&["identity"], Ok(None));
    check(&["GZip"], Ok(Some(Encoding::Gzip)));
    check(&["identity, deflate"], Ok(Some(Encoding::Deflate)));
    for refused in ["br", "zstd", "compress", "gzip, gzip", "gzip;q=1"] {
        check(&[refused], Err(Code::UnsupportedEncoding));
    }
    check(&["gzip", "deflate"], Err(Code::UnsupportedEncoding));
}

#[test]
fn answers_are_packed_as_the_caller_likes_best() {
    use Encoding::{Deflate, Gzip};
    let check = |values: &[&str], expected: Option<Encoding>| {
        assert_eq!(answer_encoding(&headers(ACCEPT_ENCODING, values)), expected, "{values:?}");
    };
    check(&[], None);
    check(&[""], None);
    check(&["gzip, deflate, br"], Some(Gzip));
    check(&["br, zstd"], None);
    check(&["deflate"], Some(Deflate));
    check(&["gzip;q=0.5, deflate;q=0.8"], Some(Deflate));
    check(&["deflate; Q=0.8", "GZIP ; q=1.0"], Some(Gzip));
    check(&["gzip;q=0"], None);
    check(&["gzip;q=0, deflate;q=0.001"], Some(Deflate));
    check(&["*"], Some(Gzip));
    check(&["*;q=0, deflate"], Some(Deflate));
    check(&["gzip;q=0, *"], Some(Deflate));
    check(&["identity, gzip;q=0.5"], None);
    check(&["identity;q=0.5, gzip"], Some(Gzip));
    check(&["identity;q=0"], None);
    check(&["gzip;q=2"], None);
    check(&["gzip;q=x"], None);
}

#[test]
fn the_last_step_of_unpacking_takes_its_share_too() {
    let limits = HttpLimits::default();
    // All of it is unpacked in the first and only step, into memory for more than what no budget is asked for.
    let packed = packed(Encoding::Gzip, &noise(70_000));
    let body = || Collected { bytes: packed.clone(), _held: Vec::new() };
    let mut inflate = Inflate::new(Encoding::Gzip, packed.clone(), limits.body_bytes);
    let mut held = Vec::new();
    while inflate.step().unwrap() {
        held.push(inflate.held_bytes());
    }
    let before = held.iter().max().copied().unwrap_or(0);
    assert!(inflate.held_bytes() > before, "the last step grows");
    let none = BodyBudget::new(before.saturating_sub(64 * 1024));
    assert!(now(unpack(body(), (Encoding::Gzip, 0), &limits, &none)).is_err());
}

/// `n` blocks that unpack to nothing.
fn empty_blocks(encoding: Encoding, n: usize) -> Bytes {
    let (head, tail): (&[u8], &[u8]) = match encoding {
        Encoding::Gzip => (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255], &[0; 8]),
        Encoding::Deflate => (&[0x78, 0x01], &[0, 0, 0, 1]),
    };
    let (block, last) = ([0, 0, 0, 0xff, 0xff], [1, 0, 0, 0xff, 0xff]);
    Bytes::from([head, &block.repeat(n), &last, tail].concat())
}

#[test]
fn blocks_of_nothing_hold_up_nobody() {
    for encoding in BOTH {
        let packed = empty_blocks(encoding, 200_000);
        let n_packed = packed.len();
        let mut inflate = Inflate::new(encoding, packed, 1000);
        let mut n_steps = 1;
        while inflate.step().unwrap() {
            n_steps += 1;
        }
        assert!(n_steps >= n_packed / (16 * 1024), "{encoding:?}: {n_steps} steps for {n_packed} bytes");
        assert_eq!(inflate.finish().unwrap(), "");
    }
}

#[test]
fn a_name_as_long_as_it_may_be_is_passed_over_step_by_step() {
    let file = flate2::GzBuilder::new().filename(vec![b'n'; 60_000]).comment(vec![b'c'; 60_000]);
    let mut encoder = file.write(Vec::new(), Compression::fast());
    encoder.write_all(b"content").unwrap();
    let packed = encoder.finish().unwrap();
    assert_eq!(inflate(Encoding::Gzip, &packed, 1000).unwrap(), "content");
    let error = inflate(Encoding::Gzip, &packed[..packed.len() - 1], 1000).expect_err("a part");
    assert!(matches!(error, InflateError::Truncated(_)));
}
