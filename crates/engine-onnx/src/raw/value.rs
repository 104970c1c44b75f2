//! Tensors of the runtime: made over bytes of ours, or read after a run.

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::slice;

use bytes::Bytes;
use ort::sys::{ONNXTensorElementDataType, OrtAllocatorType, OrtMemType, OrtMemoryInfo, OrtValue};

use super::{Message, api, check};

/// An element type by its number in the C interface. Kept as a number, because a newer library may know more of them
/// than our list, and a number outside an enum's list would be undefined behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ElementCode(pub(crate) i32);

/// Describes plain memory of the CPU.
pub(crate) struct CpuMemory(NonNull<OrtMemoryInfo>);

// SAFETY: an immutable description without ties to a thread.
unsafe impl Send for CpuMemory {}
// SAFETY: as above.
unsafe impl Sync for CpuMemory {}

impl CpuMemory {
    pub(super) fn new() -> Result<Self, Message> {
        let mut info = ptr::null_mut();
        let (kind, memory) = (OrtAllocatorType::OrtArenaAllocator, OrtMemType::OrtMemTypeDefault);
        // SAFETY: writes a pointer to a new object, which we own, or returns an error.
        check(unsafe { (api().CreateCpuMemoryInfo)(kind, memory, &mut info) })?;
        Ok(Self(NonNull::new(info).ok_or("no memory description")?))
    }

    pub(super) fn as_ptr(&self) -> *const OrtMemoryInfo {
        self.0.as_ptr()
    }
}

impl Drop for CpuMemory {
    fn drop(&mut self) {
        // SAFETY: ours; whatever was made with it has copied it.
        unsafe { (api().ReleaseMemoryInfo)(self.0.as_ptr()) };
    }
}

/// A tensor of the runtime that may borrow its elements. Has the layout of a pointer, so that a slice of values is what
/// the C interface takes as a list.
#[repr(transparent)]
pub(crate) struct Value<'a> {
    ptr: NonNull<OrtValue>,
    data: PhantomData<&'a [u8]>,
}

impl<'a> Value<'a> {
    /// A tensor over bytes, which are not copied. They must be aligned for the element type; their number is checked
    /// against the shape by the runtime.
    pub(super) fn over(
        memory: &CpuMemory,
        bytes: &'a [u8],
        shape: &[i64],
        element: ElementCode,
    ) -> Result<Self, Message> {
        let code = enumerated(element)?;
        let (data, n_bytes) = (bytes.as_ptr().cast_mut().cast::<c_void>(), bytes.len());
        let mut value = ptr::null_mut();
        // SAFETY: the bytes outlive the value by its lifetime. A run only reads its inputs: the runtime never plans
        // writes into memory it was given as an input. Strings, whose elements are objects, are refused by the call.
        check(unsafe {
            let (shape, n_dims) = (shape.as_ptr(), shape.len());
            (api().CreateTensorWithDataAsOrtValue)(memory.as_ptr(), data, n_bytes, shape, n_dims, code, &mut value)
        })?;
        Self::own(value)
    }

