#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn each_unit_is_read() {
    let check = |text: &str, ms: u64| assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
    check("0s", 0);
    check("250ms", 250);
    check("30s", 30_000);
    check("10m", 600_000);
    check("6h", 21_600_000);
    check("14d", 1_209_600_000);
    check("007s", 7_000);
    check("3650d", DURATION_MS_MAX);
}

#[test]
fn what_is_no_duration_is_refused_with_a_hint() {
    let check = |text: &str, expected: &str| {
        let (message, hint) = parse(text).unwrap_err();
        let all = format!("{message}; {}", hint.unwrap_or_default());
        assert!(all.contains(expected), "{text}: {all}");
    };
    check("", "does not begin with a whole number");
    check("soon", "does not begin with a whole number");
    check("-5s", "does not begin with a whole number");
    check("30", "did you mean \"30s\"?");
    check("5 min", "did you mean \"5m\"?");
    check("5 m", "did you mean \"5m\"?");
    check("2 Hours", "did you mean \"2h\"?");
    check("1.5h", "has no fraction");
    check("3w", "\"w\" is no unit");
    check("3651d", "at most 3650d");
    check("99999999999999999999999s", "at most");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(ms in 0..=DURATION_MS_MAX) {
        let duration = Duration::from_millis(ms);
        prop_assert_eq!(parse(&duration_text(duration)), Ok(duration));
    }
}
