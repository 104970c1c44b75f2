//! Fetches files out of a Python wheel, pinned by version and hash, into an ignored folder.
//!
//! pip does the downloading, so that mirrors, proxies and offline indexes configured for pip apply here as well. A
//! file may be pinned by a hash of its own too: what is in the folder is then either exactly that file or is
//! replaced. Everything is put together in a temporary folder beside its destination and appears there by one
//! rename.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Unpacks members: `wheel-folder destination (member name)*`.
const UNPACK: &str = r#"
import glob, os, sys, zipfile
wheels, destination, *members = sys.argv[1:]
with zipfile.ZipFile(glob.glob(os.path.join(wheels, "*.whl"))[0]) as wheel:
    for member, name in zip(members[::2], members[1::2]):
        with open(os.path.join(destination, name), "wb") as out:
            out.write(wheel.read(member))
"#;

/// Lines of a failed command that are shown.
const LINES_MAX: usize = 8;

/// A wheel, pinned. The tags keep pip from choosing by the Python it happens to run on.
#[derive(Debug)]
pub struct Wheel {
    /// The package.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The wheel's SHA-256.
    pub sha256: &'static str,
    /// pip's implementation tag.
    pub implementation: &'static str,
    /// pip's ABI tag.
    pub abi: &'static str,
    /// pip's platform tags, the preferred one first.
    pub platforms: &'static [&'static str],
    /// What else helps where the wheel cannot be had; appended to the errors that say so.
    pub otherwise: &'static str,
}

/// A file in a wheel.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its path in the wheel.
    pub path: &'a str,
    /// Its name in the destination folder.
    pub name: &'a str,
    /// Its own SHA-256, for files whose content must be exactly this at every later start.
    pub sha256: Option<&'a str>,
}

/// Why a wheel's files are not there.
#[derive(Debug, Error)]
pub enum WheelError {
    /// Python is not there.
    #[error("could not start python3: install Python 3 with pip{otherwise}")]
    Python {
        /// What else helps.
        otherwise: &'static str,
        /// Why it did not start.
        source: io::Error,
    },
    /// pip is not there.
    #[error("python3 has no pip: install it (python3-pip on Debian and Ubuntu, or `python3 -m ensurepip`)")]
    Pip,
    /// pip could not get the wheel.
    #[error(
        "pip could not download {package} {version}: check the network, the proxy and pip's index settings{otherwise}\n{log}"
    )]
    Download {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// What else helps.
        otherwise: &'static str,
        /// The last lines pip wrote.
        log: String,
    },
    /// The wheel could not be unpacked.
    #[error("could not unpack the wheel of {package} {version}\n{log}")]
    Unpack {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// The last lines Python wrote.
        log: String,
    },
    /// An unpacked file is not the pinned one.
    #[error("{name} in the wheel has SHA-256 {actual}, {expected} is pinned")]
    Hash {
        /// The file.
        name: String,
        /// As pinned.
        expected: String,
        /// As found.
        actual: String,
    },
    /// A file or folder could not be read or written.
    #[error("could not use {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes sure that the members are in the destination folder, alone or with what else was put there.
pub fn ensure(wheel: &Wheel, members: &[Member<'_>], destination: &Path) -> Result<(), WheelError> {
    if is_complete(destination, members) {
        return Ok(());
    }
    eprintln!("fetching {} {} ({}) with pip", wheel.package, wheel.version, wheel.platforms[0]);
    let work = WorkFolder::new(destination.parent().unwrap_or(destination))?;
    let wheels = work.folder("wheels")?;
    let unpacked = work.folder("unpacked")?;
    download(wheel, &wheels)?;
    unpack(wheel, members, &wheels, &unpacked)?;
    for member in members {
        let actual = sha256(&unpacked.join(member.name))?;
        if let Some(expected) = member.sha256.filter(|expected| *expected != actual) {
            return Err(WheelError::Hash { name: member.name.to_owned(), expected: expected.to_owned(), actual });
        }
    }
    publish(&work, &unpacked, destination, members)
}

fn is_complete(folder: &Path, members: &[Member<'_>]) -> bool {
    members.iter().all(|member| {
        let path = folder.join(member.name);
        match member.sha256 {
            None => path.is_file(),
            Some(expected) => sha256(&path).is_ok_and(|actual| actual == expected),
        }
    })
}

fn download(wheel: &Wheel, wheels: &Path) -> Result<(), WheelError> {
    let &Wheel { package, version, otherwise, .. } = wheel;
    let requirements = wheels.join("requirements.txt");
    let text = format!("{package}=={version} --hash=sha256:{}\n", wheel.sha256);
    fs::write(&requirements, text).map_err(io_at(&requirements))?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]);
    command.args(["--no-deps", "--only-binary=:all:", "--require-hashes", "--python-version", "3.12"]);
    command.args(["--implementation", wheel.implementation, "--abi", wheel.abi]);
    for platform in wheel.platforms {
        command.args(["--platform", platform]);
    }
    command.arg("--dest").arg(wheels).arg("--requirement").arg(&requirements);
    let output = command.output().map_err(|source| WheelError::Python { otherwise, source })?;
    if output.status.success() {
        return Ok(());
    }
    let log = tail(&output);
    let is_without_pip = log.contains("No module named pip");
    Err(if is_without_pip { WheelError::Pip } else { WheelError::Download { package, version, otherwise, log } })
}

fn unpack(wheel: &Wheel, members: &[Member<'_>], wheels: &Path, destination: &Path) -> Result<(), WheelError> {
    let &Wheel { package, version, otherwise, .. } = wheel;
    let mut command = Command::new("python3");
    command.args(["-I", "-c", UNPACK]).arg(wheels).arg(destination);
    command.args(members.iter().flat_map(|member| [member.path, member.name]));
    let output = command.output().map_err(|source| WheelError::Python { otherwise, source })?;
    let is_done = output.status.success();
    if is_done { Ok(()) } else { Err(WheelError::Unpack { package, version, log: tail(&output) }) }
}

/// Moves the finished folder into place. Whatever stood there was found incomplete and goes away with the work
/// folder; another process that was faster has put the same content there.
fn publish(work: &WorkFolder, unpacked: &Path, destination: &Path, members: &[Member<'_>]) -> Result<(), WheelError> {
    if destination.exists() && !is_complete(destination, members) {
        let replaced = work.0.join("replaced");
        fs::rename(destination, &replaced).map_err(io_at(destination))?;
    }
    match fs::rename(unpacked, destination) {
        Err(_) if is_complete(destination, members) => Ok(()),
        other => other.map_err(io_at(destination)),
    }
}

fn sha256(path: &Path) -> Result<String, WheelError> {
    let mut file = fs::File::open(path).map_err(io_at(path))?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        match file.read(&mut chunk).map_err(io_at(path))? {
            0 => break,
            n => hasher.update(&chunk[..n]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The last lines of what a command wrote, indented.
fn tail(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> WheelError {
    let path = path.to_path_buf();
    move |source| WheelError::Io { path, source }
}

/// A folder of this process, removed when it goes out of scope.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn new(parent: &Path) -> Result<Self, WheelError> {
        let path = parent.join(format!(".setup-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(io_at(&path))?;
        Ok(Self(path))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, WheelError> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).map_err(io_at(&path))?;
        Ok(path)
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("could not remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests;
