//! Rollouts, what can be known before them, and experiments.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answers::check_refused;
use super::support::{Answer, Door};

fn order(door: &Door, word: &str, body: Value) -> Answer {
    door.post(&format!("/v1/models/m/rollout/{word}"), body)
}

/// Waits until the rollout of `m` has this status.
fn wait(door: &Door, status: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let rollout = door.get("/v1/models/m/rollout").body;
        if rollout["status"] == status {
            return rollout;
        }
        assert!(Instant::now() < until, "never {status}: {rollout:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_rollout_is_ordered_shown_and_reported() {
    let door = Door::open();
    check_refused(&door.get("/v1/models/m/rollout"), 404, "no_rollout", "start one");
    check_refused(&door.get("/v1/models/m/rollout/report"), 404, "no_report", "no such rollout");
    let done = order(&door, "start", json!({ "version": 1, "policy": "cautious", "reason": "a try", "actor": "ann" }));
    assert_eq!((done.status, &done.body["provisional"]), (200, &json!(true)), "{}", done.body);
    let rollout = door.get("/v1/models/m/rollout").body;
    let field = |name: &str| rollout[name].clone();
    assert_eq!((field("number"), field("candidate"), field("stable")), (json!(1), json!(1), json!(2)), "{rollout:#}");
    assert_eq!((field("policy"), field("actor")), (json!("cautious"), json!("ann")));
    assert_eq!(rollout["steps"].as_array().map(Vec::len), Some(9), "{rollout:#}");
    check_refused(&order(&door, "approve", json!({})), 400, "name_needed", "who approves");
    check_refused(&order(&door, "approve", json!({ "actor": "ann" })), 409, "wrong_status", "nothing waits");
    check_refused(&order(&door, "resume", json!({})), 409, "wrong_status", "stand still");
    assert_eq!(order(&door, "pause", json!({ "reason": "lunch", "actor": "bob" })).status, 200);
    let paused = wait(&door, "paused");
    assert_eq!(paused["standstill"], "order");
    assert!(paused["note"].as_str().unwrap().contains("paused by bob: lunch"), "{paused:#}");
    check_refused(&order(&door, "confirm", json!({})), 409, "wrong_status", "promotion");
    check_refused(&order(&door, "promote", json!({ "force": true })), 400, "reason_needed", "reason");
    let aborted = order(&door, "abort", json!({ "reason": "enough", "actor": "bob" }));
    assert_eq!(aborted.status, 200, "{}", aborted.body);
    let over = wait(&door, "aborted");
    assert!(over["waits_for"].is_null() && over["note"].as_str().unwrap().contains("enough"), "{over:#}");
    check_refused(&order(&door, "pause", json!({})), 409, "rollout_is_over", "retry");

    let report = door.get("/v1/models/m/rollout/report").body;
    assert_eq!(report["rollout"]["status"], "aborted", "{report:#}");
    assert_eq!(door.get("/v1/models/m/rollout/report?number=1&format=json").body, report);
    let page = door.get("/v1/models/m/rollout/report?format=markdown");
    assert!(page.status == 200 && page.head.contains("content-type: text/markdown"), "{}", page.head);
    check_refused(&door.get("/v1/models/m/rollout/report?number=7"), 404, "no_report", "no such rollout");
    check_refused(&door.get("/v1/models/m/rollout/report?format=pdf"), 400, "malformed", "format");
    assert_eq!(door.get("/v1/models/m/disagreements").body, json!({ "model": "m", "examples": [] }));
    check_refused(&order(&door, "thaw", json!({})), 400, "reason_missing", "reason");
    assert_eq!(order(&door, "thaw", json!({ "reason": "looked into it" })).status, 200);
    check_refused(&order(&door, "retry", json!({ "actor": "ann" })), 409, "no_retries_left", "new version");
    assert_eq!(order(&door, "start", json!({ "version": "1" })).status, 200);
    let second = door.get("/v1/models/m/rollout").body;
    assert_eq!(
        (&second["number"], &second["policy"], &second["actor"]),
        (&json!(2), &json!("default"), &json!("admin-api"))
    );
}

#[test]
fn malformed_orders_about_rollouts_change_nothing() {
    let door = Door::open();
    let check = |word: &str, body: Value, status: u16, code: &str, part: &str| {
        check_refused(&order(&door, word, body), status, code, part);
    };
    check("start", json!({}), 400, "malformed", "version");
    check("start", json!({ "version": "01" }), 400, "malformed", "version");
    check("start", json!({ "version": "9" }), 404, "version_unknown", "9");
    check("start", json!({ "version": "2" }), 409, "already_stable", "stable");
    check("start", json!({ "version": "1", "policy": "nope" }), 404, "policy_unknown", "nope");
    check("start", json!({ "version": "1", "share": 0.5 }), 400, "malformed", "share");
    check("start", json!({ "version": "1", "actor": "judge" }), 400, "malformed", "actor");
    check("pause", json!({ "version": "1" }), 400, "malformed", "version");
    check("abort", json!({ "force": true }), 400, "malformed", "force");
    check("promote", json!({ "quarantine": true }), 400, "malformed", "quarantine");
    for word in ["approve", "pause", "resume", "abort", "promote", "confirm", "retry"] {
        check(word, json!({ "actor": "ann" }), 404, "no_rollout", "start one");
    }
    check("cancel", json!({}), 404, "not_found", "docs/admin-api.md");
    let other = door.post("/v1/models/other/rollout/pause", json!({}));
    check_refused(&other, 404, "model_unknown", "other");
    check_refused(&door.get("/v1/models/other/rollout"), 404, "model_unknown", "other");
}

#[test]
fn the_power_of_a_policy_is_told_before_the_start() {
    let door = Door::open();
    let power = |query: &str| door.get(&format!("/v1/models/m/power?{query}"));
    check_refused(&power(""), 400, "no_traffic", "rps");
    check_refused(&power("rps=0"), 400, "malformed", "requests_per_second");
    check_refused(&power("rps=10&policy=nope"), 404, "policy_unknown", "cautious");
    check_refused(&power("rps=10&stable_error_rate=0.9"), 400, "malformed", "stable_error_rate");
    check_refused(&power("rps=10&latency_p50_ms=5"), 400, "malformed", "both");
    check_refused(&power("rqs=10"), 400, "malformed", "rqs");
    check_refused(&door.get("/v1/models/other/power?rps=1"), 404, "model_unknown", "other");
    let answer = power("rps=100&policy=fast");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let found = answer.body;
    assert_eq!((&found["policy"], &found["model"], &found["alpha"]), (&json!("fast"), &json!("m"), &json!(0.001)));
    let first = &found["steps"][0];
    assert_eq!((&first["share"], &first["proofs"][0]["clean_requests"]), (&json!(0.1), &json!(348)), "{first:#}");
    let broken = first["harms"].as_array().unwrap().iter().find(|harm| harm["size"] == 1.0).unwrap();
    assert!(broken["requests"].as_f64().unwrap() < 6.0, "{broken}");
    assert!(found["total_seconds"].as_f64().unwrap() > 600.0, "its bake takes ten minutes: {found:#}");
    assert!(found["text"].as_str().unwrap().contains("100 requests a second"), "{found:#}");
    assert_eq!(power("rps=100&policy=fast").body, found, "the same question gets the same answer");
}

#[test]
fn experiments_are_listed_and_planned() {
    let door = Door::open();
    assert_eq!(door.get("/v1/experiments").body, json!({ "experiments": [] }));
    check_refused(&door.get("/v1/experiments/ranker"), 404, "experiment_unknown", "ranker");
    check_refused(&door.get("/v1/experiments/plan"), 404, "experiment_unknown", "plan");
    let plan = |body: Value| door.post("/v1/experiments/plan", body);
    let found = plan(json!({ "outcomes_per_second": 42, "baseline": 0.05, "relative_effect": 0.2 })).body;
    let expected = found["expected"].as_f64().unwrap();
    assert!((20_000.0..45_000.0).contains(&expected), "{found:#}");
    assert_eq!((&found["in_time"], found["arms"].as_array().map(Vec::len)), (&json!(true), Some(2)));
    let seconds = found["expected_seconds"].as_f64().unwrap();
    assert!((seconds - expected / 42.0).abs() < 1e-6, "{found:#}");
    let slow = plan(json!({ "outcomes_per_second": 0.01, "baseline": 0.05, "effect": 0.01, "days_max": 1 })).body;
    assert_eq!(slow["in_time"], false, "{slow:#}");
    let check = |body: Value, part: &str| check_refused(&plan(body), 400, "malformed", part);
    check(json!({ "outcomes_per_second": 42, "baseline": 0.05 }), "either effect");
    check(json!({ "outcomes_per_second": 42, "baseline": 0.05, "effect": 0.1, "relative_effect": 1 }), "either effect");
    check(json!({ "outcomes_per_second": 0, "baseline": 0.05, "effect": 0.1 }), "outcomes_per_second must be above 0");
    check(json!({ "outcomes_per_second": 1, "baseline": 0.05, "effect": 0.1, "measure": "luck" }), "mistakes");
    check(json!({ "outcomes_per_second": 1, "baseline": 0.05, "effect": 0.1, "deviation": 0.1 }), "loss only");
    check(json!({ "outcomes_per_second": 1, "baseline": 0.05, "effect": 0.1, "shares": [1.0] }), "2 to 16 arms");
    check(json!({ "baseline": 0.05, "effect": 0.1 }), "outcomes_per_second");
}
