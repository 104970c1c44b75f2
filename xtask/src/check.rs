//! `cargo xtask check`: everything that is looked at without running a test.

use std::path::Path;
use std::process::Command;

use thiserror::Error;

use crate::{docs, walls};

/// Why the checks did not pass.
#[derive(Debug, Error)]
#[error("not passed: {}", .0.join(", "))]
pub struct CheckError(Vec<&'static str>);

/// Runs all checks, also after one has failed, so that one run shows everything.
pub fn run(root: &Path) -> Result<(), CheckError> {
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    let checks: [(&'static str, &dyn Fn() -> bool); 4] = [
        ("format", &|| cargo(root, &["fmt", "--all", "--check"])),
        ("clippy", &|| cargo(root, &clippy)),
        ("walls", &|| told(walls::run(root))),
        ("docs", &|| told(docs::run(root, true))),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        println!("== {name}");
        if !check() {
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(CheckError(failed)) }
}

fn cargo(root: &Path, arguments: &[&str]) -> bool {
    match Command::new("cargo").args(arguments).current_dir(root).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("error: cargo {} cannot be run: {error}", arguments.join(" "));
            false
        }
    }
}

fn told<E: std::error::Error>(result: Result<(), E>) -> bool {
    if let Err(error) = &result {
        crate::report(error);
    }
    result.is_ok()
}
