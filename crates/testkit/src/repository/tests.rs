#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

#[test]
fn versions_appear_change_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::new(folder.path().join("models")).unwrap();
    repository.publish("m", 1, b"one").unwrap();
    assert_eq!(fs::read(repository.root().join("m/1/model.onnx")).unwrap(), b"one");
    repository.publish_files("m", 1, &[("model.onnx", b"two"), ("model.data", b"data")]).unwrap();
    assert_eq!(fs::read(repository.model_file("m", 1)).unwrap(), b"two");
    assert_eq!(fs::read(repository.version_folder("m", 1).join("model.data")).unwrap(), b"data");
    repository.half_copy("m", 2, b"three", 2).unwrap();
    assert_eq!(fs::read(repository.model_file("m", 2)).unwrap(), b"th");
    repository.finish_copy("m", 2, b"three").unwrap();
    assert_eq!(fs::read(repository.model_file("m", 2)).unwrap(), b"three");
    repository.config("m", "name: \"m\"").unwrap();
    repository.remove("m", 1).unwrap();
    assert!(!repository.version_folder("m", 1).exists());
    let beside: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(beside, ["models"], "nothing is left beside the repository");
}
