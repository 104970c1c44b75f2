//! The bare hyper server beside which the gateway is measured.

use std::path::Path;
use std::process::Command;

use crate::BenchError;
use crate::server::Server;

/// A running echo server.
#[derive(Debug)]
pub struct Echo {
    server: Server,
}

impl Echo {
    /// Starts it with answers of this size.
    pub fn start(program: &Path, folder: &Path, body_bytes: usize, n_threads: usize) -> Result<Self, BenchError> {
        let mut command = Command::new(program);
        command.args(["--body-bytes", &body_bytes.to_string(), "--threads", &n_threads.to_string()]);
        Ok(Self { server: Server::start(&mut command, &folder.join("echo.log"))? })
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.server.address("http")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }
}
