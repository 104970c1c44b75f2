//! Answers on this wire: framed messages, and statuses in trailers.

use std::fmt::Write;

use bytes::Bytes;
use data_edge::compress::{Encoding, pack};
use data_edge::{ReplyBody, name_version, retry_after_seconds, row};
use data_path::{Code, Failure};
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Response};
use prost::Message;

use crate::message::{ACCEPT_ENCODING, ENCODING, PREFIX_BYTES};

/// The status of a call, as a number.
static STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// Its text.
static MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// Our stable code of an error.
static CODE: HeaderName = HeaderName::from_static("switchrail-code");
/// In whose hands it lies.
static FAULT: HeaderName = HeaderName::from_static("switchrail-fault");
/// What messages may be packed with.
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,deflate,gzip");
/// Pieces below this are copied together: a frame of their own would cost more.
const SMALL_PIECE_BYTES: usize = 4096;
/// Messages of protocol buffers are shorter than 2 GiB; a bit is left for what a message of a stream is wrapped in.
const ANSWER_BYTES_MAX: usize = i32::MAX as usize - 64;
/// A text in a header; a longer one is cut.
const MESSAGE_BYTES_MAX: usize = 4096;

/// A message under construction, in pieces, so that large ones need not be copied into one. Its prefix comes first.
pub(crate) struct Writer {
    pieces: Vec<Bytes>,
    tail: Vec<u8>,
    n_bytes: usize,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { pieces: Vec::new(), tail: Vec::new(), n_bytes: 0 }
    }

    /// Adds bytes that are small.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.n_bytes += bytes.len();
        self.tail.extend_from_slice(bytes);
    }

    /// Adds bytes; they are not copied where they are many.
    pub(crate) fn put_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SMALL_PIECE_BYTES {
            return self.put(&bytes);
        }
        self.n_bytes += bytes.len();
        self.flush();
        self.pieces.push(bytes);
    }

    /// Adds the key and the length of a field that holds bytes.
    pub(crate) fn put_key(&mut self, number: u32, n_bytes: usize) {
        let mut key = Vec::with_capacity(12);
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, &mut key);
        prost::encoding::encode_varint(n_bytes as u64, &mut key);
        self.put(&key);
    }

    /// Adds another's pieces as a field.
    pub(crate) fn put_message(&mut self, number: u32, mut other: Self) {
        self.put_key(number, other.n_bytes);
        other.flush();
        other.pieces.into_iter().for_each(|piece| self.put_shared(piece));
    }

    /// Whether readers can take this as one message.
    ///
    /// # Errors
    /// It is too long.
    pub(crate) fn check_size(&self) -> Result<(), Failure> {
        if self.n_bytes <= ANSWER_BYTES_MAX {
            return Ok(());
        }
        let text = format!(
            "the answer has {} bytes, and a message over gRPC has at most {ANSWER_BYTES_MAX}: ask for fewer outputs or \
             rows at once, or over REST",
            self.n_bytes
        );
        Err(Failure::new(Code::Unsupported, text))
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(std::mem::take(&mut self.tail).into());
        }
    }

    /// The pieces with the prefix in front, packed where the caller asks for it.
    ///
    /// # Errors
    /// The message is longer than the protocol can say.
    pub(crate) async fn finish(mut self, packing: Option<Encoding>) -> Result<Vec<Bytes>, Failure> {
        self.flush();
        let too_long = |_| Failure::new(Code::Internal, "the answer is longer than a message can be");
        let Some(encoding) = packing else {
            let prefix = prefix(0, u32::try_from(self.n_bytes).map_err(too_long)?);
            // One frame less: what comes first is small as a rule.
            match self.pieces.first_mut() {
                Some(first) if first.len() < SMALL_PIECE_BYTES => *first = [&prefix[..], first].concat().into(),
                _ => self.pieces.insert(0, Bytes::copy_from_slice(&prefix)),
            }
            return Ok(self.pieces);
        };
        let packed = pack(&self.pieces, encoding).await;
        let packed = packed.map_err(|_| Failure::new(Code::Internal, "the answer cannot be packed"))?;
        let prefix = prefix(1, u32::try_from(packed.len()).map_err(too_long)?);
        Ok(vec![Bytes::copy_from_slice(&prefix), packed])
    }
}

impl<M: Message> From<&M> for Writer {
    fn from(message: &M) -> Self {
        let tail = message.encode_to_vec();
        Self { n_bytes: tail.len(), pieces: Vec::new(), tail }
    }
}

fn prefix(flag: u8, n_bytes: u32) -> [u8; PREFIX_BYTES] {
    let [a, b, c, d] = n_bytes.to_be_bytes();
    [flag, a, b, c, d]
}

/// How the answer may be packed: only as a caller does it who packed the request too, and asks for it.
pub(crate) fn packing(headers: &HeaderMap, was_packed: bool) -> Option<Encoding> {
    let encoding = headers.get(ENCODING).filter(|_| was_packed)?.to_str().ok()?;
    let accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let is_accepted = accepted.flat_map(|list| list.split(',')).any(|one| one.trim() == encoding);
    [Encoding::Gzip, Encoding::Deflate].into_iter().find(|e| is_accepted && e.as_str() == encoding)
}

