//! MLflow's REST API, as far as it is needed: a version, its run, its files, and tags.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::http::header;
use ureq::{Agent, Body};

use super::MlflowError;

const API: &str = "/api/2.0/mlflow";
const FILES: &str = "/api/2.0/mlflow-artifacts/artifacts";
/// For an answer of the API.
const TIMEOUT: Duration = Duration::from_secs(60);
/// For the next bytes of a file; the whole may take longer.
const STALL: Duration = Duration::from_secs(60);
/// Bytes of an answer of the API.
const ANSWER_BYTES_MAX: u64 = 16 << 20;
/// What is shown of a refusal.
const REASON_CHARS_MAX: usize = 300;

/// A tracking server.
pub(super) struct Client {
    agent: Agent,
    /// With credentials, if there are any.
    base: String,
    token: Option<String>,
    /// Without them.
    shown: String,
}

/// A version of a registered model.
#[derive(Debug, Deserialize)]
pub(super) struct RegisteredVersion {
    pub(super) version: String,
    pub(super) run_id: Option<String>,
}

/// The run that made a model.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) experiment: String,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) metrics: BTreeMap<String, f64>,
    pub(super) tags: BTreeMap<String, String>,
}

/// A file or folder of a model.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) path: String,
    #[serde(default)]
    pub(super) is_dir: bool,
}

impl Client {
    pub(super) fn new(address: &str, token: Option<String>) -> Result<Self, MlflowError> {
        let base = address.trim_end_matches('/');
        let shown = shown(base);
        let has_host = base.split_once("://").is_some_and(|(scheme, rest)| {
            matches!(scheme, "http" | "https") && !rest.is_empty() && !base.contains(['?', '#', ' '])
        });
        if !has_host {
            return Err(MlflowError::Address(shown));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Credentials are for this server.
            .max_redirects(0)
            .timeout_connect(Some(TIMEOUT))
            .timeout_recv_response(Some(TIMEOUT))
            .timeout_recv_body(None)
            .user_agent(concat!("switchrail/", env!("CARGO_PKG_VERSION")));
        Ok(Self { agent: config.build().into(), base: base.to_owned(), token, shown })
    }

    /// A version by its number.
    pub(super) fn version(&self, name: &str, version: &str) -> Result<RegisteredVersion, MlflowError> {
        let query = [("name", name), ("version", version)];
        let answer = self.get(&format!("{API}/model-versions/get"), &query)?;
        self.read(answer["model_version"].clone(), "a version")
    }

    /// The version an alias stands for.
    pub(super) fn alias(&self, name: &str, alias: &str) -> Result<RegisteredVersion, MlflowError> {
        let answer = self.get(&format!("{API}/registered-models/alias"), &[("name", name), ("alias", alias)])?;
        self.read(answer["model_version"].clone(), "a version")
    }

    /// The path under which the server hands out the files of a version.
    pub(super) fn artifacts(&self, name: &str, version: &str) -> Result<String, MlflowError> {
        let query = [("name", name), ("version", version)];
        let answer = self.get(&format!("{API}/model-versions/get-download-uri"), &query)?;
        let uri = answer["artifact_uri"].as_str().unwrap_or_default();
        let path = uri.strip_prefix("mlflow-artifacts:").map(|rest| match rest.strip_prefix("//") {
            // With the host that this server is reached at.
            Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
            None => rest,
        });
        path.map(|path| path.trim_matches('/').to_owned()).ok_or_else(|| MlflowError::NotProxied(shown(uri)))
    }

    /// A run with what was logged in it.
    pub(super) fn run(&self, id: &str) -> Result<Run, MlflowError> {
        let answer = self.get(&format!("{API}/runs/get"), &[("run_id", id)])?;
        let (info, data) = (&answer["run"]["info"], &answer["run"]["data"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |list: &Value| -> BTreeMap<String, String> {
            list.as_array().into_iter().flatten().map(|item| (text(&item["key"]), text(&item["value"]))).collect()
        };
        let metrics = data["metrics"].as_array().into_iter().flatten();
        Ok(Run {
            id: id.to_owned(),
            name: text(&info["run_name"]),
            experiment: text(&info["experiment_id"]),
            parameters: texts(&data["params"]),
            metrics: metrics.filter_map(|item| Some((text(&item["key"]), item["value"].as_f64()?))).collect(),
            tags: texts(&data["tags"]),
        })
    }

    /// What lies in a folder.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<Listed>, MlflowError> {
        let answer = self.get(FILES, &[("path", folder)])?;
        self.read(answer["files"].clone(), "a list of files")
    }

    /// A file, to be read.
    pub(super) fn file(&self, path: &str) -> Result<impl Read + use<>, MlflowError> {
        let mut request = self.agent.get(format!("{}{FILES}/{}", self.base, encoded(path)));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.config().timeout_recv_response(Some(STALL)).build();
        let response = request.call().map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let mut body = response.into_body();
        if status.is_success() {
            return Ok(body.into_reader());
        }
        Err(self.refused(path, &read_bounded(&mut body).unwrap_or_default()))
    }

    /// Sets a tag of a version.
    pub(super) fn tag(&self, name: &str, version: &str, (key, value): (&str, &str)) -> Result<(), MlflowError> {
        let body = json!({ "name": name, "version": version, "key": key, "value": value });
        let mut request = self.agent.post(format!("{}{API}/model-versions/set-tag", self.base));
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = request.send_json(&body).map_err(|error| self.unreachable(&error))?;
        self.receive(answer, "a tag").map(drop)
    }

    /// The version's page.
    pub(super) fn link(&self, name: &str, version: &str) -> String {
        format!("{}/#/models/{}/versions/{version}", self.shown, encoded(name))
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, MlflowError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        for (name, value) in query {
            request = request.query(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|error| self.unreachable(&error))?;
        let what: Vec<&str> = query.iter().map(|(_, value)| *value).collect();
        self.receive(answer, &what.join(" "))
    }

    fn receive(&self, answer: ureq::http::Response<Body>, what: &str) -> Result<Value, MlflowError> {
        let status = answer.status();
        let mut body = answer.into_body();
        let bytes = read_bounded(&mut body).map_err(|error| self.unreachable(&error))?;
        match serde_json::from_slice(&bytes) {
            Ok(value) if status.is_success() => Ok(value),
            _ => Err(self.refused(what, &bytes)),
        }
    }

    fn read<T: DeserializeOwned>(&self, value: Value, what: &str) -> Result<T, MlflowError> {
        serde_json::from_value(value).map_err(|error| MlflowError::Refused {
            address: self.shown.clone(),
            what: what.to_owned(),
            reason: format!("an answer that is none of MLflow's: {error}"),
        })
    }

    fn refused(&self, what: &str, body: &[u8]) -> MlflowError {
        let told =
            serde_json::from_slice::<Value>(body).ok().and_then(|value| Some(value["message"].as_str()?.to_owned()));
        let reason = told.unwrap_or_else(|| "no answer of an MLflow server; check --mlflow".to_owned());
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        MlflowError::Refused { address: self.shown.clone(), what: what.to_owned(), reason }
    }

    fn unreachable(&self, error: &ureq::Error) -> MlflowError {
        MlflowError::Unreachable { address: self.shown.clone(), reason: error.to_string() }
    }
}

fn read_bounded(body: &mut Body) -> Result<Vec<u8>, ureq::Error> {
    body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()
}

/// An address without user and password.
pub(super) fn shown(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", host.rsplit('@').next().unwrap_or_default())
}

/// A path as it stands in a URL, with its slashes.
pub(super) fn encoded(path: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    path.bytes().map(byte).collect()
}
