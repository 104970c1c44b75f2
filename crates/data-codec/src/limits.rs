//! Bounds of what a request may hold, whatever the size of its body.

/// Bounds of one request. Each field is a key of the section `limits` of gateway.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecLimits {
    /// Inputs, and as many requested outputs.
    pub tensors: usize,
    /// Dimensions of a tensor.
    pub rank: usize,
    /// The size of one dimension.
    pub dimension: usize,
    /// Elements of a tensor.
    pub elements: usize,
    /// Elements of all BYTES tensors together; each costs a handle of 32 bytes beside its text.
    pub strings: usize,
    /// Nesting of arrays and objects in JSON.
    pub depth: usize,
    /// Entries of one `parameters` object.
    pub parameters: usize,
    /// Bytes of a name or a request id.
    pub name_bytes: usize,
}

impl Default for CodecLimits {
    fn default() -> Self {
        Self {
            tensors: 64,
            rank: 8,
            dimension: i32::MAX as usize,
            elements: 16 * 1024 * 1024,
            strings: 65_536,
            depth: 16,
            parameters: 64,
            name_bytes: 256,
        }
    }
}
