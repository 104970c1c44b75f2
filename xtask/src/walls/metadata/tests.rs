#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use serde_json::json;

use super::*;
use crate::walls::table::plane;

/// Findings about one package with the dependencies given as `name`, `name (dev)` or `ours:name`.
fn check_one(name: &str, dependencies: &[&str]) -> Vec<String> {
    let dependency = |text: &&str| {
        let (text, is_for_tests) = text.strip_suffix(" (dev)").map_or((*text, false), |text| (text, true));
        let (text, is_ours) = text.strip_prefix("ours:").map_or((text, false), |text| (text, true));
        json!({ "name": text, "kind": is_for_tests.then_some("dev"), "path": is_ours.then_some("/somewhere") })
    };
    let metadata = json!({
        "workspace_root": "/repo",
        "packages": [{
            "name": name,
            "manifest_path": format!("/repo/crates/{name}/Cargo.toml"),
            "dependencies": dependencies.iter().map(dependency).collect::<Vec<_>>(),
        }],
    });
    // One package alone leaves most rows unused; that is looked at below.
    let findings = check(&parse(&metadata).unwrap());
    findings.into_iter().map(|f| f.text).filter(|text| !text.ends_with("mend the row")).collect()
}

#[track_caller]
fn check_found(name: &str, dependency: &str, part: &str) {
    let found = check_one(name, &[dependency]);
    assert!(found.len() == 1 && found[0].contains(part), "{name} -> {dependency}: {found:?}");
}

#[track_caller]
fn check_fine(name: &str, dependencies: &[&str]) {
    assert_eq!(check_one(name, dependencies), [""; 0], "{name} -> {dependencies:?}");
}

#[test]
fn the_planes_do_not_see_each_other() {
    check_found("data-path", "ours:control-loop", "Data must not know Control");
    check_found("control-loop", "ours:data-exec", "Control must not know Data");
    check_found("control-loop", "ours:data-exec (dev)", "Control must not know Data");
    check_found("base-serving", "ours:data-path", "Base must not know Data");
    check_found("engine-onnx", "ours:control-registry", "Engine must not know Control");
    check_found("data-http", "ours:switchrail", "must not know Program");
    check_found("base-types", "ours:xtask", "must not know Tools");
    check_fine("switchrail", &["ours:data-http", "ours:control-admin", "ours:engine-onnx", "ours:base-types"]);
    check_fine("switchrail-benches", &["ours:data-http", "ours:control-loop", "ours:testkit"]);
    check_fine("control-loop", &["ours:base-serving", "ours:control-rollout"]);
}

#[test]
fn the_fakes_are_for_tests() {
    check_found("data-path", "ours:testkit", "must not know Testkit");
    check_found("switchrail", "ours:testkit", "must not know Testkit");
    check_fine("data-path", &["ours:testkit (dev)"]);
}

#[test]
fn some_crates_know_less_than_their_plane_does() {
    check_found("control-rollout", "ours:base-serving", "numbers and words in, decision out");
    check_found("data-codec", "ours:base-serving", "bytes and tensors");
    check_fine("data-codec", &["ours:base-types", "ours:base-serving (dev)"]);
}

#[test]
fn a_package_is_used_at_home_only() {
    check_found("data-path", "arc-swap", "at home in base-serving");
    check_found("base-metrics", "serde", "at home in data-codec");
    check_found("base-routing", "tokio", "at home in base-serving");
    check_found("data-path", "leftpad", "has no home");
    check_found("data-path", "leftpad (dev)", "has no home");
    check_found("data-path", "proptest", "for tests only");
    check_fine("data-path", &["proptest (dev)", "serde_json (dev)", "thiserror", "tokio", "tracing", "fastrand"]);
    check_fine("xtask", &["tempfile", "ureq", "sha2"]);
}

#[test]
fn a_name_says_the_plane() {
    assert!(check_one("helpers", &[])[0].contains("a name of no plane"));
    assert_eq!(plane("other-thing"), None);
}

#[test]
fn a_folder_has_the_name_of_its_crate() {
    let metadata = json!({ "workspace_root": "/repo", "packages": [
        { "name": "base-types", "manifest_path": "/repo/crates/types/Cargo.toml", "dependencies": [] },
    ]});
    let findings = check(&parse(&metadata).unwrap());
    assert!(findings.iter().any(|f| f.wall == "names" && f.text.contains("crates/types")), "{findings:?}");
}

#[test]
fn rows_that_nobody_uses_are_found() {
    let findings = check(&[]);
    assert!(findings.iter().any(|f| f.text.starts_with("arc-swap is at home in base-serving, which does not")));
    let manifest =
        "[workspace.dependencies]\narc-swap = \"1\"\n# a note = here\nitoa = \"1\"\n\n[profile.dev]\nx = 1\n";
    let dependency = Dependency { name: "arc-swap".to_owned(), is_ours: false, is_for_tests: false };
    let member = Member { name: "base-serving".to_owned(), folder: String::new(), dependencies: vec![dependency] };
    let unused: Vec<String> = check_workspace(&[member], manifest).into_iter().map(|f| f.text).collect();
    assert_eq!(unused, ["itoa stands in [workspace.dependencies] and no crate uses it"]);
}
