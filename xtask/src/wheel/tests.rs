#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const WHEEL: Wheel = Wheel {
    package: "sample",
    version: "1.0",
    sha256: "00",
    implementation: "py",
    abi: "none",
    platforms: &["any"],
    otherwise: ", or do without",
};

/// SHA-256 of `abc`.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

const MEMBERS: [Member<'static>; 2] = [
    Member { path: "sample/model.bin", name: "model.bin", sha256: Some(ABC) },
    Member { path: "sample/README", name: "README", sha256: None },
];

#[test]
fn a_folder_is_complete_with_the_pinned_content_only() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    assert!(!is_complete(folder.path(), &MEMBERS));
    write("model.bin", "abc");
    assert!(!is_complete(folder.path(), &MEMBERS), "the second file is missing");
    write("README", "read me");
    assert!(is_complete(folder.path(), &MEMBERS));
    assert!(ensure(&WHEEL, &MEMBERS, folder.path()).is_ok(), "nothing is fetched");
    write("model.bin", "abd");
    assert!(!is_complete(folder.path(), &MEMBERS), "other content");
}

#[test]
fn an_incomplete_folder_is_replaced_as_a_whole() {
    let parent = tempfile::tempdir().unwrap();
    let destination = parent.path().join("1.0");
    fs::create_dir(&destination).unwrap();
    fs::write(destination.join("model.bin"), "damaged").unwrap();
    let work = WorkFolder::new(parent.path()).unwrap();
    let unpacked = work.folder("unpacked").unwrap();
    fs::write(unpacked.join("model.bin"), "abc").unwrap();
    fs::write(unpacked.join("README"), "read me").unwrap();
    publish(&work, &unpacked, &destination, &MEMBERS).unwrap();
    drop(work);
    assert!(is_complete(&destination, &MEMBERS));
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn errors_name_the_remedy() {
    let error =
        WheelError::Download { package: "sample", version: "1.0", otherwise: WHEEL.otherwise, log: "why".into() };
    let text = error.to_string();
    assert!(text.contains("sample 1.0") && text.contains("or do without") && text.contains("why"), "{text}");
}
