//! What is answered.

use serde_json::{Value, json};

use super::support::{Answer, Door};

pub(super) fn check_refused(answer: &Answer, status: u16, code: &str, part: &str) {
    assert_eq!((answer.status, &answer.body["code"]), (status, &Value::from(code)), "{}", answer.body);
    let error = answer.body["error"].as_str().unwrap();
    assert!(error.contains(part), "{error}");
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
}

#[test]
fn the_status_shows_models_and_versions() {
    let door = Door::open();
    assert_eq!(door.get("/v1/health").body, json!({ "status": "ok" }));
    let status = door.get("/v1/status").body;
    assert_eq!(status["started"], true);
    assert!(status["generation"].as_u64().unwrap() > 0);
    assert_eq!(status["config"]["problems"], json!([]));
    let model = &status["models"][0];
    assert_eq!((&model["name"], &model["stable"], &model["phase"]), (&json!("m"), &json!(2), &json!("settled")));
    assert_eq!(model["versions"][0]["inputs"], json!(["x FP32[-1,4]"]));
    assert_eq!(door.get("/v1/models/m").body["versions"], model["versions"]);
    check_refused(&door.get("/v1/models/other"), 404, "model_unknown", "GET /v1/status");
    check_refused(&door.get("/v1/models/%2e%2e"), 400, "malformed", "letter or digit");
    check_refused(&door.get("/v1/nothing"), 404, "not_found", "docs/admin-api.md");
    let wrong = door.send("DELETE", "/v1/status", &[], "");
    check_refused(&wrong, 405, "method", "method");
    assert!(wrong.head.contains("allow: get"), "{}", wrong.head);
}

