#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::conformance::FOLDER;

#[test]
fn every_client_has_a_driver_and_packages_of_its_own_name() {
    let folder = crate::repository_root().join(FOLDER);
    for client in CLIENTS {
        assert!(folder.join("drivers").join(format!("{}.py", client.name)).is_file(), "{client:?}");
        assert!(folder.join("requirements").join(format!("{}.txt", client.requirements)).is_file(), "{client:?}");
    }
    let names: BTreeSet<&str> = CLIENTS.iter().map(|client| client.name).collect();
    assert_eq!(names.len(), CLIENTS.len());
}

#[test]
fn every_package_is_pinned_by_version_and_hash() {
    let folder = crate::repository_root().join(FOLDER).join("requirements");
    for client in CLIENTS {
        let list = fs::read_to_string(folder.join(format!("{}.txt", client.requirements))).unwrap();
        // A package stands at the start of a line; its hashes and where it comes from are indented below.
        let is_package = |line: &str| line.starts_with(|c: char| c.is_ascii_alphanumeric());
        let lines: Vec<&str> = list.lines().collect();
        assert!(lines.iter().any(|line| is_package(line)), "{client:?}");
        for (index, line) in lines.iter().enumerate().filter(|(_, line)| is_package(line)) {
            let next = lines.get(index + 1).unwrap();
            assert!(line.contains("==") && next.contains("--hash=sha256:"), "{}: {line}", client.requirements);
        }
    }
}
