#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;

use super::*;
use crate::conformance::record::Call;
use crate::conformance::{FOLDER, PAGE};

#[test]
fn the_page_is_what_the_results_say() {
    let root = crate::repository_root();
    let record = Record::read(&root.join(FOLDER).join("results.json")).unwrap();
    let page = fs::read_to_string(root.join(PAGE)).unwrap();
    assert!(page == render(&record), "run cargo xtask conformance");
}

#[test]
fn a_client_has_its_line_and_its_table() {
    let call = |name: &str, outcome| Call { name: name.to_owned(), shows: "a | b".to_owned(), outcome };
    let calls = vec![
        call("one", Outcome::Passed),
        call("two", Outcome::Absent("never".to_owned())),
        call("three", Outcome::Known("later".to_owned())),
    ];
    let client = "triton_http".to_owned();
    let page = render(&Record { sessions: vec![Session { client, packages: "tritonclient 2".to_owned(), calls }] });
    assert!(page.contains("| [tritonclient, HTTP](#tritonclient-http) | tritonclient 2 | 1 | 1 | 1 |\n"));
    assert!(page.contains("\n## tritonclient, HTTP\n\n| call | shows | result |\n"));
    assert!(page.contains("| two | a \\| b | absent: never |\n"));
    assert!(page.contains("| three | a \\| b | differs: later |\n"));
}

#[test]
fn the_screen_shows_what_failed() {
    let failed = Call { name: "one".to_owned(), shows: String::new(), outcome: Outcome::Failed("broken".to_owned()) };
    let text = summary(&[Session { client: "curl".to_owned(), packages: String::new(), calls: vec![failed] }]);
    let last: Vec<&str> = text.lines().last().into_iter().flat_map(str::split_whitespace).collect();
    assert_eq!(last, ["curl", "0", "0", "0", "0", "1"]);
}
