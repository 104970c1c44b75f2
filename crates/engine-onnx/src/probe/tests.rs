#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use super::*;
use crate::locate;

/// The real library; without it the test fails, and the message names the remedy.
fn library() -> PathBuf {
    locate(None).unwrap_or_else(|e| panic!("{e}"))
}

fn refusal(path: &Path) -> String {
    let error = probe(path, false).unwrap_err();
    assert!(error.to_string().contains("cargo xtask setup"), "{error}");
    error.to_string()
}

/// Compiles a library that says it is ONNX Runtime of this version.
fn pretender(folder: &Path, version: &str) -> PathBuf {
    let text = format!(
        "static const char *version(void) {{ return \"{version}\"; }}\n\
         static const void *api(unsigned v) {{ (void)v; return 0; }}\n\
         static const struct {{ const void *(*a)(unsigned); const char *(*v)(void); }} base = {{ api, version }};\n\
         const void *OrtGetApiBase(void) {{ return &base; }}\n"
    );
    compile(folder, &format!("libonnxruntime.so.{version}"), &text)
}

fn compile(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (source, path) = (folder.join("source.c"), folder.join(name));
    fs::write(&source, text).unwrap();
    let status = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&path).arg(&source).status().unwrap();
    assert!(status.success(), "the C compiler failed");
    path
}

#[test]
fn the_pinned_library_passes() {
    let found = probe(&library(), false).unwrap();
    assert_eq!(found.version, crate::RUNTIME_VERSION);
}

#[test]
fn an_old_library_is_refused_unless_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let old = pretender(folder.path(), "1.30.2");
    let message = refusal(&old);
    assert!(
        message.contains("1.30.2") && message.contains("1.31") && message.contains("allow_old_runtime"),
        "{message}"
    );
    assert_eq!(probe(&old, true).unwrap().version, "1.30.2");
    let ancient = pretender(folder.path(), "1.20.1");
    assert!(!refusal(&ancient).contains("allow_old_runtime"), "no option makes it work");
    assert!(matches!(probe(&ancient, true), Err(RuntimeError::TooOld { is_waivable: false, .. })));
    assert!(refusal(&pretender(folder.path(), "banana")).contains("banana"));
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    assert!(refusal(&write("empty", b"")).contains("too short"));
    assert!(refusal(&write("text", &[b'x'; 5000])).contains("not an ELF file"));
    assert!(refusal(&folder.path().join("missing")).contains("cannot be read"));
    assert!(refusal(folder.path()).contains("not a file"));
    assert!(refusal(&compile(folder.path(), "other.so", "int other(void) { return 1; }")).contains("OrtGetApiBase"));
    let null = "const void *OrtGetApiBase(void) { return 0; }";
    assert!(refusal(&compile(folder.path(), "null.so", null)).contains("gives nothing"));
}

#[test]
fn a_damaged_library_is_refused_wherever_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(library()).unwrap();
    let path = folder.path().join("cut.so");
    for part in [63, 64, 200, 1000, 4096, 100_000, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(&path, &whole[..part]).unwrap();
        refusal(&path);
    }
    // As a copy that reserved its space and was interrupted.
    let mut hollow = whole.clone();
    hollow[4096..].fill(0);
    fs::write(&path, &hollow).unwrap();
    refusal(&path);
    let mut foreign = whole;
    foreign[18..20].copy_from_slice(&2u16.to_le_bytes());
    fs::write(&path, &foreign[..8192]).unwrap();
    assert!(refusal(&path).contains("kind of machine"));
}
