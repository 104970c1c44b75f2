//! A gateway that serves what was pushed into a store: alone, and beside a model repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use switchrail_tests::{Builder, Exit, Gateway, Infer, binary, run, wait_until};
use testkit::onnx::{affine4, large};

const MODEL: &str = "m";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a model to be pushed.
fn file(builder: &Builder, content: &[u8]) -> PathBuf {
    let path = builder.folder().join("model.onnx");
    fs::write(&path, content).unwrap();
    path
}

fn try_push(builder: &Builder, content: &[u8], flags: &[&str]) -> Exit {
    let (file, store) = (file(builder, content), builder.store_folder());
    let mut arguments = vec!["push", text(&file), "--model", MODEL, "--store", text(&store)];
    arguments.extend(flags);
    run(&arguments)
}

#[track_caller]
fn push(builder: &Builder, content: &[u8], flags: &[&str]) {
    let exit = try_push(builder, content, flags);
    assert_eq!(exit.code, Some(0), "{exit:?}");
}

fn scaled(factor: f32) -> Vec<u8> {
    affine4(factor, 0.0)
}

fn pinned(version: u64) -> Infer {
    Infer::first(MODEL, 1.0).pin(version)
}

#[track_caller]
fn answers(gateway: &Gateway, request: &Infer, version: u64, value: f32) {
    let answer = gateway.infer(request).ok();
    assert_eq!((answer.version(), answer.floats("y")[0]), (version, value));
}

