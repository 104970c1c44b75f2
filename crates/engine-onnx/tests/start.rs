//! Starting: what is wrong with a library is said, nothing hangs, and a second try with a good one works.
//!
//! A binary of its own, because the runtime starts once per process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use engine_onnx::{OnnxEngine, Options, RUNTIME_VERSION, RuntimeError};

#[test]
fn a_bad_library_is_an_error_and_a_good_one_starts_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = |library: Option<&str>| {
        let library = library.map(|name| folder.path().join(name));
        OnnxEngine::start(&Options { library, ..Options::default() })
    };
    std::fs::write(folder.path().join("text.so"), "not a library").unwrap();
    for _ in 0..2 {
        assert!(matches!(start(Some("missing.so")), Err(RuntimeError::Unreadable { .. })));
        assert!(matches!(start(Some("text.so")), Err(RuntimeError::Corrupt { .. })));
    }
    let engine = start(None).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(engine.runtime_version(), RUNTIME_VERSION);
    assert!(engine.library().path.is_absolute());
    assert!(matches!(start(None), Err(RuntimeError::AlreadyStarted)));
}
