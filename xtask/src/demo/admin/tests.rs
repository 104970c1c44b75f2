use serde_json::json;

use super::*;

#[test]
fn a_model_is_read() {
    let view = model(&json!({
        "generation": 7, "stable": 1, "phase": "canary",
        "versions": [
            { "version": 1, "state": "ready", "share_wanted": 0.75, "load_seconds": 0.5, "inputs": ["x INT32[?,2048]"],
              "outputs": ["y FP32[?,214]"] },
            { "version": 4, "state": "failed", "reason": { "code": "load_failed", "text": "truncated" } } ],
        "trials": [{ "candidate": 2, "evidence": {
            "rules": [{ "rule": "relative", "faults": 9, "others": 9 }, { "rule": "limit", "faults": 1, "others": 499 }],
            "all_rules": { "log_e": -1.0, "threshold": 6.9 },
            "promotion": { "log_e": 1.5, "threshold": 3.0, "proven": false, "clean_requests_needed": 120 } } }],
    }));
    assert_eq!(view.generation, 7);
    assert_eq!((view.stable, view.phase.as_str(), view.versions.len()), (Some(1), "canary", 2));
    assert_eq!(view.versions[0].signature, "x INT32[?,2048] -> y FP32[?,214]");
    assert_eq!(view.versions[1].reason, "truncated");
    let trial = view.trial.unwrap_or_default();
    assert_eq!((trial.candidate, trial.n_requests, trial.n_requests_needed), (2, 500, 120));
    assert_eq!((trial.doubt, trial.proof, trial.is_proven), ((-1.0, 6.9), (1.5, 3.0), false));
}

#[test]
fn a_rollback_is_read() {
    let view = rollback(&json!({ "at_unix_ms": 1_700_000_000_123_u64, "generation": 9, "evidence": {
        "rules": [{ "rule": "limit", "faults": 3, "others": 12 }],
        "verdict": { "rule": "limit", "log_e": 8.1, "threshold": 6.9 } } }));
    assert_eq!((view.at_unix_ms, view.generation, view.rule.as_str()), (1_700_000_000_123, 9, "limit"));
    assert_eq!((view.n_faults, view.n_requests, view.doubt), (3, 15, (8.1, 6.9)));
}
