#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::{Value, json};

use super::*;

#[test]
fn figures_are_short() {
    let check = |share: f64, expected: &str| assert_eq!(percent(share), expected);
    check(0.0, "0 %");
    check(-0.0, "0 %");
    check(0.25, "25 %");
    check(0.3333, "33.3 %");
    check(0.0014, "0.14 %");
    check(0.00001, "0.001 %");
    check(1.0, "100 %");
    check(0.9996, "100 %");
    check(0.1, "10 %");
    assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([bytes(0), bytes(1_536), bytes(3 << 20), bytes(5 << 29)], ["0.0 KiB", "1.5 KiB", "3.0 MiB", "2.5 GiB"]);
    assert_eq!([seconds(0.0051), seconds(1.25), seconds(12.4)], ["5 ms", "1.2 s", "12 s"]);
}

fn evidence(verdict: Value) -> Evidence {
    let rule = |rule: &str, faults: u64, others: u64| json!({ "rule": rule, "faults": faults, "others": others, "log_e": 1.234, "threshold": 4.6, "weight": 0.5 });
    let mut value = json!({
        "candidate": 2, "stable": 1,
        "rules": [rule("limit", 3, 1_237), rule("relative", 3, 1), rule("stable_limit", 0, 0)],
        "all_rules": { "log_e": 0.5, "threshold": 4.605, "tripped": false },
        "promotion": { "log_e": null, "threshold": 3.0, "proven": false, "clean_requests_needed": 1_020 },
        "fault_rate": { "candidate": { "low": 0.0005, "high": 0.0071 }, "stable": { "low": 0.0, "high": 1.0 } },
        "crashes": { "exits": 0, "requests": 0 }, "a later field": 1,
    });
    if !verdict.is_null() {
        value["verdict"] = verdict;
    }
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_trial_is_told_against_its_thresholds() {
    let [faults, rollback, promotion] = trial(&evidence(Value::Null));
    assert_eq!(
        faults,
        "faults: 3 of 1,240 requests on version 2 (true rate 0.05 % to 0.71 %); 0 of 0 requests on version 1"
    );
    assert_eq!(rollback, "rollback: not due; the evidence of harm is 0.50, the verdict comes at 4.61");
    assert_eq!(
        promotion,
        "promotion: not proven; the proof is none of 3.00, 1,020 more requests without a fault would complete it"
    );
    let proven = Evidence {
        promotion: super::super::answers::Promotion { proven: true, ..Default::default() },
        ..evidence(Value::Null)
    };
    assert!(trial(&proven)[2].starts_with("promotion: proven"));
}

#[test]
fn a_row_of_the_journal_tells_its_grounds() {
    let line = |verdict| one_line(&evidence(verdict)).unwrap();
    assert!(line(Value::Null).starts_with("faults: 3 of 1,240"), "{}", line(Value::Null));
    let limit = line(json!({ "rule": "limit", "log_e": 5.0 }));
    assert!(limit.starts_with("rule limit: evidence 1.23 of 4.60; faults: 3 of 1,240"), "{limit}");
    assert!(!limit.contains("promotion"), "{limit}");
    let window =
        line(json!({ "rule": "window_latency", "value": 0.25, "bound": 0.1, "requests": 50, "window_seconds": 60 }));
    assert!(window.starts_with("rule window_latency: 0.2500 over its bound 0.1 in 50 requests over 60 s"), "{window}");
    let mut crashed = evidence(json!({ "exits": 2, "requests": 3 }));
    crashed.crashes.exits = 2;
    crashed.crashes.requests = 3;
    assert!(one_line(&crashed).unwrap().contains("2 unclean exits with 3 of its requests in flight"));
    assert_eq!(one_line(&Evidence::default()), None);
}
