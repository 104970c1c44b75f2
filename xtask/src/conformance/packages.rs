//! Python environments with pinned packages, in the ignored folder. pip does the downloading, so that mirrors and
//! proxies configured for pip apply; every file it may install is pinned by its hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use super::clients::Client;
use super::{ConformanceError, FOLDER, io_at, tail};

/// Lines of a failed command that are shown.
const LINES_MAX: usize = 8;

/// The file that says which packages an environment was made for, written last.
const MARK: &str = "made-for";

/// The Python of a client's environment.
pub fn python(place: &Path, client: &Client) -> PathBuf {
    environment(place, client).join("bin").join("python")
}

/// Makes sure that a client's environment is there with exactly its packages.
pub fn ensure(root: &Path, place: &Path, python: &Path, client: &Client) -> Result<(), ConformanceError> {
    let folder = environment(place, client);
    let requirements = root.join(FOLDER).join("requirements").join(format!("{}.txt", client.requirements));
    let wanted = mark(&requirements, python)?;
    // An environment without its mark was not finished, or somebody else's.
    if fs::read_to_string(folder.join(MARK)).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    eprintln!("installing the packages of {} with pip", client.requirements);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(io_at(&folder))?;
    }
    let mut make = Command::new(python);
    make.args(["-m", "venv"]).arg(&folder);
    let unusable = |log| ConformanceError::Python { python: python.to_path_buf(), log };
    finish(&mut make).map_err(unusable)?;
    let mut install = Command::new(folder.join("bin").join("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    install.args(["--require-hashes", "--only-binary=:all:", "--requirement"]).arg(&requirements);
    finish(&mut install).map_err(|log| ConformanceError::Packages { requirements, log })?;
    let mark = folder.join(MARK);
    fs::write(&mark, wanted).map_err(io_at(&mark))
}

fn environment(place: &Path, client: &Client) -> PathBuf {
    place.join(client.requirements)
}

/// What an environment is made for: a list of packages and a Python.
fn mark(requirements: &Path, python: &Path) -> Result<String, ConformanceError> {
    let list = fs::read(requirements).map_err(io_at(requirements))?;
    let digest: String = Sha256::digest(list).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut ask = Command::new(python);
    ask.args(["-c", "import sys; print(sys.version, sys.base_prefix)"]);
    let version = finish(&mut ask).map_err(|log| ConformanceError::Python { python: python.to_path_buf(), log })?;
    Ok(format!("{digest} {}", String::from_utf8_lossy(&version.stdout)))
}

/// Runs a command to its end; the last lines it wrote when it fails.
fn finish(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("    {error}"))?;
    let text = || [&output.stdout[..], &output.stderr[..]].concat();
    if output.status.success() { Ok(output) } else { Err(tail(&String::from_utf8_lossy(&text()), LINES_MAX)) }
}
