//! Models from an MLflow registry: `models:/NAME/VERSION` and `models:/NAME@ALIAS` stand for the files of that version,
//! fetched through the tracking server, with the run that made them as lineage. After a push the version there is told
//! which version it became here.

mod client;
mod files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base_types::{Digest, ModelName, Version};
use thiserror::Error;

use client::{Client, Run};
use files::Scratch;

/// The environment variable that names the tracking server, MLflow's own.
pub(super) const ADDRESS_VARIABLE: &str = "MLFLOW_TRACKING_URI";
/// The environment variable with a token for it, MLflow's own.
pub(super) const TOKEN_VARIABLE: &str = "MLFLOW_TRACKING_TOKEN";
/// Parameters of a run that are taken as lineage.
const PARAMETERS_MAX: usize = 100;
/// Metrics of a run that are taken.
const METRICS_MAX: usize = 100;
/// Bytes of a parameter's value; longer ones say little about lineage.
const VALUE_BYTES_MAX: usize = 1024;

/// Why a model of an MLflow registry cannot be had.
#[derive(Debug, Error)]
pub enum MlflowError {
    /// The address of the model is none.
    #[error("{0:?} names no registered model: write models:/NAME/VERSION or models:/NAME@ALIAS")]
    Uri(String),
    /// Nobody said where the server is.
    #[error("where is the MLflow server? say it with --mlflow http://HOST:PORT, or in {ADDRESS_VARIABLE}")]
    NoAddress,
    /// The address of the server is none.
    #[error("{0:?} is no address of an MLflow server: write http://HOST:PORT")]
    Address(String),
    /// The server does not answer.
    #[error("cannot reach MLflow at {address}: {reason}")]
    Unreachable {
        /// Where, without credentials.
        address: String,
        /// Why.
        reason: String,
    },
    /// The server says no.
    #[error("MLflow at {address} refuses {what}: {reason}")]
    Refused {
        /// Where, without credentials.
        address: String,
        /// What was asked for.
        what: String,
        /// In its own words.
        reason: String,
    },
    /// Its files are kept where only MLflow's own clients reach them.
    #[error(
        "the files of the model are at {0:?}, which the MLflow server does not hand out: start it with \
         --artifacts-destination, so that artifacts go through the server, or download them and push the folder"
    )]
    NotProxied(String),
    /// The version holds no ONNX model, or several.
    #[error("{0}: switchrail serves ONNX models, logged with mlflow.onnx.log_model")]
    NoModel(String),
    /// More than is taken.
    #[error("the version has more than {limit} {what}, which is more than is fetched")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much.
        limit: u64,
    },
    /// A path that would lead out of the folder it belongs to.
    #[error("MLflow names a file {0:?}, which is no path within a model: nothing was fetched")]
    Path(String),
    /// A file cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// A version in a registry, as people write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ModelUri {
    name: String,
    wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    Version(String),
    Alias(String),
}

impl ModelUri {
    /// Whether a text is meant to be one.
    pub(super) fn is_meant(text: &str) -> bool {
        text.starts_with("models:/")
    }

    /// Reads `models:/NAME/VERSION` or `models:/NAME@ALIAS`.
    pub(super) fn parse(text: &str) -> Result<Self, MlflowError> {
        let flawed = || MlflowError::Uri(text.to_owned());
        let rest = text.strip_prefix("models:/").ok_or_else(flawed)?;
        let (name, wanted) = match rest.rsplit_once('@') {
            Some((name, alias)) => (name, Wanted::Alias(alias.to_owned())),
            None => {
                let (name, version) = rest.rsplit_once('/').ok_or_else(flawed)?;
                let is_number = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
                (name, Wanted::Version(Some(version.to_owned()).filter(|_| is_number).ok_or_else(flawed)?))
            }
        };
        let is_empty = name.is_empty() || matches!(&wanted, Wanted::Alias(alias) if alias.is_empty());
        if is_empty || name.contains('/') || text.chars().any(char::is_control) {
            return Err(flawed());
        }
        Ok(Self { name: name.to_owned(), wanted })
    }
}

