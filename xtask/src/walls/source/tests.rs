use super::*;

const CELL_CODE: &str = "Self(ArcSwap::from_pointee(snapshot))";

/// Findings about files given as path and text; the one cell is there unless a file replaces it.
fn check_files(files: &[(&str, &str)]) -> Vec<Finding> {
    let mut texts: Vec<(String, String)> = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
    if !files.iter().any(|(path, _)| *path == CELL) {
        texts.push((CELL.to_owned(), CELL_CODE.to_owned()));
    }
    check(&sort_out(texts))
}

#[track_caller]
fn check_found(path: &str, text: &str, wall: &str) {
    let found = check_files(&[(path, text)]);
    assert!(found.len() == 1 && found[0].wall == wall, "{path}: {found:?}");
}

#[track_caller]
fn check_fine(path: &str, text: &str) {
    assert_eq!(check_files(&[(path, text)]), [], "{path}");
}

#[test]
fn unsafe_code_has_one_home() {
    check_found("crates/data-path/src/infer.rs", "unsafe { f() }", "words");
    check_found("crates/data-path/src/tests.rs", "unsafe { f() }", "words");
    check_found("xtask/src/main.rs", "unsafe { f() }", "words");
    check_fine("crates/engine-onnx/src/raw.rs", "unsafe { f() }");
    check_fine("crates/data-path/src/infer.rs", "// unsafe\n\"unsafe\"");
}

#[test]
fn the_clock_is_read_in_one_file() {
    check_found("crates/control-loop/src/turn.rs", "let now = Instant::now();", "clock");
    check_found("crates/data-http/src/a.rs", "let now = SystemTime::now();", "clock");
    check_fine(CLOCK, "Instant::now()");
    check_fine("crates/data-http/src/a.rs", "use tokio::time::{Instant, sleep};\nInstant::now()");
    check_found("crates/data-http/src/a.rs", "use tokio::time::{Instant, sleep};\nSystemTime::now()", "clock");
    check_fine("benches/src/open.rs", "Instant::now()");
    check_fine("crates/data-path/tests/all.rs", "Instant::now()");
}

#[test]
fn tests_are_told_from_product_code() {
    let now = "Instant::now()";
    let files = |declared: &'static str, path: &'static str| {
        check_files(&[("crates/data-path/src/lib.rs", declared), (path, now)])
    };
    assert_eq!(files("#[cfg(test)]\nmod tests;", "crates/data-path/src/tests.rs"), []);
    assert_eq!(files("#[cfg(test)]\nmod tests;", "crates/data-path/src/tests/world.rs"), []);
    assert_eq!(files("#[cfg(test)]\nmod samples;", "crates/data-path/src/samples.rs"), []);
    assert_eq!(files("mod tests;", "crates/data-path/src/tests.rs").len(), 1);
    assert_eq!(files("#[cfg(test)]\nmod tests;", "crates/data-path/src/tests_of_time.rs").len(), 1);
    let nested =
        [("crates/data-path/src/infer.rs", "#[cfg(test)]\nmod tests;"), ("crates/data-path/src/infer/tests.rs", now)];
    assert_eq!(check_files(&nested), []);
    check_fine("crates/data-path/src/infer.rs", "#[cfg(test)]\nmod tests { fn a() { Instant::now() } }");
}

#[test]
fn there_is_one_cell() {
    check_found("crates/control-loop/src/turn.rs", "ArcSwap::new(x)", "cell");
    check_found("crates/control-loop/src/turn.rs", "ArcSwapOption::empty()", "cell");
    check_found(CELL, "no more", "cell");
    check_found("crates/data-http/src/edge.rs", "fn f(cell: &SnapshotCell)", "words");
}

#[test]
fn modules_have_no_mod_rs() {
    check_found("crates/base-types/src/name/mod.rs", "", "files");
}

#[test]
fn long_files_are_reported() {
    let text = "x\n".repeat(FILE_LINES_MAX + 1);
    let sources = sort_out(vec![("xtask/src/a.rs".to_owned(), text), ("xtask/src/b.rs".to_owned(), "x\n".to_owned())]);
    assert_eq!(long_files(&sources), ["xtask/src/a.rs has 401 lines, more than 400"]);
}
