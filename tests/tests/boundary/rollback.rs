//! Automatic rollback: a version that goes wrong is caught by itself, its callers see nothing of it, and its traffic
//! goes to stable with the very next request.

use serde_json::{Value, json};
use switchrail_tests::{Builder, Client, Gateway, Infer, Webhook, under_load, wait_until};
use testkit::onnx::{affine4, failing_when, looping, nan_when, slow, wrong_shape_when};

const SPLIT: &str = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n";

/// Version 1 is good; requests above 100 are what version 2 may fail on.
fn canary(content: &[u8], routing: &str) -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, content).routing(routing)
}

fn start(builder: Builder) -> Gateway {
    let gateway = builder.start();
    gateway.wait_state("m", 2, "ready");
    gateway
}

/// What one rule of the open trial says.
fn rule(gateway: &Gateway, name: &str) -> Value {
    let rules = gateway.model("m")["trials"][0]["evidence"]["rules"].clone();
    let found =
        rules.as_array().unwrap_or_else(|| panic!("no rules: {rules}")).iter().find(|rule| rule["rule"] == name);
    found.unwrap_or_else(|| panic!("no rule {name}: {rules}")).clone()
}

/// Sends bad input until version 2 is out; nobody may see an error, and stable's answer is the one given.
fn check_caught(content: &[u8], kind: &str, first: f32, routing: &str) {
    let gateway = start(canary(content, routing));
    let mut client = gateway.client();
    let answers: Vec<_> = (0..60).map(|_| Infer::first("m", first).send(&mut client).ok()).collect();
    assert!(answers.iter().all(|answer| answer.version() == 1), "{kind}");
    assert!(answers.iter().all(|answer| answer.floats("y") == [first, 1.0, 2.0, 3.0]), "{kind}");
    assert_eq!(gateway.state("m", 2), "quarantined", "{kind}");
    // Sequential requests: what was counted until the verdict is all that ever reached it.
    let entry = gateway.wait_history("m", "rolled_back");
    let n_faults = gateway.metric("switchrail_attempts_total", &[("version", "2"), ("outcome", "version_fault")]);
    let by_rule = entry["evidence"]["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "limit").unwrap();
    assert_eq!(by_rule["faults"].as_f64().unwrap(), n_faults, "{kind}: {entry}");
    assert!((1.0..=8.0).contains(&n_faults), "{kind}: {n_faults}");
    let of_kind = gateway.metric("switchrail_version_faults_total", &[("version", "2"), ("kind", kind)]);
    assert_eq!(of_kind, n_faults, "{kind}");
    let answered = gateway.metric("switchrail_fallbacks_total", &[("version", "2"), ("result", "answered")]);
    assert_eq!(answered, n_faults, "{kind}");
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "ok"), ("reason", "fallback")]), n_faults);
    // The first answer that was routed afterwards has the new generation, and every later one.
    let last_fallback = answers.iter().rposition(|answer| answer.reason() == "fallback").unwrap();
    let generation = entry["generation"].as_u64().unwrap();
    assert!(answers[..=last_fallback].iter().all(|answer| answer.generation() < generation), "{kind}");
    assert!(answers[last_fallback + 1..].iter().all(|answer| answer.generation() >= generation), "{kind}");
    assert_eq!(gateway.infer(&Infer::first("m", 1.0).pin(2)).code(), "version_quarantined");
}

#[test]
fn a_version_that_answers_nan_is_caught() {
    check_caught(&nan_when(100.0, 2.0, 0.0), "non_finite", 200.0, SPLIT);
}

#[test]
fn a_version_whose_runs_fail_is_caught() {
    check_caught(&failing_when(100.0, 2.0, 0.0), "run", 200.0, SPLIT);
}

#[test]
fn a_version_that_answers_in_the_wrong_shape_is_caught() {
    check_caught(&wrong_shape_when(100.0, 2.0, 0.0), "wrong_output", 200.0, SPLIT);
}

#[test]
fn a_version_over_its_run_timeout_is_caught() {
    let routing = format!("{SPLIT}run_timeout_ms = 150\n");
    check_caught(&looping(256, 2.0, 0.0), "timeout", 10_000_000.0, &routing);
}

