//! `cargo xtask pipelines`: what others build on: the examples for CI in docs/ci are held against the schemas of their
//! makers, and a Python client is generated from docs/openapi-admin.json as docs/python.md says, and drives a gateway.

use std::path::{Path, PathBuf};

use testkit::onnx::affine4;
use testkit::repository::Repository;

use crate::mlflow::{ScriptError, binary, finish, script};
use crate::{python, runtime};

/// The folder of the scripts.
const FOLDER: &str = "tests/pipelines";

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only the examples, without a gateway.
    #[arg(long)]
    lint: bool,
    /// Tests this switchrail instead of a build of the checkout.
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// The Python that runs it: 3.11 or later, with venv and pip.
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
}

/// Runs the checks.
pub fn run(root: &Path, options: &Options) -> Result<(), ScriptError> {
    let place = root.join(".switchrail").join("pipelines");
    let environment = place.join("python");
    python::ensure(&environment, &root.join(FOLDER).join("requirements.txt"), &options.python)?;
    let of = |name: &str| script(&environment, &root.join(FOLDER).join(name));
    finish(&mut of("lint.py"), "tests/pipelines/lint.py")?;
    if options.lint {
        return Ok(());
    }
    let library = runtime::ensure(root)?;
    let binary = binary(root, options.binary.as_deref())?;
    let models = place.join("models");
    let repository = Repository::new(&models).map_err(ScriptError::Models)?;
    for (version, factor) in [(1, 1.0), (2, 2.0)] {
        if !models.join("m").join(version.to_string()).exists() {
            repository.publish("m", version, &affine4(factor, 0.0)).map_err(ScriptError::Models)?;
        }
    }
    let mut client = of("client.py");
    finish(client.arg(binary).arg(models).env("SWITCHRAIL_ORT_DYLIB", library), "tests/pipelines/client.py")
}
