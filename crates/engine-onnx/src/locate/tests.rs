#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use super::*;

/// Puts an empty file at the path.
fn touch(path: &Path) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, b"").unwrap();
    path.to_path_buf()
}

#[test]
fn the_order_is_configuration_variable_executable_checkout() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let executable = root.join("target/debug/deps/test");
    let check = |configured: Option<&Path>, variable: Option<&Path>| choose(configured, variable, &executable);

    let error = check(None, None).unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound { .. }));
    assert!(error.to_string().contains("cargo xtask setup"), "{error}");
    assert!(error.to_string().contains(LIBRARY_VARIABLE), "{error}");

    let fetched = touch(&root.join(".switchrail/runtime").join(RUNTIME_VERSION).join(FILE_NAMES[0]));
    assert!(check(None, None).is_err(), "a hidden folder outside a checkout is not trusted");
    touch(&root.join("Cargo.toml"));
    fs::create_dir(root.join("xtask")).unwrap();
    assert_eq!(check(None, None).unwrap(), fetched);

    fs::create_dir_all(executable.parent().unwrap()).unwrap();
    touch(&root.join("target/debug/lib").join(FILE_NAMES[1]));
    assert_eq!(check(None, None).unwrap(), executable.parent().unwrap().join("../lib").join(FILE_NAMES[1]));
    let beside = touch(&executable.with_file_name(FILE_NAMES[0]));
    assert_eq!(check(None, None).unwrap(), beside);

    let variable = touch(&root.join("variable.so"));
    assert_eq!(check(None, Some(&variable)).unwrap(), variable);
    let configured = touch(&root.join("configured.so"));
    assert_eq!(check(Some(&configured), Some(&variable)).unwrap(), configured);
}

#[test]
fn a_named_library_that_is_missing_is_not_replaced_by_another() {
    let folder = tempfile::tempdir().unwrap();
    let executable = folder.path().join("switchrail");
    touch(&folder.path().join(FILE_NAMES[0]));
    let missing = folder.path().join("missing.so");
    for (configured, variable, origin) in
        [(Some(missing.as_path()), None, "the configuration"), (None, Some(missing.as_path()), LIBRARY_VARIABLE)]
    {
        let error = choose(configured, variable, &executable).unwrap_err().to_string();
        assert!(error.contains("missing.so") && error.contains(origin), "{error}");
    }
}
