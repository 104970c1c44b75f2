//! What Prometheus sees: every family, each request once, nothing of versions that are gone.

use std::collections::BTreeSet;

use base_metrics::{Kind, catalog};
use switchrail_tests::{Builder, Client, Gateway, Infer, Webhook, wait_until};
use testkit::onnx::{affine4, failing_when, nan_when};

fn canary() -> Builder {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &nan_when(100.0, 2.0, 0.0));
    builder.routing("[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n")
}

#[test]
fn every_family_of_the_catalogue_is_shown_after_traffic() {
    let hook = Webhook::start();
    let gateway = canary().set("webhook.url", &format!("{:?}", hook.url())).model("m", 3, b"no model").start();
    gateway.wait_state("m", 2, "ready");
    let mut client = gateway.client();
    for _ in 0..40 {
        Infer::first("m", 1.0).send(&mut client).ok();
    }
    let answer = Infer::first("m", 1.0).send(&mut client).ok();
    let feedback = format!(r#"{{"prediction_id":{:?},"correct":true}}"#, answer.said("prediction-id").unwrap());
    assert_eq!(client.send("POST", "/v2/models/m/feedback", &[], feedback.as_bytes()).status, 200);
    // Evidence is shown while a trial is open.
    let known: BTreeSet<&str> = catalog().iter().map(|entry| entry.name).collect();
    let rule = |name: &str| gateway.metrics().label_values(name, "rule");
    wait_until("the evidence to be shown", || rule("switchrail_rule_log_e").len() >= 4);
    wait_until("the shares to be shown", || gateway.metric("switchrail_traffic_share_actual", &[]) > 0.0);
    assert_eq!(rule("switchrail_rule_log_e"), rule("switchrail_rule_threshold"));
    let mut seen: BTreeSet<String> = gateway.metrics().families().iter().cloned().collect();
    for _ in 0..100 {
        Infer::first("m", 200.0).send(&mut client).ok();
    }
    gateway.wait_state("m", 2, "quarantined");
    hook.wait_for("rolled_back");
    wait_until("the webhook to be counted", || gateway.metric("switchrail_webhooks_total", &[]) >= 1.0);
    seen.extend(gateway.metrics().families().iter().cloned());
    // Verdicts that move nothing need an incident of both versions, which `rollback` makes; looks need a bucket. Shadows,
    // experiments, batches, gates, captures and a routing.toml in Git have tests of their own.
    let elsewhere = [
        "switchrail_verdicts_total",
        "switchrail_bucket_looks_total",
        "switchrail_shadow_requests_total",
        "switchrail_shadow_share",
        "switchrail_experiment_requests_total",
        "switchrail_exposures_total",
        "switchrail_batch_rows",
        "switchrail_batches_total",
        "switchrail_batch_reruns_total",
        "switchrail_captures_total",
        "switchrail_config_commit_info",
        "switchrail_gates_total",
        "switchrail_gate_seconds",
    ];
    let missing: Vec<&&str> = known.iter().filter(|name| !seen.contains(**name) && !elsewhere.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let ours: BTreeSet<&String> = seen.iter().filter(|name| name.starts_with("switchrail_")).collect();
    assert!(ours.iter().all(|name| known.contains(name.as_str())), "{ours:?}");
    assert!(catalog().iter().filter(|entry| entry.kind == Kind::Histogram).count() == 6);
    assert!(rule("switchrail_rule_log_e").is_empty(), "the trial is over");
}

#[test]
fn each_request_is_counted_once_by_class_and_reason() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("bad", 1, &failing_when(100.0, 1.0, 0.0));
    let gateway = builder.start();
    let mut client = gateway.client();
    let mut ask = |n: usize, request: Infer| (0..n).for_each(|_| drop(request.send(&mut client)));
    ask(5, Infer::first("m", 1.0));
    ask(4, Infer::first("m", 1.0).pin(1));
    ask(3, Infer::first("m", 1.0).pin("stable"));
    ask(2, Infer::new("m").field("inputs", serde_json::json!([])));
    ask(6, Infer::first("bad", 200.0));
    ask(2, Infer::first("m", 1.0).pin(9));
    ask(7, Infer::first("nobody", 1.0));
    let bad_json = client.send("POST", "/v2/models/m/infer", &[], b"{");
    assert_eq!(bad_json.status, 400);
    let metrics = gateway.metrics();
    let requests = |labels: &[(&str, &str)]| metrics.sum("switchrail_requests_total", labels);
    assert_eq!(requests(&[("model", "m"), ("outcome", "ok"), ("reason", "stable")]), 5.0);
    assert_eq!(requests(&[("model", "m"), ("outcome", "ok"), ("reason", "pin")]), 4.0);
    assert_eq!(requests(&[("model", "m"), ("outcome", "ok"), ("reason", "label")]), 3.0);
    assert_eq!(requests(&[("model", "bad"), ("outcome", "version_fault"), ("reason", "stable")]), 6.0);
    assert_eq!(requests(&[("outcome", "client")]), 2.0 + 2.0 + 7.0 + 1.0);
    assert_eq!(requests(&[]), 5.0 + 4.0 + 3.0 + 2.0 + 6.0 + 2.0 + 7.0 + 1.0);
    assert_eq!(requests(&[("model", "nobody")]), 0.0, "names from outside are no labels");
    assert_eq!(metrics.sum("switchrail_attempts_total", &[("outcome", "ok")]), 12.0);
    assert_eq!(metrics.sum("switchrail_run_seconds_count", &[("model", "m"), ("version", "1")]), 12.0);
    assert_eq!(metrics.sum("switchrail_queue_seconds_count", &[("model", "m"), ("version", "1")]), 12.0);
    assert_eq!(metrics.sum("switchrail_version_faults_total", &[("model", "bad"), ("kind", "run")]), 6.0);
    assert_eq!(metrics.sum("switchrail_in_flight", &[]), 0.0);
}

#[test]
fn versions_show_state_memory_and_load_time() {
    let gateway = canary().model("m", 3, b"no model").start();
    gateway.wait_state("m", 2, "ready");
    gateway.wait_refused("m", 3);
    wait_until("states to be shown", || {
        let metrics = gateway.metrics();
        let state = |version: &str, state: &str| {
            metrics.sum("switchrail_version_state", &[("model", "m"), ("version", version), ("state", state)])
        };
        (state("1", "ready"), state("2", "ready"), state("3", "failed"), state("3", "ready")) == (1.0, 1.0, 1.0, 0.0)
    });
    let of_1 = [("model", "m"), ("version", "1")];
    let load = gateway.metric("switchrail_version_load_seconds", &of_1);
    assert!(load > 0.0 && load < 30.0, "{load}");
    assert!(gateway.metrics().get("switchrail_version_memory_bytes", &of_1).is_some());
    assert_eq!(gateway.metric("switchrail_generation", &[]), gateway.generation() as f64);
    assert_eq!(gateway.metric("switchrail_build_info", &[("runtime", "1.32.0")]), 1.0);
}

#[test]
fn the_listener_serves_metrics_only() {
    let gateway = canary().start();
    let mut client = Client::new(gateway.addresses().metrics);
    let response = client.send("GET", "/metrics", &[], b"");
    assert!(response.header("content-type").unwrap().starts_with("text/plain"), "{response:?}");
    assert_eq!(client.send("GET", "/v1/status", &[], b"").status, 404);
    assert_eq!(client.send("GET", "/v2/models/m", &[], b"").status, 404);
    assert!(matches!(client.send("POST", "/metrics", &[], b"").status, 404 | 405));
    // Neither do the others serve what is not theirs.
    let response = gateway.get("/v1/status");
    assert_eq!(response.status, 400, "/v1 is TensorFlow Serving's here, which has no such path");
    assert!(response.text().contains("Malformed request"), "{}", response.text());
    assert_eq!(gateway.get("/metrics").status, 404);
}
