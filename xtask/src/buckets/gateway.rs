//! The gateway under test: the real binary on free ports, with its models in a bucket.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use ureq::Agent;

use super::emulator::Emulator;
use super::{BucketsError, io_at};

/// Whatever is waited for comes in this time, or not at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of the log that are shown when something goes wrong.
const LOG_LINES_MAX: usize = 20;

const GATEWAY_TOML: &str = "\
[repository]
poll_ms = 100
settle_ms = 100

[bucket]
poll_ms = 200
";

/// What is started, again and again.
#[derive(Debug, Clone)]
pub struct Place {
    /// The program.
    pub binary: PathBuf,
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// The folder of state and log.
    pub folder: PathBuf,
}

/// A gateway that runs. It is killed when this is dropped.
pub struct Gateway {
    child: Child,
    log: PathBuf,
    http: String,
    metrics: String,
    agent: Agent,
}

impl Gateway {
    /// Starts it and waits until it is ready.
    pub fn start(place: &Place, address: &str, environment: &[(&str, String)]) -> Result<Self, BucketsError> {
        let config = place.folder.join("gateway.toml");
        fs::write(&config, GATEWAY_TOML).map_err(io_at(&config))?;
        let log = place.folder.join("gateway.log");
        let file = File::create(&log).map_err(io_at(&log))?;
        let mut command = Command::new(&place.binary);
        command.arg("serve").args(["--model-repository", address]).arg("--config").arg(&config);
        command.arg("--state-dir").arg(place.folder.join("state"));
        for flag in ["--http-address", "--grpc-address", "--metrics-address", "--admin-address"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.env("SWITCHRAIL_ORT_DYLIB", &place.library).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(io_at(&place.binary))?;
        let stdout = child.stdout.take();
        let (tx, rx) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let is_read = stdout.is_some_and(|stdout| BufReader::new(stdout).read_line(&mut line).is_ok());
            // The receiver is gone when it took too long.
            let _late = is_read.then(|| tx.send(line));
        });
        let line = rx.recv_timeout(PATIENCE).unwrap_or_default();
        let addresses: Value = serde_json::from_str(&line).unwrap_or_default();
        let address = |key: &str| addresses[key].as_str().unwrap_or_default().to_owned();
        let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
        let gateway = Self { child, log, http: address("http"), metrics: address("metrics"), agent };
        if gateway.http.is_empty() { Err(gateway.patience("the start")) } else { Ok(gateway) }
    }

    /// Starts it with the store of an emulator.
    pub fn of(place: &Place, store: &Emulator) -> Result<Self, BucketsError> {
        Self::start(place, &store.address(), &store.environment())
    }

    /// Asks a version for its answer to 1; `None` while it gives none.
    pub fn answer(&self, version: u64) -> Option<f64> {
        let url = format!("http://{}/v2/models/m/versions/{version}/infer", self.http);
        let input = json!({ "name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1.0, 0.0, 0.0, 0.0] });
        let mut answer = self.agent.post(url).send_json(json!({ "inputs": [input] })).ok()?;
        let answer: Value = answer.body_mut().read_json().ok()?;
        answer["outputs"][0]["data"][0].as_f64()
    }

    /// A metric without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.agent.get(format!("http://{}/metrics", self.metrics)).call();
        let text = text.ok().and_then(|mut answer| answer.body_mut().read_to_string().ok()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
    }

    /// Waits until something holds.
    pub fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) -> Result<(), BucketsError> {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            if Instant::now() > until {
                return Err(self.patience(what));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(mut self) -> Result<(), BucketsError> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM).map_err(|error| io_at(&self.log)(error.into()))?;
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.child.try_wait().map_err(io_at(&self.log))? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return Err(self.patience("a clean end")),
                None if Instant::now() > until => return Err(self.patience("the end")),
                None => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// The log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn patience(&self, what: &str) -> BucketsError {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join("\n");
        BucketsError::Patience { what: what.to_owned(), seconds: PATIENCE.as_secs(), log }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A process that has ended cannot be killed, and need not be.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The folder of a gateway, made anew.
pub fn place(binary: &Path, library: &Path, folder: &Path) -> Result<Place, BucketsError> {
    fs::create_dir_all(folder).map_err(io_at(folder))?;
    Ok(Place { binary: binary.to_path_buf(), library: library.to_path_buf(), folder: folder.to_path_buf() })
}
