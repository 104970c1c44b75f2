//! The one `ArcSwap` of the process. What must agree is inside one snapshot.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::Snapshot;

/// Holds the snapshot in force. Readers take one owned load per request and never keep a guard.
pub struct SnapshotCell(ArcSwap<Snapshot>);

impl SnapshotCell {
    /// Starts with a snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// The snapshot in force. It stays valid, and keeps its versions in memory, for as long as it is held.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Publishes a snapshot and hands back the one it replaces, so that its publisher, not a request, pays for
    /// the end of it. Only the writer calls this, under its lock.
    pub fn publish(&self, next: Arc<Snapshot>) -> Arc<Snapshot> {
        debug_assert!(self.0.load().generation < next.generation, "generations only grow");
        self.0.swap(next)
    }
}
