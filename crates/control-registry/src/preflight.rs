//! Scans an ONNX file before the runtime sees a byte of it.
//!
//! Model files are untrusted input to a large C++ parser. This scanner walks the protobuf wire data once, with a
//! stack of its own instead of recursion, borrowing all it keeps from the file; it refuses what is malformed, what
//! the runtime is too old for, what needs foreign code, what reaches outside its folder and what would blow up in
//! memory. It does not judge whether the graph makes sense: that is the runtime's work.

mod describe;
mod elements;
mod functions;
mod operators;
mod schema;
mod tensor;
mod walk;
mod wire;

use crate::{Limits, Refusal, RefusalCode};

pub use describe::{Description, TensorInfo, TensorPlace, ValueInfo, describe};
pub use elements::{element_type, elements};
pub use operators::{Operators, operators};

/// Newest ONNX IR version that ONNX Runtime 1.32.0 loads (15 gets "Unsupported model IR version"; tried with the
/// released wheel, which bundles ONNX 1.23).
pub const IR_VERSION_MAX: i64 = 14;

/// Operator domains built into the CPU runtime, with the newest operator set ONNX Runtime 1.32.0 loads of each
/// (the next one gets "is under development"; tried with the released wheel). `ai.onnx` is another name of the
/// empty domain. `com.microsoft` holds what quantisers and optimisers emit.
pub const DOMAINS: [(&str, i64); 3] = [("", 28), ("ai.onnx.ml", 5), ("com.microsoft", 1)];

/// The location by which some runtimes would read "external data" from an address in their own memory.
const MEMORY_ADDRESS_MARKER: &str = "_ORT_MEM_ADDR_";

/// What the scan found out about a model it did not refuse.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The IR version.
    pub ir_version: i64,
    /// The operator sets the model imports: domain and version, in the file's order.
    pub opsets: Vec<(String, i64)>,
    /// The program that wrote the file, and its version.
    pub producer: String,
    /// Names of the main graph's inputs; older models list initialisers here too.
    pub inputs: Vec<String>,
    /// Names of the main graph's outputs.
    pub outputs: Vec<String>,
    /// Nodes in the file, those of subgraphs and functions included; a function itself counts as one.
    pub nodes: u64,
    /// Files beside the model that hold tensor data, sorted by name.
    pub external: Vec<ExternalFile>,
}

/// A file that tensors of the model point into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalFile {
    /// Plain file name, in the folder of the model.
    pub location: String,
    /// The file must hold at least this many bytes.
    pub bytes_min: u64,
}

/// Scans a model file.
pub fn scan(bytes: &[u8], limits: &Limits) -> Result<Facts, Refusal> {
    check_kind(bytes)?;
    walk::walk(bytes, limits)
}

/// Tells files that are something else altogether, with a better text than "malformed".
fn check_kind(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::new(RefusalCode::Malformed, "the model file is empty"));
    }
    if bytes.starts_with(b"version https://git-lfs.github.com/spec/") {
        return Err(Refusal::new(
            RefusalCode::LfsPointer,
            "the model file is a Git LFS pointer, not the model: run `git lfs pull` where it was checked out",
        ));
    }
    if bytes.get(4..8) == Some(b"ORTM") {
        return Err(Refusal::new(
            RefusalCode::Malformed,
            "the model file is in ORT format: serve the ONNX file it was made from",
        ));
    }
    Ok(())
}

/// `ai.onnx` is a second name of the default domain.
fn normal_domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

/// Shows a text out of the file: escaped, and cut so that a message stays readable.
fn quote(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 80;
    if text.chars().count() <= SHOWN_CHARS_MAX {
        return format!("{text:?}");
    }
    let cut: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{cut:?}…")
}

#[cfg(test)]
mod tests;
