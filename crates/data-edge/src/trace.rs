//! Request ids and W3C trace context: taken over from the caller or made here.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};

/// A caller's request id may have this many bytes; a longer one is replaced.
const REQUEST_ID_BYTES: usize = 256;

/// Makes ids that do not repeat within a process and hardly between processes.
pub struct Ids {
    seed: u64,
    n_made: AtomicU64,
}

impl Ids {
    /// Ids of a process of its own.
    #[expect(clippy::new_without_default, reason = "each one is another")]
    pub fn new() -> Self {
        // The keys of the standard hasher are the process's own random numbers.
        Self { seed: RandomState::new().hash_one(0u64), n_made: AtomicU64::new(0) }
    }

    /// The caller's id as it is, or a new one.
    pub fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get("x-request-id") {
            Some(id) if (1..=REQUEST_ID_BYTES).contains(&id.len()) => id.clone(),
            _ => self.new_request_id(),
        }
    }

    fn new_request_id(&self) -> HeaderValue {
        let mut digits = [0; 16];
        let id = self.next();
        for (index, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (60 - 4 * index)) as usize & 15];
        }
        HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }

    /// The caller's trace with a span of ours, or a trace of our own.
    pub fn trace(&self, headers: &HeaderMap) -> TraceContext {
        let given = headers.get("traceparent").and_then(|value| parse(value.to_str().ok()?));
        let own = || (u128::from(self.next()) << 64) | u128::from(self.next());
        TraceContext { trace_id: given.unwrap_or_else(own), span_id: self.next() }
    }

    /// Never zero, which trace context forbids.
    fn next(&self) -> u64 {
        let n = self.n_made.fetch_add(1, Ordering::Relaxed);
        mix(self.seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).max(1)
    }
}

/// A bijection that leaves no pattern of a counter (the finaliser of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A request's place in a distributed trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
}

impl TraceContext {
    /// 32 hexadecimal digits.
    pub fn trace_id(self) -> impl fmt::Display {
        Hex::<32>(self.trace_id)
    }

    /// 16 hexadecimal digits.
    pub fn span_id(self) -> impl fmt::Display {
        Hex::<16>(u128::from(self.span_id))
    }
}

struct Hex<const DIGITS: usize>(u128);

impl<const DIGITS: usize> fmt::Display for Hex<DIGITS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

/// The trace id of `version-traceid-parentid-flags`; later versions may append fields.
fn parse(text: &str) -> Option<u128> {
    let mut fields = text.split('-');
    let version = hex(fields.next()?, 2)?;
    let trace_id = hex(fields.next()?, 32)?;
    let parent_id = hex(fields.next()?, 16)?;
    hex(fields.next()?, 2)?;
    let is_valid = version != 0xff && trace_id != 0 && parent_id != 0 && (version > 0 || fields.next().is_none());
    is_valid.then_some(trace_id)
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (text.len() == digits && text.bytes().all(is_hex)).then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_valid_trace_is_continued_and_an_invalid_one_replaced() {
        let ids = Ids::new();
        let trace = |text: &str| ids.trace(&headers("traceparent", text)).trace_id().to_string();
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(trace(&format!("00-{id}-b7ad6b7169203331-01")), id);
        assert_eq!(trace(&format!("cc-{id}-b7ad6b7169203331-01-more")), id);
        for broken in [
            format!("ff-{id}-b7ad6b7169203331-01"),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{id}-b7ad6b7169203331"),
            format!("00-{id}-b7ad6b7169203331-01-x"),
            format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
            String::new(),
        ] {
            let own = trace(&broken);
            assert_ne!(own, id, "{broken}");
            assert_eq!(own.len(), 32);
        }
        let (a, b) = (ids.trace(&HeaderMap::new()), ids.trace(&HeaderMap::new()));
        assert_ne!(a, b);
        assert_eq!(a.span_id().to_string().len(), 16);
    }

    #[test]
    fn a_request_id_is_echoed_or_made() {
        let ids = Ids::new();
        assert_eq!(ids.request_id(&headers("x-request-id", "a \"b\"")), "a \"b\"");
        let long = "x".repeat(257);
        assert_eq!(ids.request_id(&headers("x-request-id", &long)).len(), 16);
        assert_ne!(ids.request_id(&HeaderMap::new()), ids.request_id(&HeaderMap::new()));
    }
}
