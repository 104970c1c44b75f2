//! Rollouts and experiments from the command line, through the real binary.

use std::fs;
use std::path::Path;

use switchrail_tests::{Exit, Gateway, Infer, run, wait_until};
use testkit::onnx::affine4;

/// A proof below five percent needs some seventy clean requests; a person is asked before all traffic.
const ROUTING: &str = r#"
[models.m]
policy = "asked"
[models.m.guardrail]
limit = 0.05
[policies.asked]
progress_deadline = "1h"
steps = [
    { gate = true },
    { warm_up = 5 },
    { weight = 0.5, min_requests = 5 },
    { pause = "the model team" },
    { promote = true, bake = "1s" },
]
"#;

fn gateway() -> Gateway {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).routing(ROUTING).start();
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway
}

fn rollout(gateway: &Gateway, arguments: &[&str]) -> Exit {
    let address = gateway.addresses().admin.to_string();
    run(&[&["rollout"], arguments, &["--admin", &address]].concat())
}

fn check_ok(exit: Exit, parts: &[&str]) -> String {
    assert_eq!(exit.code, Some(0), "{exit:?}");
    for part in parts {
        assert!(exit.stdout.contains(part), "{part:?} is not in: {}", exit.stdout);
    }
    exit.stdout
}

fn check_refused(exit: Exit, code: &str) {
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.stderr.contains(&format!("[{code}]")), "{exit:?}");
}

/// Sends requests until the rollout has this status.
fn wait_status(gateway: &Gateway, status: &str) {
    gateway.wait_rollout("m", status, || drop(gateway.ask_all("m", [1.0; 20])));
}

#[test]
fn a_rollout_goes_from_start_to_promotion_by_command() {
    let gateway = gateway();
    check_refused(rollout(&gateway, &["status", "m"]), "no_rollout");
    check_refused(rollout(&gateway, &["start", "m", "2", "--policy", "nope"]), "policy_unknown");
    check_ok(rollout(&gateway, &["start", "m", "2", "--actor", "ann", "--reason", "a try"]), &["generation"]);
    wait_until("traffic for the candidate", || {
        gateway.ask_all("m", [1.0; 4]).iter().any(|answer| answer.version() == 2)
    });
    let parts =
        ["m: version 2 against version 1   policy asked, rollout 1", "ordered by ann", "▶ weight 50 %", "limit  "];
    check_ok(rollout(&gateway, &["status", "m"]), &parts);
    check_ok(rollout(&gateway, &["pause", "m", "--actor", "bob", "--reason", "lunch"]), &["paused by bob: lunch"]);
    check_ok(rollout(&gateway, &["status", "m"]), &["PAUSED, by order", "waits for a person to resume it"]);
    check_ok(rollout(&gateway, &["resume", "m", "--actor", "bob"]), &["resumed by bob"]);
    wait_status(&gateway, "awaiting_approval");
    check_ok(rollout(&gateway, &["status", "m"]), &["WAITS FOR APPROVAL", "the approval of the model team"]);
    let nameless = rollout(&gateway, &["approve", "m", "--actor", ""]);
    assert_eq!(nameless.code, Some(1), "{nameless:?}");
    check_ok(rollout(&gateway, &["approve", "m", "--actor", "cleo"]), &["version 2 has all traffic"]);
    wait_status(&gateway, "promoted");
    let seen = check_ok(rollout(&gateway, &["status", "m", "--watch"]), &["promoted", "100 % of the traffic"]);
    assert_eq!(seen.lines().count(), 1, "it is over: {seen}");
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 2);
    gateway.report("m");
    let report = check_ok(rollout(&gateway, &["report", "m"]), &["# Rollout 1 of m: version 2 promoted", "cleo"]);
    assert!(report.contains("| limit | 0 faults"), "{report}");
    check_ok(rollout(&gateway, &["report", "m", "--number", "1", "--json"]), &["\"policy_text\"", "\"evidence\""]);
    check_refused(rollout(&gateway, &["report", "m", "--number", "2"]), "no_report");
}

