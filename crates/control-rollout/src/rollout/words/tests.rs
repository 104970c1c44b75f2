use super::*;

#[test]
fn a_span_is_said_in_its_two_largest_units() {
    let check = |ms, text: &str| assert_eq!(span(ms), text);
    check(0, "0 s");
    check(1, "1 s");
    check(59_001, "1 min");
    check(61_000, "1 min 1 s");
    check(3_600_000, "1 h");
    check(3_661_000, "1 h 1 min");
    check(3_601_000, "1 h");
    check(90_000_000, "1 d 1 h");
}
