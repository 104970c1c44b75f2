//! An experiment's life: who was shown what, what it found, how shares follow that, and its end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value, json};
use switchrail_tests::{Answer, Gateway, Infer, wait_for, wait_until};
use testkit::onnx::affine4;

const MODEL: &str = "[models.m]\nstable = 1\nsticky = { header = \"x-user\" }\n";

fn gateway(experiments: &str) -> Gateway {
    let builder = (1..=2).fold(Gateway::builder(), |b, v| b.model("m", v, &affine4(v as f32, 0.0)));
    let gateway = builder.routing(&format!("{MODEL}{experiments}")).start();
    (1..=2).for_each(|version| gateway.wait_state("m", version, "ready"));
    gateway
}

/// One request of each of these users.
fn ask_as(gateway: &Gateway, users: std::ops::Range<u32>) -> Vec<Answer> {
    let mut client = gateway.client();
    let mut ask = |n| Infer::first("m", 1.0).header("x-user", format!("user-{n}")).send(&mut client).ok();
    users.map(&mut ask).collect()
}

fn report(gateway: &Gateway, name: &str) -> Value {
    gateway.admin(&format!("/v1/experiments/{name}"))
}

/// Requests of each arm by its report.
fn requests(report: &Value) -> BTreeMap<String, u64> {
    let arms = report["arms"].as_array().unwrap().iter();
    arms.map(|arm| (arm["arm"].as_str().unwrap().to_owned(), arm["requests"].as_u64().unwrap())).collect()
}

/// In which arm a user is; `None` outside.
fn arm_of(gateway: &Gateway, user: u32) -> Option<String> {
    let (status, answer) =
        gateway.admin_post("/v1/models/m/explain", &json!({ "key": format!("user-{user}") }).to_string());
    assert_eq!(status, 200, "{answer}");
    match answer["experiments"][0]["outcome"].as_str().unwrap() {
        "held_out" => Some("held out".to_owned()),
        "inside" => Some(format!("version {}", answer["version"])),
        _ => None,
    }
}

