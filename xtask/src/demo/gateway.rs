//! The gateway under demonstration: the real binary in a process of its own, with a folder and ports of its own.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::interrupt::pause;
use super::{DemoError, io_at};

/// The gateway is given this long to say that it is ready.
const START_MAX: Duration = Duration::from_secs(60);

/// The gateway is given this long to drain and end.
const STOP_MAX: Duration = Duration::from_secs(15);

/// Most bytes of the line that says the addresses.
const READY_BYTES_MAX: u64 = 4096;

/// Lines of the log shown when something goes wrong.
const LOG_LINES_MAX: usize = 15;

/// How often a process that is to end is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Quick on the uptake, because people watch; the defaults are for file systems where copies take long.
const GATEWAY_TOML: &str = "\
[repository]
poll_ms = 200
settle_ms = 300
";

/// What routing.toml says at first: nothing, so that the highest version ready at start serves.
const ROUTING_TOML: &str = "# What traffic goes where. Live: save this file and it takes effect.\n";

/// The folder of one demo.
#[derive(Debug, Clone)]
pub struct Place {
    /// The built program.
    pub binary: PathBuf,
    /// ONNX Runtime's library; `None` where the environment names one.
    pub library: Option<PathBuf>,
    /// Everything the gateway reads and writes.
    pub folder: PathBuf,
}

/// A gateway that runs. It is killed when this is dropped without a stop.
#[derive(Debug)]
pub struct Gateway {
    place: Place,
    process: Process,
    /// `host:port` where predictions are asked for.
    pub http: String,
    /// `host:port` of the metrics.
    pub metrics: String,
    /// `host:port` of the admin API.
    pub admin: String,
}

#[derive(Debug)]
struct Process(Child);

impl Place {
    /// Writes the configuration files.
    pub fn prepare(&self) -> Result<(), DemoError> {
        for (path, text) in [(self.config(), GATEWAY_TOML), (self.routing(), ROUTING_TOML)] {
            fs::write(&path, text).map_err(io_at(&path))?;
        }
        Ok(())
    }

    /// The model repository.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("models")
    }

    /// The live configuration.
    pub fn routing(&self) -> PathBuf {
        self.folder.join("routing.toml")
    }

    fn config(&self) -> PathBuf {
        self.folder.join("gateway.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }

    /// The last lines of the gateway's log.
    pub fn log_tail(&self) -> String {
        // No log is no lines: this is shown beside an error that matters more.
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n")
    }
}

impl Gateway {
    /// Starts it and waits until it is ready.
    pub fn start(place: &Place) -> Result<Self, DemoError> {
        let mut process = Process(serve(place)?.spawn().map_err(io_at(&place.binary))?);
        let line = process.0.stdout.take().and_then(first_line);
        let addresses: Value = line.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or_default();
        let address = |key: &str| addresses[key].as_str().map(str::to_owned);
        match (address("http"), address("metrics"), address("admin")) {
            (Some(http), Some(metrics), Some(admin)) => {
                Ok(Self { place: place.clone(), process, http, metrics, admin })
            }
            _ => Err(DemoError::Start),
        }
    }

    /// Runs a command of the same program against the gateway. What it wrote, whether it succeeded or not.
    pub fn command(&self, arguments: &[&str]) -> Result<(bool, String), DemoError> {
        let mut command = Command::new(&self.place.binary);
        command.args(arguments).env("SWITCHRAIL_ADMIN", &self.admin).stdin(Stdio::null());
        let output = command.output().map_err(io_at(&self.place.binary))?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&text).trim_end().to_owned()))
    }

    /// SIGTERM: it drains and ends. Its exit status; `None` when it had to be killed.
    pub fn stop(mut self) -> Result<Option<ExitStatus>, DemoError> {
        let child = &mut self.process.0;
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(|error| io_at(&self.place.binary)(error.into()))?;
        }
        let until = Instant::now() + STOP_MAX;
        while Instant::now() < until {
            if let Some(status) = child.try_wait().map_err(io_at(&self.place.binary))? {
                return Ok(Some(status));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(None)
    }

    /// SIGKILL, which leaves it no time for anything, and another start from what is on disk. The ports are others.
    pub fn kill_and_restart(&mut self) -> Result<(), DemoError> {
        self.process.end();
        *self = Self::start(&self.place.clone())?;
        Ok(())
    }

    /// The folder it runs in.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Waits until it ends by itself or a signal comes.
    pub fn attend(&mut self) -> Result<(), DemoError> {
        loop {
            pause(LOOK_INTERVAL)?;
            if let Some(status) = self.process.0.try_wait().map_err(io_at(&self.place.binary))? {
                return Err(DemoError::NotAsTold(format!("the gateway ended by itself: {status}")));
            }
        }
    }
}

impl Process {
    /// Kills it; one that has ended already stays ended.
    fn end(&mut self) {
        let killed = self.0.kill();
        if let Err(error) = killed.and_then(|()| self.0.wait()) {
            eprintln!("could not end the gateway: {error}");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve(place: &Place) -> Result<Command, DemoError> {
    let log = place.log();
    let log = File::options().create(true).append(true).open(&log).map_err(io_at(&log))?;
    let mut command = Command::new(&place.binary);
    command.arg("serve").arg("--model-repository").arg(place.repository());
    command.arg("--config").arg(place.config()).arg("--routing").arg(place.routing());
    command.arg("--state-dir").arg(place.folder.join("state"));
    for address in ["--http-address", "--grpc-address", "--metrics-address", "--admin-address"] {
        command.args([address, "127.0.0.1:0"]);
    }
    if let Some(library) = &place.library {
        command.env("SWITCHRAIL_ORT_DYLIB", library);
    }
    // A process group of its own: Ctrl-C reaches the demo, which then stops the gateway in order.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
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
