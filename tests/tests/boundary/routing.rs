//! Which version answers: weights, rules, labels, pins, redirects, and what `explain` says about it.

use serde_json::{Value, json};
use switchrail_tests::{Client, Gateway, Infer, wait_until};
use testkit::onnx::affine4;

fn three(routing: &str) -> Gateway {
    let builder = (1..=3).fold(Gateway::builder(), |b, v| b.model("m", v, &affine4(v as f32, 0.0)));
    let builder = (1..=2).fold(builder, |b, v| b.model("n", v, &affine4(v as f32, 0.0)));
    let gateway = builder.routing(routing).start();
    (1..=3).for_each(|version| gateway.wait_state("m", version, "ready"));
    gateway
}

fn count(client: &mut Client, n: u64, request: &Infer) -> [f64; 4] {
    let mut counts = [0.0; 4];
    (0..n).for_each(|_| counts[request.send(client).ok().version() as usize] += 1.0);
    counts
}

/// The count of a share over `n` requests lies within 4.5 standard deviations.
fn check_share(count: f64, n: f64, share: f64) {
    let sigma = (n * share * (1.0 - share)).sqrt();
    assert!((count - n * share).abs() <= 4.5 * sigma, "{count} of {n} is not {share}");
}

#[test]
fn shares_are_weights_over_their_sum() {
    let gateway = three(
        "[models.m]\nstable = 1\nsplit = { 1 = 60, 2 = 30, 3 = 10 }\n[models.n]\nstable = 1\nsplit = { 1 = 0.5, 2 = 1.5 }\n",
    );
    let mut client = gateway.client();
    const N: u64 = 3_000;
    let counts = count(&mut client, N, &Infer::first("m", 1.0));
    for (version, share) in [(1, 0.6), (2, 0.3), (3, 0.1)] {
        check_share(counts[version], N as f64, share);
        let labels = [("model", "m"), ("version", &*version.to_string())];
        let wanted = gateway.metric("switchrail_traffic_share_wanted", &labels);
        assert!((wanted - share).abs() < 1e-9, "{version}: {wanted}");
        assert_eq!(gateway.metric("switchrail_requests_total", &labels), counts[version]);
    }
    let counts = count(&mut client, N, &Infer::first("n", 1.0));
    check_share(counts[2], N as f64, 0.75);
    let actual = || gateway.metric("switchrail_traffic_share_actual", &[("model", "n"), ("version", "2")]);
    wait_until("the measured share to be shown", || (actual() - 0.75).abs() < 0.1);
}

#[test]
fn a_weight_of_zero_takes_nothing() {
    let gateway = three("[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 0 }\n");
    let counts = count(&mut gateway.client(), 300, &Infer::first("m", 1.0));
    assert_eq!(counts, [0.0, 300.0, 0.0, 0.0]);
}

const RULES: &str = r#"
[models.m]
stable = 1
labels = { champion = 1, challenger = 3 }

[[models.m.rules]]
name = "allow-list"
when = { header = "X-Tenant", in = ["acme", "globex"] }
use = 2

[[models.m.rules]]
name = "cookie and query"
when = [{ cookie = "beta", equals = "1" }, { query = "try", present = true }]
use = "challenger"

[[models.m.rules]]
name = "parameter"
when = { parameter = "region", prefix = "eu-" }
use = 3

[[models.m.rules]]
name = "number"
when = { parameter = "age", equals = 7 }
use = 2

[[models.m.rules]]
name = "nobody"
when = { header = "x-robot", present = true }
split = { 2 = 50, 3 = 50 }
"#;

