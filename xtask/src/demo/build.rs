//! Builds the program that is shown.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{DemoError, io_at};

/// The program's name.
const PROGRAM: &str = "switchrail";

/// Builds a release of the checkout; where the program is, as cargo says.
pub fn release(root: &Path) -> Result<PathBuf, DemoError> {
    eprintln!("building switchrail (release)");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--release", "--package", PROGRAM, "--message-format", "json-render-diagnostics"]);
    command.current_dir(root).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(io_at(Path::new(&cargo)))?;
    if !output.status.success() {
        return Err(DemoError::Build);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().filter_map(executable).next_back().ok_or(DemoError::Build)
}

/// The program that a message of cargo says was built.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_program = message["target"]["name"] == PROGRAM;
    message["executable"].as_str().filter(|_| is_program).map(PathBuf::from)
}

#[cfg(test)]
mod tests;
