//! What stands in the source files.

use std::collections::BTreeSet;
use std::path::Path;

use super::scrub::{lines_with, scrub, without_tests};
use super::table::{CELL, CLOCK, FILE_LINES_MAX, Plane, WORDS, plane};
use super::{Finding, WallsError, read as read_text};

/// A source file of the workspace.
pub struct Source {
    /// Path from the root, with `/`.
    pub path: String,
    /// The folder of the package it belongs to, without what comes before.
    pub package: String,
    /// The text.
    pub text: String,
    /// Code of the product: neither a test nor part of a tool.
    pub is_product: bool,
    /// The text without comments, contents of literals and tests.
    code: String,
}

/// Reads every source file.
pub fn read(root: &Path) -> Result<Vec<Source>, WallsError> {
    let mut texts = Vec::new();
    for folder in ["crates", "tests", "benches", "simulation", "xtask"] {
        walk(&root.join(folder), &mut |path| {
            let relative = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
            texts.push((relative, read_text(path)?));
            Ok(())
        })?;
    }
    Ok(sort_out(texts))
}

fn walk(folder: &Path, take: &mut impl FnMut(&Path) -> Result<(), WallsError>) -> Result<(), WallsError> {
    let unreadable = |source| WallsError::Unreadable { path: folder.display().to_string(), source };
    let entries = folder.read_dir().map_err(unreadable)?;
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            walk(&path, take)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            take(&path)?;
        }
    }
    Ok(())
}

/// Tells product code from tests: what a file declares under `#[cfg(test)]` may live in another file.
pub fn sort_out(texts: Vec<(String, String)>) -> Vec<Source> {
    let mut of_tests = BTreeSet::new();
    let mut sources = Vec::new();
    for (path, text) in texts {
        let (code, modules) = without_tests(&scrub(&text));
        let stem = path.strip_suffix(".rs").unwrap_or(&path);
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main")) => folder,
            _ => stem,
        };
        of_tests.extend(modules.iter().map(|module| format!("{folder}/{module}")));
        let package = package_of(&path).to_owned();
        let is_tool = !path.starts_with("crates/") || plane(&package) == Some(Plane::Testkit);
        let is_product = !is_tool && path.contains("/src/");
        sources.push(Source { path, package, text, is_product, code });
    }
    for source in &mut sources {
        let is_under = |module: &String| {
            source.path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        source.is_product &= !of_tests.iter().any(is_under);
    }
    sources
}

fn package_of(path: &str) -> &str {
    let mut parts = path.split('/');
    match parts.next() {
        Some("crates") => parts.next().unwrap_or_default(),
        first => first.unwrap_or_default(),
    }
}

/// Compares the files with the table.
pub fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources {
        if source.path.ends_with("/mod.rs") {
            let text = format!("{}: a module foo lives in foo.rs, its parts in foo/", source.path);
            findings.push(Finding { wall: "files", text });
        }
        findings.extend(words(source));
        if source.is_product && source.path != CLOCK {
            findings.extend(clock(source));
        }
    }
    findings.extend(cells(sources));
    findings
}

fn words(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (word, homes, why) in WORDS {
        // Unsafe code is barred from tests and tools too.
        let is_looked_at = source.is_product || *word == "unsafe";
        if !is_looked_at || homes.contains(&source.package.as_str()) {
            continue;
        }
        for line in lines_with(&source.code, word) {
            let text = format!("{}:{line}: {word} belongs into {}: {why}", source.path, homes.join(", "));
            findings.push(Finding { wall: "words", text });
        }
    }
    findings
}

/// Timers of tokio are no clock: they wait, and tests can stop them.
fn clock(source: &Source) -> Vec<Finding> {
    let has_timers = source.code.lines().any(|l| l.contains("tokio::time::") && !lines_with(l, "Instant").is_empty());
    let words: &[&str] = if has_timers { &["SystemTime::now"] } else { &["Instant::now", "SystemTime::now"] };
    let found = words.iter().flat_map(|word| lines_with(&source.code, word).into_iter().map(move |line| (line, word)));
    let text =
        |line, word| format!("{}:{line}: {word}: take the time as an argument or from a Clock ({CLOCK})", source.path);
    found.map(|(line, word)| Finding { wall: "clock", text: text(line, word) }).collect()
}

fn cells(sources: &[Source]) -> Vec<Finding> {
    const MAKERS: [&str; 3] = ["ArcSwap::", "ArcSwapOption::", "ArcSwapAny::"];
    let mut places = Vec::new();
    for source in sources.iter().filter(|s| s.is_product) {
        let lines = MAKERS.iter().flat_map(|maker| lines_with(&source.code, maker));
        places.extend(lines.map(|line| (source.path.as_str(), line)));
    }
    match places.as_slice() {
        [(CELL, _)] => Vec::new(),
        _ => {
            let found: Vec<String> = places.iter().map(|(path, line)| format!("{path}:{line}")).collect();
            let text = format!("one ArcSwap is made, in {CELL}; found: {}", found.join(", "));
            vec![Finding { wall: "cell", text }]
        }
    }
}

/// Files longer than one thing needs. Reported, not refused.
pub fn long_files(sources: &[Source]) -> Vec<String> {
    let long = sources.iter().map(|s| (s, s.text.lines().count())).filter(|(_, n)| *n > FILE_LINES_MAX);
    long.map(|(source, n_lines)| format!("{} has {n_lines} lines, more than {FILE_LINES_MAX}", source.path)).collect()
}

/// Whether a package has a test of this name.
pub fn has_test(sources: &[Source], package: &str, test: &str) -> bool {
    let head = format!("fn {test}(");
    sources.iter().any(|s| s.package == package && s.text.contains(&head))
}

#[cfg(test)]
mod tests;
