//! What must hold for any bytes a caller may send: no panic, and memory in proportion to the body.
//!
//! The same checks run under cargo-fuzz (`fuzz/`), for as long as one likes, and in a bounded test on stable
//! (`tests/bounded`), which replays the corpora and changes them at random. Each check takes bytes of any kind;
//! how it reads them stands at the check, and the corpora are written that way.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a check fails by panicking")]

mod compress;
mod grpc;
mod infer;
mod shape;
mod tfs;

pub use compress::decompress;
pub use grpc::{grpc_infer, grpc_predict};
pub use infer::{binary_infer, json_infer};
pub use shape::shape;
pub use tfs::tfs_json;

/// What decoding may allocate at most, beside so many times the body.
const FREE_BYTES: usize = 1024 * 1024;
/// How many times the body.
const TIMES: usize = 8;

/// Measures memory.
pub trait Meter {
    /// Does something and says how many bytes were allocated at the same time for it; `None` where nobody counts.
    fn peak<T>(&self, work: impl FnOnce() -> T) -> (T, Option<usize>);
}

/// Counts nothing.
pub struct Unmetered;

impl Meter for Unmetered {
    fn peak<T>(&self, work: impl FnOnce() -> T) -> (T, Option<usize>) {
        (work(), None)
    }
}

/// Fails where more was allocated than a body of this size may cost.
fn check_peak(peak: Option<usize>, body_bytes: usize) {
    let allowed = body_bytes.saturating_mul(TIMES).saturating_add(FREE_BYTES);
    if let Some(peak) = peak.filter(|peak| *peak > allowed) {
        panic!("{peak} bytes were allocated for a body of {body_bytes}");
    }
}

/// A check of this crate by its name, which is also that of its corpus.
pub type Check<M> = fn(&[u8], &M);

/// Every check.
pub fn all<M: Meter>() -> [(&'static str, Check<M>); 7] {
    [
        ("json_infer", json_infer::<M>),
        ("binary_infer", binary_infer::<M>),
        ("decompress", decompress::<M>),
        ("grpc_infer", grpc_infer::<M>),
        ("grpc_predict", grpc_predict::<M>),
        ("shape", shape::<M>),
        ("tfs_json", tfs_json::<M>),
    ]
}
