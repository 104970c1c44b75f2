//! Fetches ONNX Runtime's shared library from its Python wheel into an ignored folder, with its licence.
//!
//! The wheel is pinned by version, platform and hash, and downloaded by pip, so that mirrors, proxies and
//! offline indexes configured for pip apply here as well. The library is pinned by its own hash too: what is
//! in the folder is either exactly that library or is replaced. Everything is put together in a temporary folder
//! beside its destination and appears there by one rename.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use thiserror::Error;

/// The version of ONNX Runtime this project is built and tested with.
pub const VERSION: &str = "1.32.0";

/// Unpacks the library, its licence and its notices: `wheel-folder destination library-name`.
const UNPACK: &str = r#"
import glob, os, sys, zipfile
wheels, destination, library = sys.argv[1:]
with zipfile.ZipFile(glob.glob(os.path.join(wheels, "*.whl"))[0]) as wheel:
    for member in ("capi/" + library, "LICENSE", "ThirdPartyNotices.txt", "Privacy.md"):
        with open(os.path.join(destination, os.path.basename(member)), "wb") as out:
            out.write(wheel.read("onnxruntime/" + member))
"#;

/// One platform's wheel and the library in it.
struct Pin {
    os: &'static str,
    arch: &'static str,
    /// pip's platform tags, the preferred one first.
    platforms: &'static [&'static str],
    wheel_sha256: &'static str,
    library: &'static str,
    library_sha256: &'static str,
}

const PINS: [Pin; 3] = [
    Pin {
        os: "linux",
        arch: "x86_64",
        platforms: &["manylinux_2_28_x86_64", "manylinux_2_27_x86_64"],
        wheel_sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
        library: "libonnxruntime.so.1.32.0",
        library_sha256: "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
    },
    Pin {
        os: "linux",
        arch: "aarch64",
        platforms: &["manylinux_2_28_aarch64", "manylinux_2_27_aarch64"],
        wheel_sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
        library: "libonnxruntime.so.1.32.0",
        library_sha256: "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
    },
    Pin {
        os: "macos",
        arch: "aarch64",
        platforms: &["macosx_14_0_arm64"],
        wheel_sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
        library: "libonnxruntime.1.32.0.dylib",
        library_sha256: "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
    },
];

/// Files that must stand beside the library.
const NOTICES: [&str; 3] = ["LICENSE", "ThirdPartyNotices.txt", "Privacy.md"];

/// Why the runtime could not be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// There is no wheel for this machine.
    #[error(
        "no ONNX Runtime wheel is pinned for {os} on {arch}: get version {VERSION} from its makers and set SWITCHRAIL_ORT_DYLIB to the library"
    )]
    Platform {
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// Python is not there.
    #[error(
        "could not start python3: install Python 3 with pip, or set SWITCHRAIL_ORT_DYLIB to an ONNX Runtime library"
    )]
    Python(#[source] io::Error),
    /// pip is not there.
    #[error("python3 has no pip: install it (python3-pip on Debian and Ubuntu, or `python3 -m ensurepip`)")]
    Pip,
    /// pip could not get the wheel.
    #[error(
        "pip could not download onnxruntime {VERSION}: check the network, the proxy and pip's index settings, or set SWITCHRAIL_ORT_DYLIB to an ONNX Runtime library that is already here\n{log}"
    )]
    Download {
        /// The last lines pip wrote.
        log: String,
    },
    /// The wheel could not be unpacked.
    #[error("could not unpack the onnxruntime wheel\n{log}")]
    Unpack {
        /// The last lines Python wrote.
        log: String,
    },
    /// The unpacked library is not the pinned one.
    #[error("the library in the wheel has SHA-256 {actual}, {expected} is pinned")]
    Hash {
        /// As pinned.
        expected: &'static str,
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

/// Makes sure that the pinned library is under `<root>/.switchrail/runtime/<version>/`, and returns its path.
pub fn ensure(root: &Path) -> Result<PathBuf, SetupError> {
    let pin = pin()?;
    let parent = root.join(".switchrail").join("runtime");
    let destination = parent.join(VERSION);
    if is_complete(&destination, pin) {
        return Ok(destination.join(pin.library));
    }
    eprintln!("fetching ONNX Runtime {VERSION} ({}) with pip", pin.platforms[0]);
    let work = WorkFolder::new(&parent)?;
    let wheels = work.folder("wheels")?;
    let unpacked = work.folder("unpacked")?;
    download(&wheels, pin)?;
    unpack(&wheels, &unpacked, pin)?;
    let actual = sha256(&unpacked.join(pin.library))?;
    if actual != pin.library_sha256 {
        return Err(SetupError::Hash { expected: pin.library_sha256, actual });
    }
    publish(&work, &unpacked, &destination, pin)?;
    Ok(destination.join(pin.library))
}

fn pin() -> Result<&'static Pin, SetupError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    // The Linux wheels are built against glibc and do not load under musl.
    let usable = PINS.iter().find(|p| p.os == os && p.arch == arch && !cfg!(target_env = "musl"));
    usable.ok_or(SetupError::Platform { os, arch })
}

