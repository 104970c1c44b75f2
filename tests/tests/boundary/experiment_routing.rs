//! Experiments: who is in one and in which arm, and that it stays so whatever else comes, goes or restarts.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use switchrail_tests::{Gateway, Infer, wait_until};
use testkit::onnx::affine4;

const N_KEYS: u32 = 400;
const MODEL: &str = "[models.m]\nstable = 1\nsticky = { header = \"x-user\" }\n";

/// An experiment of version 1 with another one, on a range of the layer's units.
fn experiment(name: &str, units: [f64; 2], other: u64) -> String {
    format!("[experiments.{name}]\nmodel = \"m\"\nunits = {units:?}\narms = {{ 1 = 50, {other} = 50 }}\n")
}

fn gateway(routing: &str) -> Gateway {
    let builder = (1..=3).fold(Gateway::builder(), |b, v| b.model("m", v, &affine4(v as f32, 0.0)));
    let gateway = builder.routing(routing).start();
    (1..=3).for_each(|version| gateway.wait_state("m", version, "ready"));
    gateway
}

fn versions(gateway: &Gateway) -> BTreeMap<u32, u64> {
    let mut client = gateway.client();
    let mut ask =
        |key: u32| Infer::first("m", 1.0).header("x-user", format!("user-{key}")).send(&mut client).ok().version();
    (0..N_KEYS).map(|key| (key, ask(key))).collect()
}

fn n_of(versions: &BTreeMap<u32, u64>, version: u64) -> f64 {
    versions.values().filter(|found| **found == version).count() as f64
}

fn explain(gateway: &Gateway, request: Value) -> Value {
    let (status, answer) = gateway.admin_post("/v1/models/m/explain", &request.to_string());
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Writes routing.toml and waits until it is in force.
fn edit(gateway: &Gateway, routing: &str) {
    let generation = gateway.generation();
    gateway.write_routing(routing);
    wait_until("the edit to be in force", || gateway.generation() > generation);
}

#[test]
fn a_key_stays_in_its_arm_and_who_has_none_gets_stable() {
    let mut gateway = gateway(&format!("{MODEL}{}", experiment("page", [0.0, 0.5], 2)));
    let first = versions(&gateway);
    let sigma = (f64::from(N_KEYS) * 0.25 * 0.75).sqrt();
    assert!((n_of(&first, 2) - f64::from(N_KEYS) * 0.25).abs() < 4.5 * sigma, "{}", n_of(&first, 2));
    assert_eq!(n_of(&first, 3), 0.0);
    let mut client = gateway.client();
    assert!((0..50).all(|_| Infer::first("m", 1.0).send(&mut client).ok().version() == 1));
    assert_eq!(versions(&gateway), first);
    gateway.stop();
    gateway.start_again();
    (1..=3).for_each(|version| gateway.wait_state("m", version, "ready"));
    assert_eq!(versions(&gateway), first);
}

#[test]
fn experiments_of_one_layer_share_nobody_and_do_not_move_each_other() {
    let (one, two) = (experiment("one", [0.0, 0.4], 2), experiment("two", [0.4, 1.0], 3));
    let gateway = gateway(&format!("{MODEL}{one}"));
    let alone = versions(&gateway);
    edit(&gateway, &format!("{MODEL}{one}{two}"));
    let both = versions(&gateway);
    assert!(n_of(&both, 2) > 0.0 && n_of(&both, 3) > 0.0);
    for (key, version) in &alone {
        assert!(both[key] == *version || (*version == 1 && both[key] == 3), "key {key}: {version} to {}", both[key]);
    }
    edit(&gateway, &format!("{MODEL}{two}"));
    let other = versions(&gateway);
    for (key, version) in &both {
        assert_eq!(other[key], if *version == 2 { 1 } else { *version }, "key {key}");
    }
}

#[test]
fn explain_says_whether_a_key_is_in_an_experiment() {
    let held = experiment("page", [0.0, 0.5], 2).replace("arms", "holdout = 0.5\narms");
    let gateway = gateway(&format!("{MODEL}{held}"));
    let mut seen = BTreeMap::new();
    for (key, version) in versions(&gateway) {
        let answer = explain(&gateway, json!({ "key": format!("user-{key}") }));
        assert_eq!(answer["version"], version, "{answer}");
        let outcome = answer["experiments"][0]["outcome"].as_str().unwrap().to_owned();
        assert!(version == 1 || outcome == "inside", "{answer}");
        *seen.entry(outcome).or_insert(0) += 1;
    }
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["held_out", "inside", "outside"]);
    let without = explain(&gateway, json!({}));
    assert_eq!(without["experiments"][0]["outcome"], "no_key");
}

#[test]
fn a_file_whose_experiments_or_policies_are_wrong_is_refused_as_a_whole() {
    let right = format!("{MODEL}{}", experiment("one", [0.0, 0.4], 2));
    let gateway = gateway(&right);
    let before = versions(&gateway);
    let overlap = format!("{MODEL}{}{}", experiment("one", [0.0, 0.4], 3), experiment("two", [0.3, 1.0], 3));
    let policy = format!("{}[policies.p]\nsteps = [{{ weight = 2 }}]\n", experiment("one", [0.0, 0.4], 3));
    for (wrong, code) in [(overlap, "overlap"), (format!("{MODEL}{policy}"), "bad-policy")] {
        gateway.write_routing(&wrong);
        gateway.wait_log(code);
        assert_eq!(versions(&gateway), before);
    }
}
