#![allow(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::symlink;

use super::*;

fn names(samples: &[Sample]) -> Vec<String> {
    samples.iter().map(|s| s.path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn files_are_chosen_by_rule() {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    };
    for number in 0..9 {
        write(&format!("many/{number}.txt"), "some ordinary text");
    }
    write("b/a.py", "import this");
    write("b/tiny", "x");
    write("target/built.rs", "fn main() {}");
    let secret = write("b/secret.key", "do not look here");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&secret, root.path().join("b/link.md")).unwrap();
    let samples = Walk::below(root.path());
    assert_eq!(names(&samples), ["a.py", "0.txt", "1.txt", "2.txt", "3.txt"]);
    assert_eq!(names(&samples), names(&Walk::below(root.path())), "the same files again");
    assert_eq!(samples[0].first_byte, b'i');
}

#[test]
fn endings_are_capped() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..20 {
        let folder = root.path().join(format!("{number:02}"));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("file.TXT");
        fs::write(&path, "some ordinary text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    assert_eq!(Walk::below(root.path()).len(), FILES_PER_ENDING);
}

#[test]
fn the_request_is_what_the_model_takes() {
    let mut values = vec![256; WIDTH];
    values[0] = 35;
    let parsed: serde_json::Value = serde_json::from_slice(&body(&values)).unwrap();
    let input = &parsed["inputs"][0];
    assert_eq!(input["shape"], json!([1, 2048]));
    assert_eq!(input["data"].as_array().unwrap().len(), WIDTH);
    assert_eq!((&input["name"], &input["datatype"], &input["data"][0]), (&json!("bytes"), &json!("INT32"), &json!(35)));
}
