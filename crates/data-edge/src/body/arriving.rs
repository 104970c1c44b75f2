//! What a body is while it arrives, and what it means that it breaks off.

use std::error::Error;
use std::io::{self, ErrorKind};

use bytes::Bytes;
use data_path::{Code, Failure};
use http_body::Body;

/// Any error.
type Cause = Box<dyn Error + Send + Sync>;

/// The body of a request.
pub trait Arriving: Body<Data = Bytes, Error: Into<Cause>> + Unpin {}

impl<B: Body<Data = Bytes, Error: Into<Cause>> + Unpin> Arriving for B {}

/// A body that does not come to its end: its chunks are no chunks, or the caller has gone.
pub(super) fn broken_off(error: Cause) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_ref());
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(ErrorKind::InvalidData | ErrorKind::InvalidInput)) {
            return Failure::new(Code::Malformed, "the body is no sequence of chunks, as its head announces it");
        }
        cause = error.source();
    }
    Failure::new(Code::CallerGone, "the body broke off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_body_is_a_mistake_and_an_end_too_early_is_a_caller_who_left() {
        let code = |kind: ErrorKind| broken_off(io::Error::new(kind, "x").into()).code;
        assert_eq!(code(ErrorKind::InvalidInput), Code::Malformed);
        assert_eq!(code(ErrorKind::InvalidData), Code::Malformed);
        for kind in [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::TimedOut] {
            assert_eq!(code(kind), Code::CallerGone, "{kind}");
        }
        assert_eq!(broken_off("connection error".into()).code, Code::CallerGone);
    }
}
