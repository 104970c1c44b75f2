//! What a place must be able to do to hold a store: a folder, a bucket, anything that can keep a name from being
//! given twice.
//!
//! A key is a relative path of plain names with `/` between them.

use crate::StoreError;

/// What became of an object that was to be put where none is yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    New,
    /// Something had the name already and was left alone.
    Existed,
}

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// When it was written, in milliseconds since 1970.
    pub written_unix_ms: u64,
}

/// Held while something is written that others must not write meanwhile.
pub trait Guard: Send {}

/// A place for objects. Everything that was put is durable once [`Objects::sync`] has come back, and complete whenever
/// it can be seen.
pub trait Objects: Send + Sync {
    /// What people call the place.
    fn place(&self) -> String;

    /// Keeps other writers out until the guard is gone. Where that cannot be, such as in a bucket, the guard is empty:
    /// names are still never given twice, and the grace of a collection keeps it from what is being written.
    fn lock(&self) -> Result<Box<dyn Guard>, StoreError>;

    /// Puts an object where none is; never replaces one.
    fn put_if_absent(&self, key: &str, content: &[u8]) -> Result<Put, StoreError>;

    /// Puts an object in the place of whatever has its name, in one step.
    fn replace(&self, key: &str, content: &[u8]) -> Result<(), StoreError>;

    /// An object of at most so many bytes; `None` when there is none. A larger one is an error.
    fn get(&self, key: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// The objects whose keys begin with this folder, which ends with `/`, in the order of their keys.
    fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError>;

    /// Removes an object; one that is not there is no error.
    fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Returns when everything put before is durable.
    fn sync(&self) -> Result<(), StoreError>;
}
