//! Reads what callers send: bounded, in the form that was promised, and with nothing in it that we do not know.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header;
use base_types::{ModelName, NameError, Selector, Version};
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use crate::routes::App;

/// Reads a JSON body. The content type is one that a form of a foreign page cannot send.
pub(crate) async fn json<T: DeserializeOwned>(app: &App, request: Request) -> Result<T, Problem> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new("content_type", "send the body as JSON, with `content-type: application/json`"));
    }
    let bytes = bytes(app, request).await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::malformed(format!("the body is not as expected: {error}")))
}

/// Reads a body of any kind.
pub(crate) async fn bytes(app: &App, request: Request) -> Result<Vec<u8>, Problem> {
    let limit = app.options.limits.body_bytes;
    let too_large = || Problem::new("body_too_large", format!("a body has at most {limit} bytes"));
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|n| n > limit) {
        return Err(too_large());
    }
    match to_bytes(request.into_body(), limit).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if has_cut_off(&error) => Err(Problem::malformed("the body ended early")),
        Err(_) => Err(too_large()),
    }
}

/// Whether reading failed for another reason than the limit.
fn has_cut_off(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<hyper::Error>())
}

/// A version as callers write it: a number, a number as text, or a label.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum VersionText {
    /// 2
    Number(u64),
    /// "2" or "champion"
    Text(String),
}

impl VersionText {
    /// By number or label.
    pub(crate) fn selector(&self) -> Result<Selector, Problem> {
        self.read(str::parse)
    }

    /// By number only.
    pub(crate) fn version(&self) -> Result<Version, Problem> {
        self.read(str::parse)
    }

    fn read<T>(&self, parse: impl Fn(&str) -> Result<T, NameError>) -> Result<T, Problem> {
        let parsed = match self {
            Self::Number(number) => parse(&number.to_string()),
            Self::Text(text) => parse(text),
        };
        parsed.map_err(|error| Problem::malformed(error.to_string()))
    }
}

/// A model's name from a path or a query.
pub(crate) fn model_name(text: &str) -> Result<ModelName, Problem> {
    ModelName::new(text).map_err(|error| Problem::malformed(error.to_string()))
}
