//! `switchrail keygen` and `switchrail sign`: who stands in for a version.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base_serving::engine::Engine;
use base_types::{Clock, ModelName, SystemClock};
use clap::Args;
use control_gate::sign::{SIGNATURE_FILE, SecretKey, Signed};
use control_registry::Limits;
use control_registry::repository::LocalVersion;

use super::{CliError, Finished, print, validate};

/// Largest key file, in bytes.
const KEY_BYTES_MAX: u64 = 1 << 10;
const DAY_SECONDS: u64 = 86_400;

/// Arguments of `switchrail keygen`.
#[derive(Debug, Args)]
pub struct KeygenArguments {
    /// Where the secret key goes; a file that is there is left alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `switchrail sign`.
#[derive(Debug, Args)]
pub struct SignArguments {
    /// The model file, or the folder with it
    path: PathBuf,
    /// The model it may serve as
    #[arg(long)]
    model: ModelName,
    /// The file with the secret key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Until when it may be let in, in days from now [default: for ever]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    expires_days: Option<u64>,
    /// Where the signature goes [default: model.sig beside the model]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs `switchrail keygen`.
pub(super) fn keygen(arguments: &KeygenArguments) -> Finished {
    let mut random = [0; 32];
    let source = Path::new("/dev/urandom");
    let read = OpenOptions::new().read(true).open(source).and_then(|mut file| file.read_exact(&mut random));
    read.map_err(|error| CliError::Unreadable { path: source.to_owned(), source: error })?;
    let key = SecretKey::new(&random);
    let unwritable = |source| CliError::Unwritable { path: arguments.out.clone(), source };
    // A key that is there may be the only one of its kind.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&arguments.out);
    let mut file = file.map_err(unwritable)?;
    file.write_all(key.secret_text().as_bytes()).and_then(|()| file.sync_all()).map_err(unwritable)?;
    print(&format!("{}\n", key.public_text()))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `switchrail sign`.
pub(super) fn sign(arguments: &SignArguments) -> Finished {
    let key = read_key(&arguments.key)?;
    let refused = |refusal: control_registry::Refusal| CliError::Gates(refusal.text);
    let local = LocalVersion::find(&arguments.path).map_err(refused)?;
    let files = local.read(&Limits::default()).map_err(refused)?;
    // Inputs and outputs are those of the graph as the runtime sees it, as they are at the gate.
    let runner = validate::engine()?.load(&files.artifact).map_err(|error| CliError::Gates(error.to_string()))?;
    let expires = arguments.expires_days.map(|days| SystemClock.unix_ms() / 1_000 + days * DAY_SECONDS);
    let signed = Signed { model: &arguments.model, digest: files.digest, signature: runner.signature(), expires };
    let path = arguments.out.clone().unwrap_or_else(|| local.folder.join(SIGNATURE_FILE));
    std::fs::write(&path, key.sign(&signed)).map_err(|source| CliError::Unwritable { path: path.clone(), source })?;
    let name = local.model.file_name().is_some_and(|name| name != "model.onnx");
    let note = if name { "; it holds where the file is called model.onnx, as in a store" } else { "" };
    print(&format!(
        "signed {} {} by {} into {}{note}\n",
        arguments.model,
        files.digest.short(),
        key.public_text(),
        path.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn read_key(path: &Path) -> Result<SecretKey, CliError> {
    let mut text = String::new();
    let file = OpenOptions::new().read(true).open(path);
    let read = file.and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|source| CliError::Unreadable { path: path.to_owned(), source })?;
    SecretKey::parse(&text).map_err(|reason| CliError::Gates(format!("{}: {reason}", path.display())))
}
