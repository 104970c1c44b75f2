//! Finds the runtime's library. Nothing is read from the working directory.

use std::env;
use std::path::{Path, PathBuf};

use crate::RuntimeError;

/// The version this project is built and tested with, as `cargo xtask setup` fetches it.
pub const RUNTIME_VERSION: &str = "1.32.0";

/// The environment variable that points at a library.
pub const LIBRARY_VARIABLE: &str = "SWITCHRAIL_ORT_DYLIB";

/// Names of the library, the exact one first.
#[cfg(target_os = "macos")]
const FILE_NAMES: [&str; 2] = ["libonnxruntime.1.32.0.dylib", "libonnxruntime.dylib"];
#[cfg(not(target_os = "macos"))]
const FILE_NAMES: [&str; 2] = ["libonnxruntime.so.1.32.0", "libonnxruntime.so"];

/// Returns the library to load: the configured one, else the one `SWITCHRAIL_ORT_DYLIB` names, else one beside the
/// executable or in `../lib`, else the one `cargo xtask setup` put into the checkout the executable was built in.
/// A library that is named and not there is an error; the places after it are not tried.
pub fn locate(configured: Option<&Path>) -> Result<PathBuf, RuntimeError> {
    let variable = env::var_os(LIBRARY_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    // Without a path of the executable there are simply no places beside it.
    let executable = env::current_exe().unwrap_or_default();
    choose(configured, variable.as_deref(), &executable)
}

fn choose(configured: Option<&Path>, variable: Option<&Path>, executable: &Path) -> Result<PathBuf, RuntimeError> {
    let named = configured.map(|path| (path, "the configuration")).or(variable.map(|path| (path, LIBRARY_VARIABLE)));
    if let Some((path, origin)) = named {
        let absolute = std::path::absolute(path).and_then(|path| path.metadata().map(|_| path));
        return absolute.map_err(|source| RuntimeError::Unreadable { path: path.to_path_buf(), origin, source });
    }
    let looked_at = places(executable);
    match looked_at.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(RuntimeError::NotFound { looked_at }),
    }
}

/// Where a library may be that nobody named.
fn places(executable: &Path) -> Vec<PathBuf> {
    let Some(folder) = executable.parent() else { return Vec::new() };
    let beside = [folder.to_path_buf(), folder.join("../lib")];
    let mut places: Vec<PathBuf> = beside.iter().flat_map(|f| FILE_NAMES.map(|name| f.join(name))).collect();
    // Only a checkout's own folder counts: an installed program must not trust hidden folders above it.
    let checkout = folder.ancestors().find(|f| f.join("Cargo.toml").is_file() && f.join("xtask").is_dir());
    places.extend(checkout.map(|f| f.join(".switchrail/runtime").join(RUNTIME_VERSION).join(FILE_NAMES[0])));
    places
}

#[cfg(test)]
mod tests;
