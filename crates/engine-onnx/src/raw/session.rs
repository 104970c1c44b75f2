//! One session, shared by all threads.
//!
//! ONNX Runtime promises that several threads may run one session at once; its safe Rust binding does not pass the
//! promise on, because some execution providers break it. Sessions here have the CPU provider alone, whose kernels
//! are immutable after load and whose arena has a lock. `tests/concurrency.rs` leans on it with all its weight.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::environment::Environment;
use ort::sys::{
    GraphOptimizationLevel, ONNXTensorElementDataType, ONNXType, OrtAllocator, OrtSession, OrtSessionOptions,
};
use ort::sys::{OrtKeyValuePairs, OrtStatusPtr, OrtTensorTypeAndShapeInfo, OrtTypeInfo};

use super::lent::Lent;
use super::names::Selection;
use super::value::{CpuMemory, ElementCode, Value};
use super::{Message, Names, RunOptions, api, check};

/// Settings of every session. Threads: the caller's workers are the parallelism, so a session has none of its own and
/// nobody spins. Format: a model file is ONNX protobuf; the runtime would also take its own format, which nothing
/// of ours has checked. External data: for a model from memory the runtime looks for files that were not handed over in
/// the working directory, unless it is told another folder; below a file that is no folder nothing can ever be.
const CONFIG: [(&CStr, &CStr); 4] = [
    (c"session.intra_op.allow_spinning", c"0"),
    (c"session.inter_op.allow_spinning", c"0"),
    (c"session.load_model_format", c"ONNX"),
    (c"session.model_external_initializers_file_folder_path", c"/dev/null/not-handed-over"),
];

/// A loaded model.
pub(crate) struct Session {
    session: NonNull<OrtSession>,
    arena: NonNull<OrtAllocator>,
    memory: CpuMemory,
    /// What the session reads from without owning it. Let go of after the session, as fields are after `drop`.
    lent: Option<Lent>,
}

// SAFETY: the objects have no ties to the thread that made them.
unsafe impl Send for Session {}
// SAFETY: what is called through `&self` is `Run`, documented for concurrent use and here with the CPU provider alone,
// and functions that only read or, as the arena's statistics, take the runtime's own lock.
unsafe impl Sync for Session {}

/// An input or output as the model declares it.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) name: String,
    pub(crate) kind: OutletKind,
}

/// What an input or output is.
#[derive(Debug)]
pub(crate) enum OutletKind {
    /// A tensor; the dimensions are missing when not even the rank is known, and −1 where any size will do.
    Tensor { element: ElementCode, dims: Option<Vec<i64>> },
    /// A sequence, a map and so on.
    Other(&'static str),
}

/// What the arena says about itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ArenaStats {
    pub(crate) in_use_bytes: u64,
    pub(crate) peak_bytes: u64,
}

impl Session {
    /// Loads a model from memory. Nothing of `model` and `external` is needed afterwards.
    pub(crate) fn create(
        environment: &Environment,
        model: &[u8],
        external: &[(CString, &[u8])],
    ) -> Result<Self, Message> {
        let options = SessionOptions::new()?;
        options.configure()?;
        options.add_external(external)?;
        Self::open(environment, model, &options, None)
    }

    /// Makes a session as the options say, with what is lent to it.
    pub(super) fn open(
        environment: &Environment,
        model: &[u8],
        options: &SessionOptions,
        lent: Option<Lent>,
    ) -> Result<Self, Message> {
        let mut session = ptr::null_mut();
        let (start, options) = (model.as_ptr().cast(), options.0.as_ptr());
        // SAFETY: environment, options and bytes live through the call, which copies what it keeps. What is lent outlives
        // the session: it is let go of after it.
        check(unsafe {
            match &lent {
                None => (api().CreateSessionFromArray)(environment.ptr(), start, model.len(), options, &mut session),
                Some(lent) => (api().CreateSessionFromArrayWithPrepackedWeightsContainer)(
                    environment.ptr(),
                    start,
                    model.len(),
                    options,
                    lent.packed(),
                    &mut session,
                ),
            }
        })?;
        let session = NonNull::new(session).ok_or("no session")?;
        match Self::arena_of(session) {
            Ok((arena, memory)) => Ok(Self { session, arena, memory, lent }),
            Err(message) => {
                // SAFETY: ours, and known to nobody else.
                unsafe { (api().ReleaseSession)(session.as_ptr()) };
                Err(message)
            }
        }
    }

