//! The caller's own deadline: a header on every wire, and the protocol's parameter.

use std::time::Duration;

use data_codec::{Parameter, Parameters};
use data_path::{Code, Failure};
use http::HeaderMap;

/// The caller's own deadline, in milliseconds. Over REST it wins over the protocol's parameter; over gRPC the shortest
/// deadline counts.
const TIMEOUT_HEADER: &str = "switchrail-timeout-ms";
/// The protocol's own way to set a deadline, in microseconds; 0 means none.
const TIMEOUT_PARAMETER: &str = "timeout";
/// No caller needs more; it also keeps sums of time from overflowing.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The deadline a header gives.
pub fn timeout_header(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    match number_header(headers, TIMEOUT_HEADER)? {
        Some(0) => Err(Failure::new(Code::Malformed, format!("the header {TIMEOUT_HEADER} leaves no time at all"))),
        milliseconds => Ok(milliseconds.map(|ms| Duration::from_millis(ms).min(TIMEOUT_MAX))),
    }
}

/// The deadline a parameter of the request gives.
pub fn timeout_parameter(parameters: &Parameters) -> Result<Option<Duration>, Failure> {
    match parameters.get(TIMEOUT_PARAMETER) {
        None | Some(Parameter::Unsigned(0)) => Ok(None),
        Some(Parameter::Unsigned(microseconds)) => Ok(Some(Duration::from_micros(*microseconds).min(TIMEOUT_MAX))),
        Some(_) => {
            let text = format!("the parameter {TIMEOUT_PARAMETER:?} is a positive number of microseconds");
            Err(Failure::new(Code::Malformed, text))
        }
    }
}

/// A header that holds a number.
pub fn number_header(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let is_digits = !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    match value.to_str().ok().filter(|_| is_digits).and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Failure::new(Code::Malformed, format!("the header {name} is no number: {value:?}"))),
    }
}
