//! What sessions with equal weights hold in common: the weights themselves, and what kernels have packed of them.
//!
//! The runtime takes both from outside and owns neither: weights by `AddInitializer`, packed ones in a container that it
//! looks into, and adds to, while a session is made. Both must outlive every session that was given them, so a session
//! owns a [`Lent`]. What a kernel of one session reads is written once, before the first run, and never again;
//! `tests/runtime/sharing.rs` leans on it: sessions that share come and go while others run.

use std::ffi::{CString, c_char};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use ort::environment::Environment;
use ort::sys::{GraphOptimizationLevel, OrtLoggingLevel, OrtPrepackedWeightsContainer, OrtValue};

use super::mapping::Content;
use super::session::SessionOptions;
use super::value::{CpuMemory, ElementCode, Value};
use super::{Message, Session, api, check};

/// Weights as kernels like them, found again by what they are.
pub(crate) struct Packed(NonNull<OrtPrepackedWeightsContainer>);

// SAFETY: the object has a lock of its own and no ties to a thread; what is in it is never changed, only added to, and
// sessions are made one at a time.
unsafe impl Send for Packed {}
// SAFETY: as above.
unsafe impl Sync for Packed {}

impl Packed {
    pub(crate) fn new() -> Result<Self, Message> {
        let mut packed = ptr::null_mut();
        // SAFETY: writes a pointer to a new object, which we own.
        check(unsafe { (api().CreatePrepackedWeightsContainer)(&mut packed) })?;
        Ok(Self(NonNull::new(packed).ok_or("no container for packed weights")?))
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        // SAFETY: ours; every session that reads from it holds a count of us and is gone.
        unsafe { (api().ReleasePrepackedWeightsContainer)(self.0.as_ptr()) };
    }
}

/// One weight of a model by its name, with its bytes somewhere else.
pub(crate) struct Shared {
    pub(crate) name: CString,
    pub(crate) element: ElementCode,
    pub(crate) dims: Vec<i64>,
    pub(crate) content: Arc<Content>,
}

/// What a session reads from without owning it. The order of the fields is that of their ends.
pub(crate) struct Lent {
    values: Vec<(CString, Value<'static>)>,
    packed: Arc<Packed>,
    contents: Vec<Arc<Content>>,
}

impl Lent {
    /// Weights to be read where they are. The runtime checks sizes against shapes.
    pub(crate) fn new(weights: Vec<Shared>, packed: Arc<Packed>) -> Result<Self, Message> {
        let memory = CpuMemory::new()?;
        let (mut values, mut contents) = (Vec::with_capacity(weights.len()), Vec::with_capacity(weights.len()));
        for Shared { name, element, dims, content } in weights {
            let bytes = content.bytes();
            // SAFETY: the bytes stay in place for as long as `contents` counts them, which is let go of after `values`.
            let bytes: &'static [u8] = unsafe { slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
            values.push((name, Value::over(&memory, bytes, &dims, element)?));
            contents.push(content);
        }
        Ok(Self { values, packed, contents })
    }

    /// The share of this session in all that is lent to it, by how many have it.
    pub(crate) fn share_bytes(&self) -> u64 {
        let share = |content: &Arc<Content>| content.bytes().len() / Arc::strong_count(content).max(1);
        self.contents.iter().map(share).sum::<usize>() as u64
    }

    pub(super) fn packed(&self) -> *mut OrtPrepackedWeightsContainer {
        self.packed.0.as_ptr()
    }
}

impl Session {
    /// Loads a model, and has the runtime write it as it has made it: the graph to `path`, large weights to a file of the
    /// name given beside it. Nothing is packed, so this session is for writing and comparing, not for serving.
    pub(crate) fn derive(
        environment: &Environment,
        (model, external): (&[u8], &[(CString, &[u8])]),
        path: &std::ffi::CStr,
        (weights, weight_bytes_min): (&std::ffi::CStr, usize),
    ) -> Result<Self, Message> {
        let options = SessionOptions::new()?;
        options.configure()?;
        options.add_external(external)?;
        // SAFETY: a constant C string each, copied by the call.
        check(unsafe { (api().SetOptimizedModelFilePath)(options.0.as_ptr(), path.as_ptr()) })?;
        // It would warn, at every load, that what it writes is for this machine alone: which it is for.
        let level = OrtLoggingLevel::ORT_LOGGING_LEVEL_ERROR as i32;
        // SAFETY: sets a plain value in an object that is ours.
        check(unsafe { (api().SetSessionLogSeverityLevel)(options.0.as_ptr(), level) })?;
        let bytes_min = CString::new(weight_bytes_min.to_string()).map_err(|e| e.to_string())?;
        let entries = [
            (c"session.optimized_model_external_initializers_file_name", weights),
            (c"session.optimized_model_external_initializers_min_size_in_bytes", &bytes_min),
            (c"session.disable_prepacking", c"1"),
        ];
        for (key, value) in entries {
            // SAFETY: C strings that live through the call, which copies them.
            check(unsafe { (api().AddSessionConfigEntry)(options.0.as_ptr(), key.as_ptr(), value.as_ptr()) })?;
        }
        Self::open(environment, model, &options, None)
    }

    /// Loads a model that the runtime wrote, as it is, over weights that are lent to it.
    pub(crate) fn over(environment: &Environment, model: &[u8], lent: Lent) -> Result<Self, Message> {
        let options = SessionOptions::new()?;
        options.configure()?;
        // It is what all optimisation left of the original: not to be changed once more, or names would come to mean
        // something else than what is lent under them.
        let level = GraphOptimizationLevel::ORT_DISABLE_ALL;
        // SAFETY: sets a plain value in an object that is ours.
        check(unsafe { (api().SetSessionGraphOptimizationLevel)(options.0.as_ptr(), level) })?;
        for (name, value) in &lent.values {
            // SAFETY: the name is copied; the value is remembered by its address, which `lent` keeps, as it keeps the bytes.
            check(unsafe { (api().AddInitializer)(options.0.as_ptr(), name.as_ptr(), value.as_ptr()) })?;
        }
        let names: Vec<*const c_char> = lent.values.iter().map(|(name, _)| name.as_ptr()).collect();
        let values: Vec<*const OrtValue> = lent.values.iter().map(|(_, value)| value.as_ptr()).collect();
        // The same once more, or the runtime would insist on the file that the graph refers to.
        // SAFETY: as many names as values; both lists are read during the call, which counts the values it keeps.
        check(unsafe {
            (api().AddExternalInitializers)(options.0.as_ptr(), names.as_ptr(), values.as_ptr(), names.len())
        })?;
        Self::open(environment, model, &options, Some(lent))
    }
}