fn exposures(gateway: &Gateway) -> Vec<Value> {
    let path = gateway.builder_used().state_folder().join("exposures.jsonl");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_arm_is_counted_and_each_unit_is_exposed_once() {
    let gateway =
        gateway("[experiments.page]\nmodel = \"m\"\nunits = [0.0, 0.8]\nholdout = 0.2\narms = { 1 = 1, 2 = 1 }\n");
    for _ in 0..2 {
        ask_as(&gateway, 0..200);
    }
    // Nobody who brings no key is in it.
    gateway.ask_all("m", [1.0; 20]);
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    (0..200).filter_map(|user| arm_of(&gateway, user)).for_each(|arm| *expected.entry(arm).or_default() += 2);
    assert_eq!(expected.len(), 3, "{expected:?}");
    wait_until("everything to be counted", || requests(&report(&gateway, "page")) == expected);
    for (arm, n) in &expected {
        let label = arm.strip_prefix("version ").unwrap_or_default();
        let labels = [("experiment", "page"), ("arm", label), ("figure", "assigned")];
        assert_eq!(gateway.metric("switchrail_experiment_requests_total", &labels), *n as f64, "{arm}");
    }
    let n_units = expected.values().sum::<u64>() as usize / 2;
    wait_until("every exposure to be written", || exposures(&gateway).len() >= n_units);
    let exposures = exposures(&gateway);
    let units: BTreeSet<&str> = exposures.iter().map(|line| line["unit"].as_str().unwrap()).collect();
    assert_eq!((exposures.len(), units.len()), (n_units, n_units));
    let held_out = exposures.iter().filter(|line| line["arm"].is_null()).count() as u64;
    assert_eq!(held_out * 2, expected["held out"]);
    assert!(exposures.iter().all(|line| line["experiment"] == "page" && line["model"] == "m"));
    let sentence = report(&gateway, "page")["sentence"].as_str().unwrap().to_owned();
    assert!(sentence.starts_with("Not enough data yet"), "{sentence}");
}

#[test]
fn a_few_users_who_ask_much_do_not_make_the_routing_suspect() {
    let gateway = gateway("[experiments.page]\nmodel = \"m\"\nunits = [0.0, 1.0]\narms = { 1 = 1, 2 = 1 }\n");
    for _ in 0..100 {
        ask_as(&gateway, 0..3);
    }
    wait_until("everything to be counted", || requests(&report(&gateway, "page")).values().sum::<u64>() >= 300);
    let report = report(&gateway, "page");
    assert_ne!(report["verdict"]["kind"], "routing_suspect", "{report:#}");
    assert!(report["sentence"].as_str().unwrap().starts_with("Not enough data yet"), "{report:#}");
}

#[test]
fn feedback_decides_and_a_sentence_says_so_and_the_end_is_recorded() {
    let experiment =
        "[experiments.page]\nmodel = \"m\"\nunits = [0.0, 1.0]\narms = { 1 = 1, 2 = 1 }\nprimary = \"mistakes\"\n";
    let gateway = gateway(experiment);
    let mut n_users = 0;
    let keep = wait_for("the report to say what to keep", || {
        let answers = ask_as(&gateway, n_users..n_users + 50);
        n_users += 50;
        // Version 2 is right, version 1 every other time.
        let worth: Vec<(&Answer, bool)> =
            answers.iter().enumerate().map(|(n, answer)| (answer, answer.version() == 2 || n % 2 == 0)).collect();
        assert_eq!(gateway.tell("m", &worth)["accepted"], 50);
        let report = report(&gateway, "page");
        (report["verdict"]["kind"] == "keep").then_some(report)
    });
    assert_eq!(keep["verdict"]["arm"], "version 2", "{keep:#}");
    let sentence = keep["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("Keep version 2: it is wrong ") && sentence.contains("less often"), "{sentence}");
    assert!(n_users <= 800, "{n_users}");
    gateway.write_routing(MODEL);
    let entry = gateway.wait_history("m", "experiment_ended");
    assert!(entry["evidence"]["sentence"].as_str().unwrap().starts_with("Keep version 2"), "{entry:#}");
    assert!(gateway.history("m").iter().any(|entry| entry["action"] == "experiment_started"));
    wait_until("nobody to be in it any more", || ask_as(&gateway, 0..60).iter().all(|answer| answer.version() == 1));
    assert_eq!(gateway.admin("/v1/experiments")["experiments"], json!([]));
}

#[test]
fn shares_follow_what_comes_back_and_leave_the_floor_to_the_loser() {
    let gateway = gateway(
        "[experiments.page]\nmodel = \"m\"\nunits = [0.0, 1.0]\narms = { 1 = 1, 2 = 1 }\nprimary = \"mistakes\"\n\
         allocation = { thompson = { floor = 0.1, update = \"1s\" } }\n",
    );
    let answers = ask_as(&gateway, 0..200);
    let n_before = answers.iter().filter(|answer| answer.version() == 2).count();
    assert!((60..=140).contains(&n_before), "{n_before}");
    let worth: Vec<(&Answer, bool)> = answers.iter().map(|answer| (answer, answer.version() == 2)).collect();
    gateway.tell("m", &worth);
    gateway.wait_history("m", "experiment_reallocated");
    let moved = wait_for("most users to be in the better arm", || {
        let answers = ask_as(&gateway, 0..200);
        let n = answers.iter().filter(|answer| answer.version() == 2).count();
        (n > 150).then_some(answers)
    });
    let n_losers = moved.iter().filter(|answer| answer.version() == 1).count();
    assert!((5..=40).contains(&n_losers), "a tenth: {n_losers}");
    // Whoever was in the winning arm has stayed there.
    for (before, after) in answers.iter().zip(&moved) {
        assert!(before.version() == 1 || after.version() == 2);
    }
}

#[test]
fn experiments_of_one_layer_share_nobody() {
    let one = "[experiments.one]\nmodel = \"m\"\nshare = 0.4\narms = { 1 = 1, 2 = 1 }\n";
    let two = "[experiments.two]\nmodel = \"m\"\nshare = 0.4\narms = { 1 = 1, 2 = 1 }\n";
    let gateway = gateway(&format!("{one}{two}"));
    ask_as(&gateway, 0..300);
    wait_until("most to be exposed", || exposures(&gateway).len() > 200);
    let mut by_unit: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in exposures(&gateway) {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        by_unit.entry(text("unit")).or_default().insert(text("experiment"));
    }
    assert!(by_unit.values().all(|experiments| experiments.len() == 1), "{by_unit:?}");
    let n_of = |name: &str| by_unit.values().filter(|experiments| experiments.contains(name)).count();
    assert!(n_of("one") > 80 && n_of("two") > 80, "{} {}", n_of("one"), n_of("two"));
}
