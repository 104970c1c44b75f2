//! What the request path may ask of the control plane where versions are loaded on demand.

use std::future::Future;
use std::pin::Pin;

use base_types::{ModelName, Version};

/// Why a version will not be in memory soon, in words for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLoaded(pub String);

/// Ends when the version is ready, or will not be.
pub type Demand<'a> = Pin<Box<dyn Future<Output = Result<(), NotLoaded>> + Send + 'a>>;

/// Implemented by the control plane. Who stops waiting takes the wish back; a load that began goes on.
pub trait OnDemand: Send + Sync {
    /// Asks for a version to be in memory; without a number, for one that may take the model's unpinned traffic.
    fn demand<'a>(&'a self, model: &'a ModelName, version: Option<Version>) -> Demand<'a>;
}
