#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

#[test]
fn moments_are_written_as_rfc_3339() {
    let check = |unix_ms: u64, expected: &str| {
        assert_eq!(rfc3339(unix_ms), expected);
        assert_eq!(parse_rfc3339(expected), Some(unix_ms));
    };
    check(0, "1970-01-01T00:00:00.000Z");
    check(951_782_400_000, "2000-02-29T00:00:00.000Z");
    check(1_700_000_000_123, "2023-11-14T22:13:20.123Z");
    check(1_709_251_199_999, "2024-02-29T23:59:59.999Z");
    check(4_107_542_400_000, "2100-03-01T00:00:00.000Z");
    check(253_402_300_799_999, "9999-12-31T23:59:59.999Z");
    assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
}

#[test]
fn every_day_reads_back() {
    for day in 0..100_000 {
        let unix_ms = day * DAY_MS + 45_296_789;
        assert_eq!(parse_rfc3339(&rfc3339(unix_ms)), Some(unix_ms));
    }
}

#[test]
fn moments_are_read_in_the_usual_forms() {
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(parse_rfc3339(text).map(rfc3339).as_deref(), expected, "{text}")
    };
    check("2026-01-02", Some("2026-01-02T00:00:00.000Z"));
    check("2026-01-02 03:04", Some("2026-01-02T03:04:00.000Z"));
    check("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05.000Z"));
    check("2026-01-02T03:04:05.6789z", Some("2026-01-02T03:04:05.678Z"));
    check("2026-01-02T00:30:00+02:00", Some("2026-01-01T22:30:00.000Z"));
    check("2026-01-02T23:30:00-02:30", Some("2026-01-03T02:00:00.000Z"));
    for bad in [
        "",
        "yesterday",
        "2026",
        "2026-1-2",
        "2026-02-29",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026-04-31",
        "1969-12-31",
        "1970-01-01T00:00:00+01:00",
        "2026-01-02T24:00",
        "2026-01-02T03:60",
        "2026-01-02T03:04:05.",
        "2026-01-02T03:04:05.x",
        "2026-01-02T",
        "2026-01-02T03",
        "2026-01-02T03:04:05+2",
        "+026-01-02",
        "2026-01-02T03:04:05é",
        "2026-01-02T03:04:05+24:00",
        "9999-12-31T23:59:59-01:00",
    ] {
        check(bad, None);
    }
}

#[test]
fn spans_are_read_and_written() {
    let check =
        |text: &str, seconds: Option<u64>| assert_eq!(parse_span(text), seconds.map(Duration::from_secs), "{text}");
    check("90s", Some(90));
    check("30m", Some(1_800));
    check("12h", Some(43_200));
    check("7d", Some(604_800));
    for bad in ["", "h", "5", "-5m", "+5m", "5 m", "5w", "1.5h", "99999999999999999999d", "18446744073709551615d", "5é"]
    {
        check(bad, None);
    }
    let show = |seconds: u64, expected: &str| assert_eq!(span(Duration::from_secs(seconds)), expected);
    show(0, "0 s");
    show(59, "59 s");
    show(60, "1 min");
    show(3_725, "1 h 2 min");
    show(90_000, "1 d 1 h");
    show(86_400, "1 d");
}
