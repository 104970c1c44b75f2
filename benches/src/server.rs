//! A server in a process of its own: started, waited for, stopped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::BenchError;
use crate::error::io_at;

/// How long a server may take to end when asked to.
const STOP_MAX: Duration = Duration::from_secs(5);
const LOG_LINES_SHOWN: usize = 20;

/// A child process that said on stdout where it listens.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Kept open, or the server could not write to it any more.
    _stdout: BufReader<ChildStdout>,
    ready: Value,
    log: PathBuf,
}

impl Server {
    /// Starts a program and waits for its line of JSON. Its stderr goes to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Self, BenchError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let stderr = File::create(log).map_err(io_at(format!("create {}", log.display())))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().map_err(io_at(format!("start {program}")))?;
        let Some(stdout) = child.stdout.take() else {
            return Err(BenchError::Process { program, what: "it has no stdout".to_owned(), log: String::new() });
        };
        let mut server = Self { child, _stdout: BufReader::new(stdout), ready: Value::Null, log: log.to_path_buf() };
        let mut line = String::new();
        server._stdout.read_line(&mut line).map_err(io_at(format!("read the stdout of {program}")))?;
        match serde_json::from_str(&line) {
            Ok(ready) => server.ready = ready,
            Err(_) => {
                let what = format!("its first line is {line:?}");
                return Err(BenchError::Process { program, what, log: server.last_log() });
            }
        }
        Ok(server)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address of one of its listeners.
    pub(crate) fn address(&self, listener: &str) -> String {
        self.ready[listener].as_str().unwrap_or_default().to_owned()
    }

    /// The end of what it wrote to stderr.
    pub(crate) fn last_log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }

    fn ask_to_end(&mut self) -> bool {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if pid.is_none_or(|pid| kill_process(pid, Signal::TERM).is_err()) {
            return false;
        }
        let began = Instant::now();
        while began.elapsed() < STOP_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) || self.ask_to_end() {
            return;
        }
        eprintln!("process {} does not end by itself and is killed", self.child.id());
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("it could not be killed: {error}");
        }
    }
}