#[test]
fn an_aborted_rollout_ends_the_watch_with_four_and_can_be_tried_again() {
    let gateway = gateway();
    check_ok(rollout(&gateway, &["start", "m", "2"]), &[]);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| rollout(&gateway, &["status", "m", "--watch"]));
        gateway.ask_all("m", [1.0; 20]);
        check_ok(rollout(&gateway, &["abort", "m", "--actor", "ann", "--reason", "a feeling"]), &["a feeling"]);
        let seen = watch.join().unwrap();
        assert_eq!(seen.code, Some(4), "{seen:?}");
        assert!(seen.stdout.lines().last().is_some_and(|line| line.contains("aborted")), "{seen:?}");
    });
    assert!(gateway.ask_all("m", [1.0; 20]).iter().all(|answer| answer.version() == 1));
    check_refused(rollout(&gateway, &["pause", "m"]), "rollout_is_over");
    check_refused(rollout(&gateway, &["thaw", "m"]), "reason_missing");
    check_ok(rollout(&gateway, &["retry", "m", "--actor", "ann"]), &[]);
    check_refused(rollout(&gateway, &["promote", "m", "--actor", "ann"]), "not_proven");
    check_ok(rollout(&gateway, &["promote", "m", "--force", "--reason", "known good", "--actor", "ann"]), &[]);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 2);
    check_ok(rollout(&gateway, &["confirm", "m", "--actor", "ann"]), &["confirmed"]);
    check_ok(rollout(&gateway, &["status", "m", "--watch", "--json"]), &["\"status\":\"promoted\""]);
}

