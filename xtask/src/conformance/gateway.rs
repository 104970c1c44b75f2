//! The gateway under test: the real binary in a process of its own, on free ports.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{ConformanceError, io_at, models, tail};

/// The gateway is given this long to load all models and say that it is ready.
const START_MAX: Duration = Duration::from_secs(60);

/// The gateway is given this long to drain and end.
const STOP_MAX: Duration = Duration::from_secs(30);

/// How often a process that is to end is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Most bytes of the line that says the addresses.
const READY_BYTES_MAX: u64 = 4096;

/// Lines of the log that are shown when something goes wrong.
const LOG_LINES_MAX: usize = 20;

/// Callers may load and unload, as Triton's clients expect it of a server in explicit mode.
const GATEWAY_TOML: &str = "\
model_control = true
grpc_on_http = true

[repository]
poll_ms = 200
settle_ms = 200
";

/// A gateway that runs. It is killed when this is dropped without a stop.
pub struct Gateway {
    child: Child,
    folder: PathBuf,
    /// `host:port` of REST.
    pub http: String,
    /// `host:port` of gRPC.
    pub grpc: String,
    /// `host:port` of the metrics.
    pub metrics: String,
}

impl Gateway {
    /// Writes models and files into a folder, starts the program there and waits until it is ready.
    pub fn start(binary: &Path, library: &Path, folder: &Path) -> Result<Self, ConformanceError> {
        models::write(&folder.join("models")).map_err(io_at(folder))?;
        for (name, text) in [("gateway.toml", GATEWAY_TOML), ("routing.toml", models::ROUTING)] {
            fs::write(folder.join(name), text).map_err(io_at(folder))?;
        }
        let mut child = serve(binary, library, folder)?.spawn().map_err(io_at(binary))?;
        let line = child.stdout.take().and_then(first_line);
        let addresses: Value = line.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
        let address = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
        let gateway = Self {
            child,
            folder: folder.to_path_buf(),
            http: address("http"),
            grpc: address("grpc"),
            metrics: address("metrics"),
        };
        if gateway.http.is_empty() { Err(ConformanceError::Start(gateway.log_tail())) } else { Ok(gateway) }
    }

    /// Where drivers may put files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGTERM: it has to drain and end with 0.
    pub fn stop(mut self) -> Result<(), ConformanceError> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(|error| io_at(&self.folder)(error.into()))?;
        }
        let until = Instant::now() + STOP_MAX;
        while Instant::now() < until {
            match self.child.try_wait().map_err(io_at(&self.folder))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(ConformanceError::Stop { status: status.to_string(), log: self.log_tail() });
                }
                None => thread::sleep(LOOK_INTERVAL),
            }
        }
        let status = format!("still there after {} s", STOP_MAX.as_secs());
        Err(ConformanceError::Stop { status, log: self.log_tail() })
    }

    fn log_tail(&self) -> String {
        // No log is no lines: this is shown beside an error that matters more.
        let text = fs::read(self.folder.join("gateway.log")).unwrap_or_default();
        tail(&String::from_utf8_lossy(&text), LOG_LINES_MAX)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("could not end the gateway: {error}");
        }
    }
}

fn serve(binary: &Path, library: &Path, folder: &Path) -> Result<Command, ConformanceError> {
    let log = folder.join("gateway.log");
    let log = File::create(&log).map_err(io_at(&log))?;
    let mut command = Command::new(binary);
    command.arg("serve").current_dir(folder);
    for (flag, name) in [("--model-repository", "models"), ("--config", "gateway.toml"), ("--routing", "routing.toml")]
    {
        command.arg(flag).arg(folder.join(name));
    }
    command.arg("--state-dir").arg(folder.join("state"));
    for address in ["--http-address", "--grpc-address", "--metrics-address", "--admin-address"] {
        command.args([address, "127.0.0.1:0"]);
    }
    command.env("SWITCHRAIL_ORT_DYLIB", library).env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    Ok(command)
}

/// The first line, if it comes in time. The rest is read and forgotten, so that the gateway never waits to write.
fn first_line(stdout: ChildStdout) -> Option<String> {
    let (tx, rx) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        let is_read = reader.by_ref().take(READY_BYTES_MAX).read_line(&mut line).is_ok();
        // The receiver is gone when it took too long; the rest is to be drained all the same.
        if is_read && tx.send(line).is_err() {
            eprintln!("the gateway was ready too late");
        }
        if let Err(error) = io::copy(&mut reader, &mut io::sink()) {
            eprintln!("could not read the gateway's output: {error}");
        }
    });
    rx.recv_timeout(START_MAX).ok()
}
