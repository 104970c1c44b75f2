//! The command line beside `serve`: offline checks, and orders that go through the admin API.

use std::fs;

use switchrail_tests::{Exit, Gateway, Infer, run, wait_until};
use testkit::onnx::affine4;

fn gateway() -> Gateway {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).start();
    gateway.repository().publish("m", 2, &affine4(2.0, 0.0)).unwrap();
    gateway.wait_state("m", 2, "ready");
    gateway
}

fn ordered(gateway: &Gateway, arguments: &[&str]) -> Exit {
    let address = gateway.addresses().admin.to_string();
    run(&[arguments, &["--admin", &address]].concat())
}

fn check_ok(exit: Exit, parts: &[&str]) -> String {
    assert_eq!(exit.code, Some(0), "{exit:?}");
    for part in parts {
        assert!(exit.stdout.contains(part), "{part:?} is not in: {}", exit.stdout);
    }
    exit.stdout
}

#[test]
fn check_works_offline_and_names_file_line_and_hint() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("routing.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, "[models.m]\nstable = 1\nsplit = { 1 = 9, 2 = 1 }\n").unwrap();
    check_ok(run(&["check", path]), &[]);
    fs::write(&file, "[models.m]\nstable = 1\nsplitt = { 1 = 9 }\nlabels = 7\n").unwrap();
    let exit = run(&["check", path]);
    assert!(matches!(exit.code, Some(1 | 2)), "{exit:?}");
    let text = format!("{}{}", exit.stdout, exit.stderr);
    for part in [&*format!("{path}:3:"), &*format!("{path}:4:"), "splitt", "split"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert_ne!(run(&["check", "/nowhere/routing.toml"]).code, Some(0));
}

#[test]
fn the_examples_that_come_along_are_valid() {
    let config = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let examples = fs::read_dir(config.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = examples.chain([config.join("routing.toml")]).collect();
    assert!(files.len() >= 5);
    for file in files {
        let exit = run(&["check", file.to_str().unwrap()]);
        assert_eq!(exit.code, Some(0), "{}: {exit:?}", file.display());
    }
}

#[test]
fn a_rollout_by_command() {
    let gateway = gateway();
    check_ok(ordered(&gateway, &["status"]), &["m", "1", "2", "ready"]);
    check_ok(ordered(&gateway, &["canary", "m", "--version", "2", "--share", "0.5", "--reason", "a try"]), &["2"]);
    let seen: Vec<u64> = (0..60).map(|_| gateway.ask("m", 1.0).ok().version()).collect();
    assert!(seen.contains(&1) && seen.contains(&2));
    let exit = ordered(&gateway, &["promote", "m", "--version", "2"]);
    assert_ne!(exit.code, Some(0), "{exit:?}");
    assert!(exit.stderr.contains("proof"), "{exit:?}");
    check_ok(ordered(&gateway, &["promote", "m", "--version", "2", "--force", "--reason", "known good"]), &["2"]);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 2);
    check_ok(ordered(&gateway, &["promote", "m", "--confirm"]), &["confirmed"]);
    check_ok(ordered(&gateway, &["rollback", "m", "--reason", "a feeling"]), &["1"]);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    gateway.wait_state("m", 2, "quarantined");
    check_ok(ordered(&gateway, &["release", "m", "--version", "2", "--reason", "wrong feeling"]), &["released"]);
    gateway.wait_state("m", 2, "ready");
    let history = check_ok(ordered(&gateway, &["history"]), &["a try", "known good", "a feeling", "wrong feeling"]);
    assert!(history.find("wrong feeling") != history.find("a try"));
    gateway.infer(&Infer::first("m", 1.0).pin(2)).ok();
}

#[test]
fn explain_and_diff_ask_the_running_gateway() {
    let gateway = Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0));
    let routing = "[models.m]\nstable = 1\n[[models.m.rules]]\nname = \"testers\"\nwhen = { header = \"x-test\", present = true }\nuse = 2\n";
    let gateway = gateway.routing(routing).start();
    gateway.wait_state("m", 2, "ready");
    check_ok(ordered(&gateway, &["explain", "m", "--header", "x-test=1"]), &["testers", "version 2"]);
    check_ok(ordered(&gateway, &["explain", "m"]), &["version 1"]);
    let file = gateway.builder_used().folder().join("next.toml");
    fs::write(&file, "[models.m]\nstable = 2\n").unwrap();
    check_ok(ordered(&gateway, &["diff", file.to_str().unwrap()]), &["stable"]);
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1, "a comparison changes nothing");
    fs::copy(&file, gateway.builder_used().routing_file()).unwrap();
    wait_until("the edit to be in force", || gateway.ask("m", 1.0).ok().version() == 2);
}

#[test]
fn a_gateway_that_is_not_there_is_named() {
    let exit = run(&["status", "--admin", "127.0.0.1:1"]);
    assert!(exit.code.is_some_and(|code| code != 0), "{exit:?}");
    assert!(exit.stderr.contains("127.0.0.1:1"), "{exit:?}");
}