fn is_complete(folder: &Path, pin: &Pin) -> bool {
    NOTICES.iter().all(|name| folder.join(name).is_file())
        && sha256(&folder.join(pin.library)).is_ok_and(|hash| hash == pin.library_sha256)
}

fn download(wheels: &Path, pin: &Pin) -> Result<(), SetupError> {
    let requirements = wheels.join("requirements.txt");
    let text = format!("onnxruntime=={VERSION} --hash=sha256:{}\n", pin.wheel_sha256);
    fs::write(&requirements, text).map_err(io_at(&requirements))?;
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]);
    command.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]);
    command.args(["--implementation", "cp", "--abi", "cp312", "--python-version", "3.12"]);
    for platform in pin.platforms {
        command.args(["--platform", platform]);
    }
    command.arg("--dest").arg(wheels).arg("--requirement").arg(&requirements);
    let output = command.output().map_err(SetupError::Python)?;
    if output.status.success() {
        return Ok(());
    }
    let log = tail(&output);
    Err(if log.contains("No module named pip") { SetupError::Pip } else { SetupError::Download { log } })
}

fn unpack(wheels: &Path, destination: &Path, pin: &Pin) -> Result<(), SetupError> {
    let mut command = Command::new("python3");
    command.args(["-I", "-c", UNPACK]).arg(wheels).arg(destination).arg(pin.library);
    let output = command.output().map_err(SetupError::Python)?;
    if output.status.success() { Ok(()) } else { Err(SetupError::Unpack { log: tail(&output) }) }
}

/// Moves the finished folder into place. Whatever stood there was found incomplete and goes away with the work
/// folder; another set-up that was faster has put the same content there.
fn publish(work: &WorkFolder, unpacked: &Path, destination: &Path, pin: &Pin) -> Result<(), SetupError> {
    if destination.exists() && !is_complete(destination, pin) {
        let replaced = work.0.join("replaced");
        fs::rename(destination, &replaced).map_err(io_at(destination))?;
    }
    match fs::rename(unpacked, destination) {
        Err(_) if is_complete(destination, pin) => Ok(()),
        other => other.map_err(io_at(destination)),
    }
}

fn sha256(path: &Path) -> Result<String, SetupError> {
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
    const LINES_MAX: usize = 8;
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> SetupError {
    let path = path.to_path_buf();
    move |source| SetupError::Io { path, source }
}

/// A folder of this process, removed when it goes out of scope.
struct WorkFolder(PathBuf);

impl WorkFolder {
    fn new(parent: &Path) -> Result<Self, SetupError> {
        let path = parent.join(format!(".setup-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(io_at(&path))?;
        Ok(Self(path))
    }

    fn folder(&self, name: &str) -> Result<PathBuf, SetupError> {
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
