//! Sticky keys: the same key gets the same version, in every process; growing a weight moves keys only toward it;
//! models are independent of each other.

use std::collections::BTreeMap;

use switchrail_tests::{Gateway, Infer, wait_until};
use testkit::onnx::affine4;

const N_KEYS: u32 = 400;

fn routing(weights: &str) -> String {
    let model = |name: &str| {
        format!(
            "[models.{name}]\nstable = 1\nsplit = {{ {weights} }}\nsticky = [{{ header = \"x-user\" }}, {{ cookie = \"user\" }}, {{ parameter = \"user\" }}]\n"
        )
    };
    model("m") + &model("n")
}

fn gateway(weights: &str) -> Gateway {
    let builder = (1..=3).fold(Gateway::builder(), |builder, version| {
        let content = affine4(version as f32, 0.0);
        builder.model("m", version, &content).model("n", version, &content)
    });
    let gateway = builder.routing(&routing(weights)).start();
    (1..=3).for_each(|version| gateway.wait_state("m", version, "ready"));
    (1..=3).for_each(|version| gateway.wait_state("n", version, "ready"));
    gateway
}

fn assignment(gateway: &Gateway, model: &str) -> BTreeMap<u32, u64> {
    let mut client = gateway.client();
    let mut ask = |key: u32| {
        let answer = Infer::first(model, 1.0).header("x-user", format!("user-{key}")).send(&mut client).ok();
        assert_eq!(answer.reason(), "sticky");
        answer.version()
    };
    (0..N_KEYS).map(|key| (key, ask(key))).collect()
}

fn n_of(assignment: &BTreeMap<u32, u64>, version: u64) -> f64 {
    assignment.values().filter(|found| **found == version).count() as f64
}

#[test]
fn a_key_keeps_its_version_across_restarts_wherever_it_stands() {
    let mut gateway = gateway("1 = 50, 2 = 30, 3 = 20");
    let first = assignment(&gateway, "m");
    assert_eq!(first, assignment(&gateway, "m"));
    for (key, version) in first.iter().take(50) {
        let key = format!("user-{key}");
        let requests = [
            Infer::first("m", 5.0).header("cookie", format!("a=b; user={key}")),
            Infer::first("m", 6.0).parameter("user", key.clone()),
            Infer::first("m", 7.0).header("x-user", &key).header("cookie", "user=another"),
        ];
        for request in requests {
            assert_eq!(gateway.infer(&request).ok().version(), *version, "{request:?}");
        }
    }
    gateway.stop();
    gateway.start_again();
    (1..=3).for_each(|version| gateway.wait_state("m", version, "ready"));
    assert_eq!(first, assignment(&gateway, "m"));
    for (version, share) in [(1, 0.5), (2, 0.3), (3, 0.2)] {
        let sigma = (f64::from(N_KEYS) * share * (1.0 - share)).sqrt();
        let difference = n_of(&first, version) - f64::from(N_KEYS) * share;
        assert!(difference.abs() <= 4.5 * sigma, "{version}: {difference}");
    }
}

#[test]
fn growing_a_weight_moves_keys_only_toward_it() {
    let gateway = gateway("1 = 90, 2 = 10");
    let mut before = assignment(&gateway, "m");
    for share in [20, 35, 60, 90] {
        let generation = gateway.generation();
        gateway.write_routing(&routing(&format!("1 = {}, 2 = {share}", 100 - share)));
        wait_until("the edit to be in force", || gateway.generation() > generation);
        let after = assignment(&gateway, "m");
        for (key, version) in &before {
            assert!(after[key] == *version || after[key] == 2, "key {key} moved from {version} to {}", after[key]);
        }
        assert!(n_of(&after, 2) > n_of(&before, 2), "nothing moved at {share}");
        before = after;
    }
}

#[test]
fn a_third_arm_takes_keys_and_moves_no_others() {
    let gateway = gateway("1 = 50, 2 = 50");
    let before = assignment(&gateway, "m");
    let generation = gateway.generation();
    gateway.write_routing(&routing("1 = 50, 2 = 50, 3 = 50"));
    wait_until("the edit to be in force", || gateway.generation() > generation);
    let after = assignment(&gateway, "m");
    for (key, version) in &before {
        assert!(after[key] == *version || after[key] == 3, "key {key} moved from {version} to {}", after[key]);
    }
    assert!(n_of(&after, 3) > 0.0);
}

#[test]
fn models_are_independent() {
    let gateway = gateway("1 = 50, 2 = 50");
    let (m, n) = (assignment(&gateway, "m"), assignment(&gateway, "n"));
    // Of independent fair coins half agree.
    let n_same = m.iter().filter(|(key, version)| n[*key] == **version).count() as f64;
    let sigma = (f64::from(N_KEYS) * 0.25).sqrt();
    assert!((n_same - f64::from(N_KEYS) / 2.0).abs() <= 4.5 * sigma, "{n_same} of {N_KEYS}");
}

#[test]
fn keys_of_a_rolled_back_arm_are_answered_by_stable_and_nobody_else_moves() {
    let builder = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 3, &affine4(3.0, 0.0));
    let builder = builder.model("m", 2, &testkit::onnx::nan_when(100.0, 2.0, 0.0));
    let routing = "[models.m]\nstable = 1\nsplit = { 1 = 40, 2 = 30, 3 = 30 }\nsticky = { header = \"x-user\" }\n";
    let gateway = builder.routing(routing).start();
    (1..=3).for_each(|version| gateway.wait_state("m", version, "ready"));
    let before = assignment(&gateway, "m");
    let mut client = gateway.client();
    let mut ask =
        |key: u32, first: f32| Infer::first("m", first).header("x-user", format!("user-{key}")).send(&mut client).ok();
    for (key, _) in before.iter().filter(|(_, version)| **version == 2) {
        ask(*key, 200.0);
    }
    gateway.wait_state("m", 2, "quarantined");
    for (key, version) in before {
        let answer = ask(key, 1.0);
        let expected = if version == 2 { (1, "redirect") } else { (version, "sticky") };
        assert_eq!((answer.version(), answer.reason()), expected, "key {key}");
    }
}

#[test]
fn explain_agrees_with_what_happens() {
    let gateway = gateway("1 = 50, 2 = 30, 3 = 20");
    for (key, version) in assignment(&gateway, "m").into_iter().take(30) {
        let body = serde_json::json!({ "headers": { "x-user": format!("user-{key}") } });
        let (status, answer) = gateway.admin_post("/v1/models/m/explain", &body.to_string());
        assert_eq!(status, 200, "{answer}");
        assert!(answer.to_string().contains(&format!("version {version} answers")), "{key} {version}: {answer}");
    }
}
