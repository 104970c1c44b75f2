//! What callers of the data plane may ask of the control plane, where the operator allows it: Triton's load and unload.

use std::future::Future;
use std::pin::Pin;

use base_types::{ModelName, Version};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Have it in memory, ready to answer.
    Load,
    /// Have it out of memory.
    Unload,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeRefused {
    /// In words, for the caller.
    pub text: String,
    /// There is nothing of that name, or no such version.
    pub is_unknown: bool,
}

/// The end of a change: done, or why not.
pub type Changed<'a> = Pin<Box<dyn Future<Output = Result<(), ChangeRefused>> + Send + 'a>>;

/// Implemented by the control plane. The answer comes when the work is done, because callers take it for that.
pub trait ChangeRequest: Send + Sync {
    /// Asks for a change of one version, or of the whole model: load what its policy wants, unload all of it.
    fn request<'a>(&'a self, kind: ChangeKind, model: &'a ModelName, version: Option<Version>) -> Changed<'a>;
}
