//! A gateway in a process of its own, its model repository, and what operators ask of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use testkit::repository::Repository;

use crate::error::io_at;
use crate::http1::{Connection, write_request};
use crate::server::Server;
use crate::{BenchError, Settings};

/// The model all measurements use.
pub const MODEL: &str = "measured";

/// How long anything the gateway is asked for may take.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// The time between two looks while waiting.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Notices changes as fast as the gateway allows, so that measurements do not wait for it.
const BRISK: &str = "[repository]\npoll_ms = 50\nsettle_ms = 0\n\n[watch]\nquiet_ms = 1\n";

/// The folders of a gateway; removed at the end.
#[derive(Debug)]
pub struct House {
    folder: TempDir,
    /// The model repository.
    pub repository: Repository,
}

impl House {
    /// An empty repository and nothing else.
    pub fn new() -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(io_at("make a temporary folder"))?;
        let repository = Repository::new(folder.path().join("models")).map_err(io_at("make a model repository"))?;
        Ok(Self { folder, repository })
    }

    /// The folder that holds everything.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts a version into the repository in one step.
    pub fn publish(&self, version: u64, model: &[u8]) -> Result<(), BenchError> {
        let published = self.repository.publish(MODEL, version, model);
        published.map(drop).map_err(io_at(format!("publish version {version}")))
    }

    /// Takes a version out of the repository in one step and keeps it aside.
    pub fn withdraw(&self, version: u64) -> Result<Withdrawn, BenchError> {
        let from = self.repository.version_folder(MODEL, version);
        let to = self.path().join(format!("withdrawn-{version}"));
        fs::rename(&from, &to).map_err(io_at(format!("withdraw version {version}")))?;
        Ok(Withdrawn { from, to })
    }

    fn routing(&self) -> PathBuf {
        self.path().join("routing.toml")
    }

    /// Replaces routing.toml in one step, as editors do.
    pub fn route(&self, text: &str) -> Result<(), BenchError> {
        let draft = self.path().join("routing.toml.draft");
        let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, self.routing()));
        written.map_err(io_at("write routing.toml"))
    }
}

/// A version kept beside the repository.
#[derive(Debug)]
pub struct Withdrawn {
    from: PathBuf,
    to: PathBuf,
}

impl Withdrawn {
    /// Puts it back as it was, in one step and without copying: the same content under the same number.
    pub fn put_back(self) -> Result<(), BenchError> {
        fs::rename(&self.to, &self.from).map_err(io_at("put a version back"))
    }
}

/// How attentive a gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tempo {
    /// The defaults.
    Default,
    /// As fast as it allows.
    Brisk,
    /// The defaults, but for folders, which are taken up as they are.
    Settled,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    server: Server,
}

impl Gateway {
    /// Starts the gateway over a house and waits until version 1 of the model answers.
    pub fn start(settings: &Settings, house: &House, tempo: Tempo) -> Result<Self, BenchError> {
        Self::start_with(settings, house, tempo, "")
    }

