#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::*;

fn call(name: &str, outcome: Outcome) -> Call {
    Call { name: name.to_owned(), shows: "It works.".to_owned(), outcome }
}

fn session(client: &str, calls: Vec<Call>) -> Session {
    Session { client: client.to_owned(), packages: "package 1.0".to_owned(), calls }
}

fn known() -> Known {
    Known(vec![("curl".to_owned(), "infer".to_owned(), "the reason".to_owned())])
}

#[test]
fn a_known_failure_fails_nobody_and_another_one_does() {
    let failed = || Outcome::Failed("broken".to_owned());
    let mut found = session("curl", vec![call("infer", failed()), call("health", failed())]);
    known().apply(&mut found);
    assert_eq!(found.calls[0].outcome, Outcome::Known("the reason".to_owned()));
    assert_eq!(found.n_failed(), 1);
}

#[test]
fn a_difference_that_is_gone_must_leave_the_list() {
    let mut found = session("curl", vec![call("infer", Outcome::Passed)]);
    known().apply(&mut found);
    assert_eq!(found.n_failed(), 1);
}

#[test]
fn a_client_that_did_nothing_has_failed() {
    assert_eq!(session("curl", Vec::new()).n_failed(), 1);
}

#[test]
fn results_survive_their_file() {
    let outcomes = [Outcome::Passed, Outcome::Absent("a".to_owned()), Outcome::Known("k".to_owned())];
    let calls = outcomes.into_iter().map(|outcome| call("infer", outcome)).collect();
    let record = Record { sessions: vec![session("curl", calls)] };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("results.json");
    assert!(Record::read(&path).unwrap().sessions.is_empty());
    fs::write(&path, record.to_json()).unwrap();
    assert_eq!(Record::read(&path).unwrap().sessions, record.sessions);
}

#[test]
fn a_machine_that_cannot_run_a_client_does_not_forget_what_another_saw() {
    let other = || call("other", Outcome::Absent("never".to_owned()));
    let seen = session("curl", vec![call("infer", Outcome::Passed), call("other", Outcome::Passed)]);
    let skipped = session("curl", vec![call("infer", Outcome::Skipped("no curl".to_owned())), other()]);
    let mut record = Record { sessions: vec![seen.clone()] };
    record.merge(vec![skipped.clone()]);
    assert_eq!(record.sessions, [session("curl", vec![call("infer", Outcome::Passed), other()])]);
    let mut empty = Record::default();
    empty.merge(vec![skipped.clone()]);
    assert_eq!(empty.sessions, [skipped]);
}

#[test]
fn sessions_keep_the_order_of_the_clients_and_differences_are_named() {
    let mut record = Record::default();
    record.merge(vec![session("curl", vec![call("infer", Outcome::Passed)])]);
    let before = record.clone();
    record.merge(vec![session("triton_http", vec![call("infer", Outcome::Passed)])]);
    let names: Vec<&str> = record.sessions.iter().map(|session| session.client.as_str()).collect();
    assert_eq!(names, ["triton_http", "curl"]);
    assert_eq!(before.differences(&record), ["triton_http"]);
    record.merge(vec![session("curl", vec![call("infer", Outcome::Absent("gone".to_owned()))])]);
    assert_eq!(before.differences(&record), ["triton_http", "curl"]);
}
