//! End-to-end measurements of the gateway: the release binary, real models, callers over sockets.
//!
//! Each measurement prints a table and appends JSON lines to a file. What a gateway costs is shown beside a floor of
//! the same run (a bare hyper echo, the model run in-process, a window at rest), because absolute times on a shared
//! machine say little. Times are reported and never judged; a failed or misattributed answer ends a measurement with
//! an error.
//!
//! Reading order: `measure` (one module per measurement), then what they are built from: `gateway` and `echo` (the
//! processes measured, both a `server`), `closed` and `open` (the two generators of load), `floor`, `process`, `stats`, `report`.

pub mod closed;
pub mod echo;
mod error;
pub mod floor;
pub mod gateway;
pub mod http1;
pub mod measure;
pub mod open;
pub mod process;
pub mod report;
mod server;
pub mod stats;
pub mod traffic;

pub use error::BenchError;

/// What every measurement is given.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The checkout: results go below it.
    pub root: std::path::PathBuf,
    /// The gateway's binary.
    pub gateway: std::path::PathBuf,
    /// The echo server's binary.
    pub echo: std::path::PathBuf,
    /// Short windows and few rounds: shows that the measurement works, not what it would find.
    pub is_quick: bool,
}

impl Settings {
    /// Chooses between the long form and the quick one.
    pub fn pick<T>(&self, full: T, quick: T) -> T {
        if self.is_quick { quick } else { full }
    }
}