    fn arena_of(session: NonNull<OrtSession>) -> Result<(NonNull<OrtAllocator>, CpuMemory), Message> {
        let memory = CpuMemory::new()?;
        let mut arena = ptr::null_mut();
        // SAFETY: session and description live through the call; the allocator is released before the session.
        check(unsafe { (api().CreateAllocator)(session.as_ptr(), memory.as_ptr(), &mut arena) })?;
        Ok((NonNull::new(arena).ok_or("no allocator")?, memory))
    }

    /// A tensor over bytes, to be used as an input; see [`Value::over`].
    pub(crate) fn input<'a>(&self, bytes: &'a [u8], shape: &[i64], element: ElementCode) -> Result<Value<'a>, Message> {
        Value::over(&self.memory, bytes, shape, element)
    }

    /// Runs the model. The outputs may lie in the inputs' memory, hence the common lifetime; one that the model left
    /// out is `None`.
    pub(crate) fn run<'a>(
        &self,
        options: &RunOptions,
        inputs: (&Names, &[Value<'a>]),
        outputs: &Selection<'_>,
    ) -> Result<Vec<Option<Value<'a>>>, Message> {
        let (names, values) = (inputs.0.all(), inputs.1);
        if names.len() != values.len() {
            return Err(format!("the model takes {} inputs, {} given", names.len(), values.len()));
        }
        let mut results: Vec<Option<Value<'a>>> = Vec::with_capacity(outputs.len());
        results.resize_with(outputs.len(), || None);
        // SAFETY: names and values are as many as said. A `Value` has the layout of a pointer, and an `Option` of one
        // is null for `None`, so both slices are the lists of pointers the call takes. The results it writes are
        // ours to release; on an error it writes none. About concurrent calls see `Sync` above.
        check(unsafe {
            (api().Run)(
                self.session.as_ptr(),
                options.as_ptr(),
                names.as_ptr(),
                values.as_ptr().cast(),
                values.len(),
                outputs.as_ptr(),
                outputs.len(),
                results.as_mut_ptr().cast(),
            )
        })?;
        Ok(results)
    }

    /// The inputs, in the model's order.
    pub(crate) fn inputs(&self) -> Result<Vec<Outlet>, Message> {
        self.outlets(api().SessionGetInputCount, api().SessionGetInputName, api().SessionGetInputTypeInfo)
    }

    /// The outputs, in the model's order.
    pub(crate) fn outputs(&self) -> Result<Vec<Outlet>, Message> {
        self.outlets(api().SessionGetOutputCount, api().SessionGetOutputName, api().SessionGetOutputTypeInfo)
    }

    fn outlets(&self, count: CountFn, name: NameFn, type_info: TypeInfoFn) -> Result<Vec<Outlet>, Message> {
        let mut n_outlets = 0;
        // SAFETY: one of the two functions of the C interface with this form; reads the session.
        check(unsafe { count(self.session.as_ptr(), &mut n_outlets) })?;
        (0..n_outlets)
            .map(|index| {
                let mut info = ptr::null_mut();
                // SAFETY: as above; the object written is ours.
                check(unsafe { type_info(self.session.as_ptr(), index, &mut info) })?;
                let info = TypeInfo(NonNull::new(info).ok_or("no type")?);
                Ok(Outlet { name: self.outlet_name(name, index)?, kind: info.kind()? })
            })
            .collect()
    }

    fn outlet_name(&self, name: NameFn, index: usize) -> Result<String, Message> {
        let (mut allocator, mut text) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: writes a pointer to the library's own allocator.
        check(unsafe { (api().GetAllocatorWithDefaultOptions)(&mut allocator) })?;
        // SAFETY: one of the two functions with this form; the text written belongs to the allocator.
        check(unsafe { name(self.session.as_ptr(), index, allocator, &mut text) })?;
        let text = NonNull::new(text).ok_or("no name")?;
        // SAFETY: terminated, and ours until it is freed below.
        let owned = unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().map(str::to_owned);
        // SAFETY: allocated by this allocator, not used after this.
        check(unsafe { (api().AllocatorFree)(allocator, text.as_ptr().cast()) })?;
        owned.map_err(|_| "a name is not UTF-8".to_owned())
    }

    /// This session's share of the weights it has in common with others.
    pub(crate) fn shared_bytes(&self) -> u64 {
        self.lent.as_ref().map_or(0, Lent::share_bytes)
    }

    /// What the session holds: weights, prepacked weights and the memory of runs.
    pub(crate) fn arena_stats(&self) -> Result<ArenaStats, Message> {
        let mut pairs = ptr::null_mut();
        // SAFETY: the arena lives as long as `self`; its statistics are taken under its lock; the object is ours.
        check(unsafe { (api().AllocatorGetStats)(self.arena.as_ptr(), &mut pairs) })?;
        let pairs = KeyValues(NonNull::new(pairs).ok_or("no statistics")?);
        Ok(ArenaStats { in_use_bytes: pairs.number(c"InUse"), peak_bytes: pairs.number(c"MaxInUse") })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: both are ours, and the allocator goes before the session it came from. Nothing borrowed from the
        // session outlives it: results own their memory by a count the runtime keeps.
        unsafe {
            (api().ReleaseAllocator)(self.arena.as_ptr());
            (api().ReleaseSession)(self.session.as_ptr());
        }
    }
}

