#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use serde_json::{Value, json};

use super::*;

/// 2023-11-14T22:13:20Z.
const NOW: u64 = 1_700_000_000_000;

fn running() -> Value {
    let step = |name: &str, state: &str| json!({ "name": name, "state": state });
    let rule = |rule: &str, counts: &str, log_e: Option<f64>, tripped: bool, on_failure: &str| {
        json!({ "rule": rule, "counts": counts, "log_e": log_e, "threshold": 8.0, "tripped": tripped,
            "on_failure": on_failure })
    };
    json!({
        "model": "fraud", "number": 3, "candidate": 8, "stable": 7, "policy": "cautious", "status": "running",
        "standstill": null,
        "steps": [step("gate", "done"), step("weight 5 %", "current"), step("promote", "to_come")],
        "share": 0.05, "shadow_share": 0.1, "started_unix_ms": NOW - 125_000, "step_since_unix_ms": NOW - 60_000,
        "status_since_unix_ms": NOW - 5_000, "retries": 0, "actor": "ann", "note": "step 2 of 3 (weight 5 %) began",
        "next": 9, "waits_for": "waits for proof of errors (220 clean requests more); about 1 min",
        "step_left_ms": 59_500, "whole_left_ms": 3_700_000, "requests_per_second": 42.4, "n_requests": 1240,
        "n_shadowed": 90,
        "rules": [
            rule("limit", "3 faults, 1237 successes", Some(4.0), false, "rollback"),
            rule("relative", "0 faults, 0 of stable", None, false, "rollback"),
            rule("drift", "9 outputs, 20 of stable", Some(9.5), true, "pause"),
        ],
        "evidence": { "all_rules": { "log_e": -0.5, "threshold": 6.91, "tripped": false },
            "proofs": [{ "of": "errors", "log_e": 1.34, "threshold": 3.0, "proven": false,
                "clean_requests_needed": 220 },
                { "of": "latency", "log_e": 3.2, "threshold": 3.0, "proven": true, "clean_requests_needed": 0 }] },
    })
}

fn shown(rollout: &Value) -> String {
    page(&serde_json::from_value(rollout.clone()).unwrap(), NOW, Paint::Plain)
}

#[test]
fn a_running_rollout_is_seen_at_a_glance() {
    let expected = "\
fraud: version 8 against version 7   policy cautious, rollout 3
RUNNING for 5 s; began 2 min 5 s ago, ordered by ann; 42 requests a second

steps     ✓ gate   ▶ weight 5 %   · promote
traffic   [█░░░░░░░░░░░░░░░░░░░░░░░]     5 %  version 8, 1,240 in this step
          [███████████████████████░]    95 %  version 7
copies    [██░░░░░░░░░░░░░░░░░░░░░░]    10 %  copied to version 8, 90 in this step

now       waits for proof of errors (220 clean requests more); about 1 min
this step about 1 min more if all goes well, until 2023-11-14 22:14:19 UTC
the whole about 1 h 1 min more if all goes well, until 2023-11-14 23:15:00 UTC
last      step 2 of 3 (weight 5 %) began
next      version 9

evidence of harm: a full bar trips the rule (log E of its threshold)
  limit             [████████████░░░░░░░░░░░░]     4.00 of 8.00  3 faults, 1237 successes
  relative          [░░░░░░░░░░░░░░░░░░░░░░░░]        – of 8.00  0 faults, 0 of stable
  drift             [████████████████████████]     9.50 of 8.00  9 outputs, 20 of stable; TRIPPED: pause
  all together      [░░░░░░░░░░░░░░░░░░░░░░░░]    -0.50 of 6.91  full: it is rolled back

proof of health: a full bar completes it
  errors            [███████████░░░░░░░░░░░░░]     1.34 of 3.00  220 clean requests more
  latency           [████████████████████████]     3.20 of 3.00  proven
";
    assert_eq!(shown(&running()), expected);
}

