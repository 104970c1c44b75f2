//! What was: the record is told exactly, brought back on order, and found out when somebody changed it.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use switchrail_tests::{Client, Exit, Gateway, Infer, run, wait_for, wait_until};
use testkit::onnx::{affine4, nan_when};

/// Kills in the short form; SWITCHRAIL_KILLS says otherwise, 200 in the long one.
const KILLS: u64 = 10;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

/// A moment after everything before and before everything after.
fn moment() -> u64 {
    std::thread::sleep(Duration::from_millis(3));
    let at = now();
    std::thread::sleep(Duration::from_millis(3));
    at
}

fn gateway() -> Gateway {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("n", 1, &affine4(5.0, 0.0)).start();
    for (model, factor) in [("m", 2.0), ("n", 6.0)] {
        gateway.repository().publish(model, 2, &affine4(factor, 0.0)).unwrap();
        gateway.wait_state(model, 2, "ready");
    }
    gateway
}

fn promote(gateway: &Gateway, model: &str, version: u64) {
    let body =
        json!({ "version": version.to_string(), "force": true, "confirm": true, "reason": "test", "actor": "amy" });
    gateway.order(model, "promote", body);
}

fn command(gateway: &Gateway, arguments: &[&str]) -> Exit {
    let address = gateway.addresses().admin.to_string();
    run(&[arguments, &["--admin", &address]].concat())
}

fn offline(state_dir: &Path, arguments: &[&str]) -> Exit {
    run(&[arguments, &["--state-dir", state_dir.to_str().unwrap()]].concat())
}

fn check(exit: &Exit, code: i32, parts: &[&str]) {
    assert_eq!(exit.code, Some(code), "{exit:?}");
    for part in parts {
        assert!(exit.stdout.contains(part), "{part:?} is not in: {}", exit.stdout);
    }
}

/// Shares by version, as `at` tells them.
fn split(told: &Value, model: &str) -> Vec<(u64, f64)> {
    let models = told["models"].as_array().unwrap();
    let Some(found) = models.iter().find(|found| found["model"] == model) else { return Vec::new() };
    let arms = found["split"].as_array().unwrap().iter();
    arms.map(|arm| (arm["version"].as_u64().unwrap(), arm["share"].as_f64().unwrap())).collect()
}

#[test]
fn what_served_at_a_moment_is_told_with_and_without_a_gateway() {
    let mut gateway = gateway();
    let before = moment();
    gateway.canary("m", 2, 0.25);
    let on_trial = moment();
    promote(&gateway, "m", 2);
    let digest = gateway.version("m", 2).unwrap()["digest"].as_str().unwrap().to_owned();
    let at = |gateway: &Gateway, ms: u64| gateway.admin(&format!("/v1/at?at_unix_ms={ms}"));
    let check_all = |gateway: &Gateway| {
        for (ms, expected) in
            [(before, vec![(1, 1.0)]), (on_trial, vec![(1, 0.75), (2, 0.25)]), (now(), vec![(2, 1.0)])]
        {
            let told = at(gateway, ms);
            assert_eq!((split(&told, "m"), split(&told, "n")), (expected, vec![(1, 1.0)]), "{told}");
            assert_eq!(told["standing"], "up");
        }
    };
    check_all(&gateway);
    let told = at(&gateway, on_trial);
    assert_eq!(told["models"][0]["table"]["versions"]["2"], digest.as_str());
    assert_eq!(told["models"][0]["decided"]["actor"], "test");

    // Beside a killed gateway, and by the next one.
    let when = rfc3339(&gateway, on_trial);
    gateway.kill();
    let state = gateway.builder_used().state_folder();
    let text = offline(&state, &["at", &when, "--model", "m"]);
    check(&text, 0, &["version 1  75 %", "version 2  25 %", "canary_started", &digest[..16]]);
    let down = moment();
    gateway.start_again();
    wait_until("the last table to be in force again", || split(&at(&gateway, now()), "m") == [(2, 1.0)]);
    check_all(&gateway);
    let told = at(&gateway, down);
    assert_eq!(told["standing"], "unknown", "{told}");
    check(&command(&gateway, &["at", "0s", "--model", "m"]), 0, &["m  (generation", "version 2  100 %"]);
    let stopped = Gateway::admin(&gateway, "/v1/status")["journal"]["seq"].as_u64().unwrap();
    gateway.stop();
    let down = moment();
    gateway.start_again();
    assert_eq!(at(&gateway, down)["standing"], "down");
    assert!(gateway.admin("/v1/status")["journal"]["seq"].as_u64().unwrap() > stopped);
}