type CountFn = unsafe extern "system" fn(*const OrtSession, *mut usize) -> OrtStatusPtr;
type NameFn = unsafe extern "system" fn(*const OrtSession, usize, *mut OrtAllocator, *mut *mut c_char) -> OrtStatusPtr;
type TypeInfoFn = unsafe extern "system" fn(*const OrtSession, usize, *mut *mut OrtTypeInfo) -> OrtStatusPtr;

/// How a session is to be made.
pub(super) struct SessionOptions(pub(super) NonNull<OrtSessionOptions>);

impl SessionOptions {
    pub(super) fn new() -> Result<Self, Message> {
        let mut options = ptr::null_mut();
        // SAFETY: writes a pointer to a new object, which we own.
        check(unsafe { (api().CreateSessionOptions)(&mut options) })?;
        Ok(Self(NonNull::new(options).ok_or("no session options")?))
    }

    /// CPU provider alone (no other is added), its arena on, one thread, no spinning.
    pub(super) fn configure(&self) -> Result<(), Message> {
        let options = self.0.as_ptr();
        // SAFETY: these set plain values in an object that is ours.
        unsafe {
            check((api().EnableCpuMemArena)(options))?;
            check((api().SetIntraOpNumThreads)(options, 1))?;
            check((api().SetInterOpNumThreads)(options, 1))?;
            check((api().SetSessionGraphOptimizationLevel)(options, GraphOptimizationLevel::ORT_ENABLE_ALL))?;
        }
        for (key, value) in CONFIG {
            // SAFETY: both are constant C strings, copied by the call.
            check(unsafe { (api().AddSessionConfigEntry)(options, key.as_ptr(), value.as_ptr()) })?;
        }
        Ok(())
    }

