//! What routing rules may ask of a request.

use std::borrow::Cow;

use base_routing::{Facts, Source};
use data_codec::Parameters;
use http::HeaderMap;
use http::header::COOKIE;

use crate::percent;

/// A request as routing sees it.
pub struct RequestFacts<'a> {
    /// Header fields; on gRPC the metadata.
    pub headers: &'a HeaderMap,
    /// The query string.
    pub query: Option<&'a str>,
    /// Parameters of the request in its body.
    pub parameters: &'a Parameters,
}

impl Facts for RequestFacts<'_> {
    fn value(&self, source: &Source) -> Option<Cow<'_, str>> {
        match source {
            Source::Header(name) => text(self.headers.get(name.as_ref())?).map(Cow::Borrowed),
            Source::Cookie(name) => self.cookie(name).map(Cow::Borrowed),
            Source::Query(name) => percent::query_value(self.query?, name),
            Source::Parameter(name) => self.parameters.get(name).map(|p| p.as_text()),
        }
    }
}

impl RequestFacts<'_> {
    /// The first cookie of that name. HTTP/2 peers may send each in a header of its own.
    fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.headers.get_all(COOKIE).iter().filter_map(text).flat_map(|header| header.split(';'));
        pairs.filter_map(|pair| pair.trim().split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

fn text(value: &http::HeaderValue) -> Option<&str> {
    std::str::from_utf8(value.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use bytes::Bytes;
    use data_codec::{CodecLimits, decode_infer};

    use super::*;

    #[test]
    fn values_come_from_all_four_places() {
        let mut headers = HeaderMap::new();
        headers.insert("x-user", "é1".parse().unwrap());
        headers.append("cookie", "a=1; user=first;user=second".parse().unwrap());
        headers.append("cookie", "late=3; odd".parse().unwrap());
        headers.insert("x-raw", http::HeaderValue::from_bytes(&[0xff]).unwrap());
        let body = Bytes::from_static(br#"{"inputs":[],"parameters":{"user":"p","n":7,"on":true,"f":-0.5}}"#);
        let request = decode_infer(&body, None, &CodecLimits::default()).unwrap();
        let facts = RequestFacts { headers: &headers, query: Some("q=a%20b&q=c"), parameters: &request.parameters };
        let check = |source: Source, expected: Option<&str>| {
            assert_eq!(facts.value(&source).as_deref(), expected, "{source}");
        };
        check(Source::Header("x-user".into()), Some("é1"));
        check(Source::Header("x-raw".into()), None);
        check(Source::Header("x-none".into()), None);
        check(Source::Cookie("user".into()), Some("first"));
        check(Source::Cookie("late".into()), Some("3"));
        check(Source::Cookie("odd".into()), None);
        check(Source::Query("q".into()), Some("a b"));
        check(Source::Parameter("user".into()), Some("p"));
        check(Source::Parameter("n".into()), Some("7"));
        check(Source::Parameter("on".into()), Some("true"));
        check(Source::Parameter("f".into()), Some("-0.5"));
    }
}
