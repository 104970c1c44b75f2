//! What headers say about compression.

use data_path::{Code, Failure};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};

use super::Encoding;

/// The packings of requests that are unpacked, as `Accept-Encoding` says it beside the refusal of another one.
pub const ACCEPTED: &str = "gzip, deflate";

/// How the request's body is packed; `None` where it is sent as it is.
///
/// # Errors
/// It is packed in another way, or several times.
pub fn request_encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Failure> {
    let mut found = None;
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.to_str().unwrap_or("?").split(',') {
            let encoding = match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                _ => return Err(unaccepted(name.trim())),
            };
            if found.replace(encoding).is_some() {
                return Err(unaccepted("packed twice"));
            }
        }
    }
    Ok(found)
}

fn unaccepted(encoding: &str) -> Failure {
    let text = format!("the content encoding {encoding:?} is not accepted: there are {ACCEPTED} and identity");
    Failure::new(Code::UnsupportedEncoding, text)
}

/// How the caller likes the answer packed best, of what there is; `None` for as it is, also where nothing is said.
pub fn answer_encoding(headers: &HeaderMap) -> Option<Encoding> {
    let (mut gzip, mut deflate, mut identity, mut any) = (None, None, None, None);
    for value in headers.get_all(ACCEPT_ENCODING) {
        for item in value.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let place = match name.trim().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => &mut gzip,
                "deflate" => &mut deflate,
                "identity" => &mut identity,
                "*" => &mut any,
                _ => continue,
            };
            *place = quality(parameters);
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    let deflate = deflate.or(any).unwrap_or(0);
    let best = gzip.max(deflate);
    if best == 0 || identity.is_some_and(|identity| identity > best) {
        return None;
    }
    Some(if gzip >= deflate { Encoding::Gzip } else { Encoding::Deflate })
}

/// The `q` of an item in thousandths; 1000 where there is none, `None` where it is no such number.
fn quality(parameters: &str) -> Option<u16> {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    match q {
        None => Some(1000),
        Some(text) => {
            let q = text.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?;
            Some((q * 1000.0) as u16)
        }
    }
}