    /// Gives the content of external data files; it is read while the session is made.
    pub(super) fn add_external(&self, files: &[(CString, &[u8])]) -> Result<(), Message> {
        for (name, content) in files {
            let (name, start, n_bytes) = (name.as_ptr(), content.as_ptr().cast_mut().cast(), content.len());
            // SAFETY: one name, one buffer, one size. The runtime keeps the pointer to the buffer, only reads it, and is
            // done with it when the session is made, which is within the life of `files` in `Session::create`.
            check(unsafe { (api().AddExternalInitializersFromMemory)(self.0.as_ptr(), &name, &start, &n_bytes, 1) })?;
        }
        Ok(())
    }
}

impl Drop for SessionOptions {
    fn drop(&mut self) {
        // SAFETY: ours; sessions made with it have copied it.
        unsafe { (api().ReleaseSessionOptions)(self.0.as_ptr()) };
    }
}

/// The type of an input or output.
struct TypeInfo(NonNull<OrtTypeInfo>);

impl TypeInfo {
    fn kind(&self) -> Result<OutletKind, Message> {
        let mut kind = 0i32;
        // SAFETY: the kind is written as a 32-bit number into one.
        check(unsafe { (api().GetOnnxTypeFromTypeInfo)(self.0.as_ptr(), (&raw mut kind).cast::<ONNXType>()) })?;
        if kind != ONNXType::ONNX_TYPE_TENSOR as i32 {
            return Ok(OutletKind::Other(kind_name(kind)));
        }
        let mut tensor = ptr::null();
        // SAFETY: what is written is borrowed from `self`.
        check(unsafe { (api().CastTypeInfoToTensorInfo)(self.0.as_ptr(), &mut tensor) })?;
        if tensor.is_null() {
            return Err("no tensor type".to_owned());
        }
        let mut element = ElementCode(0);
        // SAFETY: the type is written as a 32-bit number into one.
        check(unsafe {
            (api().GetTensorElementType)(tensor, (&raw mut element.0).cast::<ONNXTensorElementDataType>())
        })?;
        // SAFETY: `tensor` is not null and borrowed from `self`.
        Ok(OutletKind::Tensor { element, dims: unsafe { dims(tensor) }? })
    }
}

impl Drop for TypeInfo {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { (api().ReleaseTypeInfo)(self.0.as_ptr()) };
    }
}

/// # Safety
/// `tensor` must be alive.
unsafe fn dims(tensor: *const OrtTensorTypeAndShapeInfo) -> Result<Option<Vec<i64>>, Message> {
    // SAFETY: all three calls read a living object; the buffer is as long as said.
    unsafe {
        if !(api().TensorTypeAndShape_HasShape)(tensor) {
            return Ok(None);
        }
        let mut n_dims = 0;
        check((api().GetDimensionsCount)(tensor, &mut n_dims))?;
        let mut dims = vec![0; n_dims];
        check((api().GetDimensions)(tensor, dims.as_mut_ptr(), n_dims))?;
        Ok(Some(dims))
    }
}

fn kind_name(kind: i32) -> &'static str {
    const NAMES: [&str; 7] =
        ["value of unknown kind", "tensor", "sequence", "map", "opaque value", "sparse tensor", "optional"];
    usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind)).copied().unwrap_or(NAMES[0])
}

/// Texts by key.
struct KeyValues(NonNull<OrtKeyValuePairs>);

impl KeyValues {
    /// A number; 0 when it is missing.
    fn number(&self, key: &CStr) -> u64 {
        // SAFETY: the text found is borrowed from `self`, or null.
        let text = unsafe { (api().GetKeyValue)(self.0.as_ptr(), key.as_ptr()) };
        if text.is_null() {
            return 0;
        }
        // SAFETY: terminated, and as long-lived as `self`.
        let text = unsafe { CStr::from_ptr(text) };
        text.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(0)
    }
}

impl Drop for KeyValues {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { (api().ReleaseKeyValuePairs)(self.0.as_ptr()) };
    }
}