/// RFC 3339 to the millisecond, by the admin API's own words.
fn rfc3339(gateway: &Gateway, unix_ms: u64) -> String {
    gateway.admin(&format!("/v1/at?at_unix_ms={unix_ms}"))["at"].as_str().unwrap().to_owned()
}

#[test]
fn history_is_asked_by_time_action_and_version() {
    let gateway = gateway();
    let before = moment();
    gateway.canary("m", 2, 0.25);
    let between = moment();
    promote(&gateway, "m", 2);
    let text = |arguments: &[&str]| command(&gateway, &[&["history", "--model", "m"], arguments].concat()).stdout;
    let (since, until) = (rfc3339(&gateway, before), rfc3339(&gateway, between));
    let canary = text(&["--since", &since, "--until", &until]);
    assert!(canary.contains("canary_started") && !canary.contains("promoted"), "{canary}");
    assert!(!text(&["--since", &until]).contains("canary_started"));
    let promoted = text(&["--action", "promoted"]);
    assert!(promoted.contains("promoted m 2") && !promoted.contains("canary"), "{promoted}");
    assert!(text(&["--version", "2"]).contains("loaded m 2") && !text(&["--version", "2"]).contains(" m 1"));
    assert!(!text(&[]).contains("published"));
    assert!(text(&["--action", "published"]).contains("→  1: 75 %, 2: 25 %"));
    assert_eq!(command(&gateway, &["history", "--action", "dreamt"]).code, Some(2));
}

