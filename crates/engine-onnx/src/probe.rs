//! Looks at a library before it is loaded: a truncated or foreign file must give an error, not a crash.
//!
//! The dynamic linker maps the file's segments and then follows its tables; where the file ends too early that is a
//! bus error, which no error handling catches. So the parts it will follow are checked first.

use std::ffi::{CStr, c_char};
use std::fs::File;
use std::path::{Path, PathBuf};

use libloading::{Library, Symbol};
use ort::sys::OrtApiBase;

use crate::RuntimeError;

#[cfg(target_os = "linux")]
mod elf;

/// The entry point every ONNX Runtime library exports.
const ENTRY_POINT: &str = "OrtGetApiBase";

/// The oldest supported minor version: earlier ones lack fixes for external data.
const MINOR_MIN: u32 = 31;

/// A library that was loaded and says what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeLibrary {
    /// The file.
    pub path: PathBuf,
    /// Its version, such as `1.32.0`.
    pub version: String,
}

/// Checks a library and asks for its version. It stays loaded, because unloading a library that has run its
/// initialisers is not safe in general. Versions before 1.31 are refused unless allowed.
pub fn probe(path: &Path, allow_old_runtime: bool) -> Result<RuntimeLibrary, RuntimeError> {
    crate::disable_telemetry();
    let corrupt = |reason: String| RuntimeError::Corrupt { path: path.to_path_buf(), reason };
    check_file(path).map_err(corrupt)?;
    let version = version(path).map_err(corrupt)?;
    let (major, minor) = parse(&version).ok_or_else(|| corrupt(format!("it calls itself version {version:?}")))?;
    let hard_minimum = ort::MINOR_VERSION;
    let minimum = if allow_old_runtime { hard_minimum } else { MINOR_MIN };
    if major != 1 || minor < minimum {
        return Err(RuntimeError::TooOld {
            path: path.to_path_buf(),
            found: version,
            minimum: format!("1.{minimum}"),
            is_waivable: !allow_old_runtime && major == 1 && minor >= hard_minimum,
        });
    }
    Ok(RuntimeLibrary { path: path.to_path_buf(), version })
}

fn check_file(path: &Path) -> Result<(), String> {
    let metadata = path.metadata().map_err(|e| format!("it cannot be read: {e}"))?;
    // Opening a pipe would wait for ever.
    if !metadata.is_file() {
        return Err("it is not a file".to_owned());
    }
    let file = File::open(path).map_err(|e| format!("it cannot be opened: {e}"))?;
    #[cfg(target_os = "linux")]
    elf::check(&file, metadata.len(), ENTRY_POINT)?;
    #[cfg(not(target_os = "linux"))]
    drop(file);
    Ok(())
}

fn version(path: &Path) -> Result<String, String> {
    // SAFETY: loading runs the library's initialisers. The operator chose the file, it has the form of a library for
    // this machine and it defines ONNX Runtime's entry point.
    let library = unsafe { Library::new(path) }.map_err(|e| format!("it cannot be loaded: {e}"))?;
    // Never unloaded: see `probe`.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: this is the signature of the entry point since the first version of the C interface.
    let entry: Symbol<'_, unsafe extern "C" fn() -> *const OrtApiBase> =
        unsafe { library.get(ENTRY_POINT.as_bytes()) }.map_err(|e| format!("it has no {ENTRY_POINT}: {e}"))?;
    // SAFETY: the entry point takes nothing and returns a pointer to a table of two functions that lives as long as
    // the library, which is for ever; null is ruled out before it is read.
    let base = unsafe { entry().as_ref() }.ok_or_else(|| format!("its {ENTRY_POINT} gives nothing"))?;
    // SAFETY: the second function of that table returns a text that lives as long as the library.
    let text: *const c_char = unsafe { (base.GetVersionString)() };
    if text.is_null() {
        return Err("it has no version".to_owned());
    }
    // SAFETY: not null, and terminated as every C string.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// Major and minor version.
fn parse(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

#[cfg(test)]
mod tests;