#[test]
fn orders_are_carried_out_and_recorded() {
    let door = Door::open();
    let order = |what: &str, body: Value| door.post(&format!("/v1/models/m/{what}"), body);
    let done = order("canary", json!({ "version": 1, "share": 0.25, "reason": " try it ", "actor": "ann" }));
    assert_eq!((done.status, &done.body["provisional"]), (200, &json!(true)), "{}", done.body);
    let model = door.get("/v1/models/m").body;
    assert_eq!((&model["phase"], &model["trials"][0]["candidate"]), (&json!("canary"), &json!(1)));
    assert_eq!(model["split"], json!([{ "version": 1, "share": 0.25 }, { "version": 2, "share": 0.75 }]));
    check_refused(&order("promote", json!({})), 409, "not_proven", "more requests");
    check_refused(&order("promote", json!({ "force": true })), 400, "reason_missing", "reason");
    let promoted = order("promote", json!({ "force": true, "reason": "we know it", "confirm": true }));
    assert_eq!(promoted.status, 200, "{}", promoted.body);
    assert_eq!(door.get("/v1/models/m").body["stable"], 1);
    let back = order("rollback", json!({ "to": "2", "actor": "bob" }));
    assert_eq!(back.status, 200, "{}", back.body);
    let quarantine = door.get("/v1/quarantine").body["quarantine"].clone();
    assert_eq!((&quarantine[0]["version"], &quarantine[0]["cause"]), (&json!(1), &json!("operator")));
    check_refused(&order("canary", json!({ "version": "1", "share": 0.5 })), 409, "quarantined", "release");
    assert_eq!(order("release", json!({ "version": "1", "reason": "a false alarm" })).status, 200);
    check_refused(&order("release", json!({ "version": "1", "reason": "again" })), 409, "not_quarantined", "m");

    let history = door.get("/v1/history?model=m&limit=100").body;
    let rows = history["rows"].as_array().unwrap();
    let find = |action: &str| rows.iter().find(|r| r["action"] == action).unwrap();
    let canary = find("canary_started");
    assert_eq!((&canary["actor"], &canary["reason"]), (&json!("ann"), &json!("try it")));
    assert_eq!(canary["changes"][0]["candidate"], json!({ "version": 1, "share": 0.25 }));
    assert_eq!(canary["at"], crate::time::rfc3339(canary["at_unix_ms"].as_u64().unwrap()));
    assert_eq!(find("promoted")["actor"], "admin-api");
    assert!(find("promoted")["evidence"]["promotion"]["log_e"].is_number());
    assert_eq!(find("rolled_back")["actor"], "bob");
    assert_eq!(find("released")["reason"], "a false alarm");
    let seqs: Vec<u64> = rows.iter().map(|r| r["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b), "{seqs:?}");
}

#[test]
fn malformed_orders_change_nothing() {
    let door = Door::open();
    let check = |what: &str, body: Value, status: u16, code: &str, part: &str| {
        check_refused(&door.post(&format!("/v1/models/m/{what}"), body), status, code, part);
    };
    check("canary", json!({ "version": "1" }), 400, "malformed", "share");
    check("canary", json!({ "version": "1", "share": 0.5, "wait": 1 }), 400, "malformed", "wait");
    check("canary", json!({ "version": "01", "share": 0.5 }), 400, "malformed", "version");
    check("canary", json!({ "version": 0, "share": 0.5 }), 400, "malformed", "version");
    check("canary", json!({ "version": "9", "share": 0.5 }), 404, "version_unknown", "no version 9");
    check("canary", json!({ "version": "champion", "share": 0.5 }), 404, "version_unknown", "champion");
    check("canary", json!({ "version": "2", "share": 0.5 }), 409, "already_stable", "stable");
    check("canary", json!({ "version": "1", "share": 1.0 }), 400, "share", "promote");
    check("canary", json!({ "version": "1", "share": 0.5, "actor": "judge" }), 400, "malformed", "actor");
    check("canary", json!({ "version": "1", "share": 0.5, "actor": "a\nb" }), 400, "malformed", "actor");
    check("canary", json!({ "version": "1", "share": 0.5, "reason": "x".repeat(2_049) }), 400, "malformed", "reason");
    check("promote", json!({}), 409, "no_candidate", "name the version");
    check("promote", json!([]), 400, "malformed", "body");
    check("release", json!({ "version": "1" }), 400, "malformed", "reason");
    check("rollback", json!({ "quarantine": "no" }), 400, "malformed", "bool");
    let json = [("content-type", "application/json")];
    check_refused(&door.send("POST", "/v1/models/m/rollback", &json, "{"), 400, "malformed", "body");
    check_refused(&door.send("POST", "/v1/models/m/rollback", &json, ""), 400, "malformed", "body");
    check_refused(&door.post("/v1/models/other/rollback", json!({})), 404, "model_unknown", "other");
    let model = door.get("/v1/models/m").body;
    assert_eq!((&model["stable"], &model["phase"]), (&json!(2), &json!("settled")));
}

#[test]
fn history_pages_and_filters() {
    let door = Door::open();
    let rows = |query: &str| door.get(&format!("/v1/history?{query}")).body;
    let all = rows("")["rows"].as_array().unwrap().len();
    assert!(all >= 3, "{all}");
    let first = rows("limit=2");
    let next = first["next_before"].as_u64().unwrap();
    assert_eq!(first["rows"][1]["seq"], next);
    assert_eq!(rows(&format!("before={next}&limit=1000"))["rows"].as_array().unwrap().len(), all - 2);
    assert_eq!(rows("limit=1000")["next_before"], Value::Null);
    assert_eq!(rows("since_unix_ms=99999999999999")["rows"], json!([]));
    assert_eq!(rows("model=other")["rows"], json!([]));
    for bad in ["limit=0", "limit=1001", "limit=x", "modle=m", "model=.."] {
        assert_eq!(door.get(&format!("/v1/history?{bad}")).status, 400, "{bad}");
    }
}

#[test]
fn a_routing_file_is_checked_and_compared_without_being_applied() {
    let door = Door::open();
    let text = "[models.m]\nstable = 1\nsticky = { header = \"x-key\" }\n";
    let answer = door.send("POST", "/v1/config/check", &[], text);
    assert_eq!(answer.body, json!({ "valid": true, "diagnostics": [] }));
    let answer = door.send("POST", "/v1/config/check", &[], "[models.m]\nstabel = 1\nsplit = 3\n");
    assert_eq!(answer.body["valid"], false);
    let diagnostics = answer.body["diagnostics"].as_array().unwrap();
    assert!(diagnostics.len() > 1, "{diagnostics:?}");
    assert_eq!(diagnostics[0]["line"], 2);
    assert_eq!((&diagnostics[0]["file"], &diagnostics[0]["code"]), (&json!("routing.toml"), &json!("unknown-key")));
    assert!(diagnostics[0]["hint"].as_str().unwrap().contains("stable"), "{}", diagnostics[0]);

    let answer = door.send("POST", "/v1/config/diff", &[], text);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.body["differences"][0]["aspect"], "stable version");
    assert!(answer.body["differences"][0]["text"].as_str().unwrap().starts_with("m: "));
    let answer = door.send("POST", "/v1/config/diff", &[], "nonsense");
    check_refused(&answer, 400, "config_invalid", "routing.toml");
    assert_eq!(answer.body["diagnostics"][0]["code"], "syntax");
    let config = door.get("/v1/config").body;
    assert_eq!(config["models"][0]["route"]["stable"], 2, "{config}");
    assert_eq!(config["models"][0]["route"]["sticky"], json!(["header x-key"]));
    assert!(door.folder().join("routing.toml").exists());
}

#[test]
fn an_explanation_is_the_decision_of_the_request_path() {
    let door = Door::open();
    let explain = |body: Value| door.post("/v1/models/m/explain", body);
    let plain = explain(json!({})).body;
    assert_eq!(
        (&plain["version"], &plain["reason"], &plain["by_chance"]),
        (&json!(2), &json!("stable"), &json!(false))
    );
    let pinned = explain(json!({ "pin": 1 })).body;
    assert_eq!((&pinned["version"], &pinned["reason"], &pinned["ready"]), (&json!(1), &json!("pin"), &json!(true)));
    let absent = explain(json!({ "pin": "7" })).body;
    assert_eq!((&absent["version"], &absent["ready"]), (&json!(7), &json!(false)));
    assert!(absent["sentences"].to_string().contains("version 7 cannot answer"), "{absent}");
    door.post("/v1/models/m/canary", json!({ "version": "1", "share": 0.5 }));
    let by_key = explain(json!({ "headers": { "X-Key": "u1" } })).body;
    assert_eq!(by_key["reason"], "sticky");
    assert_eq!(by_key["sticky"], json!({ "from": "header x-key", "key": "u1" }));
    assert_eq!(explain(json!({ "key": "u1" })).body["version"], by_key["version"]);
    let drawn = explain(json!({ "draw": 12345 })).body;
    assert_eq!((&drawn["reason"], &drawn["by_chance"], &drawn["draw"]), (&json!("split"), &json!(true), &json!(12345)));
    assert_eq!(explain(json!({ "draw": 12345 })).body["version"], drawn["version"]);
    check_refused(&explain(json!({ "pin": ".." })), 400, "malformed", "letter or digit");
    check_refused(&explain(json!({ "cookie": {} })), 400, "malformed", "cookie");
    check_refused(&door.post("/v1/models/other/explain", json!({})), 404, "model_unknown", "other");
}
