//! A control plane over a repository of two versions and a scripted engine, with the admin API in front of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base_metrics::Metrics;
use base_serving::engine::{Artifact, Engine, LoadError, RunControl, Runner};
use base_serving::lane::{JobError, Lane, Submission};
use base_serving::{InFlightMark, Snapshot, SnapshotCell};
use base_types::{Digest, FaultKind, SystemClock};
use control_config::WatchOptions;
use control_loop::{Connections, Control, Loader, Settings};
use control_registry::journal::Journal;
use control_registry::repository::ScanOptions;
use serde_json::Value;
use testkit::fake::{FakeEngine, FakeLane, FakeRunner, report};
use testkit::onnx::affine4;
use testkit::repository::Repository;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::{AdminOptions, Token};

/// The token of tests that need one.
pub(super) const TOKEN: &str = "a-token-for-tests-0123456789";

/// A listener with everything behind it.
pub(super) struct Door {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    runtime: Runtime,
    folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Value,
}

impl Door {
    /// Model `m` with versions 1 and 2, of which 2 is stable; sticky by the header `x-key`.
    pub(super) fn open() -> Self {
        Self::with("127.0.0.1:0", |_| AdminOptions::default())
    }

    pub(super) fn with_token() -> Self {
        Self::with("127.0.0.1:0", |folder| AdminOptions { token: Some(token(folder)), ..AdminOptions::default() })
    }

    pub(super) fn with(bind: &str, options: impl FnOnce(&Path) -> AdminOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let control = Arc::new(control(folder.path()));
        let mut started = control.started();
        let options = options(folder.path());
        let (stop, stopped) = oneshot::channel();
        let address = runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), started.wait_for(|s| *s)).await.unwrap().unwrap();
            let listener = TcpListener::bind(bind).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(crate::serve(listener, control, options, async { drop(stopped.await) }));
            address
        });
        let address = if address.ip().is_unspecified() { ([127, 0, 0, 1], address.port()).into() } else { address };
        Self { address, stop: Some(stop), runtime, folder }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks for the listener's end.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "")
    }

    /// Posts JSON.
    pub(super) fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], &body.to_string())
    }

    /// Sends a request with the right host, unless one is given, and reads the answer.
    pub(super) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if method != "GET" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.send_raw(&format!("{head}\r\n{body}"))
    }

    pub(super) fn send_raw(&self, text: &str) -> Answer {
        let mut stream = self.connect();
        // An early refusal may close the connection before everything is sent.
        stream.write_all(text.as_bytes()).ok();
        read(&mut stream)
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Whether the listener is gone within a few seconds.
    pub(super) fn is_closed(&self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if TcpStream::connect(self.address).is_err() {
                return true;
            }
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(5)).await });
        }
        false
    }
}

pub(super) fn read(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    Answer { status, head: head.to_lowercase(), body }
}

pub(super) fn token(folder: &Path) -> Token {
    let path = folder.join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    Token::read(&path).unwrap()
}

fn control(folder: &Path) -> Control {
    let repository = Repository::new(folder.join("models")).unwrap();
    repository.publish("m", 1, &affine4(2.0, 0.0)).unwrap();
    repository.publish("m", 2, &affine4(3.0, 0.0)).unwrap();
    let routing = folder.join("routing.toml");
    std::fs::write(&routing, "[models.m]\nsticky = { header = \"x-key\" }\n").unwrap();
    let settings = Settings {
        repository: Some(repository.root().to_owned()),
        store: None,
        scan: ScanOptions { settle_ms: 0, ..ScanOptions::default() },
        look_every: Duration::from_secs(60),
        routing: Some(routing),
        watch: WatchOptions::default(),
        confirm_after: Duration::from_secs(600),
        follow_share: None,
        webhooks: Vec::new(),
        webhook_timeout: Duration::from_secs(2),
        memory: control_loop::MemoryBounds::default(),
    };
    let connections = Connections {
        cell: Arc::new(SnapshotCell::new(Snapshot::default())),
        metrics: Metrics::new("test", "none").unwrap(),
        clock: Arc::new(SystemClock),
        started: Instant::now(),
        loader: Arc::new(Inline(FakeEngine::new(|_| Ok(FakeRunner::affine4(2.0, 0.0))))),
        crashed: std::collections::BTreeMap::new(),
    };
    Control::start(settings, Journal::open(&folder.join("state")).unwrap(), connections).unwrap()
}

/// Loads from a script and runs on the caller's thread.
struct Inline(FakeEngine);

impl Loader for Inline {
    fn load(&self, artifact: &Artifact) -> Result<Arc<dyn Runner>, LoadError> {
        self.0.load(artifact)
    }

    fn lane(&self, runner: Arc<dyn Runner>) -> Arc<dyn Lane> {
        Arc::new(FakeLane::new(move |job| {
            let result = runner.run(&job.inputs, &job.outputs, &RunControl::default());
            Submission::Finished(report(result.map_err(|e| JobError::Fault(FaultKind::Run, format!("{e:?}")))))
        }))
    }

    fn mark(&self, _: Digest) -> Option<Arc<dyn InFlightMark>> {
        None
    }

    fn forget_crashes(&self) {}

    fn step_back(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn trim(&self) {}
}