/// The files of a version of a registry, in a folder that goes with this value, and what is known about them.
pub(super) struct Imported {
    /// The model file, with its other files beside it.
    pub(super) file: PathBuf,
    /// Where it came from: run, parameters, link.
    pub(super) set: BTreeMap<String, String>,
    /// The run's metrics.
    pub(super) metrics: BTreeMap<String, f64>,
    name: String,
    version: String,
    client: Client,
    /// Removed with it.
    _scratch: Scratch,
}

/// Fetches a version. `address` is the tracking server's, else what the environment says.
pub(super) fn import(uri: &ModelUri, address: Option<&str>) -> Result<Imported, MlflowError> {
    let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
    let address = address.map(str::to_owned).or_else(|| variable(ADDRESS_VARIABLE)).ok_or(MlflowError::NoAddress)?;
    let client = Client::new(&address, variable(TOKEN_VARIABLE))?;
    let version = match &uri.wanted {
        Wanted::Version(version) => client.version(&uri.name, version)?,
        Wanted::Alias(alias) => client.alias(&uri.name, alias)?,
    };
    let place = client.artifacts(&uri.name, &version.version)?;
    let scratch = Scratch::new()?;
    let file = files::fetch(&client, &place, scratch.path())?;
    let run = version.run_id.as_deref().filter(|id| !id.is_empty()).map(|id| client.run(id)).transpose()?;
    let mut set = lineage(run.as_ref());
    set.insert("mlflow.model".to_owned(), format!("models:/{}/{}", uri.name, version.version));
    set.insert("mlflow.link".to_owned(), client.link(&uri.name, &version.version));
    if let Wanted::Alias(alias) = &uri.wanted {
        set.insert("mlflow.alias".to_owned(), alias.clone());
    }
    let metrics = run.map(|run| run.metrics).unwrap_or_default().into_iter();
    let metrics = metrics.filter(|(_, value)| value.is_finite()).take(METRICS_MAX).collect();
    let (name, version) = (uri.name.clone(), version.version);
    Ok(Imported { file, set, metrics, name, version, client, _scratch: scratch })
}

impl Imported {
    /// Tells the version in the registry which version it became, by tags.
    pub(super) fn link(&self, model: &ModelName, version: Version, digest: &Digest) -> Result<(), MlflowError> {
        let tags = [
            ("switchrail.model", model.to_string()),
            ("switchrail.version", version.to_string()),
            ("switchrail.digest", digest.to_string()),
        ];
        tags.iter().try_for_each(|(key, value)| self.client.tag(&self.name, &self.version, (key, value)))
    }

    /// The model's name there.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The version as it is called there.
    pub(super) fn uri(&self) -> String {
        format!("models:/{}/{}", self.name, self.version)
    }
}

/// What a run says about where a model came from.
fn lineage(run: Option<&Run>) -> BTreeMap<String, String> {
    let Some(run) = run else { return BTreeMap::new() };
    let mut set = BTreeMap::from([("mlflow.run".to_owned(), run.id.clone())]);
    set.insert("mlflow.experiment".to_owned(), run.experiment.clone());
    set.insert("mlflow.run_name".to_owned(), run.name.clone());
    let is_kept = |text: &str| !text.is_empty() && text.len() <= VALUE_BYTES_MAX && !text.chars().any(char::is_control);
    let tags = run.tags.iter().filter(|(key, _)| key.starts_with("mlflow.source."));
    set.extend(tags.map(|(key, value)| (key.clone(), value.clone())));
    let parameters = run.parameters.iter().take(PARAMETERS_MAX);
    set.extend(parameters.map(|(key, value)| (format!("mlflow.param.{key}"), value.clone())));
    set.retain(|key, value| is_kept(key) && is_kept(value));
    set
}

/// A path as it is named by a server: relative, and within the folder it is of.
fn within(path: &str) -> Result<&Path, MlflowError> {
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.chars().any(char::is_control);
    if path.split('/').all(is_plain) && !path.contains('\\') {
        return Ok(Path::new(path));
    }
    Err(MlflowError::Path(path.to_owned()))
}

#[cfg(test)]
mod tests;