#[test]
fn both_models_go_back_in_one_step_or_neither_does() {
    let gateway = gateway();
    let then = moment();
    promote(&gateway, "m", 2);
    promote(&gateway, "n", 2);
    let when = rfc3339(&gateway, then);
    let shares = |model: &str| gateway.model(model)["split"].clone();
    let preview = command(&gateway, &["restore", "--at", &when, "--dry-run"]);
    check(&preview, 0, &["m: 2: 100 %  →  1: 100 %", "n: 2: 100 %  →  1: 100 %", "nothing was changed"]);
    assert_eq!(gateway.model("m")["stable"], 2);
    assert_ne!(command(&gateway, &["restore", "--at", &when]).code, Some(0), "a reason is needed");

    // One obstacle, and nothing moves.
    gateway.order("n", "rollback", json!({ "to": "2", "reason": "test" }));
    gateway.order("n", "canary", json!({ "version": "1", "share": 0.5 }));
    gateway.order("n", "rollback", json!({ "reason": "bar it" }));
    gateway.wait_state("n", 1, "quarantined");
    let refused = command(&gateway, &["restore", "--at", &when, "--reason", "test"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("n@1") && refused.stderr.contains("quarantined"), "{refused:?}");
    assert_eq!(
        (shares("m"), shares("n")),
        (json!([{ "version": 2, "share": 1.0 }]), json!([{ "version": 2, "share": 1.0 }]))
    );
    let text = command(&gateway, &["restore", "--at", &when, "--dry-run"]);
    check(&text, 1, &["in the way: ", "[quarantined]"]);

    gateway.order("n", "release", json!({ "version": "1", "reason": "again" }));
    gateway.wait_state("n", 1, "ready");
    let generation = gateway.generation();
    check(
        &command(&gateway, &["restore", "--at", &when, "--reason", "test", "--actor", "amy"]),
        0,
        &["restored, generation"],
    );
    assert_eq!((gateway.model("m")["stable"].clone(), gateway.model("n")["stable"].clone()), (json!(1), json!(1)));
    let rows = gateway.admin("/v1/history?action=restored");
    let rows = rows["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["generation"], rows[1]["generation"], "one publication");
    assert_eq!(rows[0]["seq"].as_u64().unwrap(), rows[1]["seq"].as_u64().unwrap() + 1, "one transaction");
    assert!(rows[0]["generation"].as_u64().unwrap() > generation);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    check(&command(&gateway, &["restore", "--at", &when, "--reason", "test"]), 0, &["everything is as it was then"]);
}

#[test]
fn a_version_is_remembered_when_it_is_gone() {
    let mut gateway = gateway();
    promote(&gateway, "m", 2);
    let mut client = gateway.client();
    for _ in 0..50 {
        Infer::first("m", 1.0).send(&mut client).ok();
    }
    let path = "/v1/models/m/versions/2/performance";
    let did = gateway.admin(path);
    assert_eq!((did["requests"].as_u64(), did["by_class"]["ok"].as_u64()), (Some(50), Some(50)), "{did}");
    assert_eq!(did["error_rate"], 0.0);
    assert!(did["latency_ms"]["p99"].as_f64().unwrap() > 0.0 && did["traffic_ms"].as_u64().unwrap() > 0, "{did}");
    assert!(did["last_served_unix_ms"].as_u64().unwrap() <= now());

    // Out of the traffic, out of memory, out of the repository, and through a restart.
    gateway.order("m", "rollback", json!({ "to": "1", "reason": "test", "quarantine": true }));
    gateway.wait_state("m", 2, "quarantined");
    gateway.repository().remove("m", 2).unwrap();
    wait_until("it to be gone", || gateway.version("m", 2).is_none());
    assert_eq!(gateway.admin(path)["requests"], 50);
    gateway.stop();
    gateway.start_again();
    assert_eq!(gateway.admin(path)["requests"], 50);
    for _ in 0..5 {
        gateway.ask("m", 1.0).ok();
    }
    assert_eq!(gateway.admin("/v1/models/m/performance")["versions"][0]["requests"], 5);
    let missing = Client::new(gateway.addresses().admin).send("GET", "/v1/models/m/versions/9/performance", &[], b"");
    assert_eq!(missing.status, 404);
}

#[test]
fn the_change_log_tells_what_became_of_each_version() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    gateway.repository().publish("m", 2, &nan_when(100.0, 2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway.canary("m", 2, 0.5);
    for _ in 0..60 {
        gateway.ask("m", 200.0).ok();
    }
    gateway.wait_history("m", "rolled_back");
    gateway.repository().publish("m", 3, &affine4(3.0, 0.0)).unwrap();
    gateway.wait_state("m", 3, "ready");
    promote(&gateway, "m", 3);
    let log = wait_for("the log to have everything", || {
        let log = gateway.admin("/v1/models/m/changelog");
        (log["versions"][0]["fate"] == "stable, serves 100 %").then_some(log)
    });
    let version = |n: u64| {
        let versions = log["versions"].as_array().unwrap();
        versions.iter().find(|found| found["version"] == n).unwrap().clone()
    };
    assert!(version(2)["fate"].as_str().unwrap().starts_with("quarantined ("), "{log}");
    assert_eq!(version(2)["served"].as_array().unwrap().len(), 1);
    assert_eq!(version(2)["served"][0]["share"], 0.5);
    // Every fault of it was covered up by stable, and counts all the same.
    assert_eq!(version(2)["performance"]["error_rate"], 1.0, "{log}");
    assert_eq!(version(1)["fate"], "served, then replaced; version 3 is stable now");
    assert!(version(3)["signature"]["inputs"].as_array().is_some_and(|inputs| !inputs.is_empty()), "{log}");
    let page = command(&gateway, &["changelog", "m"]);
    check(
        &page,
        0,
        &[
            "# Change log of m",
            "## Version 3: stable, serves 100 %",
            "rolled back by guardrail",
            "promoted by amy (1: 100 % → 3: 100 %, fallback 1): test",
        ],
    );
    let state = gateway.builder_used().state_folder();
    check(&offline(&state, &["changelog", "m"]), 0, &["## Version 3: stable, serves 100 %"]);
    let shown: Value = serde_json::from_str(&command(&gateway, &["changelog", "m", "--json"]).stdout).unwrap();
    assert_eq!(shown["model"], "m");
}

#[test]
fn an_audit_beside_the_gateway_finds_what_was_changed() {
    let mut gateway = gateway();
    promote(&gateway, "m", 2);
    let state = gateway.builder_used().state_folder();
    let head = gateway.admin("/v1/status")["journal"]["head"].as_str().unwrap().to_owned();
    check(&command(&gateway, &["audit", "verify", "--anchor", &head]), 0, &["the anchor is there", "sound"]);
    check(&offline(&state, &["audit", "verify"]), 0, &["without an anchor", "sound"]);
    wait_until("the metric to be the head", || {
        let head = gateway.admin("/v1/status")["journal"]["head"].as_str().unwrap().to_owned();
        let number = u64::from_str_radix(&head[..12], 16).unwrap() as f64;
        (gateway.metric("switchrail_journal_head", &[]) - number).abs() < 0.5
    });
    gateway.stop();
    let file = state.join("journal.sqlite3");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(6).position(|part| part == b"amytes" || part == b"amypro").unwrap();
    bytes[at] = b'b';
    std::fs::write(&file, &bytes).unwrap();
    let found = offline(&state, &["audit", "verify", "--anchor", &head]);
    check(&found, 1, &["wrong: row ", "does not have the hash it was written with", "NOT SOUND"]);
    // A gateway does not start on it either: the row is among those that a start reads.
    bytes[at] = b'a';
    std::fs::write(&file, &bytes).unwrap();
    check(&offline(&state, &["audit", "verify"]), 0, &["sound"]);
    gateway.start_again();
}

/// Promotions, rollbacks and restores under way while the process is killed, again and again: each time the state is
/// consistent, the journal verifies, and what was anchored before is still there.
#[test]
fn kills_over_promotions_and_rollbacks_leave_a_record_that_verifies() {
    let kills = std::env::var("SWITCHRAIL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut gateway = gateway();
    let state = gateway.builder_used().state_folder();
    let start = moment();
    let mut anchor = gateway.admin("/v1/status")["journal"]["head"].as_str().unwrap().to_owned();
    for round in 0..kills {
        let address = gateway.addresses().admin;
        let acknowledged = std::thread::scope(|scope| {
            let orders = scope.spawn(|| order_until_it_is_gone(address, start));
            std::thread::sleep(Duration::from_millis(15 + round * 37 % 200));
            gateway.kill();
            orders.join().unwrap()
        });
        let found = offline(&state, &["audit", "verify", "--anchor", &anchor]);
        check(&found, 0, &["the anchor is there", "sound"]);
        gateway.start_again();
        let status = gateway.admin("/v1/status");
        anchor = status["journal"]["head"].as_str().unwrap().to_owned();
        // The last order that was acknowledged is in the record, or was the one the kill came upon.
        let rows = gateway.admin("/v1/history?model=m&limit=50");
        let words = |row: &Value| row["action"].as_str().unwrap_or_default().to_owned();
        let rows: Vec<String> = rows["rows"].as_array().unwrap().iter().map(words).collect();
        if let Some(action) = acknowledged {
            assert!(rows.contains(&action.to_owned()), "round {round}: {action} is lost: {rows:?}");
        }
        gateway.ask("m", 1.0).ok();
        let told = wait_for("the table of now to be told", || {
            let told = gateway.admin(&format!("/v1/at?at_unix_ms={}", now()));
            (!split(&told, "m").is_empty()).then_some(told)
        });
        assert_eq!(told["standing"], "up");
    }
}

/// Orders one after the other; gives the action of the last one that was acknowledged.
fn order_until_it_is_gone(address: std::net::SocketAddr, start: u64) -> Option<&'static str> {
    let forced = |n: u64| json!({ "version": n.to_string(), "force": true, "confirm": true, "reason": "test" });
    let orders = [
        ("/v1/models/m/promote", forced(2), "confirmed"),
        ("/v1/models/m/rollback", json!({ "to": "1", "quarantine": false, "reason": "test" }), "rolled_back_to"),
        ("/v1/models/m/canary", json!({ "version": "2", "share": 0.25 }), "canary_started"),
        ("/v1/restore", json!({ "at_unix_ms": start, "reason": "test" }), "restored"),
    ];
    let mut last = None;
    for (path, body, action) in orders.iter().cycle() {
        let headers = [("content-type", "application/json")];
        match Client::new(address).try_send("POST", path, &headers, body.to_string().as_bytes()) {
            Ok(answer) if answer.status == 200 => last = Some(*action),
            Ok(_) => {}
            Err(_) => return last,
        }
    }
    last
}