    /// A tensor with a copy of the bytes, aligned as the runtime likes it.
    pub(crate) fn copy(bytes: &[u8], shape: &[i64], element: ElementCode) -> Result<Value<'static>, Message> {
        let value = Value::allocate(shape, enumerated(element)?)?;
        let (mut data, mut n_bytes) = (ptr::null_mut(), 0);
        // SAFETY: both calls read the value and write what is asked.
        check(unsafe { (api().GetTensorSizeInBytes)(value.as_ptr(), &mut n_bytes) })?;
        // SAFETY: as above.
        check(unsafe { (api().GetTensorMutableData)(value.as_mut_ptr(), &mut data) })?;
        if n_bytes != bytes.len() {
            return Err(format!("a tensor of {n_bytes} bytes, {} given", bytes.len()));
        }
        if n_bytes > 0 {
            let to = NonNull::new(data.cast::<u8>()).ok_or("no room for a tensor")?;
            // SAFETY: the new tensor has room for that many bytes, and is not where ours are.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), n_bytes) };
        }
        Ok(value)
    }

    /// A tensor of strings, copied from elements that may hold any bytes.
    pub(crate) fn strings(elements: &[Bytes], shape: &[i64]) -> Result<Value<'static>, Message> {
        let value = Value::allocate(shape, ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING)?;
        for (index, element) in elements.iter().enumerate() {
            let mut buffer: *mut c_char = ptr::null_mut();
            // SAFETY: the runtime refuses an index outside the tensor, and makes room for that many bytes.
            check(unsafe {
                (api().GetResizedStringTensorElementBuffer)(value.as_mut_ptr(), index, element.len(), &mut buffer)
            })?;
            if !element.is_empty() {
                let to = NonNull::new(buffer).ok_or("no room for a string")?;
                // SAFETY: the buffer has room for exactly these bytes and belongs to the new tensor, not to ours.
                unsafe { ptr::copy_nonoverlapping(element.as_ptr(), to.as_ptr().cast::<u8>(), element.len()) };
            }
        }
        Ok(value)
    }

    /// Element type and dimensions.
    pub(crate) fn type_and_shape(&self) -> Result<(ElementCode, &[i64]), Message> {
        let mut code = ElementCode(0);
        let (mut dims, mut n_dims) = (ptr::null(), 0);
        // SAFETY: the type is written as a 32-bit number into one; the dimensions are borrowed from the value.
        check(unsafe {
            let code = (&raw mut code.0).cast::<ONNXTensorElementDataType>();
            (api().GetTensorElementTypeAndShapeDataReference)(self.as_ptr(), code, &mut dims, &mut n_dims)
        })?;
        // SAFETY: the runtime owns that many dimensions for as long as the value; the pointer of none may be null.
        Ok((code, unsafe { borrowed(dims, n_dims) }))
    }

    /// The elements of a tensor of fixed-size elements.
    pub(crate) fn bytes(&self) -> Result<&[u8], Message> {
        let (mut data, mut n_bytes) = (ptr::null(), 0);
        // SAFETY: both calls only read the value, refuse what is no tensor, and write what is asked.
        check(unsafe { (api().GetTensorSizeInBytes)(self.as_ptr(), &mut n_bytes) })?;
        // SAFETY: as above.
        check(unsafe { (api().GetTensorData)(self.as_ptr(), &mut data) })?;
        // SAFETY: a tensor on the CPU owns, or borrows for its lifetime, that many bytes at that place, and they were
        // written by the run that made it.
        Ok(unsafe { borrowed(data.cast::<u8>(), n_bytes) })
    }

    /// The elements of a tensor of `n_elements` strings, as slices of one buffer.
    pub(crate) fn string_elements(&self, n_elements: usize) -> Result<Vec<Bytes>, Message> {
        if n_elements == 0 {
            return Ok(Vec::new());
        }
        let mut n_bytes = 0;
        // SAFETY: reads the value, refuses what holds no strings.
        check(unsafe { (api().GetStringTensorDataLength)(self.as_ptr(), &mut n_bytes) })?;
        let mut text = vec![0u8; n_bytes];
        let mut starts = vec![0usize; n_elements];
        // SAFETY: both buffers have the sizes given; the runtime refuses sizes that do not fit.
        check(unsafe {
            let text = text.as_mut_ptr().cast::<c_void>();
            (api().GetStringTensorContent)(self.as_ptr(), text, n_bytes, starts.as_mut_ptr(), n_elements)
        })?;
        let text = Bytes::from(text);
        let ends = starts.iter().skip(1).copied().chain([n_bytes]);
        let slice = |(start, end): (&usize, usize)| (*start <= end && end <= n_bytes).then(|| text.slice(*start..end));
        let elements: Option<Vec<Bytes>> = starts.iter().zip(ends).map(slice).collect();
        elements.ok_or_else(|| "the strings of a tensor overlap".to_owned())
    }

    fn allocate(shape: &[i64], code: ONNXTensorElementDataType) -> Result<Value<'static>, Message> {
        let mut allocator = ptr::null_mut();
        // SAFETY: writes a pointer to the library's own allocator, which is not ours to free.
        check(unsafe { (api().GetAllocatorWithDefaultOptions)(&mut allocator) })?;
        let mut value = ptr::null_mut();
        // SAFETY: the shape is read during the call; a new object is written, which we own.
        check(unsafe { (api().CreateTensorAsOrtValue)(allocator, shape.as_ptr(), shape.len(), code, &mut value) })?;
        Value::own(value)
    }

    fn own(value: *mut OrtValue) -> Result<Self, Message> {
        let ptr = NonNull::new(value).ok_or("no tensor")?;
        Ok(Self { ptr, data: PhantomData })
    }

    pub(super) fn as_ptr(&self) -> *const OrtValue {
        self.ptr.as_ptr()
    }

    fn as_mut_ptr(&self) -> *mut OrtValue {
        self.ptr.as_ptr()
    }
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this. Borrowed elements are not freed with it.
        unsafe { (api().ReleaseValue)(self.ptr.as_ptr()) };
    }
}

/// The number as the call takes it; numbers outside our headers' list are refused.
fn enumerated(element: ElementCode) -> Result<ONNXTensorElementDataType, Message> {
    let last = ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT8E8M0 as i32;
    if !(0..=last).contains(&element.0) {
        return Err(format!("element type number {} is unknown", element.0));
    }
    // SAFETY: the list has 32-bit numbers from 0 to `last` without a gap.
    Ok(unsafe { std::mem::transmute::<i32, ONNXTensorElementDataType>(element.0) })
}

/// A slice the runtime owns.
///
/// # Safety
/// `n` elements at `start` must be readable and unchanged for the lifetime chosen, unless `n` is 0.
unsafe fn borrowed<'a, T>(start: *const T, n: usize) -> &'a [T] {
    if n == 0 || start.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(start, n) }
}