#[test]
fn evidence_goes_to_history_log_metric_quarantine_and_webhook() {
    let hook = Webhook::start();
    let gateway = start(canary(&nan_when(100.0, 2.0, 0.0), SPLIT).set("webhook.url", &format!("{:?}", hook.url())));
    let digest = gateway.version("m", 2).unwrap()["digest"].as_str().unwrap().to_owned();
    for _ in 0..40 {
        gateway.ask("m", 200.0).ok();
    }
    let entry = gateway.wait_history("m", "rolled_back");
    let event = hook.wait_for("rolled_back");
    for (what, said) in [("history", &entry), ("webhook", &event)] {
        assert_eq!(
            (&said["model"], said["version"].to_string().trim_matches('"')),
            (&json!("m"), "2"),
            "{what}: {said}"
        );
        assert!(said["digest"].as_str().unwrap().starts_with(&digest[..16]), "{what}: {said}");
        assert_eq!(said["evidence"]["verdict"]["rule"], "limit", "{what}: {said}");
        assert!(
            said["evidence"]["all_rules"]["log_e"].as_f64() >= said["evidence"]["all_rules"]["threshold"].as_f64(),
            "{what}"
        );
        let text = said.to_string();
        assert!(text.contains("2: 50 %") && text.contains("1: 100 %"), "{what} says from what to what: {said}");
    }
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[("model", "m"), ("cause", "limit")]), 1.0);
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("rolled back")).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("limit") && line.contains(&digest[..16]), "{line}");
    let quarantine = gateway.admin("/v1/quarantine").to_string();
    assert!(quarantine.contains(&digest) && quarantine.contains("limit"), "{quarantine}");
    wait_until("the delivery to be counted", || {
        gateway.metric("switchrail_webhooks_total", &[("result", "delivered")]) >= 1.0
    });
}

#[test]
fn no_request_routed_after_the_verdict_reaches_the_version() {
    let gateway = start(canary(&nan_when(100.0, 2.0, 0.0), SPLIT));
    let ask = |client: &mut Client, number: u64| {
        let answer = Infer::first("m", if number.is_multiple_of(3) { 200.0 } else { 1.0 }).send(client).ok();
        (answer.generation(), answer.version(), answer.reason().to_owned())
    };
    let (seen, entry) = under_load(gateway.addresses().http, 4, ask, || {
        let entry = gateway.wait_history("m", "rolled_back");
        let n_requests = gateway.metric("switchrail_requests_total", &[]);
        wait_until("more requests", || gateway.metric("switchrail_requests_total", &[]) > n_requests + 200.0);
        entry
    });
    let generation = entry["generation"].as_u64().unwrap();
    let after: Vec<_> = seen.iter().flatten().filter(|(routed, ..)| *routed >= generation).collect();
    assert!(after.len() >= 200);
    assert!(after.iter().all(|(_, version, reason)| *version == 1 && reason != "fallback"));
    for caller in &seen {
        assert!(caller.is_sorted_by_key(|(generation, ..)| *generation), "generations go back");
    }
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "version_fault")]), 0.0);
}

#[test]
fn input_that_no_version_can_take_counts_against_none() {
    let builder = Gateway::builder().model("m", 1, &failing_when(100.0, 1.0, 0.0));
    let gateway = start(builder.model("m", 2, &failing_when(100.0, 2.0, 0.0)).routing(SPLIT));
    let failed = || gateway.metric("switchrail_fallbacks_total", &[("version", "2"), ("result", "failed")]);
    while failed() < 20.0 {
        let answer = gateway.ask("m", 200.0);
        assert_eq!((answer.status(), answer.fault()), (500, "version_fault"));
    }
    assert_eq!(gateway.state("m", 2), "ready");
    assert_eq!(rule(&gateway, "limit")["faults"], 0);
}

#[test]
fn a_flood_of_poison_beyond_the_retry_budget_convicts_nobody() {
    // Only version 2 meets the poison, so that nothing speaks for a shared incident.
    let builder = Gateway::builder().model("m", 1, &failing_when(100.0, 1.0, 0.0));
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 99 }\n";
    let gateway = start(builder.model("m", 2, &failing_when(100.0, 2.0, 0.0)).routing(routing));
    let mut client = gateway.client();
    for _ in 0..150 {
        Infer::first("m", 200.0).send(&mut client);
    }
    assert_eq!(gateway.state("m", 2), "ready", "stable could answer none of it either");
    assert!(gateway.metric("switchrail_fallbacks_total", &[("version", "2"), ("result", "no_budget")]) >= 20.0);
}

#[test]
fn a_healthy_canary_stays_whatever_its_callers_do_wrong() {
    let gateway = start(canary(&affine4(2.0, 0.0), SPLIT));
    let ask = |client: &mut Client, number: u64| {
        match number % 10 {
            0 => drop(client.send("POST", "/v2/models/m/infer", &[], b"{\"inputs\": [")),
            1 => drop(Infer::new("m").input(switchrail_tests::float_input("x", &[1, 3], &[1.0; 3])).send(client)),
            2 => drop(Infer::first("m", 1.0).pin(9).send(client)),
            3 => drop(Infer::first("m", 1.0).timeout_ms(1).send(client)),
            // Asks and hangs up.
            4 => Client::new(gateway.addresses().http).send_only(&Infer::first("m", 1.0).bytes()),
            _ => drop(Infer::first("m", 1.0).send(client).ok()),
        }
    };
    let n_requests = || gateway.metric("switchrail_requests_total", &[]);
    under_load(gateway.addresses().http, 3, ask, || wait_until("5000 requests", || n_requests() >= 5_000.0));
    assert_eq!(gateway.state("m", 2), "ready");
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[]), 0.0);
    for name in ["limit", "relative", "stable_limit"] {
        assert_eq!(rule(&gateway, name)["faults"], 0, "{name}");
    }
    assert_eq!(gateway.model("m")["trials"][0]["evidence"]["promotion"]["proven"], true);
    assert!(gateway.metric("switchrail_requests_total", &[("outcome", "client")]) >= 1_000.0);
}