    /// The same, with more tables of gateway.toml.
    pub fn start_with(settings: &Settings, house: &House, tempo: Tempo, tables: &str) -> Result<Self, BenchError> {
        let mut command = Command::new(&settings.gateway);
        command.arg("serve").arg("--model-repository").arg(house.repository.root());
        command.arg("--state-dir").arg(house.path().join("state"));
        for listener in ["--http-address", "--grpc-address", "--metrics-address", "--admin-address"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let of_tempo = match tempo {
            Tempo::Default => "",
            Tempo::Brisk => BRISK,
            Tempo::Settled => "[repository]\nsettle_ms = 0\n",
        };
        let text = format!("{of_tempo}\n{tables}");
        if !text.trim().is_empty() {
            let config = house.path().join("gateway.toml");
            fs::write(&config, text).map_err(io_at("write gateway.toml"))?;
            command.arg("--config").arg(config);
        }
        if house.routing().exists() {
            command.arg("--routing").arg(house.routing());
        }
        let server = Server::start(&mut command, &house.path().join("gateway.log"))?;
        let gateway = Self { server };
        gateway.wait_state(1, "ready")?;
        gateway.wait(&format!("{MODEL} has a stable version"), |model| !model["stable"].is_null())?;
        Ok(gateway)
    }

    /// Where callers ask.
    pub fn address(&self) -> String {
        self.server.address("http")
    }

    /// Where callers ask over gRPC.
    pub fn grpc_address(&self) -> String {
        self.server.address("grpc")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Asks the admin API.
    pub fn get(&self, path: &str) -> Result<Value, BenchError> {
        self.ask("GET", path, &[])
    }

    /// Orders something from the admin API.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, BenchError> {
        self.ask("POST", path, body.to_string().as_bytes())
    }

    /// Everything it counts, as it is scraped.
    pub fn metrics(&self) -> Result<String, BenchError> {
        let address = self.server.address("metrics");
        let mut request = Vec::new();
        write_request(&mut request, "GET", "/metrics", &address, &[]);
        let failed = || io_at("scrape the metrics");
        let mut connection = Connection::open(&address).map_err(failed())?;
        Ok(connection.exchange(&request).map_err(failed())?.text())
    }

    /// Waits until a version is in a state.
    pub fn wait_state(&self, version: u64, state: &str) -> Result<(), BenchError> {
        let what = format!("version {version} is {state}");
        self.wait(&what, |model| version_of(model, version).is_some_and(|v| v["state"] == state)).map(drop)
    }

    /// Waits until a version is out of memory.
    pub fn wait_gone(&self, version: u64) -> Result<(), BenchError> {
        let is_gone = |state: &Value| matches!(state.as_str(), Some("unloaded" | "registered"));
        let what = format!("version {version} is gone");
        self.wait(&what, |model| version_of(model, version).is_none_or(|v| is_gone(&v["state"]))).map(drop)
    }

    /// Waits until the admin API shows what is wanted of the model.
    pub fn wait(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value, BenchError> {
        self.wait_for(&format!("/v1/models/{MODEL}"), LOOK_INTERVAL, what, is_so)
    }

    /// Waits until the admin API shows what is wanted, asking again after each interval.
    pub fn wait_for(
        &self,
        path: &str,
        interval: Duration,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value, BenchError> {
        let began = Instant::now();
        loop {
            // The model is not known until its folder was seen.
            let seen = self.get(path);
            match seen {
                Ok(seen) if is_so(&seen) => return Ok(seen),
                Err(error @ BenchError::Io { .. }) => return Err(error),
                seen if began.elapsed() > WAIT_MAX => {
                    let seen = seen.map_or_else(|error| error.to_string(), |seen| seen.to_string());
                    let seen = format!("{seen}\n{}", self.server.last_log());
                    return Err(BenchError::Timeout { what: what.to_owned(), seconds: WAIT_MAX.as_secs(), seen });
                }
                _ => std::thread::sleep(interval),
            }
        }
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<Value, BenchError> {
        let address = self.server.address("admin");
        let mut request = Vec::new();
        write_request(&mut request, method, path, &address, body);
        let failed = || io_at(format!("{method} {path}"));
        let mut connection = Connection::open(&address).map_err(failed())?;
        let answer = connection.exchange(&request).map_err(failed())?;
        match (answer.status, serde_json::from_slice(answer.body)) {
            (200, Ok(value)) => Ok(value),
            (status, _) => Err(BenchError::Answer {
                request: format!("{method} {path}"),
                answer: format!("{status}: {}", answer.text()),
            }),
        }
    }
}

/// What the admin API says of a version.
pub fn version_of(model: &Value, version: u64) -> Option<&Value> {
    // Whether a number or a text, it reads the same.
    let is_it = |v: &&Value| v["version"].to_string().trim_matches('"') == version.to_string();
    model["versions"].as_array()?.iter().find(is_it)
}
