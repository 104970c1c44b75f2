//! A running gateway, and everything that can be asked of it from outside.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::repository::Repository;

use crate::{Answer, Builder, Client, Infer, Metrics, PATIENCE, Response, wait_for, wait_until};

/// Lines of the log that a failed test shows.
const LOG_LINES_SHOWN: usize = 80;

/// The addresses that the ready line names.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Predictions.
    pub http: SocketAddr,
    /// Predictions over gRPC.
    pub grpc: SocketAddr,
    /// Prometheus.
    pub metrics: SocketAddr,
    /// Operators.
    pub admin: SocketAddr,
}

/// A gateway under test. It is killed when it goes out of scope, and its log is shown when the test fails.
pub struct Gateway {
    builder: Builder,
    child: Child,
    addresses: Addresses,
    ready_line: String,
    log: Arc<Mutex<String>>,
}

impl Gateway {
    /// Describes one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn start(builder: Builder) -> Self {
        let mut command = builder.command();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log: Arc<Mutex<String>> = Arc::default();
        let stderr = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let written = log.clone();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = written.lock().expect("no reader panicked");
                log.push_str(&line);
                log.push('\n');
            }
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut ready_line = String::new();
        // Ends with an empty line when the process ends without getting ready.
        let read = stdout.read_line(&mut ready_line);
        // Whatever else is printed is read, so that nobody waits for room in the pipe.
        let rest = log.clone();
        thread::spawn(move || {
            let mut more = String::new();
            if stdout.read_to_string(&mut more).is_ok() && !more.is_empty() {
                rest.lock().expect("no reader panicked").push_str(&format!("STDOUT AFTER THE READY LINE: {more}"));
            }
        });
        let Some(addresses) = read.ok().and_then(|_| addresses(&ready_line)) else {
            let status = child.wait();
            // The reader of the log needs a moment to see its end.
            thread::sleep(Duration::from_millis(50));
            panic!("not ready: {ready_line:?}, {status:?}\n{}", log.lock().expect("no reader panicked"));
        };
        Self { builder, child, addresses, ready_line, log }
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The line it printed when it was ready.
    pub fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no reader panicked").clone()
    }

    /// What it was started from.
    pub fn builder_used(&self) -> &Builder {
        &self.builder
    }

    /// Its model repository.
    pub fn repository(&self) -> &Repository {
        self.builder.repository()
    }

    /// A new connection to the data listener.
    pub fn client(&self) -> Client {
        Client::new(self.addresses.http)
    }

    /// Sends one request over a new connection.
    pub fn infer(&self, request: &Infer) -> Answer {
        request.send(&mut self.client())
    }

    /// Sends one row with this first float to `model`.
    pub fn ask(&self, model: &str, first: f32) -> Answer {
        self.infer(&Infer::first(model, first))
    }

    /// A GET on the data listener.
    pub fn get(&self, path: &str) -> Response {
        self.client().send("GET", path, &[], b"")
    }

    /// A GET on the admin listener that must succeed.
    pub fn admin(&self, path: &str) -> Value {
        let response = Client::new(self.addresses.admin).send("GET", path, &[], b"");
        assert_eq!(response.status, 200, "GET {path}: {}", response.text());
        response.json()
    }

    /// A POST on the admin listener, with its status.
    pub fn admin_post(&self, path: &str, body: &str) -> (u16, Value) {
        let headers = [("content-type", "application/json")];
        let response = Client::new(self.addresses.admin).send("POST", path, &headers, body.as_bytes());
        (response.status, response.json())
    }

    /// An order that must succeed: `operation` is canary, promote, rollback or release.
    pub fn order(&self, model: &str, operation: &str, body: Value) -> Value {
        let (status, answer) = self.try_order(model, operation, body);
        assert_eq!(status, 200, "{operation} {model}: {answer}");
        answer
    }

    /// An order, with its status.
    pub fn try_order(&self, model: &str, operation: &str, body: Value) -> (u16, Value) {
        self.admin_post(&format!("/v1/models/{model}/{operation}"), &body.to_string())
    }

    /// Makes a version a canary.
    pub fn canary(&self, model: &str, version: u64, share: f64) {
        self.order(model, "canary", json!({ "version": version.to_string(), "share": share, "actor": "test" }));
    }

    /// The admin API's view of a model.
    pub fn model(&self, model: &str) -> Value {
        self.admin(&format!("/v1/models/{model}"))
    }

    /// The admin API's view of one version; `None` when it is not listed.
    pub fn version(&self, model: &str, version: u64) -> Option<Value> {
        let response = Client::new(self.addresses.admin).send("GET", &format!("/v1/models/{model}"), &[], b"");
        let view = (response.status == 200).then(|| response.json())?;
        let versions = view["versions"].as_array()?.clone();
        versions.into_iter().find(|found| text(&found["version"]) == version.to_string())
    }

    /// The state of a version; empty when it is not listed.
    pub fn state(&self, model: &str, version: u64) -> String {
        self.version(model, version).map(|found| text(&found["state"])).unwrap_or_default()
    }

    /// Waits for a version to be in a state.
    pub fn wait_state(&self, model: &str, version: u64, state: &str) {
        let what = format!("{model} {version} to be {state}");
        wait_for(&what, || (self.state(model, version) == state).then_some(()));
    }

    /// Waits for a version to be refused; returns code and text of the reason.
    pub fn wait_refused(&self, model: &str, version: u64) -> (String, String) {
        let reason = wait_for(&format!("{model} {version} to be refused"), || {
            let found = self.version(model, version)?;
            (found["state"] == "failed").then(|| found["reason"].clone())
        });
        (text(&reason["code"]), text(&reason["text"]))
    }

    /// Journal entries of a model, newest first.
    pub fn history(&self, model: &str) -> Vec<Value> {
        let found = self.admin(&format!("/v1/history?model={model}&limit=200"));
        let list = found.as_array().or_else(|| found.as_object()?.values().find_map(Value::as_array));
        list.unwrap_or_else(|| panic!("no history: {found}")).clone()
    }

    /// The newest entry of a kind, waited for: what is acted upon first is recorded a moment later.
    pub fn wait_history(&self, model: &str, action: &str) -> Value {
        wait_for(&format!("{action} in the history of {model}"), || {
            self.history(model).into_iter().find(|entry| entry["action"] == action)
        })
    }

    /// A reading of the metrics.
    pub fn metrics(&self) -> Metrics {
        let response = Client::new(self.addresses.metrics).send("GET", "/metrics", &[], b"");
        assert_eq!(response.status, 200, "{}", response.text());
        Metrics::parse(&response.text())
    }

    /// The sum of the series of a name with these labels.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.metrics().sum(name, labels)
    }

    /// Waits until the log holds a text.
    pub fn wait_log(&self, part: &str) {
        wait_until(&format!("the log to say {part:?}"), || self.log().contains(part));
    }

    /// The generation in force.
    pub fn generation(&self) -> u64 {
        self.admin("/v1/status")["generation"].as_u64().expect("a generation is a number")
    }

    /// Writes routing.toml in place, as `echo >` does.
    pub fn write_routing(&self, text: &str) {
        fs::write(self.builder.routing_file(), text).expect("a file can be written");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a child has a positive id");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Waits for the process to end by itself.
    pub fn wait_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the process does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it in order, which must work.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait_exit();
        assert_eq!(status.code(), Some(0), "{status:?}");
    }

    /// Ends it as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Starts it again on the same folders, after [`Gateway::kill`] or [`Gateway::stop`].
    pub fn start_again(&mut self) {
        self.start_again_as(|builder| builder);
    }

    /// [`Gateway::start_again`] with other settings.
    pub fn start_again_as(&mut self, change: impl FnOnce(Builder) -> Builder) {
        let before = self.log();
        *self = Self::start(change(self.builder.clone()));
        let mut log = self.log.lock().expect("no reader panicked");
        *log = format!("{before}--- started again ---\n{log}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- last lines of the gateway's log ---\n{}\n--- end of the log ---", last.join("\n"));
        }
    }
}

fn addresses(line: &str) -> Option<Addresses> {
    let line: Value = serde_json::from_str(line).ok()?;
    let address = |key: &str| line[key].as_str()?.parse().ok();
    let (http, grpc, metrics, admin) = (address("http")?, address("grpc")?, address("metrics")?, address("admin")?);
    Some(Addresses { http, grpc, metrics, admin })
}

/// A text or number as text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