/// The sequential tests are made blind, so that only the window can decide.
const BLIND: &str = "[models.m.guardrail]\nalpha = 1e-12\nlimit = 0.5\ntolerate_ratio = 1000\n";

#[test]
fn a_classic_window_judges_the_error_rate() {
    let window = "[models.m.guardrail.window]\nseconds = 60\nmin_requests = 60\nmax_error_rate = 0.1\n";
    let gateway = start(canary(&nan_when(100.0, 2.0, 0.0), &format!("{SPLIT}{BLIND}{window}")));
    let mut client = gateway.client();
    let mut ask = |n: u32| {
        (0..n).for_each(|i| drop(Infer::first("m", if i % 4 == 0 { 200.0 } else { 1.0 }).send(&mut client).ok()))
    };
    ask(40);
    assert_eq!(gateway.state("m", 2), "ready", "the window does not hold enough requests");
    assert!(gateway.metric("switchrail_attempts_total", &[("version", "2"), ("outcome", "version_fault")]) >= 1.0);
    ask(200);
    gateway.wait_state("m", 2, "quarantined");
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[("cause", "window_error_rate")]), 1.0);
}

#[test]
fn a_classic_window_judges_the_latency() {
    let window =
        "[models.m.guardrail.window]\nseconds = 60\nmin_requests = 20\nlatency_quantile = 0.5\nmax_latency_ms = 5\n";
    let gateway = start(canary(&slow(40, 256, 2.0, 0.0), &format!("{SPLIT}{BLIND}{window}")));
    let mut client = gateway.client();
    for _ in 0..80 {
        Infer::first("m", 1.0).send(&mut client).ok();
    }
    gateway.wait_state("m", 2, "quarantined");
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[("cause", "window_latency")]), 1.0);
}

#[test]
fn an_observing_guardrail_reports_and_moves_nothing() {
    let routing = format!("{SPLIT}guardrail = {{ mode = \"observe\" }}\n");
    let gateway = start(canary(&nan_when(100.0, 2.0, 0.0), &routing));
    for _ in 0..40 {
        gateway.ask("m", 200.0).ok();
    }
    assert_eq!(gateway.state("m", 2), "ready");
    assert_eq!(gateway.metric("switchrail_verdicts_total", &[("verdict", "would_roll_back")]), 1.0);
    assert_eq!(gateway.metric("switchrail_rollbacks_total", &[]), 0.0);
    gateway.wait_history("m", "verdict");
}

#[test]
fn when_both_versions_are_ill_nobody_is_blamed() {
    // Version 1 fails above 100, version 2 above 50 already.
    let builder = Gateway::builder().model("m", 1, &failing_when(100.0, 1.0, 0.0));
    let gateway = start(builder.model("m", 2, &failing_when(50.0, 2.0, 0.0)).routing(SPLIT));
    for _ in 0..40 {
        gateway.ask("m", 200.0);
    }
    assert!(gateway.metric("switchrail_verdicts_total", &[("verdict", "stable_ill")]) >= 1.0);
    for _ in 0..30 {
        gateway.ask("m", 75.0);
    }
    assert!(gateway.metric("switchrail_verdicts_total", &[("verdict", "shared_incident")]) >= 1.0);
    assert_eq!((gateway.state("m", 2), gateway.state("m", 1)), ("ready".into(), "ready".into()));
}

#[test]
fn a_version_reached_by_a_rule_is_judged_too() {
    let routing =
        "[models.m]\nstable = 1\n[[models.m.rules]]\nwhen = { header = \"x-new\", present = true }\nuse = 2\n";
    let gateway = start(canary(&nan_when(100.0, 2.0, 0.0), routing));
    for _ in 0..30 {
        gateway.infer(&Infer::first("m", 200.0).header("x-new", "1")).ok();
    }
    gateway.wait_state("m", 2, "quarantined");
    let answer = gateway.infer(&Infer::first("m", 1.0).header("x-new", "1")).ok();
    assert_eq!((answer.version(), answer.reason()), (1, "redirect"));
}
