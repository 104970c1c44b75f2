//! Fetches ONNX Runtime's shared library from its Python wheel into an ignored folder, with its licence.
//!
//! The wheel is pinned by version, platform and hash, and the library by its own hash too; see `wheel`.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::wheel::{self, Member, Wheel, WheelError};

/// The version of ONNX Runtime this project is built and tested with.
pub const VERSION: &str = "1.32.0";

/// One platform's wheel and the library in it.
struct Pin {
    os: &'static str,
    arch: &'static str,
    wheel: Wheel,
    library: &'static str,
    library_sha256: &'static str,
}

const PINS: [Pin; 3] = [
    Pin {
        os: "linux",
        arch: "x86_64",
        wheel: onnxruntime(
            &["manylinux_2_28_x86_64", "manylinux_2_27_x86_64"],
            "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
        ),
        library: "libonnxruntime.so.1.32.0",
        library_sha256: "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
    },
    Pin {
        os: "linux",
        arch: "aarch64",
        wheel: onnxruntime(
            &["manylinux_2_28_aarch64", "manylinux_2_27_aarch64"],
            "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
        ),
        library: "libonnxruntime.so.1.32.0",
        library_sha256: "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
    },
    Pin {
        os: "macos",
        arch: "aarch64",
        wheel: onnxruntime(&["macosx_14_0_arm64"], "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e"),
        library: "libonnxruntime.1.32.0.dylib",
        library_sha256: "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
    },
];

/// Files that must stand beside the library: their paths in the wheel and their names.
const NOTICES: [(&str, &str); 3] = [
    ("onnxruntime/LICENSE", "LICENSE"),
    ("onnxruntime/ThirdPartyNotices.txt", "ThirdPartyNotices.txt"),
    ("onnxruntime/Privacy.md", "Privacy.md"),
];

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
    /// The wheel's files could not be put in place.
    #[error(transparent)]
    Wheel(#[from] WheelError),
}

/// Makes sure that the pinned library is under `<root>/.switchrail/runtime/<version>/`, and returns its path.
pub fn ensure(root: &Path) -> Result<PathBuf, SetupError> {
    let pin = pin()?;
    let destination = root.join(".switchrail").join("runtime").join(VERSION);
    let library = format!("onnxruntime/capi/{}", pin.library);
    let mut members = vec![Member { path: &library, name: pin.library, sha256: Some(pin.library_sha256) }];
    members.extend(NOTICES.map(|(path, name)| Member { path, name, sha256: None }));
    wheel::ensure(&pin.wheel, &members, &destination)?;
    Ok(destination.join(pin.library))
}

const fn onnxruntime(platforms: &'static [&'static str], sha256: &'static str) -> Wheel {
    Wheel {
        package: "onnxruntime",
        version: VERSION,
        sha256,
        implementation: "cp",
        abi: "cp312",
        platforms,
        otherwise: ", or set SWITCHRAIL_ORT_DYLIB to an ONNX Runtime library that is already here",
    }
}

fn pin() -> Result<&'static Pin, SetupError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    // The Linux wheels are built against glibc and do not load under musl.
    let usable = PINS.iter().find(|p| p.os == os && p.arch == arch && !cfg!(target_env = "musl"));
    usable.ok_or(SetupError::Platform { os, arch })
}
