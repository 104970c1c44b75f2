#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;

use super::*;

fn line(unix_ms: u64, model: &str, version: u64) -> String {
    format!(
        "{{\"unix_ms\":{unix_ms},\"model\":\"{model}\",\"version\":{version},\"class\":\"ok\",\"reason\":\"split\",\
         \"seconds\":0.002,\"key\":\"00000000000000ff\",\"share\":0.1,\"rerun\":null}}\n"
    )
}

/// Files with these contents.
fn files(folder: &Path, contents: &[&str]) -> Vec<PathBuf> {
    let write = |(at, content): (usize, &&str)| {
        let path = folder.join(format!("{at}.jsonl"));
        fs::write(&path, content).unwrap();
        path
    };
    contents.iter().enumerate().map(write).collect()
}

fn problem(content: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), &[content]);
    let problem = Outcomes::open(&files, None).and_then(|outcomes| {
        let n = outcomes.iter().count();
        outcomes.check().map(|()| n)
    });
    problem.unwrap_err().to_string()
}

#[test]
fn files_are_read_in_the_order_of_their_moments() {
    let folder = tempfile::tempdir().unwrap();
    let later = [line(30, "m", 2), line(40, "m", 2)].concat();
    let earlier = [line(10, "m", 1), "\n".to_owned(), line(20, "m", 2)].concat();
    let files = files(folder.path(), &[&later, "", &earlier]);
    let outcomes = Outcomes::open(&files, None).unwrap();
    for _ in 0..2 {
        let read: Vec<_> = outcomes.iter().map(|r| (r.unix_ms, r.version.get())).collect();
        assert_eq!(read, [(10, 1), (20, 2), (30, 2), (40, 2)], "and again from the beginning");
    }
    outcomes.check().unwrap();
    assert_eq!(outcomes.model().as_str(), "m");
    let first = outcomes.iter().next().unwrap();
    assert_eq!((first.key, first.class, first.reason), (Some(255), OutcomeClass::Ok, Reason::Split));
    assert_eq!((first.latency_seconds, first.share, first.rerun), (0.002, 0.1, Rerun::NotAsked));
}

#[test]
fn of_several_models_one_has_to_be_chosen() {
    let both = [line(10, "a", 1), line(20, "b", 1), line(30, "a", 2)].concat();
    let text = problem(&both);
    assert!(text.contains("0.jsonl:2:") && text.contains("--model"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), &[&both]);
    let outcomes = Outcomes::open(&files, Some(&ModelName::new("a").unwrap())).unwrap();
    assert_eq!(outcomes.iter().count(), 2);
    outcomes.check().unwrap();
}

#[test]
fn the_first_bad_line_is_named() {
    let check = |bad: &str, part: &str| {
        let text = problem(&[line(10, "m", 1).as_str(), bad, "\n", &line(20, "m", 1)].concat());
        assert!(text.contains("0.jsonl:2: ") && text.contains(part), "{text}");
    };
    check("{", "EOF");
    check("{\"unix_ms\":1}", "missing field `model`");
    check(line(1, "m", 0).trim(), "version must be above 0");
    check(line(1, "m", 1).trim().replace("\"ok\"", "\"okay\"").as_str(), "unknown class \"okay\"");
    check(line(1, "m", 1).trim().replace("split", "splat").as_str(), "unknown reason \"splat\"");
    check(line(1, "m", 1).trim().replace("00ff", "00fg").as_str(), "key must be hexadecimal");
    check(line(1, "m", 1).trim().replace("0.1", "1.1").as_str(), "share must be");
    check(line(1, "m", 1).trim().replace("0.002", "-0.002").as_str(), "seconds must be");
    check(line(1, "m", 1).trim().replace("\"rerun\":null", "\"rerun\":\"?\"").as_str(), "rerun must be");
    check(&"x".repeat(70_000), "more than 65536 bytes");
}

#[test]
fn nothing_recorded_is_no_replay() {
    assert!(problem("").contains("there is no outcome in it"));
    assert!(problem("\n\n").contains("[record] outcomes = true"));
    let missing = Outcomes::open(&[PathBuf::from("nowhere.jsonl")], None);
    assert!(missing.err().unwrap().to_string().contains("nowhere.jsonl"));
}

#[test]
fn a_line_that_is_still_being_written_is_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let content = [line(10, "m", 1).as_str(), &line(20, "m", 1)[..40]].concat();
    let files = files(folder.path(), &[&content]);
    let outcomes = Outcomes::open(&files, None).unwrap();
    assert_eq!(outcomes.iter().count(), 1);
    outcomes.check().unwrap();
}
