#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

fn findings(text: &str, is_gateway: bool) -> Findings {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.toml");
    std::fs::write(&file, text).unwrap();
    examine(&file, is_gateway).unwrap()
}

#[test]
fn every_problem_is_told_with_its_place() {
    let found = findings("[models.fraud]\nstabel = 2\nsplit = { 2 = 90, 3 = -10 }\n", false);
    assert!(!found.is_valid());
    let text = found.text();
    for part in
        ["file.toml:2:1: error[unknown-key]", "hint: did you mean \"stable\"?", "file.toml:3:", "not valid; errors: 2"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(found.json()["diagnostics"].as_array().unwrap().len(), 2);
}

#[test]
fn a_warning_does_not_make_a_file_invalid() {
    let found = findings("[models.m]\nstable = 1\nsplit = { 1 = 0, 2 = 1 }\n", false);
    assert!(found.is_valid(), "{}", found.text());
    assert!(
        found.text().contains("warning[idle-stable]") && found.text().ends_with("valid; warnings: 1\n"),
        "{}",
        found.text()
    );
    assert!(findings("", false).text().ends_with("file.toml: valid\n"));
}

#[test]
fn settings_that_do_not_go_together_are_told() {
    assert!(findings("", true).is_valid(), "the repository may be given by a flag");
    let found = findings("[admin]\naddress = \"0.0.0.0:8003\"\n[http]\naddress = \"127.0.0.1:8002\"\n", true);
    let text = found.text();
    assert!(!found.is_valid() && text.contains("token_file") && text.contains("both listen on"), "{text}");
    assert!(!findings("[admin]\nadress = \"127.0.0.1:1\"\n", true).is_valid());
}

#[test]
fn a_file_over_the_bound_is_refused_without_being_read_whole() {
    let found = findings(&"#".repeat(FILE_BYTES_MAX + 1), false);
    assert!(found.text().contains("too-large"), "{}", found.text());
}
