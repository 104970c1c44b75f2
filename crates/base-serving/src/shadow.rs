//! Copies of answered requests, run by a candidate whose answers nobody waits for.

use std::sync::Arc;
use std::time::Instant;

use crate::ServingVersion;
use crate::lane::{Job, Report};

/// How the copy of a request ended.
#[derive(Debug)]
pub enum ShadowEnd {
    /// The candidate ran it.
    Ran(Report),
    /// There was no room for it, or live requests needed what there was.
    Shed,
}

/// The copy of a request. Everything here happens after its caller was answered, on a thread that gives way to all
/// others.
pub trait ShadowTask: Send {
    /// Bytes it holds in memory.
    fn n_bytes(&self) -> usize;

    /// Gets it ready for the candidate; `None` where the candidate cannot take it, which it has counted itself.
    fn begin(&mut self, now: Instant) -> Option<(Arc<ServingVersion>, Job)>;

    /// Takes the end of it.
    fn end(self: Box<Self>, end: ShadowEnd);
}

/// Where copies go. Implemented by the executor's shadow threads.
pub trait ShadowSink: Send + Sync {
    /// Whether there is room for a copy of so many bytes: to be asked before one is made.
    fn has_room(&self, n_bytes: usize) -> bool;

    /// Takes a copy, or sheds it at once; never waits.
    fn offer(&self, task: Box<dyn ShadowTask>);
}