fn reason(gateway: &Gateway, version: u64) -> String {
    let found = gateway.version(MODEL, version).unwrap_or_default();
    found["reason"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_is_pushed_is_served_pinned_waits_for_a_decision_and_takes_over() {
    let builder = Gateway::builder().store().without_repository();
    push(&builder, &scaled(1.0), &[]);
    let mut gateway = builder.clone().start();
    answers(&gateway, &Infer::first(MODEL, 1.0), 1, 1.0);
    push(&builder, &scaled(2.0), &["--tag", "2.0.0", "--label", "next", "--by", "someone"]);
    wait_until("version 2 to answer", || gateway.infer(&pinned(2)).is_ok());
    answers(&gateway, &pinned(2), 2, 2.0);
    for _ in 0..20 {
        answers(&gateway, &Infer::first(MODEL, 1.0), 1, 1.0);
    }
    answers(&gateway, &Infer::first(MODEL, 1.0).pin("next"), 2, 2.0);
    let source = gateway.version(MODEL, 2).unwrap()["source"].clone();
    assert_eq!(
        (&source["place"], &source["tag"], &source["pushed_by"]),
        (&json!("store"), &json!("2.0.0"), &json!("someone"))
    );
    gateway.order(MODEL, "promote", json!({ "version": "2", "force": true, "confirm": true, "reason": "test" }));
    answers(&gateway, &Infer::first(MODEL, 1.0), 2, 2.0);
    let rows = gateway.admin("/v1/history");
    assert!(rows.to_string().contains("\"someone\""), "{rows}");
    gateway.kill();
    gateway.start_again();
    answers(&gateway, &Infer::first(MODEL, 1.0), 2, 2.0);
}

#[test]
fn a_number_in_both_places_is_the_folders_and_the_stores_content_is_refused() {
    let builder = Gateway::builder().store().model(MODEL, 1, &scaled(1.0));
    push(&builder, &scaled(10.0), &[]);
    push(&builder, &scaled(2.0), &[]);
    let mut gateway = builder.clone().start();
    gateway.wait_state(MODEL, 2, "ready");
    wait_until("the conflict to be told", || reason(&gateway, 1) == "content_conflict");
    answers(&gateway, &pinned(1), 1, 1.0);
    answers(&gateway, &pinned(2), 2, 2.0);
    assert!(gateway.metric("switchrail_versions_refused_total", &[("code", "content_conflict")]) >= 1.0);
    // The folder goes; the number still does not become the store's.
    gateway.repository().remove(MODEL, 1).unwrap();
    gateway.kill();
    gateway.start_again();
    wait_until("the conflict to be told again", || reason(&gateway, 1) == "content_conflict");
    assert_eq!(gateway.infer(&pinned(1)).status(), 503);
    // A push that is told of the repository leaves its numbers alone.
    gateway.repository().publish(MODEL, 3, &scaled(3.0)).unwrap();
    let root = gateway.repository().root().to_owned();
    push(&builder, &scaled(4.0), &["--model-repository", text(&root)]);
    gateway.wait_state(MODEL, 4, "ready");
    answers(&gateway, &pinned(4), 4, 4.0);
    gateway.wait_state(MODEL, 3, "ready");
    answers(&gateway, &pinned(3), 3, 3.0);
}

/// The largest object below a folder.
fn largest(folder: &Path) -> PathBuf {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        found.extend(fs::read_dir(entry.path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn a_flipped_bit_refuses_one_version_and_the_others_serve() {
    let builder = Gateway::builder().store().without_repository();
    push(&builder, &scaled(1.0), &[]);
    push(&builder, &large(1 << 20, 7), &[]);
    let object = largest(&builder.store_folder().join("objects"));
    let mut content = fs::read(&object).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
    // Objects are written once: a new file in its place is what a disk that lost a bit looks like.
    fs::remove_file(&object).unwrap();
    fs::write(&object, content).unwrap();
    let gateway = builder.clone().start();
    gateway.wait_state(MODEL, 2, "failed");
    assert_eq!(reason(&gateway, 2), "store_damaged");
    answers(&gateway, &Infer::first(MODEL, 1.0), 1, 1.0);
    assert_eq!(gateway.infer(&pinned(2)).status(), 503);
    assert!(gateway.metric("switchrail_versions_refused_total", &[("code", "store_damaged")]) >= 1.0);
    push(&builder, &scaled(3.0), &[]);
    gateway.wait_state(MODEL, 3, "ready");
    answers(&gateway, &pinned(3), 3, 3.0);
}

#[test]
fn pushes_that_are_killed_beside_a_running_gateway_show_it_nothing_half() {
    let builder = Gateway::builder().store().without_repository().set("store.versions", "100");
    push(&builder, &scaled(1.0), &[]);
    let gateway = builder.clone().start();
    let store = builder.store_folder();
    for n in 0..12_u64 {
        let file = file(&builder, &large(1 << 18, n));
        let mut command = Command::new(binary());
        command.args(["push", text(&file), "--model", MODEL, "--store", text(&store)]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Another moment each time; whatever it hits must hold.
        std::thread::sleep(Duration::from_millis(3 * n));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    push(&builder, &scaled(2.0), &[]);
    let last = || {
        let model = gateway.model(MODEL);
        let versions: Vec<Value> = model["versions"].as_array().unwrap().clone();
        let n_other = versions.iter().filter(|version| version["state"] != "ready").count();
        (versions.len() as u64, n_other)
    };
    let n_records = || fs::read_dir(store.join("models").join(MODEL).join("versions")).unwrap().count() as u64;
    wait_until("everything in the store to be ready", || last() == (n_records(), 0));
    answers(&gateway, &pinned(n_records()), n_records(), 2.0);
    assert_eq!(gateway.metric("switchrail_versions_refused_total", &[]), 0.0);
}

#[test]
fn a_store_that_is_not_there_is_told_and_one_without_state_too() {
    let builder = Gateway::builder().store().model(MODEL, 1, &scaled(1.0));
    let exit = builder.run_to_end();
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(exit.stderr.contains("switchrail push"), "{exit:?}");
    let store = builder.folder().join("elsewhere");
    let exit = run(&["serve", "--store", text(&store)]);
    assert_eq!(exit.code, Some(2), "{exit:?}");
    assert!(exit.stderr.contains("--state-dir"), "{exit:?}");
}

#[test]
fn two_versions_are_compared_as_files_by_metrics_in_traffic_and_by_their_answers() {
    let routing = "[models.m]\nstable = 1\n[models.m.capture]\nshare = 1.0\n";
    let builder = Gateway::builder().store().without_repository().set("record.captures", "true").routing(routing);
    let metrics = builder.folder().join("metrics.json");
    fs::write(&metrics, "{ \"accuracy\": 0.9 }").unwrap();
    push(&builder, &scaled(1.0), &["--metrics", text(&metrics)]);
    fs::write(&metrics, "{ \"accuracy\": 0.95 }").unwrap();
    push(&builder, &scaled(1.5), &["--metrics", text(&metrics), "--label", "next"]);
    let mut gateway = builder.clone().start();
    gateway.wait_state(MODEL, 2, "ready");
    answers(&gateway, &pinned(1), 1, 1.0);
    answers(&gateway, &pinned(2), 2, 1.5);
    // How versions did is kept by the minute, and at the end.
    gateway.stop();
    gateway.start_again();
    let inputs = builder.folder().join("inputs.jsonl");
    let rows = [[1.0, 0.0, 0.0, 0.0], [0.0; 4]].map(|row| Infer::row(MODEL, row).json());
    fs::write(&inputs, rows.join("\n")).unwrap();
    let (store, admin) = (builder.store_folder(), gateway.addresses().admin.to_string());
    let http = gateway.addresses().http.to_string();
    let base = ["compare", MODEL, "1", "next", "--store", text(&store), "--inputs", text(&inputs), "--admin", &admin];
    for place in [&[][..], &["--http", &http]] {
        let exit = run(&[&base[..], place, &["--json"]].concat());
        assert_eq!(exit.code, Some(0), "{exit:?}");
        let compared: Value = serde_json::from_str(&exit.stdout).unwrap();
        let outputs = &compared["outputs"];
        assert_eq!((&outputs["compared"], &outputs["same"]), (&json!(2), &json!(1)), "{compared}");
        assert_eq!(outputs["outputs"][0]["largest"], 0.5);
        assert_eq!(compared["offline_metrics"], json!([{ "name": "accuracy", "before": 0.9, "after": 0.95 }]));
        assert_eq!((&compared["live"]["before"]["requests"], &compared["not_compared"]), (&json!(1), &json!([])));
        let weights = &compared["files"]["weights"];
        assert_eq!((&weights["changed"][0]["distance"], &compared["files"]["signature"]), (&json!(0.5), &json!([])));
    }
    let exit = run(&base);
    assert!(exit.stdout.contains("accuracy: 0.9 -> 0.95") && exit.stdout.contains("1 of 2 answers"), "{exit:?}");
    let state = builder.state_folder();
    let captured = ["compare", MODEL, "1", "2", "--store", text(&store), "--state-dir", text(&state), "--json"];
    // The two requests from before the restart, and what was asked at the gateway above.
    wait_until("everything captured to be compared", || {
        let exit = run(&[&captured[..], &["--admin", &admin]].concat());
        let compared: Value = serde_json::from_str(&exit.stdout).unwrap();
        assert_eq!(compared["outputs"]["place"], "captured requests, run here", "{exit:?}");
        (&compared["outputs"]["compared"], &compared["outputs"]["same"]) == (&json!(6), &json!(2))
    });
    // Without the files it says what it could not compare.
    let exit = run(&["compare", MODEL, "1", "2", "--admin", &admin]);
    assert!(exit.code == Some(0) && exit.stdout.contains("not compared"), "{exit:?}");
    assert!(exit.stdout.contains("--store"), "{exit:?}");
}
