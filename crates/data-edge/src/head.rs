//! Bounds of a request's head beyond those of a connection.

use data_path::{Code, Failure};
use http::request::Parts;

use crate::options::HttpLimits;

/// Checks the sizes of path and header fields.
///
/// # Errors
/// Which bound was reached.
pub fn check_head(parts: &Parts, limits: &HttpLimits) -> Result<(), Failure> {
    let uri_bytes = parts.uri.path_and_query().map_or(0, |p| p.as_str().len());
    let malformed = |what: &str, max: usize, unit: &str| {
        Err(Failure::new(Code::Malformed, format!("the request's {what} has more than {max} {unit}")))
    };
    if uri_bytes > limits.uri_bytes {
        return malformed("URI", limits.uri_bytes, "bytes");
    }
    if parts.headers.len() > limits.headers {
        return malformed("head", limits.headers, "header fields");
    }
    let head_bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if head_bytes > limits.head_bytes {
        return malformed("head", limits.head_bytes, "bytes");
    }
    Ok(())
}
