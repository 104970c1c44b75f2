#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use super::*;

fn digest(n: u8) -> Digest {
    Digest::new([n; 32])
}

fn file(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("switchrail-marks-{}-{name}", std::process::id()));
    // Left by an earlier run of the same process id, if at all.
    let _absent = std::fs::remove_file(&path);
    path
}

#[test]
fn what_was_in_flight_is_found_by_the_next_process() {
    let path = file("next");
    let (marks, left) = InFlightMarks::open(&path).unwrap();
    assert!(left.is_empty());
    let (one, two) = (marks.claim(digest(1)).unwrap(), marks.claim(digest(2)).unwrap());
    (0..3).for_each(|_| one.begin());
    one.end();
    two.begin();
    two.end();
    // A process that dies drops nothing.
    std::mem::forget((marks, one, two));
    let (marks, left) = InFlightMarks::open(&path).unwrap();
    assert_eq!(left, [(digest(1), 2)]);
    let (_unread, again) = InFlightMarks::open(&path).unwrap();
    assert_eq!(again, left, "kept until they are noted");
    marks.reset();
    let (_marks, left) = InFlightMarks::open(&path).unwrap();
    assert!(left.is_empty(), "told once");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn slots_are_used_again_and_are_bounded() {
    let path = file("bounded");
    let (marks, _) = InFlightMarks::open(&path).unwrap();
    for round in 0..3 {
        let held: Vec<_> = (0..SLOTS).map(|n| marks.claim(digest((n % 250) as u8 + 1))).collect();
        assert!(held.iter().all(Option::is_some), "round {round}");
        assert!(marks.claim(digest(9)).is_none());
    }
    std::fs::remove_file(path).unwrap();
}
