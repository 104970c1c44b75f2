//! routing.toml is edited while requests run: however it is saved, without one failed request, and never to something
//! invalid.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use switchrail_tests::{Builder, Client, Gateway, Infer, under_load, wait_until};
use testkit::onnx::affine4;

fn stable(version: u64) -> String {
    format!("# an edit\n[models.m]\nstable = {version}\n")
}

fn two() -> Builder {
    Gateway::builder().model("m", 1, &affine4(1.0, 0.0)).model("m", 2, &affine4(2.0, 0.0)).routing(&stable(1))
}

fn wait_serves(gateway: &Gateway, version: u64) {
    wait_until(&format!("version {version} to serve"), || gateway.ask("m", 1.0).ok().version() == version);
}

fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn an_edit_counts_however_it_is_saved() {
    let gateway = two().start();
    let path = gateway.builder_used().routing_file();
    gateway.write_routing(&stable(2));
    wait_serves(&gateway, 2);
    replace(&path, &stable(1));
    wait_serves(&gateway, 1);
    // As editors do that keep a backup: the old file moves away, the new one is written in its place.
    fs::rename(&path, path.with_extension("toml~")).unwrap();
    fs::write(&path, stable(2)).unwrap();
    wait_serves(&gateway, 2);
    // In several writes.
    fs::write(&path, "[models.m]\n").unwrap();
    fs::write(&path, stable(1)).unwrap();
    wait_serves(&gateway, 1);
    assert_eq!(gateway.metric("switchrail_config_problems", &[]), 0.0);
}

#[test]
fn a_symlink_swap_as_kubernetes_does_it_counts() {
    let builder = two();
    let folder = builder.folder().join("config");
    let mount = |name: &str, version: u64| {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("routing.toml"), stable(version)).unwrap();
    };
    mount("..2026_1", 1);
    symlink("..2026_1", folder.join("..data")).unwrap();
    fs::remove_file(builder.routing_file()).unwrap();
    symlink("..data/routing.toml", builder.routing_file()).unwrap();
    let gateway = builder.start();
    wait_serves(&gateway, 1);
    for (number, version) in [(2, 2), (3, 1), (4, 2)] {
        let name = format!("..2026_{number}");
        mount(&name, version);
        symlink(&name, folder.join("..data_tmp")).unwrap();
        fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        fs::remove_dir_all(folder.join(format!("..2026_{}", number - 1))).unwrap();
        wait_serves(&gateway, version);
    }
}

#[test]
fn without_events_polls_find_the_edit() {
    let gateway = two().set("watch.events", "false").start();
    gateway.write_routing(&stable(2));
    wait_serves(&gateway, 2);
    replace(&gateway.builder_used().routing_file(), &stable(1));
    wait_serves(&gateway, 1);
}

#[test]
fn events_find_the_edit_without_polls() {
    let gateway = two().set("watch.poll_ms", "86400000").start();
    gateway.write_routing(&stable(2));
    wait_serves(&gateway, 2);
    replace(&gateway.builder_used().routing_file(), &stable(1));
    wait_serves(&gateway, 1);
}

#[test]
fn an_invalid_edit_changes_nothing_and_reports_every_problem() {
    let gateway = two().start();
    let generation = gateway.generation();
    gateway.write_routing("[models.m]\nstable = 2\nsplitt = { 1 = 1 }\n\n[models.n]\nstable = 1\nsplit = { 1 = -1 }\n");
    wait_until("the problems to be shown", || gateway.metric("switchrail_config_problems", &[]) >= 2.0);
    let problems = gateway.admin("/v1/status")["config"]["problems"].clone();
    let found: Vec<(u64, &str)> = problems
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["line"].as_u64().unwrap(), p["code"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [(3, "unknown-key"), (7, "bad-weight")], "{problems}");
    assert!(problems[0]["hint"].as_str().unwrap().contains("split"), "{problems}");
    assert!(problems[0]["file"].as_str().unwrap().ends_with("routing.toml"), "{problems}");
    let log = gateway.log();
    assert!(log.contains("splitt") && log.contains("bad-weight"), "{log}");
    assert_eq!((gateway.ask("m", 1.0).ok().version(), gateway.generation()), (1, generation));
    assert!(gateway.metric("switchrail_config_reads_total", &[("result", "rejected")]) >= 1.0);
    // A file that is no text, an empty one and a removed one change nothing either.
    fs::write(gateway.builder_used().routing_file(), b"\xff\xfe\0").unwrap();
    gateway.wait_log("not-utf8");
    fs::remove_file(gateway.builder_used().routing_file()).unwrap();
    gateway.ask("m", 1.0).ok();
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 1);
    // Mended, it counts and the problems are gone.
    gateway.write_routing(&stable(2));
    wait_serves(&gateway, 2);
    assert_eq!(gateway.metric("switchrail_config_problems", &[]), 0.0);
    assert_eq!(gateway.admin("/v1/status")["config"]["problems"], Value::Array(Vec::new()));
}

#[test]
fn an_edit_that_means_the_same_changes_nothing() {
    let gateway = two().start();
    let generation = gateway.generation();
    gateway.write_routing("# another remark\n[models]\nm = { stable = 1 }\n");
    wait_until("the edit to be read", || {
        gateway.metric("switchrail_config_reads_total", &[("result", "unchanged")]) >= 1.0
    });
    assert_eq!(gateway.generation(), generation);
}

#[test]
fn an_invalid_file_at_start_is_survived_if_a_valid_one_was_accepted() {
    let mut gateway = two().start();
    gateway.write_routing(&stable(2));
    wait_serves(&gateway, 2);
    gateway.stop();
    gateway.write_routing("[models.m\n");
    gateway.start_again();
    assert_eq!(gateway.ask("m", 1.0).ok().version(), 2);
    assert!(gateway.metric("switchrail_config_problems", &[]) >= 1.0);
    assert!(gateway.log().contains("routing.toml"), "{}", gateway.log());
}

#[test]
fn fifty_edits_under_load_fail_no_request() {
    let gateway = two().start();
    gateway.wait_state("m", 2, "ready");
    let path = gateway.builder_used().routing_file();
    let ask = |client: &mut Client, _| Infer::first("m", 1.0).send(client).ok().version();
    let (seen, ()) = under_load(gateway.addresses().http, 3, ask, || {
        for edit in 0..50 {
            let generation = gateway.generation();
            let share = 1 + edit % 9;
            let text = match edit % 3 {
                0 => format!("[models.m]\nstable = {}\n", 2 - edit % 2),
                1 => format!("[models.m]\nstable = 1\nsplit = {{ 1 = {}, 2 = {share} }}\n", 10 - share),
                _ => format!("[models.m]\nstable = 2\nsplit = {{ 1 = {share}, 2 = {} }}\n", 10 - share),
            };
            if edit % 2 == 0 {
                gateway.write_routing(&text)
            } else {
                replace(&path, &text)
            }
            wait_until("the edit to be in force", || gateway.generation() > generation);
        }
    });
    let n_requests = seen.iter().map(Vec::len).sum::<usize>() as f64;
    assert!(seen.iter().flatten().any(|version| *version == 2));
    let labels = [("model", "m"), ("outcome", "ok")];
    assert_eq!(gateway.metric("switchrail_requests_total", &labels), n_requests);
    assert_eq!(gateway.metric("switchrail_requests_total", &[]), n_requests);
    assert!(gateway.metric("switchrail_config_reads_total", &[("result", "applied")]) >= 50.0);
}
