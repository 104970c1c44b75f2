//! The real models of the demo: magika's file-type model in three versions, out of its Python wheels.
//!
//! The wheels hold no licence text of their own. What they do hold stays with the model: the package's metadata and
//! the source file whose header names the Apache License 2.0.

use std::path::{Path, PathBuf};

use crate::wheel::{self, Member, Wheel, WheelError};

/// A version of the package, and what is in its wheel.
struct Package {
    wheel: Wheel,
    members: &'static [Member<'static>],
}

/// The files of one version of the package.
#[derive(Debug, Clone)]
pub struct Release {
    /// The package's version.
    pub version: &'static str,
    folder: PathBuf,
}

impl Release {
    /// The model.
    pub fn model(&self) -> PathBuf {
        self.folder.join("model.onnx")
    }

    /// The model's own configuration: what its outputs are called. 0.5.1 brings none of this form.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config.min.json")
    }

    /// What is known about the types of content. 0.5.1 brings none of this form.
    pub fn content_types(&self) -> PathBuf {
        self.folder.join("content_types_kb.min.json")
    }
}

/// The releases the demo is about.
#[derive(Debug, Clone)]
pub struct Releases {
    /// 0.5.1: FP32 `[batch, 1536]` to `[batch, 113]`, another contract.
    pub old: Release,
    /// 0.6.1: INT32 `[batch, 2048]` to `[batch, 214]`.
    pub first: Release,
    /// 1.0.3: the contract of 0.6.1 with other weights.
    pub second: Release,
}

const CONTENT_TYPES: Member<'static> = Member {
    path: "magika/config/content_types_kb.min.json",
    name: "content_types_kb.min.json",
    sha256: Some("75208adba69bc0556403b62b32ef3ccf8b5ce494411780845852e52e6583a10d"),
};

const LICENCE_HEADER: Member<'static> = Member { path: "magika/__init__.py", name: "__init__.py", sha256: None };

const OLD: Package = Package {
    wheel: magika("0.5.1", "a4d1f64f71460f335841c13c3d16cfc2cb21e839c1898a1ae9bd5adc8d66cb2b"),
    members: &[
        Member {
            path: "magika/models/standard_v1/model.onnx",
            name: "model.onnx",
            sha256: Some("71892ac28ffe028b9512561584970417f8cee1f2fbb7624634f4032cb92a0a5a"),
        },
        Member { path: "magika-0.5.1.dist-info/METADATA", name: "METADATA", sha256: None },
        LICENCE_HEADER,
    ],
};

const FIRST: Package = Package {
    wheel: magika("0.6.1", "15838d2469f1394d8e9598bc7fceea1ede7f35aebe9675c6b45c6b5c48315931"),
    members: &[
        Member {
            path: "magika/models/standard_v3_2/model.onnx",
            name: "model.onnx",
            sha256: Some("ba4f372744331c0088d7c9b8b4fd702f4bc2bdddbeecde27488fceeadf71c3ce"),
        },
        Member {
            path: "magika/models/standard_v3_2/config.min.json",
            name: "config.min.json",
            sha256: Some("b40e943ae9ac5e8d86a93f1e955ee45cdebaa8760a0e41dc1cd0da8dcf6c6056"),
        },
        CONTENT_TYPES,
        Member { path: "magika-0.6.1.dist-info/METADATA", name: "METADATA", sha256: None },
        LICENCE_HEADER,
    ],
};

const SECOND: Package = Package {
    wheel: magika("1.0.3", "938d8e033953f2ddeb8c35dc423aa289ca116bfa7a71a778f6e77460f9025803"),
    members: &[
        Member {
            path: "magika/models/standard_v3_3/model.onnx",
            name: "model.onnx",
            sha256: Some("fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c"),
        },
        Member {
            path: "magika/models/standard_v3_3/config.min.json",
            name: "config.min.json",
            sha256: Some("ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db"),
        },
        CONTENT_TYPES,
        Member { path: "magika-1.0.3.dist-info/METADATA", name: "METADATA", sha256: None },
        LICENCE_HEADER,
    ],
};

/// Makes sure that the models are under `<root>/.switchrail/magika/<version>/`.
pub fn ensure(root: &Path) -> Result<Releases, WheelError> {
    Ok(Releases { old: fetch(root, &OLD)?, first: fetch(root, &FIRST)?, second: fetch(root, &SECOND)? })
}

fn fetch(root: &Path, package: &Package) -> Result<Release, WheelError> {
    let version = package.wheel.version;
    let folder = root.join(".switchrail").join("magika").join(version);
    wheel::ensure(&package.wheel, package.members, &folder)?;
    Ok(Release { version, folder })
}

/// The wheel without programs: the same for every machine, and a fifth of the size of the others.
const fn magika(version: &'static str, sha256: &'static str) -> Wheel {
    Wheel { package: "magika", version, sha256, implementation: "py", abi: "none", platforms: &["any"], otherwise: "" }
}
