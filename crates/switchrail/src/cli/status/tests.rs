#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::{Value, json};

use super::*;

fn page_of(status: Value) -> String {
    page(&serde_json::from_value(status).unwrap(), 1_700_000_065_000)
}

#[test]
fn everything_in_force_is_on_the_page() {
    let version = |version: u64, state: &str, share: f64| {
        json!({ "version": version, "state": state, "digest": "0123456789abcdef0123", "reason": null,
            "share_wanted": share, "share_actual": null, "load_seconds": 0.12, "memory_bytes": 2_097_152,
            "inputs": [], "outputs": [] })
    };
    let mut failed = version(3, "failed", 0.0);
    failed["reason"] = json!({ "code": "malformed", "text": "cut short" });
    failed["digest"] = Value::Null;
    let text = page_of(json!({
        "generation": 7, "started": true,
        "models": [{ "name": "fraud", "generation": 7, "stable": 1, "phase": "canary", "split": [],
            "versions": [version(1, "ready", 0.75), version(2, "ready", 0.25), failed],
            "trials": [{ "candidate": 2, "stable": 1, "since_unix_ms": 1_700_000_000_000u64, "mode": "observe",
                "evidence": {} }],
            "rollout": { "number": 3, "candidate": 2, "policy": "cautious", "status": "awaiting_approval",
                "note": "the team has to approve" },
            "notices": ["version 9 is unknown"] }],
        "quarantine": [{ "model": "fraud", "version": 4, "digest": "fedcba98765432100000", "cause": "limit",
            "since_unix_ms": 1_700_000_000_000u64 }],
        "config": { "problems": [{ "file": "routing.toml", "line": 3, "column": 1, "severity": "error",
            "code": "unknown-key", "message": "unknown key \"x\"", "hint": "leave it out" }] },
    }));
    let expected = "\
generation 7, ready

fraud: stable 1, canary
  version  state   wanted  actual  load    memory   digest
  1        ready   75 %    –       120 ms  2.0 MiB  0123456789abcdef
  2        ready   25 %    –       120 ms  2.0 MiB  0123456789abcdef
  3        failed  0 %     –       120 ms  2.0 MiB  –
  version 3 is failed (malformed): cut short
  rollout 3 of 2 by the policy cautious: awaiting approval: the team has to approve
  trial of 2 against 1 for 1 min 5 s, observed only: no rollback by itself
";
    assert!(text.starts_with(expected), "{text}");
    for part in [
        "    rollback: not due",
        "  note: version 9 is unknown\n",
        "\nquarantine\n  fraud 4  fedcba9876543210  since 2023-11-14T22:13:20.000Z: limit\n",
        "routing.toml:3:1: error[unknown-key]: unknown key \"x\"\n  hint: leave it out\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn an_empty_gateway_says_what_to_do() {
    let text = page_of(json!({ "generation": 1, "started": false, "models": [], "quarantine": [],
        "config": { "problems": [] } }));
    assert!(text.starts_with("generation 1, starting") && text.contains("model.onnx"), "{text}");
}
