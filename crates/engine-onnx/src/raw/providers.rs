//! Execution providers other than the CPU: which ones the library has, and sessions that run on one.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{self, NonNull};
use std::slice;

use base_serving::Provider;
use ort::environment::Environment;
use ort::sys::{OrtCUDAProviderOptionsV2, OrtSessionOptions, OrtTensorRTProviderOptionsV2};

use super::session::SessionOptions;
use super::{Message, Session, api, check};

/// The names of the providers that the loaded library was built with.
pub(crate) fn available() -> Result<Vec<String>, Message> {
    let (mut names, mut n_names): (*mut *mut c_char, c_int) = (ptr::null_mut(), 0);
    // SAFETY: writes a list and its length, both released below.
    check(unsafe { (api().GetAvailableProviders)(&mut names, &mut n_names) })?;
    let n = usize::try_from(n_names).unwrap_or(0);
    let list = if names.is_null() || n == 0 {
        &[][..]
    } else {
        // SAFETY: the runtime made a list of that many pointers, which lives until it is released.
        unsafe { slice::from_raw_parts(names, n) }
    };
    let text = |name: &*mut c_char| {
        // SAFETY: each is a terminated text that lives as long as the list.
        let text = NonNull::new(*name).map(|name| unsafe { CStr::from_ptr(name.as_ptr()) });
        text.map(|text| text.to_string_lossy().into_owned())
    };
    let found = list.iter().filter_map(text).collect();
    if !names.is_null() {
        // SAFETY: the list given above with its length; not used after this.
        check(unsafe { (api().ReleaseAvailableProviders)(names, n_names) })?;
    }
    Ok(found)
}

/// The runtime's name of a provider.
pub(crate) fn runtime_name(provider: Provider) -> &'static str {
    match provider {
        Provider::Cpu => "CPUExecutionProvider",
        Provider::Cuda => "CUDAExecutionProvider",
        Provider::TensorRt => "TensorrtExecutionProvider",
        Provider::OpenVino => "OpenVINOExecutionProvider",
    }
}

/// Loads a model onto a provider. One that cannot be set up is an error: the runtime would go on with the CPU only if
/// the provider were not asked for by name. Such a session may be run by one thread at a time, which is the caller's to
/// see to: what is said of shared sessions holds for the CPU alone.
pub(crate) fn session_on(
    environment: &Environment,
    model: &[u8],
    external: &[(CString, &[u8])],
    provider: Provider,
) -> Result<Session, Message> {
    let options = SessionOptions::new()?;
    options.configure()?;
    append(options.0.as_ptr(), provider)?;
    options.add_external(external)?;
    Session::open(environment, model, &options, None)
}

fn append(options: *mut OrtSessionOptions, provider: Provider) -> Result<(), Message> {
    match provider {
        Provider::Cpu => Ok(()),
        Provider::Cuda => {
            let cuda = CudaOptions::new()?;
            // SAFETY: both are alive; the call copies what it keeps.
            check(unsafe { (api().SessionOptionsAppendExecutionProvider_CUDA_V2)(options, cuda.0.as_ptr()) })
        }
        Provider::TensorRt => {
            let tensor_rt = TensorRtOptions::new()?;
            // SAFETY: both are alive; the call copies what it keeps.
            check(unsafe { (api().SessionOptionsAppendExecutionProvider_TensorRT_V2)(options, tensor_rt.0.as_ptr()) })?;
            // What TensorRT cannot run stays on the same device.
            append(options, Provider::Cuda)
        }
        Provider::OpenVino => {
            // SAFETY: no keys and no values; the options are alive.
            check(unsafe {
                (api().SessionOptionsAppendExecutionProvider_OpenVINO_V2)(options, ptr::null(), ptr::null(), 0)
            })
        }
    }
}

struct CudaOptions(NonNull<OrtCUDAProviderOptionsV2>);

impl CudaOptions {
    fn new() -> Result<Self, Message> {
        let mut options = ptr::null_mut();
        // SAFETY: writes a pointer to a new object, which we own, or returns an error.
        check(unsafe { (api().CreateCUDAProviderOptions)(&mut options) })?;
        Ok(Self(NonNull::new(options).ok_or("no options of CUDA")?))
    }
}

impl Drop for CudaOptions {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { (api().ReleaseCUDAProviderOptions)(self.0.as_ptr()) };
    }
}

struct TensorRtOptions(NonNull<OrtTensorRTProviderOptionsV2>);

impl TensorRtOptions {
    fn new() -> Result<Self, Message> {
        let mut options = ptr::null_mut();
        // SAFETY: writes a pointer to a new object, which we own, or returns an error.
        check(unsafe { (api().CreateTensorRTProviderOptions)(&mut options) })?;
        Ok(Self(NonNull::new(options).ok_or("no options of TensorRT")?))
    }
}

impl Drop for TensorRtOptions {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { (api().ReleaseTensorRTProviderOptions)(self.0.as_ptr()) };
    }
}
