#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nswitchrail-version: 7\r\n\r\nbodyHTTP/1.1 ";

#[test]
fn an_answer_is_found_once_it_is_complete() {
    let body_end = ANSWER.len() - "HTTP/1.1 ".len();
    for n_bytes in 0..body_end {
        assert_eq!(extent(&ANSWER[..n_bytes]).unwrap(), None, "{n_bytes} bytes");
    }
    let expected = Extent { status: 200, head_bytes: body_end - 4, total_bytes: body_end };
    assert_eq!(extent(ANSWER).unwrap(), Some(expected));
}

#[test]
fn headers_are_found_whatever_their_case() {
    let head = &ANSWER[..60];
    assert_eq!(header(head, "content-length"), Some("4"));
    assert_eq!(header(head, "SWITCHRAIL-version"), Some("7"));
    assert_eq!(header(head, "content"), None);
    assert_eq!(header(head, "HTTP/1.1 200 OK"), None);
}

#[test]
fn what_is_no_answer_is_an_error() {
    for bytes in ["garbage\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"] {
        assert!(extent(bytes.as_bytes()).is_err(), "{bytes:?}");
    }
}