#[test]
fn rules_look_at_headers_cookies_queries_and_parameters() {
    let gateway = three(RULES);
    let mut client = gateway.client();
    let mut check = |request: Infer, version: u64, reason: &str| {
        let answer = request.send(&mut client).ok();
        assert_eq!((answer.version(), answer.reason()), (version, reason), "{request:?}");
        assert_eq!(answer.floats("y")[1], version as f32);
    };
    let plain = || Infer::first("m", 1.0);
    check(plain(), 1, "stable");
    check(plain().header("x-tenant", "acme"), 2, "rule");
    check(plain().header("X-TENANT", "globex"), 2, "rule");
    check(plain().header("x-tenant", "Acme"), 1, "stable");
    check(plain().header("x-tenant", "acme2"), 1, "stable");
    check(plain().header("cookie", "a=b; beta=1; c=d"), 1, "stable");
    check(plain().query("try"), 1, "stable");
    check(plain().header("cookie", "a=b; beta=1").query("try=yes"), 3, "rule");
    check(plain().header("cookie", "beta=1").query("a=b&try="), 3, "rule");
    check(plain().header("cookie", "beta=10").query("try=yes"), 1, "stable");
    check(plain().parameter("region", "eu-west"), 3, "rule");
    check(plain().parameter("region", "us-west"), 1, "stable");
    check(plain().parameter("age", 7), 2, "rule");
    check(plain().parameter("age", "7"), 2, "rule");
    check(plain().parameter("age", 70), 1, "stable");
    // The first rule that matches decides.
    check(plain().header("x-tenant", "acme").parameter("region", "eu-west"), 2, "rule");
    // Labels and pins bypass the rules.
    check(plain().header("x-tenant", "acme").pin("challenger"), 3, "label");
    check(plain().header("x-tenant", "acme").pin("stable"), 1, "label");
    check(plain().header("x-tenant", "acme").pin(1), 1, "pin");
    let counts = count(&mut client, 400, &plain().header("x-robot", ""));
    check_share(counts[2], 400.0, 0.5);
    assert_eq!(counts[1], 0.0);
}

#[test]
fn explain_says_which_version_and_why() {
    let gateway = three(RULES);
    let explain = |body: Value| {
        let (status, answer) = gateway.admin_post("/v1/models/m/explain", &body.to_string());
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let text = explain(json!({ "headers": { "x-tenant": "acme" } })).to_string();
    assert!(text.contains("allow-list") && text.contains("version 2 answers"), "{text}");
    let text = explain(json!({ "parameters": { "region": "us-west" } })).to_string();
    assert!(text.contains("version 1 answers") && text.contains("does not match"), "{text}");
    let text = explain(json!({ "pin": "challenger" })).to_string();
    assert!(text.contains("version 3 answers"), "{text}");
    let (status, _) = gateway.admin_post("/v1/models/nobody/explain", "{}");
    assert_eq!(status, 404);
}

#[test]
fn a_version_that_is_not_ready_is_redirected_to_stable() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, b"no model");
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\n[[models.m.rules]]\nwhen = { header = \"x-new\", present = true }\nuse = 2\n";
    let gateway = gateway.routing(routing).start();
    let mut client = gateway.client();
    let reasons: Vec<String> = (0..60)
        .map(|_| Infer::first("m", 1.0).send(&mut client).ok())
        .map(|a| format!("{} {}", a.version(), a.reason()))
        .collect();
    assert!(reasons.iter().all(|reason| reason.starts_with("1 ")), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason == "1 redirect"), "{reasons:?}");
    let answer = Infer::first("m", 1.0).header("x-new", "1").send(&mut client).ok();
    assert_eq!((answer.version(), answer.reason()), (1, "redirect"));
    // Named by its caller, it is not replaced behind their back.
    assert_eq!(Infer::first("m", 1.0).pin(2).send(&mut client).status(), 503);
    assert!(gateway.model("m")["notices"].to_string().contains('2'));
}

#[test]
fn pins_and_labels_stay_out_of_the_evidence() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0));
    let builder = builder.model("m", 2, &testkit::onnx::failing_when(100.0, 2.0, 0.0));
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1 }\nlabels = { new = 2 }\n";
    let gateway = builder.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    for pin in ["2", "new"] {
        for _ in 0..40 {
            let answer = gateway.infer(&Infer::first("m", 200.0).pin(pin));
            assert_eq!((answer.status(), answer.version()), (500, 2), "a pinned request does not fall back");
        }
    }
    assert_eq!(gateway.state("m", 2), "ready");
    assert_eq!(gateway.metric("switchrail_fallbacks_total", &[]), 0.0);
    let evidence = gateway.model("m")["trials"][0]["evidence"]["rules"].clone();
    let faults: f64 = evidence.as_array().unwrap().iter().map(|rule| rule["faults"].as_f64().unwrap()).sum();
    assert_eq!(faults, 0.0, "{evidence}");
    let faults = gateway.metric("switchrail_version_faults_total", &[("version", "2"), ("kind", "run")]);
    assert_eq!(faults, 80.0, "but they are counted");
}
