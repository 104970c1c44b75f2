//! The admin API: what it shows, what it refuses, and to whom.

use serde_json::{Value, json};
use switchrail_tests::{Client, Gateway};
use testkit::onnx::affine4;

fn gateway() -> Gateway {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0));
    let gateway = builder.routing("[models.m]\nstable = 1\nsplit = { 1 = 3, 2 = 1 }\n").start();
    gateway.wait_state("m", 2, "ready");
    gateway
}

#[test]
fn status_shows_models_versions_shares_and_trials() {
    let gateway = gateway();
    let status = gateway.admin("/v1/status");
    assert!(status["generation"].as_u64().unwrap() >= 1);
    let model = &status["models"][0];
    assert_eq!(*model, gateway.model("m"));
    assert_eq!((&model["name"], model["stable"].to_string().trim_matches('"')), (&json!("m"), "1"));
    let shares: Vec<f64> =
        model["split"].as_array().unwrap().iter().map(|arm| arm["share"].as_f64().unwrap()).collect();
    assert_eq!(shares, [0.75, 0.25]);
    for version in model["versions"].as_array().unwrap() {
        assert_eq!(version["state"], "ready", "{version}");
        assert_eq!(version["digest"].as_str().unwrap().len(), 64, "{version}");
        assert!(version["load_seconds"].as_f64().unwrap() > 0.0, "{version}");
        assert!(version["memory_bytes"].is_number(), "{version}");
        assert!(version["share_wanted"].is_number() && version.get("share_actual").is_some(), "{version}");
    }
    let trial = &model["trials"][0];
    assert_eq!(trial["candidate"].to_string().trim_matches('"'), "2");
    let evidence = &trial["evidence"];
    let rules: Vec<&str> = evidence["rules"].as_array().unwrap().iter().filter_map(|r| r["rule"].as_str()).collect();
    assert_eq!(rules, ["limit", "relative", "stable_limit", "sample_ratio"]);
    let needed = evidence["promotion"]["clean_requests_needed"].as_u64().unwrap();
    assert_eq!(needed, 348, "a limit of 1 % needs 348 clean requests");
    let threshold = evidence["promotion"]["threshold"].as_f64().unwrap();
    assert!((threshold - 20f64.ln()).abs() < 1e-9, "{threshold}");
    assert_eq!(status["config"]["problems"], json!([]));
}

#[test]
fn history_is_paged_newest_first() {
    let gateway = gateway();
    for _ in 0..5 {
        gateway.order("m", "promote", json!({ "version": "2", "force": true, "confirm": true, "reason": "r" }));
        gateway.order("m", "promote", json!({ "version": "1", "force": true, "confirm": true, "reason": "r" }));
    }
    let all = gateway.history("m");
    let seqs: Vec<u64> = all.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|a, b| a > b), "{seqs:?}");
    assert!(seqs.len() >= 20);
    let page = |query: String| -> Vec<u64> {
        let found = gateway.admin(&format!("/v1/history?model=m&{query}"));
        let list = found.as_array().or_else(|| found.as_object()?.values().find_map(Value::as_array)).unwrap().clone();
        list.iter().map(|entry| entry["seq"].as_u64().unwrap()).collect()
    };
    assert_eq!(page("limit=3".to_owned()), seqs[..3]);
    assert_eq!(page(format!("limit=3&before={}", seqs[2])), seqs[3..6]);
    assert!(page("since_unix_ms=99999999999999".to_owned()).is_empty());
    for query in ["limit=0", "limit=many", "before=-1", "colour=red"] {
        let response = Client::new(gateway.addresses().admin).send("GET", &format!("/v1/history?{query}"), &[], b"");
        assert_eq!(response.status, 400, "{query}: {}", response.text());
    }
}

#[test]
fn a_file_is_checked_and_compared_without_being_put_in_force() {
    let gateway = gateway();
    let generation = gateway.generation();
    let (status, answer) = gateway.admin_post("/v1/config/check", "[models.m]\nstable = 1\nsplitt = 1\nlabels = 7\n");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["valid"], false);
    let lines: Vec<u64> =
        answer["diagnostics"].as_array().unwrap().iter().map(|d| d["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [3, 4], "{answer}");
    let (status, answer) = gateway.admin_post("/v1/config/check", "[models.m]\nstable = 1\n");
    assert_eq!((status, &answer["valid"]), (200, &json!(true)));
    let (status, answer) = gateway.admin_post("/v1/config/diff", "[models.m]\nstable = 2\n");
    assert_eq!(status, 200, "{answer}");
    let text = answer.to_string();
    assert!(text.contains("stable") && text.contains('2'), "{text}");
    let same = "[models.m]\nsplit = { 1 = 75, 2 = 25 }\nstable = 1\n";
    let (_, answer) = gateway.admin_post("/v1/config/diff", same);
    assert_eq!(answer["differences"], json!([]), "{answer}");
    let (status, _) = gateway.admin_post("/v1/config/diff", "[models");
    assert_eq!(status, 400);
    assert_eq!(gateway.generation(), generation);
    let config = gateway.admin("/v1/config").to_string();
    assert!(config.contains("\"m\""), "{config}");
}

#[test]
fn strangers_are_turned_away() {
    let gateway = gateway();
    let mut admin = Client::new(gateway.addresses().admin);
    // A page in a browser may reach loopback, but not under our name.
    for host in ["evil.example", "evil.example:8003", "127.0.0.1.evil.example"] {
        let bytes = format!("GET /v1/status HTTP/1.1\r\nhost: {host}\r\n\r\n");
        let response = Client::new(gateway.addresses().admin).try_raw(bytes.as_bytes()).unwrap();
        assert!((400..500).contains(&response.status), "{host}: {}", response.status);
    }
    let order = json!({ "version": "2", "share": 0.5 }).to_string();
    let sent = admin.send("POST", "/v1/models/m/canary", &[("content-type", "text/plain")], order.as_bytes());
    assert!((400..500).contains(&sent.status), "a form may send text: {}", sent.text());
    let headers = [("content-type", "application/json"), ("origin", "http://evil.example")];
    let sent = admin.send("POST", "/v1/models/m/canary", &headers, order.as_bytes());
    assert!((400..500).contains(&sent.status), "another origin: {}", sent.text());
    for (method, path, status) in
        [("GET", "/v1/nothing", 404), ("DELETE", "/v1/status", 405), ("GET", "/v1/models/nobody", 404)]
    {
        let response = admin.send(method, path, &[], b"");
        assert_eq!(response.status, status, "{method} {path}");
        assert!(response.json()["code"].is_string(), "{method} {path}");
    }
    let huge = format!("\"{}\"", "x".repeat(20 << 20));
    let response = Client::new(gateway.addresses().admin).try_send("POST", "/v1/config/check", &[], huge.as_bytes());
    assert!(response.is_err() || response.is_ok_and(|response| (400..500).contains(&response.status)));
    assert_eq!(admin.send("GET", "/v1/health", &[], b"").status, 200);
}
