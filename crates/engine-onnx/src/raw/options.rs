//! The options of one run, through which it is terminated.

use std::ptr::{self, NonNull};

use base_serving::engine::Terminate;
use ort::sys::{OrtLoggingLevel, OrtRunOptions};

use super::{Message, api, check};

/// Options of one run. A terminated one stays terminated, so each run gets its own.
pub(crate) struct RunOptions(NonNull<OrtRunOptions>);

// SAFETY: the object is plain data on the heap without ties to a thread.
unsafe impl Send for RunOptions {}
// SAFETY: after `new` the only call besides `Run`, which reads, is `terminate`: it sets one flag, which the C interface
// documents for use from another thread during a run.
unsafe impl Sync for RunOptions {}

impl RunOptions {
    pub(crate) fn new() -> Result<Self, Message> {
        let mut options = ptr::null_mut();
        // SAFETY: writes a pointer to a new object, which we own, or returns an error.
        check(unsafe { (api().CreateRunOptions)(&mut options) })?;
        let options = Self(NonNull::new(options).ok_or("no run options")?);
        // The error of a run reaches the caller; the runtime would write it to the log as well, each time.
        let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_FATAL as i32;
        // SAFETY: the object is ours and no run uses it yet.
        check(unsafe { (api().RunOptionsSetRunLogSeverityLevel)(options.as_ptr(), level) })?;
        Ok(options)
    }

    pub(super) fn as_ptr(&self) -> *mut OrtRunOptions {
        self.0.as_ptr()
    }
}

impl Terminate for RunOptions {
    fn terminate(&self) {
        // SAFETY: the object lives as long as `self`; setting the flag during a run is what the call is for.
        if let Err(message) = check(unsafe { (api().RunOptionsSetTerminate)(self.as_ptr()) }) {
            tracing::warn!(message, "the runtime did not take the wish to terminate a run");
        }
    }
}

impl Drop for RunOptions {
    fn drop(&mut self) {
        // SAFETY: ours, and used by nobody else now.
        unsafe { (api().ReleaseRunOptions)(self.as_ptr()) };
    }
}