#[test]
fn a_rollback_ends_the_watch_with_three() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).routing(ROUTING).start();
    gateway.repository().publish("m", 2, &testkit::onnx::nan_when(0.0, 1.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    check_ok(rollout(&gateway, &["start", "m", "2"]), &[]);
    gateway.wait_rollout("m", "rolled_back", || drop(gateway.ask_all("m", [1.0; 10])));
    let seen = rollout(&gateway, &["status", "m", "--watch"]);
    assert_eq!(seen.code, Some(3), "{seen:?}");
    assert!(seen.stdout.contains("rolled_back"), "{seen:?}");
    check_ok(rollout(&gateway, &["status", "m"]), &["ROLLED BACK", "✗ weight 50 %", "switchrail rollout report m"]);
}

#[test]
fn the_power_of_a_policy_is_told_with_a_gateway_and_without() {
    let gateway = gateway();
    let exit = rollout(&gateway, &["power", "other"]);
    check_refused(exit, "model_unknown");
    let told =
        check_ok(rollout(&gateway, &["power", "m", "--rps", "40", "--policy", "fast"]), &["40 requests a second"]);
    let file = gateway.builder_used().routing_file();
    let offline = ["rollout", "power", "m", "--rps", "40", "--policy", "fast", "--routing", file.to_str().unwrap()];
    assert_eq!(check_ok(run(&offline), &["a share of 10 %", "It takes", "convicted with a chance of at most"]), told);
    let exit = run(&["rollout", "power", "m", "--routing", file.to_str().unwrap()]);
    assert!(exit.code == Some(1) && exit.stderr.contains("--rps"), "{exit:?}");
}

#[test]
fn an_experiment_is_planned_without_a_gateway() {
    let plan = ["experiment", "plan", "--rate", "42", "--baseline", "0.05", "--effect", "0.01"];
    let absolute = check_ok(run(&plan), &["outcomes", "stable, 50 %", "Assumed:"]);
    let relative =
        ["experiment", "plan", "--rate", "42", "--baseline", "0.05", "--effect", "20%", "--share", "0.5,0.5"];
    assert_eq!(check_ok(run(&relative), &[]), absolute);
    let json = check_ok(run(&[&plan[..], &["--days-max", "0.001", "--json"]].concat()), &["\"in_time\": false"]);
    assert!(json.contains("reachable_effect"), "{json}");
    let exit = run(&["experiment", "plan", "--rate", "0", "--baseline", "0.05", "--effect", "0.01"]);
    assert!(exit.code == Some(1) && exit.stderr.contains("outcomes_per_second must be above 0"), "{exit:?}");
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    let address = gateway.addresses().admin.to_string();
    check_ok(run(&["experiment", "list", "--admin", &address]), &["no experiments"]);
    check_refused(run(&["experiment", "report", "ranker", "--admin", &address]), "experiment_unknown");
}

#[test]
fn an_experiment_is_listed_and_reported() {
    let routing = "[models.m]\nstable = 1\nsticky = { header = \"x-user\" }\n\
        [experiments.page]\nmodel = \"m\"\nunits = [0.0, 1.0]\narms = { 1 = 1, 2 = 1 }\n";
    let builder = (1..=2).fold(Gateway::builder(), |b, v| b.model("m", v, &affine4(v as f32, 0.0)));
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    let mut client = gateway.client();
    for user in 0..60 {
        Infer::first("m", 1.0).header("x-user", format!("user-{user}")).send(&mut client).ok();
    }
    let address = gateway.addresses().admin.to_string();
    let ask = |arguments: &[&str]| run(&[&["experiment"], arguments, &["--admin", &address]].concat());
    check_ok(ask(&["list"]), &["page: m, running", "Not enough data yet"]);
    let parts =
        ["Not enough data yet", "arm ", "version 1", "version 2", "against stable", "sample ratio: as it should be"];
    wait_until("the requests to be counted", || {
        let page = check_ok(ask(&["report", "page"]), &parts);
        let of = |arm: &str| -> u64 {
            let row = page.lines().find(|line| line.trim_start().starts_with(arm)).unwrap_or_default();
            row.split_whitespace().nth(2).and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        of("version 1") > 0 && of("version 1") + of("version 2") == 60
    });
    check_ok(ask(&["report", "page", "--json"]), &["\"experiment\": \"page\"", "\"arms\""]);
}

fn write(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Ten requests a second, every other one on version 2, all good.
fn outcomes() -> String {
    let line = |n: u64| {
        let version = n % 2 + 1;
        let unix_ms = 1_700_000_000_000 + n * 100;
        format!(
            "{{\"unix_ms\":{unix_ms},\"model\":\"m\",\"version\":{version},\"class\":\"ok\",\"reason\":\"split\",\
             \"seconds\":0.002,\"key\":null,\"share\":0.5,\"rerun\":null}}\n"
        )
    };
    (0..2_000).map(line).collect()
}

#[test]
fn recorded_outcomes_are_replayed_against_a_policy() {
    let folder = tempfile::TempDir::new().unwrap();
    let routing = write(folder.path(), "routing.toml", "[models.m]\nstable = 1\n");
    let recorded = write(folder.path(), "outcomes.jsonl", &outcomes());
    let replay =
        ["rollout", "replay", "--outcomes", &recorded, "--candidate", "2", "--stable", "1", "--routing", &routing];
    let with = |more: &[&str]| run(&[&replay[..], more].concat());
    check_ok(with(&[]), &["2,000 outcomes", "0 faults in 1,000 requests", "would not have been rolled back"]);
    let parts = ["rolls back: ", "version 2 would have been rolled back", "20 of 20 runs found the injection"];
    let found = check_ok(with(&["--inject-faults", "50%", "--from", "2023-11-14T22:14:00Z", "--runs", "20"]), &parts);
    assert_eq!(
        check_ok(with(&["--inject-faults", "50%", "--from", "2023-11-14T22:14:00Z", "--runs", "20"]), &[]),
        found
    );
    let json = check_ok(with(&["--inject-faults", "1", "--json"]), &["\"rolled_back\": true"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(value["candidate"]["faults"].as_u64().unwrap() <= 6, "three or four faults are enough: {json}");
    let exit = with(&["--runs", "20"]);
    assert!(exit.code == Some(1) && exit.stderr.contains("--inject-faults"), "{exit:?}");
    let exit = with(&["--policy", "nope"]);
    assert!(exit.code == Some(1) && exit.stderr.contains("no policy \"nope\""), "{exit:?}");
    let broken = write(folder.path(), "broken.jsonl", &format!("{}{{\"unix_ms\": 5}}\n", outcomes()));
    let exit =
        run(&["rollout", "replay", "--outcomes", &broken, "--candidate", "2", "--stable", "1", "--routing", &routing]);
    assert!(exit.code == Some(1) && exit.stderr.contains("broken.jsonl:2001: "), "{exit:?}");
}
