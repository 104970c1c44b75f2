//! Hundreds of switches under load: no request fails, and every answer is what it says it is. A self-identifying
//! model proves who answered and to which request.

use std::time::{Duration, Instant};

use serde_json::json;
use switchrail_tests::{Client, Gateway, Infer, float_input, under_load, wait_until};
use testkit::onnx::{SELF_IDENTIFYING_WIDTH, Tag, self_identifying};

/// What one answer said.
struct Seen {
    version: u64,
    generation: u64,
}

/// Asks once and checks that answer, header and request belong together.
fn ask(client: &mut Client, number: u64) -> Seen {
    let id = (number % u64::from(Tag::ID_END)) as u32;
    let request = Infer::new("m").input(float_input("x", &[1, SELF_IDENTIFYING_WIDTH], &Tag::input(id)));
    let answer = request.field("id", json!(number.to_string())).send(client).ok();
    let tag = Tag::read(&answer.floats("y")).unwrap_or_else(|| panic!("a mixed answer: {}", answer.body));
    assert_eq!(tag.id, id, "an answer to another request");
    assert_eq!(u64::from(tag.version), answer.version(), "the header names another version than computed it");
    assert_eq!(answer.body["model_version"], tag.version.to_string());
    assert_eq!(answer.body["id"], number.to_string());
    Seen { version: answer.version(), generation: answer.generation() }
}

fn gateway() -> Gateway {
    let builder = (1..=3).fold(Gateway::builder(), |b, v| b.model("m", v.into(), &self_identifying(v)));
    let gateway = builder.routing("[models.m]\nstable = 1\n").start();
    (1..=3).for_each(|version| gateway.wait_state("m", version, "ready"));
    gateway
}

fn check(gateway: &Gateway, seen: &[Vec<Seen>], versions: &[u64]) {
    for caller in seen {
        assert!(caller.is_sorted_by_key(|seen| seen.generation), "generations of a connection never go back");
    }
    for version in versions {
        assert!(seen.iter().flatten().any(|seen| seen.version == *version), "version {version} never answered");
    }
    let n_requests = seen.iter().map(Vec::len).sum::<usize>() as f64;
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "ok")]), n_requests);
    assert_eq!(gateway.metric("switchrail_requests_total", &[]), n_requests);
}

#[test]
fn three_hundred_switches_by_command() {
    let gateway = gateway();
    let (seen, ()) = under_load(gateway.addresses().http, 3, ask, || {
        let mut admin = Client::new(gateway.addresses().admin);
        for switch in 0..300 {
            let version = if switch % 2 == 0 { "2" } else { "1" };
            let order = json!({ "version": version, "force": true, "confirm": true, "reason": "switch" });
            let headers = [("content-type", "application/json")];
            let answer = admin.send("POST", "/v1/models/m/promote", &headers, order.to_string().as_bytes());
            assert_eq!(answer.status, 200, "{}", answer.text());
            // What is acknowledged is in force for whoever asks now.
            if switch % 10 == 0 {
                assert_eq!(gateway.get("/v2/models/m").status, 200);
                assert_eq!(ask(&mut gateway.client(), 1).version.to_string(), version);
            }
        }
    });
    let extra = 30.0;
    let n_seen = seen.iter().map(Vec::len).sum::<usize>() as f64;
    assert_eq!(gateway.metric("switchrail_requests_total", &[]), n_seen + extra);
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "ok")]), n_seen + extra);
    for caller in &seen {
        assert!(caller.is_sorted_by_key(|seen| seen.generation), "generations of a connection never go back");
    }
    assert!(seen.iter().flatten().any(|seen| seen.version == 2));
    assert!(seen.iter().flatten().any(|seen| seen.version == 1));
}

#[test]
fn splits_mix_nothing() {
    let gateway = gateway();
    gateway.write_routing("[models.m]\nstable = 1\nsplit = { 1 = 1, 2 = 1, 3 = 1 }\n");
    wait_until("the split to be in force", || {
        gateway.metric("switchrail_traffic_share_wanted", &[("version", "3")]) > 0.3
    });
    let (seen, ()) = under_load(gateway.addresses().http, 4, ask, || {
        wait_until("2000 answers", || gateway.metric("switchrail_requests_total", &[]) >= 2_000.0);
    });
    check(&gateway, &seen, &[1, 2, 3]);
}

#[test]
fn versions_that_come_and_go_under_load_fail_nobody() {
    let gateway = gateway();
    let (seen, ()) = under_load(gateway.addresses().http, 3, ask, || {
        for round in 0..5u32 {
            let version = 10 + round;
            let content = self_identifying(version);
            gateway.repository().publish("m", version.into(), &content).unwrap();
            gateway.wait_state("m", version.into(), "ready");
            let generation = gateway.generation();
            gateway.write_routing(&format!("[models.m]\nstable = {version}\n"));
            wait_until("the version to be stable", || {
                gateway.generation() > generation
                    && gateway.model("m")["stable"].to_string().contains(&version.to_string())
            });
            if round > 0 {
                gateway.repository().remove("m", u64::from(version) - 1).unwrap();
            }
            // The version before it stays in memory, folder or not, because a rollback would go back to it.
            if round > 1 {
                let gone = version - 2;
                let labels = [("model", "m"), ("version", &*gone.to_string())];
                wait_until("the version before that to be gone", || gateway.metrics().n_series(&labels) == 0);
            }
        }
    });
    for caller in &seen {
        assert!(caller.is_sorted_by_key(|seen| seen.generation));
    }
    for version in 10..15 {
        assert!(seen.iter().flatten().any(|seen| seen.version == version), "version {version} never answered");
    }
    assert_eq!(gateway.metric("switchrail_requests_total", &[("outcome", "version_fault")]), 0.0);
}

#[test]
fn a_switch_is_in_force_when_it_is_acknowledged() {
    let gateway = gateway();
    let mut client = gateway.client();
    for switch in 0..40u32 {
        let version = if switch % 2 == 0 { "3" } else { "1" };
        let order = json!({ "version": version, "force": true, "confirm": true, "reason": "switch" });
        let acknowledged = gateway.order("m", "promote", order)["generation"].as_u64().unwrap();
        let began = Instant::now();
        let seen = ask(&mut client, switch.into());
        assert_eq!(seen.version.to_string(), version);
        assert!(seen.generation >= acknowledged);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