#[test]
fn a_rollout_that_stands_still_says_why_and_that_no_time_can_be_told() {
    let mut rollout = running();
    rollout["status"] = "held".into();
    rollout["standstill"] = "inconclusive".into();
    (rollout["step_left_ms"], rollout["whole_left_ms"]) = (Value::Null, Value::Null);
    rollout["requests_per_second"] = Value::Null;
    let text = shown(&rollout);
    assert!(text.contains("HELD, without proof in its time for 5 s;") && text.contains("no requests lately"), "{text}");
    assert!(text.contains("this step nobody can say when"), "{text}");
}

#[test]
fn a_rollout_that_is_over_says_how_and_where_the_report_is() {
    let mut rollout = running();
    rollout["status"] = "rolled_back".into();
    (rollout["waits_for"], rollout["next"]) = (Value::Null, Value::Null);
    (rollout["rules"], rollout["evidence"]) = (json!([]), Value::Null);
    rollout["steps"][1]["state"] = "stopped".into();
    rollout["note"] = "limit: 5 faults and 2 successes".into();
    let text = shown(&rollout);
    assert!(
        text.contains("\nROLLED BACK for 5 s; began 2 min 5 s ago, ordered by ann\n") && text.contains("✗ weight 5 %"),
        "{text}"
    );
    assert!(text.contains("last      limit: 5 faults and 2 successes\n"), "{text}");
    assert!(text.ends_with("report    switchrail rollout report fraud --number 3\n"), "{text}");
    assert!(!text.contains("evidence of harm") && !text.contains("this step "), "{text}");
}

#[test]
fn many_steps_are_wrapped_below_each_other() {
    let mut rollout = running();
    let step = json!({ "name": "weight 12.5 % of it", "state": "to_come" });
    rollout["steps"] = Value::Array(vec![step; 9]);
    let text = shown(&rollout);
    let rows: Vec<&str> = text.lines().filter(|line| line.contains("· weight")).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert!(rows.iter().all(|row| row.chars().count() <= WIDTH && !row.ends_with(' ')), "{rows:?}");
    assert!(rows[1].starts_with("          · weight"), "{rows:?}");
}

#[test]
fn colours_change_nothing_but_the_colours() {
    let rollout = serde_json::from_value(running()).unwrap();
    let coloured = page(&rollout, NOW, Paint::Colours);
    assert!(coloured.contains("\x1b[32m✓ gate\x1b[0m") && coloured.contains("\x1b[1;31m████"), "{coloured}");
    let mut plain = coloured;
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[1;31m", "\x1b[1;33m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, page(&rollout, NOW, Paint::Plain));
}

#[test]
fn bars_are_full_only_when_it_is_and_begun_only_when_it_has() {
    let check = |value: Option<f64>, filled: usize| {
        assert_eq!(bar(value, Some(10.0)).chars().filter(|c| *c == '█').count(), filled, "{value:?}");
    };
    check(None, 0);
    check(Some(-3.0), 0);
    check(Some(0.0), 0);
    check(Some(0.01), 1);
    check(Some(5.0), 12);
    check(Some(9.99), 23);
    check(Some(10.0), 24);
    check(Some(1e9), 24);
    assert!(!bar(Some(1.0), Some(0.0)).contains('█') && !bar(Some(1.0), None).contains('█'));
}

#[test]
fn a_line_changes_only_with_what_happens() {
    let check = |rollout: &Value, expected: &str| {
        assert_eq!(line(&serde_json::from_value(rollout.clone()).unwrap()), expected);
    };
    let mut rollout = running();
    let expected = "fraud 8 running, step 2 of 3 (weight 5 %), 5 % of the traffic; step 2 of 3 (weight 5 %) began";
    check(&rollout, expected);
    (rollout["n_requests"], rollout["rules"][0]["log_e"]) = (9_999.into(), 7.0.into());
    check(&rollout, expected);
}
