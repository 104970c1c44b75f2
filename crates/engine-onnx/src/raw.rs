//! Owners of the C interface's objects, each with the one place that frees it.
//!
//! The rest of the crate sees safe functions. Everything here may be called only after the library was loaded,
//! which `OnnxEngine::start` sees to: no object of these types exists before.

mod lent;
mod mapping;
mod names;
mod options;
mod providers;
mod session;
mod value;

use std::ffi::CStr;

use ort::sys::{OrtApi, OrtStatusPtr};

pub(crate) use lent::{Lent, Packed, Shared};
pub(crate) use mapping::{Content, Mapping};
pub(crate) use names::Names;
pub(crate) use options::RunOptions;
pub(crate) use providers::{available, runtime_name, session_on};
pub(crate) use session::{Outlet, OutletKind, Session};
pub(crate) use value::{ElementCode, Value};

/// What the runtime says about a failure.
pub(crate) type Message = String;

/// The functions of the loaded library.
pub(crate) fn api() -> &'static OrtApi {
    ort::api()
}

/// Turns a status into a result and frees it.
pub(crate) fn check(status: OrtStatusPtr) -> Result<(), Message> {
    if status.0.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null is owned by whoever got it; its message lives until it is released below.
    let message = unsafe { CStr::from_ptr((api().GetErrorMessage)(status.0)) }.to_string_lossy().into_owned();
    // SAFETY: owned, and not used after this.
    unsafe { (api().ReleaseStatus)(status.0) };
    Err(message)
}
