//! Answers on this wire.

use data_codec::error_body;
use data_edge::compress::ACCEPTED;
use data_edge::{ReplyBody, name_version, retry_after_seconds, row};
use data_path::{Code, Failure};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

/// A JSON answer. The content type has no charset, because a client shows an error only if it has none.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response<ReplyBody> {
    let mut response = Response::new(ReplyBody::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer where everything is said by its status.
pub(crate) fn empty() -> Response<ReplyBody> {
    Response::new(ReplyBody::default())
}

/// The answer to a failed request.
pub(crate) fn failure(failure: &Failure) -> Response<ReplyBody> {
    let row = row(failure.code);
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = error_body(&failure.message, failure.code.as_str(), failure.class.as_str());
    let mut response = json(status, body);
    let headers = response.headers_mut();
    if row.has_retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_seconds(failure)));
    }
    if failure.code == Code::UnsupportedEncoding {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    }
    if let Some(served) = &failure.served {
        name_version(headers, served, failure.reason);
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn every_code_has_a_status_and_only_overload_a_time_to_come_back() {
        for code in Code::ALL {
            let response = failure(&Failure::new(code, "x"));
            assert_eq!(response.status().as_u16(), row(code).status);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), row(code).has_retry_after, "{code:?}");
        }
    }
}
