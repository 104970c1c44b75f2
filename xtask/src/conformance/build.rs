//! Builds the program under test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{ConformanceError, io_at};

/// The program's name.
const PROGRAM: &str = "switchrail";

/// Builds the program of the checkout; where it is, as cargo says.
pub fn program(root: &Path, is_release: bool) -> Result<PathBuf, ConformanceError> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--package", PROGRAM, "--message-format", "json-render-diagnostics"]);
    command.args(is_release.then_some("--release"));
    command.current_dir(root).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(io_at(Path::new(&cargo)))?;
    if !output.status.success() {
        return Err(ConformanceError::Build);
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().filter_map(executable).next_back().ok_or(ConformanceError::Build)
}

/// The program that a message of cargo says was built.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_program = message["target"]["name"] == PROGRAM;
    message["executable"].as_str().filter(|_| is_program).map(PathBuf::from)
}
