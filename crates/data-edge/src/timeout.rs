//! The caller's own deadline: a header on every wire, and the protocol's parameter.

use std::time::Duration;

use data_codec::{Parameter, Parameters};
use data_path::{Code, Failure};
use http::{HeaderMap, HeaderValue};

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

/// A header that holds a number. It may be there twice only if it says the same.
pub fn number_header(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Failure> {
    let mut found = None;
    for value in headers.get_all(name) {
        let no_number = || Failure::new(Code::Malformed, format!("the header {name} is no number: {value:?}"));
        let number = number(value).ok_or_else(no_number)?;
        if found.replace(number).is_some_and(|other| other != number) {
            let text = format!("the header {name} is there more than once, with different numbers");
            return Err(Failure::new(Code::Malformed, text));
        }
    }
    Ok(found)
}

fn number(value: &HeaderValue) -> Option<u64> {
    let is_digits = !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit);
    value.to_str().ok().filter(|_| is_digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

    use super::*;

    #[test]
    fn a_number_is_there_once_or_always_the_same() {
        let check = |values: &[&'static str], expected: Result<Option<u64>, Code>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-number", HeaderValue::from_static(value));
            }
            assert_eq!(number_header(&headers, "x-number").map_err(|failure| failure.code), expected, "{values:?}");
        };
        check(&[], Ok(None));
        check(&["7"], Ok(Some(7)));
        check(&["7", "7"], Ok(Some(7)));
        check(&["7", "8"], Err(Code::Malformed));
        check(&["7", "x"], Err(Code::Malformed));
        check(&["7, 7"], Err(Code::Malformed));
        for broken in ["", "-1", "+1", "1.0", "18446744073709551616"] {
            check(&[broken], Err(Code::Malformed));
        }
    }
}
