//! A model as the runtime has made it: its graph, and its large weights in a file beside it.

use std::ffi::{CStr, CString};
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use ort::environment::Environment;

use super::sample::Expected;
use super::{Unshared, WEIGHT_BYTES_MIN};
use crate::raw::{Mapping, Session};
use crate::runner::OnnxRunner;

/// The name of the file of weights.
pub(super) const WEIGHTS: &str = "weights";
const WEIGHTS_C: &CStr = c"weights";
/// A graph without its large weights.
const GRAPH_BYTES_MAX: u64 = 256 << 20;

/// What the runtime wrote. Its files have no names any more.
pub(super) struct Derived {
    pub(super) model: Vec<u8>,
    pub(super) weights: Mapping,
    /// What the original answers.
    pub(super) expected: Expected,
}

/// Has the runtime write a model into a new folder, reads it, and takes the folder away.
pub(super) fn derive(
    environment: &Environment,
    original: (&[u8], &[(CString, &[u8])]),
    folder: &Path,
) -> Result<Derived, Unshared> {
    let failed = |what: &str, error: std::io::Error| format!("{what} {}: {error}", folder.display());
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(|e| failed("make", e))?;
    let derived = write(environment, original, folder);
    fs::remove_dir_all(folder).map_err(|e| failed("take away", e))?;
    derived
}

fn write(
    environment: &Environment,
    original: (&[u8], &[(CString, &[u8])]),
    folder: &Path,
) -> Result<Derived, Unshared> {
    let model = folder.join("model.onnx");
    let path = CString::new(model.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
    let session = Session::derive(environment, original, &path, (WEIGHTS_C, WEIGHT_BYTES_MIN))?;
    let expected = Expected::of(&OnnxRunner::new(session)?);
    let n_bytes = fs::metadata(&model).map_err(|e| e.to_string())?.len();
    if n_bytes > GRAPH_BYTES_MAX {
        return Err(format!("the graph alone has {n_bytes} bytes"));
    }
    let model = fs::read(&model).map_err(|e| e.to_string())?;
    let weights = File::open(folder.join(WEIGHTS)).map_err(|e| format!("no weights were written: {e}"))?;
    let weights = Mapping::read_only(&weights).map_err(|e| e.to_string())?;
    Ok(Derived { model, weights, expected })
}