/// An answer whose status comes in trailers.
pub(crate) fn answer(body: ReplyBody, packing: Option<Encoding>) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(encoding) = packing {
        headers.insert(ENCODING, HeaderValue::from_static(encoding.as_str()));
    }
    response
}

/// A good answer of one message.
pub(crate) fn one(pieces: Vec<Bytes>, packing: Option<Encoding>) -> Response<ReplyBody> {
    answer(ReplyBody::pieces(pieces).with_trailers(good()), packing)
}

/// The trailers of a call that went well.
pub(crate) fn good() -> HeaderMap {
    HeaderMap::from_iter([(STATUS.clone(), HeaderValue::from_static("0"))])
}

/// The answer to a failed call: its status comes at once, without a message.
pub(crate) fn failed(failure: &Failure) -> Response<ReplyBody> {
    let mut response = answer(ReplyBody::default(), None);
    response.headers_mut().extend(trailers(failure));
    response
}

/// The trailers of a call that failed.
pub(crate) fn trailers(failure: &Failure) -> HeaderMap {
    let row = row(failure.code);
    let mut trailers = HeaderMap::new();
    trailers.insert(&STATUS, HeaderValue::from(row.grpc as u16));
    if let Ok(text) = HeaderValue::from_str(&percent_encoded(&failure.message)) {
        trailers.insert(&MESSAGE, text);
    }
    trailers.insert(&CODE, HeaderValue::from_static(failure.code.as_str()));
    trailers.insert(&FAULT, HeaderValue::from_static(failure.class.as_str()));
    if row.has_retry_after {
        trailers.insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds(failure)));
    }
    if failure.code == Code::UnsupportedEncoding {
        trailers.insert(ACCEPT_ENCODING, ACCEPTED);
    }
    if let Some(served) = &failure.served {
        name_version(&mut trailers, served, failure.reason);
    }
    trailers
}

/// As the protocol writes texts into headers: printable ASCII as it is, everything else and `%` by its bytes.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if encoded.len() >= MESSAGE_BYTES_MAX {
            break;
        }
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => write!(encoded, "%{byte:02X}").unwrap_or_default(),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn every_code_has_its_status_and_its_words() {
        for code in Code::ALL {
            let response = failed(&Failure::new(code, "100 % ä\n"));
            assert_eq!(response.status(), 200);
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(header("grpc-status"), Some((row(code).grpc as u8).to_string().as_str()), "{code:?}");
            assert_eq!(header("grpc-message"), Some("100 %25 %C3%A4%0A"));
            assert_eq!(header("switchrail-code"), Some(code.as_str()));
            assert_eq!(header("switchrail-fault"), Some(code.class().as_str()));
            assert_eq!(header("retry-after").is_some(), row(code).has_retry_after);
        }
    }

    #[test]
    fn an_answer_is_packed_only_for_those_who_packed_and_ask() {
        let check = |encoding: &'static str, accepted: &'static str, was_packed, expected| {
            let headers = [(ENCODING, encoding), (ACCEPT_ENCODING, accepted)];
            let headers = headers.map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)));
            assert_eq!(packing(&HeaderMap::from_iter(headers), was_packed), expected, "{encoding} {accepted}");
        };
        check("gzip", "identity, deflate, gzip", true, Some(Encoding::Gzip));
        check("deflate", "identity,deflate,gzip", true, Some(Encoding::Deflate));
        check("gzip", "identity, deflate, gzip", false, None);
        check("gzip", "identity, deflate", true, None);
        check("identity", "identity, gzip", true, None);
        assert_eq!(packing(&HeaderMap::new(), true), None);
    }

    #[test]
    fn an_answer_longer_than_a_message_can_be_is_refused_in_words() {
        let mut writer = Writer::new();
        let piece = Bytes::from(vec![0; 1 << 24]);
        (0..127).for_each(|_| writer.put_shared(piece.clone()));
        assert_eq!(writer.check_size(), Ok(()));
        writer.put_shared(piece);
        let failure = writer.check_size().unwrap_err();
        assert_eq!(row(failure.code).grpc, data_edge::GrpcCode::Unimplemented);
        assert!(failure.message.contains("2147483648 bytes"), "{}", failure.message);
    }

    #[tokio::test]
    async fn large_pieces_are_not_copied_and_the_prefix_counts_them_all() {
        let large = Bytes::from(vec![1; 10_000]);
        let mut inner = Writer::new();
        inner.put(b"head");
        inner.put_shared(large.clone());
        inner.put_shared(Bytes::from_static(b"tail"));
        assert_eq!(inner.n_bytes, 10_008);
        let mut outer = Writer::new();
        outer.put_message(2, inner);
        let pieces = outer.finish(None).await.unwrap();
        assert!(pieces.iter().any(|piece| piece.as_ptr() == large.as_ptr()));
        let whole = pieces.concat();
        assert_eq!(whole[..5], [0, 0, 0, 0x27, 0x1b]);
        assert_eq!(whole.len(), 5 + 0x271b);
        assert_eq!(whole[5..8], [0x12, 0x98, 0x4e]);
        assert_eq!(&whole[8..12], b"head");
    }
}
