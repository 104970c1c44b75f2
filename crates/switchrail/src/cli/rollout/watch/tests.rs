#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use serde_json::json;

use super::*;

#[test]
fn the_exit_code_tells_how_it_ended() {
    let check = |status: &str, expected: Option<u8>| {
        let expected = expected.map(ExitCode::from);
        assert_eq!(format!("{:?}", outcome(status)), format!("{expected:?}"), "{status}");
    };
    check("promoted", Some(0));
    check("rolled_back", Some(3));
    check("aborted", Some(4));
    check("replaced", Some(4));
    for under_way in ["running", "awaiting_approval", "paused", "held", "baking", "something new"] {
        check(under_way, None);
    }
}

#[test]
fn texts_from_the_gateway_cannot_steer_the_terminal() {
    let value = json!({ "note": "a\x1b[2J\nb", "steps": [{ "name": "\x07" }], "share": 0.5, "next": null });
    let expected = json!({ "note": "a\u{fffd}[2J b", "steps": [{ "name": "\u{fffd}" }], "share": 0.5, "next": null });
    assert_eq!(clean(value), expected);
}

#[test]
fn a_page_is_written_over_the_one_before() {
    let expected = "\x1b[?7l\x1b[1;1Ha\x1b[K\x1b[2;1Hb\x1b[K\x1b[J\x1b[?7h";
    assert_eq!(in_place("a\nb\n"), expected, "no line break, which could make the terminal scroll");
}
